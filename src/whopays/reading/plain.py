"""Plain text and Markdown: the file's text as it is, so that offsets index the file."""

from __future__ import annotations

from pathlib import Path

from whopays.errors import EmptyDocumentError
from whopays.reading.contents import check_is_text, decode, load
from whopays.text import Document


def read_plain(path: Path, source: str) -> Document:
    """The decoded text, Markdown marks and CRLF included; only a byte order mark is dropped.

    Raises `EmptyDocumentError` for white space only, `MislabelledError` for binary content, `ReadError` and
    `UsageError` as `contents.load` does.
    """
    data = load(path)
    text = decode(data)
    check_is_text(path, data, text, "plain text")
    if not text.strip():
        raise EmptyDocumentError(f"{path}: the file holds only white space; expected text.")
    return Document(text, id=path.name, source=source)
