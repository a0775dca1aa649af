"""Results as JSON lines (the full contract), CSV and Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import IO, Any

from whopays.codebook import Codebook
from whopays.result import Result
from whopays.text import Document

Tagged = tuple[Document, Result]

# A spreadsheet runs a cell that begins like this as a formula (OWASP: CSV injection); a quote in front makes it text.
_FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n", "\0")


def write_jsonl(results: Iterable[Tagged], codebook: Codebook, stream: IO[bytes]) -> None:  # noqa: ARG001
    """One result a line, in UTF-8; lone surrogates are written as JSON escapes."""
    for _, result in results:
        stream.write(json_line(result))
        stream.flush()


def json_line(result: Result) -> bytes:
    """A result as one line of JSON in UTF-8, the line break included."""
    line = json.dumps(result.to_dict(), ensure_ascii=False) + "\n"
    try:
        return line.encode("utf-8")
    except UnicodeEncodeError:
        return (json.dumps(result.to_dict()) + "\n").encode("ascii")


def write_csv(results: Iterable[Tagged], codebook: Codebook, stream: IO[bytes]) -> None:
    """One line for each span, and one with an empty label for a text without claims; UTF-8 with a byte-order mark.

    The mark makes spreadsheets read it as UTF-8. Cells that a spreadsheet would take for a formula get a leading quote.
    """
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="", write_through=True)
    table = csv.writer(text)
    table.writerow(["id", "source", *codebook.fields, "label", "score", "page", "start", "end", "quote", "model"])
    for _, result in results:
        head = [result.id, result.source, *("; ".join(result.readings[name]) for name in codebook.fields)]
        for span in result.spans:
            row = [*head, span.label, span.score, span.page, span.start, span.end, span.text, result.model]
            table.writerow([_inert(cell) for cell in row])
        if not result.spans:
            table.writerow([_inert(cell) for cell in [*head, "", "", "", "", "", "", result.model]])
    text.detach()


def _inert(cell: object) -> object:
    if isinstance(cell, str) and cell.lstrip(" ").startswith(_FORMULA_STARTS):
        return "'" + cell
    return "" if cell is None else cell


def write_parquet(results: Iterable[Tagged], codebook: Codebook, stream: IO[bytes]) -> None:
    """One row for each text, with the columns of the JSON object; ``scores`` is a struct with a field for each label."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(codebook)
    with pq.ParquetWriter(stream, schema, compression="zstd") as table:
        batch: list[dict[str, Any]] = []
        for _, result in results:
            # Parquet's strings are UTF-8, which has no lone surrogates.
            batch.append(json.loads(json.dumps(result.to_dict(), ensure_ascii=False).encode("utf-8", "replace")))
            if len(batch) == 1000:
                table.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
                batch = []
        if batch:
            table.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))


def _schema(codebook: Codebook) -> Any:
    import pyarrow as pa

    span = [("label", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("text", pa.string())]
    span += [("score", pa.float64()), ("page", pa.int32())]
    strings = pa.list_(pa.string())
    return pa.schema(
        [("id", pa.string()), ("source", pa.string()), ("sha256", pa.string())]
        + [(name, strings) for name in codebook.fields]
        + [("labels", strings), ("scores", pa.struct([(label, pa.float64()) for label in codebook.ids]))]
        + [("spans", pa.list_(pa.struct(span))), ("model", pa.string()), ("codebook", pa.string())]
        + [("version", pa.string()), ("coverage", pa.float64()), ("language", pa.string())]
        + [("in_scope", pa.bool_()), ("notices", strings)]
    )
