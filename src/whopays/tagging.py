"""The `whopays tag` command: files in, results out, problems named."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from whopays.errors import ReadError, RecordError, UsageError
from whopays.reading import discover, read
from whopays.result import Result
from whopays.tagger import Tagger, load
from whopays.text import Document
from whopays.writers import FORMATS, writer

_LARGEST_GROUP = 32


class Problems:
    """Documents that failed, told on standard error as they come."""

    def __init__(self) -> None:
        self.count = 0

    def report(self, error: Exception) -> None:
        """Name a document that could not be tagged, with the reason."""
        self.count += 1
        from whopays.writers.terminal import print_problem

        print_problem(error)


def run(
    paths: Sequence[str],
    output: str | None,
    format: str | None,
    model: str,
    threads: int | None,
    precision: float | None,
) -> int:
    """Tag all documents; returns 0, or 1 if some could not be read. Raises `UsageError` for wrong usage.

    ``model``, ``threads``, ``precision``: see `whopays.load`. The recall that a precision costs is told on standard error.
    """
    format = _format(output, format)
    files = _inputs(paths)
    tagger = load(model, threads=threads, precision=precision)
    if precision is not None:
        _tell_cost(tagger)
    problems = Problems()
    results = _tagged(_documents(files, problems), tagger)
    if format is None:
        _print(results, tagger)
    else:
        with _stream(output) as stream:
            writer(format)(results, tagger.codebook, stream)
    return 1 if problems.count else 0


def _tell_cost(tagger: Tagger) -> None:
    for label, point in tagger.operating_points.items():
        told = f"threshold {point.threshold:.2f}, precision {point.precision:.2f}, recall {point.recall:.2f}"
        print(f"whopays: {label}: {told if point.threshold <= 1 else 'not reached, never given'}", file=sys.stderr)


def _format(output: str | None, format: str | None) -> str | None:
    """The output format; None means coloured text."""
    if format is not None:
        return format
    if output is None:
        return None if sys.stdout.isatty() else "jsonl"
    suffix = Path(output).suffix.lower().lstrip(".")
    if suffix not in FORMATS:
        raise UsageError(
            f"{output}: cannot tell the format from the name; end it in .{', .'.join(FORMATS)} or give --format."
        )
    return suffix


def _inputs(paths: Sequence[str]) -> list[Path | None]:
    """The files to read, None standing for standard input."""
    files: list[Path | None] = []
    for path in paths:
        files.extend([None] if path == "-" else discover([path]))
    if not files:
        raise UsageError(f"{', '.join(paths)}: found no document to tag there; name files or folders that hold some.")
    return files


def _documents(files: Iterable[Path | None], problems: Problems) -> Iterator[Document]:
    for file in files:
        try:
            if file is None:
                yield _standard_input()
            else:
                yield from read(file)
        except (ReadError, RecordError, UsageError) as error:
            problems.report(error)


def _standard_input() -> Document:
    from whopays.errors import EmptyDocumentError

    text = sys.stdin.buffer.read().decode("utf-8-sig", "replace")
    if not text.strip():
        raise EmptyDocumentError("standard input: found no text, expected some; pipe a text into `whopays tag -`.")
    return Document(text, id="-", source="-")


def _tagged(documents: Iterable[Document], tagger: Tagger) -> Iterator[tuple[Document, Result]]:
    """Documents with their results. Rows of a table are tagged in groups, which keeps all threads busy."""
    group: list[Document] = []
    for document in documents:
        group.append(document)
        if len(group) == _LARGEST_GROUP or sum(len(d.text) for d in group) > 20_000:
            yield from zip(group, tagger.tag_all(group), strict=True)
            group = []
    yield from zip(group, tagger.tag_all(group), strict=True)


def _print(results: Iterable[tuple[Document, Result]], tagger: Tagger) -> None:
    from rich.console import Console

    from whopays.writers.terminal import print_result

    console = Console(highlight=False)
    for _, result in results:
        print_result(result, tagger.codebook, console)


@contextlib.contextmanager
def _stream(output: str | None) -> Iterator[IO[bytes]]:
    """Where results go. A file is written under a temporary name and renamed at the end, so that it is never half."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(output)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            yield stream
        partial.replace(target)
    except OSError as error:
        raise UsageError(f"{output}: cannot write there ({error.strerror}); give another --output.") from None
    finally:
        partial.unlink(missing_ok=True)
