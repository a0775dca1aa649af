"""Word documents: paragraphs and tables in document order, foot- and endnotes at the end."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whopays.errors import CorruptDocumentError, EmptyDocumentError, EncryptedDocumentError, MislabelledError
from whopays.reading.contents import decode, load, mislabelled, sniff
from whopays.text import Document

_MAX_UNPACKED = 500_000_000  # bytes
_MAX_CELL_BLOCKS = 3
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MAIN_PART = re.compile(r"word/document\d*\.xml", re.IGNORECASE)
_OTHERS = {"xl": "an Excel workbook", "ppt": "a PowerPoint presentation", "content.xml": "an OpenDocument file"}
_EXPECTED = "a Word document (.docx)"
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_SPECIAL = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "\u2011", "softHyphen": "\u00ad"}
# Deleted text of tracked changes, field codes, settings, and what repeats a text box for old versions of Word.
_SKIPPED = frozenset("del moveFrom instrText pPr rPr sdtPr tblPr trPr tcPr sectPr Fallback".split())


def read_docx(path: Path, source: str) -> Document:
    """Blocks of text with blank lines between them: a paragraph or a table row each, cells joined by ' | '.

    Raises `EncryptedDocumentError` (asks for a password), `MislabelledError` (no Word document), `CorruptDocumentError`
    (damaged, or unpacks to over 500 MB), `EmptyDocumentError`, `ReadError` and `UsageError`.
    """
    data = load(path)
    _check_package(path, data)
    title, blocks = _extract(path, data)
    if not blocks:
        raise EmptyDocumentError(f"{path}: the Word document holds no text; if its pages are pictures, run OCR first.")
    return Document("\n\n".join(blocks), id=path.name, source=source, title=title)


def _check_package(path: Path, data: bytes) -> None:
    if data.startswith(_OLE):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise EncryptedDocumentError(f"{path}: asks for a password; save a copy without one.")
        raise MislabelledError(f"{path}: seems to be an old Office file (.doc), expected {_EXPECTED}; save it as one.")
    if not data.startswith(b"PK"):
        if not decode(data[:1000]).strip():
            raise EmptyDocumentError(f"{path}: the file holds only white space; expected a Word document.")
        raise mislabelled(path, sniff(data) or "something else (no ZIP archive)", _EXPECTED)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            parts = package.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError) as error:
        raise CorruptDocumentError(f"{path}: a damaged .docx ({error}); fetch or save it again.") from None
    names = [part.filename for part in parts]
    if not any(_MAIN_PART.fullmatch(name) for name in names):
        tops = {name.partition("/")[0] for name in names}
        found = next((what for top, what in _OTHERS.items() if top in tops), "a ZIP archive")
        raise mislabelled(path, f"{found} (no word/document.xml in it)", _EXPECTED)
    if any(part.flag_bits & 1 for part in parts):
        raise EncryptedDocumentError(f"{path}: its parts are encrypted; save a copy without a password.")
    if (size := sum(part.file_size for part in parts)) > _MAX_UNPACKED:
        raise CorruptDocumentError(
            f"{path}: would unpack to {size / 1e6:,.0f} MB, expected at most {_MAX_UNPACKED / 1e6:,.0f}; "
            "it may be a ZIP bomb: if you trust it, save its text in smaller files."
        )


def _extract(path: Path, data: bytes) -> tuple[str, list[str]]:
    """The title and the blocks of text."""
    import docx
    from docx.opc.constants import RELATIONSHIP_TYPE

    try:
        document = docx.Document(io.BytesIO(data))
        blocks = list(_blocks(document.element.body))
        for kind in (RELATIONSHIP_TYPE.FOOTNOTES, RELATIONSHIP_TYPE.ENDNOTES):
            for relationship in document.part.rels.values():
                if relationship.reltype == kind and not relationship.is_external:
                    blocks += _notes(relationship.target_part.blob)
        # Without the part, python-docx would make one up, titled 'Word Document'.
        described = any(rel.reltype == RELATIONSHIP_TYPE.CORE_PROPERTIES for rel in document.part.package.rels.values())
        title = document.core_properties.title.strip() if described else ""
    except Exception as error:
        # A damaged package makes python-docx, lxml and zipfile raise almost anything: KeyError, zlib.error, ...
        if isinstance(error, ValueError) and "content type" in str(error):
            raise MislabelledError(f"{path}: not a plain Word document ({error}); save it as .docx.") from error
        reason = f"{type(error).__name__}: {error}".replace("\n", " ")
        raise CorruptDocumentError(f"{path}: a damaged .docx ({reason}); open it in Word and save it again.") from error
    return title, blocks


def _notes(blob: bytes) -> Iterator[str]:
    from docx.oxml.parser import parse_xml

    for note in parse_xml(blob):
        if note.get(f"{_WORD}type") is None:  # the others are separator lines
            yield from _blocks(note)


def _blocks(container: Any) -> Iterator[str]:
    """The blocks of text in a body, cell, note, content control or text box, in document order."""
    for element in container:
        name = _name(element)
        if name == "p":
            text = "".join(_inline(element)).strip("\n")
            if text.strip():
                yield text
            for box in _text_boxes(element):
                yield from _blocks(box)
        elif name == "tbl":
            for row in _rows(element):
                yield from _row_blocks(row)
        elif name not in _SKIPPED:
            yield from _blocks(element)


def _rows(table: Any) -> Iterator[Any]:
    for element in table:
        if _name(element) == "tr":
            yield element
        elif _name(element) not in _SKIPPED:
            yield from _rows(element)  # content controls and tracked changes hold rows too


def _cells(row: Any) -> Iterator[Any]:
    for element in row:
        if _name(element) == "tc":
            yield element
        elif _name(element) not in _SKIPPED:
            yield from _cells(element)


def _row_blocks(row: Any) -> Iterator[str]:
    """One line for the row; with a single filled cell or many paragraphs in one, it is layout, and these stay apart."""
    cells = [[] if _is_merged_down(cell) else list(_blocks(cell)) for cell in _cells(row)]
    if sum(map(bool, cells)) < 2 or max(map(len, cells)) > _MAX_CELL_BLOCKS:
        for blocks in cells:
            yield from blocks
        return
    yield " | ".join(" ".join(" ".join(blocks).split()) for blocks in cells)


def _is_merged_down(cell: Any) -> bool:
    """Whether the cell only continues the one above it; what it may still hold is not shown."""
    merge = cell.find(f"{_WORD}tcPr/{_WORD}vMerge")
    return merge is not None and merge.get(f"{_WORD}val") != "restart"


def _inline(element: Any) -> Iterator[str]:
    """The text of a paragraph as shown, without that of text boxes in it."""
    for child in element:
        name = _name(child)
        if name == "t":
            yield child.text or ""
        elif name in _SPECIAL:
            yield _SPECIAL[name]
        elif name not in _SKIPPED and name != "txbxContent":
            yield from _inline(child)


def _text_boxes(element: Any) -> Iterator[Any]:
    for child in element:
        if _name(child) == "txbxContent":
            yield child
        elif _name(child) not in _SKIPPED:
            yield from _text_boxes(child)


def _name(element: Any) -> str:
    """The local name of an element; "" for comments and the like."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
