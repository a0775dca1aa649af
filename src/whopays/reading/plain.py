"""Plain text and Markdown: the file's text as it is, so that offsets index the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from whopays.errors import EmptyDocumentError
from whopays.reading.contents import SAMPLE, check_is_text, decode, is_utf8, load, unreadable
from whopays.text import Document

PLAIN_SUFFIXES = (".txt", ".text", ".md", ".markdown")


def read_plain(path: Path, source: str) -> Document:
    """The decoded text, Markdown marks and CRLF included; only a byte order mark is dropped.

    Raises `EmptyDocumentError` for white space only, `MislabelledError` for binary content, `ReadError` and
    `UsageError` as `contents.load` does.
    """
    data = load(path)
    text = decode(data)
    check_is_text(path, data, text, "plain text")
    if not text or text.isspace():
        raise EmptyDocumentError(f"{path}: the file holds only white space; expected text.")
    return Document(text, id=path.name, source=source)


def stream_plain(path: Path, size: int = 1 << 20) -> Iterator[str] | None:
    """The text of `read_plain` in pieces of ``size`` code points, for files that do not fit in memory.

    None if the file is not plain text by its name, not UTF-8 throughout, or holds only white space: `read_plain` then
    knows what to do. Raises `MislabelledError` for binary content, `ReadError` for a file that cannot be read.
    """
    if path.suffix.lower() not in PLAIN_SUFFIXES:
        return None
    try:
        if not path.is_file() or not is_utf8(path):
            return None
        with path.open("rb") as file:
            start = file.read(4 * SAMPLE)  # at least as many code points as are looked at
        check_is_text(path, start, start.decode("utf-8", "ignore"), "plain text")
        blank = all(piece.isspace() for piece in _pieces(path, size))
    except OSError as error:
        raise unreadable(path, error) from None
    return None if blank else _pieces(path, size)


def _pieces(path: Path, size: int) -> Iterator[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        while piece := file.read(size):
            yield piece
