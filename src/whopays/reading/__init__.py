"""Reading files: a path in, one or more Documents out; each format has its module.

A reader fixes ``Document.text`` once. It separates paragraphs, headings, list items and table rows by blank lines, so
that no sentence runs from one into the next, and leaves no line breaks that are mere wraps.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from whopays.errors import UnknownFormatError, UsageError
from whopays.reading.contents import check_file, unreadable
from whopays.reading.docx import read_docx
from whopays.reading.html import read_html
from whopays.reading.pdf import read_pdf
from whopays.reading.plain import PLAIN_SUFFIXES, read_plain
from whopays.reading.tables import read_csv, read_jsonl, read_parquet
from whopays.text import Document

__all__ = ["SUFFIXES", "discover", "read"]

Reader = Callable[[Path, str], Iterator[Document]]


def _single(reader: Callable[[Path, str], Document]) -> Reader:
    return lambda path, source: iter((reader(path, source),))


_TEXT, _HTML = _single(read_plain), _single(read_html)

#: File name extensions, in small letters with the dot, and what reads them.
SUFFIXES: Mapping[str, Reader] = MappingProxyType(
    {
        **dict.fromkeys(PLAIN_SUFFIXES, _TEXT),
        ".html": _HTML,
        ".htm": _HTML,
        ".xhtml": _HTML,
        ".pdf": _single(read_pdf),
        ".docx": _single(read_docx),
        ".jsonl": read_jsonl,
        ".ndjson": read_jsonl,
        ".csv": read_csv,
        ".parquet": read_parquet,
    }
)


def read(path: str | Path) -> Iterator[Document]:
    """The Documents of a file: one for a text, as many as there are rows for a table, in order.

    A Document's ``id`` is the file's name, or the row's ``id``, or ``name#row`` with rows counted from 1; its
    ``source`` is the path as given. The first Document is read at once, further rows as they are asked for.

    Raises `UsageError` for a path that is no file, `UnknownFormatError` for an unknown extension, another `ReadError`
    for a file that cannot be read, and `RecordError` for broken rows, once all the others have been read.
    """
    location = _path(path)
    check_file(location)
    reader = SUFFIXES.get(location.suffix.lower())
    if reader is None:
        found = f"the extension '{location.suffix}'" if location.suffix else "no extension"
        known = ", ".join(SUFFIXES)
        raise UnknownFormatError(f"{path}: found {found}, expected one of {known}; convert or rename the file.")
    documents = reader(location, str(path))
    return chain((next(documents),), documents)


def discover(paths: Iterable[str | Path]) -> Iterator[Path]:
    """The files to read: each file named, and the files of known extensions in each folder named, sorted, recursively.

    In folders, hidden files and folders and Word's lock files (``~$name.docx``) are skipped; a file that is named
    directly is kept whatever it is. Raises `UsageError` for a path that does not exist, before anything is yielded, and
    `ReadError` for a folder that cannot be listed.
    """
    roots = [_path(path) for path in ([paths] if isinstance(paths, (str, Path)) else paths)]
    for root in roots:
        if not os.path.lexists(root):
            raise UsageError(f"{root}: there is no such file or folder; check the path.")
    return chain.from_iterable(_files(root) if root.is_dir() else (root,) for root in roots)


def _path(path: str | Path) -> Path:
    if not isinstance(path, (str, Path)):
        raise UsageError(f"found a path of type {type(path).__name__}, expected a str or pathlib.Path.")
    return Path(path)


def _files(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise unreadable(Path(error.filename or folder), error)

    found = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(place, name)
            for name in names
            if not name.startswith((".", "~$")) and Path(name).suffix.lower() in SUFFIXES
        ]
    return sorted(found)
