"""Results -> files: JSON lines, CSV, Parquet, an HTML report, and coloured text for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import IO

from whopays.codebook import Codebook
from whopays.result import Result
from whopays.text import Document

Tagged = tuple[Document, Result]
# Writes results to a binary stream as they come.
Writer = Callable[[Iterable[Tagged], Codebook, IO[bytes]], None]

FORMATS = ("jsonl", "csv", "parquet", "html")


def writer(format: str) -> Writer:
    """The writer of one of `FORMATS`; imported here, so that only the one in use is loaded."""
    if format == "html":
        from whopays.writers.html import write_html

        return write_html
    from whopays.writers.tables import write_csv, write_jsonl, write_parquet

    return {"jsonl": write_jsonl, "csv": write_csv, "parquet": write_parquet}[format]
