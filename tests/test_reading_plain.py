from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whopays.errors import MislabelledError
from whopays.reading import read
from whopays.reading.contents import sniff

TEXT = "The learner’s fee is £9,250 – “free” at the point of use. Café owners don’t pay €500."


def document_text(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    (document,) = read(path)
    return document.text


texts = st.text(
    st.one_of(st.characters(exclude_categories=["Cs", "Cc"]), st.sampled_from("\n\r\t")), min_size=1
).filter(lambda text: text.strip() and not text.startswith("\ufeff") and not sniff(text.encode()))


@settings(deadline=None)
@given(text=texts, suffix=st.sampled_from([".txt", ".md"]))
def test_any_utf8_text_is_read_back_exactly(text: str, suffix: str) -> None:
    with TemporaryDirectory() as folder:
        assert document_text(Path(folder, f"any{suffix}"), text.encode()) == text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_encodings_are_recognised(tmp_path: Path, encoding: str) -> None:
    assert document_text(tmp_path / "a.txt", TEXT.encode(encoding)) == TEXT


def test_other_legacy_encodings_are_guessed(tmp_path: Path) -> None:
    text = "За обучение платит работодатель, а не учащийся. Государство возвращает ему часть расходов. " * 3
    assert document_text(tmp_path / "a.txt", text.encode("cp1251")) == text


def test_line_ends_and_markdown_stay_as_they_are(tmp_path: Path) -> None:
    raw = "# Fees\r\n\r\n* The **learner** pays.\r\n* [Rules](x.md)\n\r\x0cNext page"
    assert document_text(tmp_path / "a.md", raw.encode()) == raw


def test_a_text_has_no_pages_and_its_files_name_as_id(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(TEXT, encoding="utf-8")
    (document,) = read(path)
    assert (document.id, document.title, document.page_starts, document.breaks) == ("a.txt", "", (), ())


@pytest.mark.parametrize(
    ("data", "seeming"),
    [
        (b"%PDF-1.7 ...", "a PDF"),
        (b"PK\x03\x04...", "a ZIP archive or an Office document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
        (b"{\\rtf1\\ansi The learner pays.}", "an RTF document"),
        (b"\x00\x01\x02\x03 learner \x00\x00\x7f\x10", "binary data"),
        (bytes(range(256)) * 4, "binary data"),
    ],
)
def test_binary_content_is_named(tmp_path: Path, data: bytes, seeming: str) -> None:
    with pytest.raises(MislabelledError, match=seeming):
        document_text(tmp_path / "a.txt", data)
