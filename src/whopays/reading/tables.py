"""Tables of texts, one Document a row: JSON lines, CSV and Parquet with a column ``text`` and maybe an ``id``.

A broken row does not cost the rows behind it: those are read first, then one error names the rows that are broken.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from whopays.corpus.records import json_record
from whopays.errors import (
    CorruptDocumentError,
    EmptyDocumentError,
    EncryptedDocumentError,
    RecordError,
)
from whopays.reading.contents import check_file, mislabelled, sniff, unreadable
from whopays.text import Document

_DELIMITERS = (",", ";", "\t")
_MAX_FIELD = 2**31 - 1  # the largest that fits a C long on every platform
_BATCH_ROWS = 256
_ENCODING = "not UTF-8; save the table as 'CSV UTF-8'."
_NAMED = 20  # broken rows that an error names
_NOT_UTF8 = re.compile("[\udc80-\udcff]")

# The place of a row in its file and its record, or what is wrong with it.
_Row = tuple[str, dict[str, Any] | RecordError]


def read_jsonl(path: Path, source: str) -> Iterator[Document]:
    """A Document for each JSON object. An empty text is kept, so that every record gives one Document.

    Raises `RecordError` behind the last row if there are lines that are not objects with a string ``text``,
    `EmptyDocumentError` for a file without records, and `MislabelledError`, `ReadError`, `UsageError` as `contents` does.
    """
    _check_start(path, "JSON lines")
    try:
        with path.open("rb") as file:
            yield from _documents(path, source, _json_rows(path, file))
    except OSError as error:
        raise unreadable(path, error) from None


def read_csv(path: Path, source: str) -> Iterator[Document]:
    """A Document for each row under the header; UTF-8, separated by commas (or semicolons or tabs).

    Raises as `read_jsonl`; rows with more fields than the header names, bytes that are not UTF-8 and quotes left open
    are broken too.
    """
    _check_start(path, "CSV")
    csv.field_size_limit(_MAX_FIELD)
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield from _documents(path, source, _csv_rows(path, file))
    except OSError as error:
        raise unreadable(path, error) from None


def read_parquet(path: Path, source: str) -> Iterator[Document]:
    """A Document for each row; only the columns ``text`` and ``id`` are read, in batches.

    Raises as `read_jsonl`; also `CorruptDocumentError` for a damaged, `EncryptedDocumentError` for an encrypted file.
    """
    start = _check_start(path, "a Parquet file")
    if start.startswith(b"PARE"):
        raise EncryptedDocumentError(f"{path}: an encrypted Parquet file; write it without encryption.")
    if not start.startswith(b"PAR1"):
        raise mislabelled(path, "something else (no PAR1 at its start)", "a Parquet file")
    from pyarrow import ArrowException

    try:
        with path.open("rb") as file:
            yield from _documents(path, source, _parquet_rows(path, file))
    except (ArrowException, OSError) as error:
        reason = str(error).replace("\n", " ")
        raise CorruptDocumentError(f"{path}: a damaged Parquet file ({reason}); write or fetch it again.") from error
    except UnicodeDecodeError as error:
        raise RecordError(f"{path}: a text that is not UTF-8 ({error}); write the column as strings.") from error


def _check_start(path: Path, expected: str) -> bytes:
    """The first bytes, after checking that the file can be opened, is not empty, and not another format."""
    check_file(path)
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise unreadable(path, error) from None
    if not start:
        raise EmptyDocumentError(f"{path}: the file is empty (0 bytes); expected {expected}.")
    found = sniff(start)
    if found and not (found.endswith("Parquet file") and expected.endswith("Parquet file")):
        raise mislabelled(path, found, expected)
    return start


def _documents(path: Path, source: str, rows: Iterable[_Row]) -> Iterator[Document]:
    """The documents of all rows that hold one, then an error that names the others, if there are any."""
    row, broken, first = 0, 0, None
    named: list[str] = []  # a file of millions of broken rows must not fill the memory
    for row, (place, record) in enumerate(rows, start=1):
        try:
            if isinstance(record, RecordError):
                raise record
            document = _document(path, place, record, row, source)
        except RecordError as error:
            first = first or error
            broken += 1
            if broken <= _NAMED:
                named.append(place)
            continue
        yield document
    if row == 0:
        raise EmptyDocumentError(f"{path}: holds no records; expected at least one row with a 'text'.")
    if first is None:
        return
    if broken == 1:
        raise first
    others = ", ".join(named[1:]) + (", ..." if broken > _NAMED else "")
    raise RecordError(
        f"{first} {broken} of {row} rows are broken ({others} too); {row - broken or 'none'} could be read."
    )


def _document(path: Path, place: str, record: dict[str, Any], row: int, source: str) -> Document:
    text, given = record.get("text"), record.get("id")
    columns = ", ".join(map(str, record)) or "(none)"
    if not isinstance(text, str):
        found = "no 'text'" if text is None else f"a 'text' of type {type(text).__name__}"
        raise RecordError(f"{path}, {place}: found {found}, expected a string; the columns are {columns}.")
    if isinstance(given, (dict, list)):
        kind = type(given).__name__
        raise RecordError(f"{path}, {place}: found an 'id' of type {kind}, expected a string or number.")
    if isinstance(given, float) and given.is_integer():
        given = int(given)  # pandas writes a column of integers with a gap as floats
    absent = given is None or given == "" or given != given
    return Document(text, id=f"{path.name}#{row}" if absent else str(given), source=source)


def _json_rows(path: Path, file: Iterable[bytes]) -> Iterator[_Row]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            try:
                yield f"line {number}", json_record(line, number, path)
            except RecordError as error:
                yield f"line {number}", error


def _csv_rows(path: Path, file: Iterable[str]) -> Iterator[_Row]:
    lines = enumerate(file, start=1)
    first_line, first = next(((number, line) for number, line in lines if line.strip()), (1, ""))
    header, delimiter = _header(path, first_line, first)
    rows = csv.reader((line for _, line in lines), delimiter=delimiter, strict=True)
    while True:
        try:
            fields = next(rows, None)
        except csv.Error as error:
            place = f"line {first_line + rows.line_num}"
            yield (
                place,
                RecordError(
                    f"{path}, {place}: not valid CSV ({error}); "
                    'expected texts in double quotes, with "" for a quote inside.'
                ),
            )
            continue
        if fields is None:
            return
        place = f"line {first_line + rows.line_num}"
        if any(map(_NOT_UTF8.search, fields)):
            yield place, RecordError(f"{path}, {place}: {_ENCODING}")
        elif len(fields) > len(header):
            yield (
                place,
                RecordError(
                    f"{path}, {place}: found {len(fields)} fields, expected {len(header)} ({', '.join(header)}); "
                    "put texts that hold commas or line breaks in double quotes."
                ),
            )
        elif fields:
            yield place, dict(zip(header, fields, strict=False))


def _header(path: Path, number: int, line: str) -> tuple[list[str], str]:
    """The column names and the first delimiter that makes one of them 'text'."""
    if not line:
        raise EmptyDocumentError(f"{path}: the file holds only white space; expected CSV with a column 'text'.")
    if _NOT_UTF8.search(line):
        raise RecordError(f"{path}, line {number}: {_ENCODING}")
    for delimiter in _DELIMITERS:
        names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
        if "text" in names:
            return names, delimiter
    columns = ", ".join(name.strip() for name in next(csv.reader([line])))
    raise _without_text(f"{path}, line {number}", columns)


def _without_text(place: str, columns: str) -> RecordError:
    return RecordError(f"{place}: found the columns {columns or '(none)'}, expected one named 'text'; rename one.")


def _parquet_rows(path: Path, file: Any) -> Iterator[_Row]:
    from pyarrow import parquet

    table = parquet.ParquetFile(file)
    names = table.schema_arrow.names
    if names.count("text") != 1:
        raise _without_text(str(path), ", ".join(names))
    row = 0
    for batch in table.iter_batches(batch_size=_BATCH_ROWS, columns=[name for name in ("id", "text") if name in names]):
        for record in batch.to_pylist():
            row += 1
            yield f"row {row}", record
