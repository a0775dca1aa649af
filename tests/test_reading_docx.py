from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import docx
import pytest
from docx.oxml.parser import parse_xml

from whopays.errors import CorruptDocumentError, EmptyDocumentError, EncryptedDocumentError, MislabelledError
from whopays.reading import read
from whopays.text import Document

NAMESPACES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
)
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "report.docx"


def saved(document: docx.document.Document, path: Path) -> Document:
    document.save(str(path))
    (found,) = read(path)
    return found


def rewrite(path: Path, change: Callable[[str, bytes], bytes | None], extra: dict[str, bytes] | None = None) -> None:
    """Write the package anew with each part changed, or left out for None."""
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            if (content := change(name, old.read(name))) is not None:
                new.writestr(name, content)
        for name, content in (extra or {}).items():
            new.writestr(name, content)


def with_body(path: Path, body: str) -> str:
    """The text read from a document whose body is the XML given."""
    docx.Document().save(str(path))
    part = f'<?xml version="1.0" encoding="UTF-8"?><w:document {NAMESPACES}><w:body>{body}</w:body></w:document>'
    rewrite(path, lambda name, content: part.encode() if name == "word/document.xml" else content)
    return next(read(path)).text


def test_paragraphs_and_tables_are_read_in_document_order(path: Path) -> None:
    document = docx.Document()
    document.core_properties.title = "Who pays?"
    document.add_heading("Fees", 1)
    document.add_paragraph("The learner ").add_run("pays.").bold = True
    table = document.add_table(2, 2)
    for cell, text in zip(table._cells, ("Item", "Payer", "Exam", "The\nstate"), strict=True):
        cell.text = text
    document.add_paragraph("")
    document.add_paragraph("Books are free.", style="List Bullet")
    found = saved(document, path)
    assert (found.id, found.source, found.title) == ("report.docx", str(path), "Who pays?")
    assert found.text == "Fees\n\nThe learner pays.\n\nItem | Payer\n\nExam | The state\n\nBooks are free."


def test_merged_cells_are_read_once(path: Path) -> None:
    document = docx.Document()
    table = document.add_table(3, 3)
    for number, cell in enumerate(table._cells):
        cell.text = str(number)
    across = table.cell(0, 0).merge(table.cell(0, 1))
    across.text = "across"
    down = table.cell(1, 0).merge(table.cell(2, 0))
    down.text = "down"
    assert saved(document, path).text == "across | 2\n\ndown | 4 | 5\n\n | 7 | 8"


def test_a_row_with_one_filled_cell_is_layout(path: Path) -> None:
    document = docx.Document()
    cell = document.add_table(1, 2).cell(0, 0)
    cell.text = "Fees"
    cell.add_paragraph("The learner pays.")
    assert saved(document, path).text == "Fees\n\nThe learner pays."


def test_content_controls_and_tracked_changes_are_read_as_shown(path: Path) -> None:
    assert (
        with_body(
            path,
            "<w:sdt><w:sdtPr><w:alias/></w:sdtPr><w:sdtContent><w:p><w:r><w:t>In a control.</w:t></w:r></w:p>"
            "</w:sdtContent></w:sdt>"
            "<w:p><w:r><w:t>The </w:t></w:r><w:del><w:r><w:delText>state</w:delText></w:r></w:del>"
            "<w:ins><w:r><w:t>learner</w:t></w:r></w:ins><w:r><w:tab/>"
            "<w:t xml:space='preserve'> pays</w:t><w:br/><w:t>twice.</w:t></w:r>"
            "<w:r><w:instrText>PAGEREF x</w:instrText></w:r></w:p>",
        )
        == "In a control.\n\nThe learner\t pays\ntwice."
    )


def test_a_text_box_is_read_once_after_its_paragraph(path: Path) -> None:
    box = "<w:txbxContent><w:p><w:r><w:t>Boxed.</w:t></w:r></w:p></w:txbxContent>"
    assert (
        with_body(
            path,
            "<w:p><w:r><w:t>Before </w:t></w:r><w:r><mc:AlternateContent><mc:Choice Requires='wps'><w:drawing>"
            f"{box}</w:drawing></mc:Choice><mc:Fallback><w:pict>{box}</w:pict></mc:Fallback></mc:AlternateContent></w:r>"
            "<w:r><w:t>after.</w:t></w:r></w:p>",
        )
        == "Before after.\n\nBoxed."
    )


def test_footnotes_come_at_the_end(path: Path) -> None:
    document = docx.Document()
    document.add_paragraph("The learner pays.")
    document.save(str(path))
    notes = (
        f"<w:footnotes {NAMESPACES}>"
        '<w:footnote w:type="separator" w:id="-1"><w:p><w:r><w:t>---</w:t></w:r></w:p></w:footnote>'
        '<w:footnote w:id="1"><w:p><w:r><w:t>Or the employer.</w:t></w:r></w:p></w:footnote></w:footnotes>'
    )
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"

    def change(name: str, content: bytes) -> bytes:
        if name == "word/_rels/document.xml.rels":
            link = f'<Relationship Id="rId99" Type="{kind}" Target="footnotes.xml"/></Relationships>'
            return content.replace(b"</Relationships>", link.encode())
        return content

    rewrite(path, change, {"word/footnotes.xml": notes.encode()})
    assert next(read(path)).text == "The learner pays.\n\nOr the employer."


def test_a_document_without_properties_has_no_title(path: Path) -> None:
    docx.Document().save(str(path))
    body = f"<w:document {NAMESPACES}><w:body><w:p><w:r><w:t>Fees.</w:t></w:r></w:p></w:body></w:document>".encode()

    def change(name: str, content: bytes) -> bytes | None:
        if name == "_rels/.rels":
            return re.sub(rb"<Relationship [^>]*core-properties[^>]*/>", b"", content)
        return {"word/document.xml": body, "docProps/core.xml": None}.get(name, content)

    rewrite(path, change)
    assert next(read(path)).title == ""


def test_external_entities_are_not_read(tmp_path: Path, path: Path) -> None:
    (tmp_path / "secret.txt").write_text("SECRET")
    docx.Document().save(str(path))
    part = (
        f'<!DOCTYPE d [<!ENTITY leak SYSTEM "file://{tmp_path}/secret.txt"><!ENTITY boom "pays">]>'
        f"<w:document {NAMESPACES}><w:body><w:p><w:r><w:t>Learner. &leak;</w:t></w:r></w:p></w:body></w:document>"
    )
    rewrite(path, lambda name, content: part.encode() if name == "word/document.xml" else content)
    assert next(read(path)).text.strip() == "Learner."
    assert parse_xml(part).xpath("string()").strip() == "Learner."


def test_a_document_without_text_is_empty(path: Path) -> None:
    with pytest.raises(EmptyDocumentError, match=r"report\.docx"):
        saved(docx.Document(), path)


@pytest.mark.parametrize(
    ("names", "seeming"),
    [(["xl/workbook.xml"], "an Excel workbook"), (["ppt/x.xml"], "a PowerPoint"), (["a.txt"], "a ZIP archive")],
)
def test_another_package_is_named(path: Path, names: list[str], seeming: str) -> None:
    with zipfile.ZipFile(path, "w") as package:
        for name in names:
            package.writestr(name, "x")
    with pytest.raises(MislabelledError, match=seeming):
        read(path)


def test_an_old_or_encrypted_office_file_is_told_apart(path: Path) -> None:
    path.write_bytes(OLE)
    with pytest.raises(MislabelledError, match=r"\.doc\b"):
        read(path)
    path.write_bytes(OLE + "EncryptedPackage".encode("utf-16-le"))
    with pytest.raises(EncryptedDocumentError, match="password"):
        read(path)


def test_words_and_pages_under_the_name_of_a_document_are_mislabelled(path: Path) -> None:
    for content, seeming in ((b"The learner pays.", "something else"), (b"<html><p>Fees</p>", "an HTML page")):
        path.write_bytes(content)
        with pytest.raises(MislabelledError, match=seeming):
            read(path)


def test_a_damaged_package_is_corrupt_wherever_it_is_cut(path: Path) -> None:
    document = docx.Document()
    document.add_paragraph("The learner pays.")
    document.save(str(path))
    whole = path.read_bytes()
    for kept in range(10, len(whole) - 30, len(whole) // 12):
        path.write_bytes(whole[:kept])
        with pytest.raises(CorruptDocumentError, match=r"report\.docx"):
            read(path)
    rewrite_from = whole.index(b"word/document.xml") + 40
    path.write_bytes(whole[:rewrite_from] + bytes(200) + whole[rewrite_from + 200 :])
    with pytest.raises(CorruptDocumentError, match=r"report\.docx"):
        read(path)


def test_a_zip_bomb_is_refused_unopened(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("word/document.xml", "x")
        with package.open("word/media/big.bin", "w", force_zip64=True) as part:
            for _ in range(501):
                part.write(bytes(1_000_000))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(CorruptDocumentError, match="501 MB"):
        read(path)
