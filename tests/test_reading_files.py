"""What all readers share: which files are read, and how refusals are worded."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from whopays.errors import (
    EmptyDocumentError,
    MislabelledError,
    ReadError,
    RecordError,
    UnknownFormatError,
    UsageError,
    WhopaysError,
)
from whopays.reading import SUFFIXES, discover, read

SINGLE = [".txt", ".md", ".html", ".pdf", ".docx"]


def test_a_missing_file_and_a_folder_are_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.txt: there is no such file"):
        read(tmp_path / "gone.txt")
    with pytest.raises(UsageError, match="it is a folder"):
        read(tmp_path)
    with pytest.raises(UsageError, match="type int"):
        read(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "found"), [("notes.odt", r"'\.odt'"), ("notes", "no extension")])
def test_an_unknown_extension_lists_the_known_ones(tmp_path: Path, name: str, found: str) -> None:
    (tmp_path / name).write_text("The learner pays.")
    with pytest.raises(UnknownFormatError, match=found) as caught:
        read(tmp_path / name)
    assert all(suffix in str(caught.value) for suffix in SUFFIXES)


def test_extensions_may_be_in_capitals(tmp_path: Path) -> None:
    path = tmp_path / "NOTES.TXT"
    path.write_text("The learner pays.")
    assert next(read(path)).id == "NOTES.TXT"


def test_the_source_is_the_path_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("The learner pays.")
    monkeypatch.chdir(tmp_path)
    assert next(read("./a.txt")).source == "./a.txt"
    assert next(read(Path("a.txt"))).source == "a.txt"


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_an_empty_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"empty{suffix}"
    path.write_bytes(b"")
    with pytest.raises(EmptyDocumentError, match=f"empty{suffix}"):
        read(path)


@pytest.mark.parametrize("suffix", sorted(set(SUFFIXES) - {".parquet"}))
def test_a_file_of_white_space_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"blank{suffix}"
    path.write_bytes(b" \n\t\r\n ")
    with pytest.raises(EmptyDocumentError, match=f"blank{suffix}"):
        read(path)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_a_picture_under_any_name_is_mislabelled(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    with pytest.raises(MislabelledError, match="a PNG image"):
        read(path)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_a_file_that_may_not_be_read_is_a_read_error(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"secret{suffix}"
    path.write_text("The learner pays.")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    # The tests may run as root, whom no mode stops.
    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ReadError, match=r"secret.*Permission denied"):
        read(path)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_junk_never_raises_anything_but_our_errors(tmp_path: Path, suffix: str) -> None:
    randomness = random.Random(suffix)
    starts = [b"", b"%PDF-1.7\n", b"PK\x03\x04", b"PAR1", b"text,id\n", b'{"text": ', b"<html><body>", b"\xff\xfe"]
    for start in starts:
        path = tmp_path / f"junk{suffix}"
        path.write_bytes(start + randomness.randbytes(300) + (b"%%EOF" if b"PDF" in start else b""))
        try:
            documents = list(read(path))
        except WhopaysError as error:
            message = str(error)
        else:
            assert any(document.text.strip() for document in documents)
            continue
        assert path.name in message
        assert "\n" not in message


def test_discover_walks_folders_sorted_and_skips_what_is_hidden_or_unknown(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.pdf", "a/c.docx", ".hidden.txt", ".git/d.txt", "a/e.exe", "a/~$c.docx", "f.JSONL"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path).as_posix() for path in discover([tmp_path])]
    assert found == ["a/c.docx", "a/z.pdf", "b.txt", "f.JSONL"]


def test_discover_keeps_the_order_given_and_files_named_directly(tmp_path: Path) -> None:
    for name in ("b.txt", "odd.exe", ".hidden.txt"):
        (tmp_path / name).touch()
    named = [tmp_path / "odd.exe", tmp_path / ".hidden.txt", tmp_path / "b.txt"]
    assert list(discover(named)) == named
    assert list(discover(str(named[0]))) == named[:1]


def test_discover_names_a_missing_path_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gone"):
        discover([tmp_path, tmp_path / "gone"])


def test_discover_does_not_follow_a_circle_of_links(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert list(discover([tmp_path])) == [tmp_path / "a.txt"]


def test_importing_the_readers_imports_no_heavy_library() -> None:
    heavy = ["lxml", "trafilatura", "docx", "pypdfium2", "pyarrow", "pandas", "charset_normalizer", "numpy"]
    code = f"import sys, whopays.reading; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_record_error_is_raised_for_the_first_row_at_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"body": "x"}\n')
    with pytest.raises(RecordError):
        read(path)
