"""PDF files: the text layer in reading order, with the offset at which each page begins."""

from __future__ import annotations

import re
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

from whopays.errors import (
    CorruptDocumentError,
    EmptyDocumentError,
    EncryptedDocumentError,
    ImageOnlyError,
    ReadError,
)
from whopays.reading.contents import decode, load, mislabelled, sniff
from whopays.reading.pdf_flow import compose
from whopays.reading.pdf_glyphs import Page, page_text
from whopays.reading.pdf_layout import lay_out
from whopays.text import Document

# A file for the web has an end mark near its start too, but tells its length there.
_LINEARIZED = re.compile(rb"/Linearized\b[^>]*?/L\s+(\d{1,12})\b", re.DOTALL)
# PDFium keeps global state and must not be entered by two threads at once.
_PDFIUM = threading.Lock()


def read_pdf(path: Path, source: str) -> Document:
    """The text of all pages with wraps, hyphenation, columns and page breaks undone; running heads are left out.

    Ligatures stay as the file has them; small raised digits, which call notes, are superscript ones. ``page_starts``
    has one offset per page. Raises `EncryptedDocumentError`, `ImageOnlyError` (pictures of pages, no text layer),
    `EmptyDocumentError`, `MislabelledError` (no PDF), `CorruptDocumentError`, `ReadError` and `UsageError`.
    """
    data = load(path)
    _check_header(path, data)
    title, pages, pictures = _extract(path, data)
    text, page_starts = compose(lay_out(pages), len(pages))
    if not text.strip():
        if pictures:
            raise ImageOnlyError(
                f"{path}: its {len(pages)} page(s) are pictures without a text layer; run OCR first, say with ocrmypdf."
            )
        raise EmptyDocumentError(f"{path}: its {len(pages)} page(s) hold no text; expected a PDF with a text layer.")
    return Document(text, id=path.name, source=source, title=title, page_starts=page_starts)


def _check_header(path: Path, data: bytes) -> None:
    if b"%PDF-" not in data[:1024]:
        if not decode(data[:1000]).strip():
            raise EmptyDocumentError(f"{path}: the file holds only white space; expected a PDF.")
        raise mislabelled(path, sniff(data) or "something else (no %PDF at its start)", "a PDF")
    # PDFium would make do with the pages that are there, and the rest would be missed silently.
    length = _LINEARIZED.search(data[:1024])
    if b"%%EOF" not in data or (length and len(data) < int(length[1])):
        raise CorruptDocumentError(f"{path}: the PDF ends early, after {len(data):,} bytes; fetch it again.")


def _extract(path: Path, data: bytes) -> tuple[str, list[Page], bool]:
    """The title, the pages' glyphs, and whether a page shows pictures if no page has text."""
    import pypdfium2 as pdfium

    with _PDFIUM:
        try:
            opened = pdfium.PdfDocument(data)
        except pdfium.PdfiumError as error:
            raise _open_error(path, error) from error
        with closing(opened) as document:
            pages = [_page(path, document, index) for index in range(len(document))]
            if not pages:
                raise CorruptDocumentError(f"{path}: a PDF without pages; fetch or save it again.")
            pictures = not any(page.has_text for page in pages) and _has_pictures(document)
            title = " ".join(document.get_metadata_value("Title").replace("\x00", "").split())
    return title, pages, pictures


def _open_error(path: Path, error: Any) -> ReadError:
    from pypdfium2 import raw

    if error.err_code in {raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY}:
        return EncryptedDocumentError(f"{path}: asks for a password; save a copy without one.")
    return CorruptDocumentError(f"{path}: a damaged PDF ({error}); fetch it again, or print it to a new PDF.")


def _page(path: Path, document: Any, index: int) -> Page:
    import pypdfium2 as pdfium

    try:
        with closing(document[index]) as page, closing(page.get_textpage()) as glyphs:
            return page_text(glyphs, index)
    except pdfium.PdfiumError as error:
        where = f"{path}: page {index + 1}"
        raise CorruptDocumentError(f"{where} is damaged ({error}); print the file to a new PDF.") from error


def _has_pictures(document: Any) -> bool:
    from pypdfium2 import raw

    for page in document:
        with closing(page):
            if next(iter(page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=4)), None) is not None:
                return True
    return False
