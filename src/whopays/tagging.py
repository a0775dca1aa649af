"""The `whopays tag` command: files in, results out, problems named; into one file, or into the folder of a run."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from whopays.errors import ReadError, RecordError, UsageError
from whopays.reading import discover, read
from whopays.result import Result
from whopays.tagger import Tagger, load
from whopays.text import Document
from whopays.writers import FORMATS, writer

_LARGEST_GROUP = 32
_MOST_NAMED = 20


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
        with output_stream(output) as stream:
            writer(format)(results, tagger.codebook, stream)
    return 1 if problems.count else 0


def _tell_cost(tagger: Tagger) -> None:
    for label, point in tagger.operating_points.items():
        told = f"threshold {point.threshold:.2f}, precision {point.precision:.2f}, recall {point.recall:.2f}"
        print(f"whopays: {label}: {told if point.threshold <= 1 else 'not reached, never given'}", file=sys.stderr)


@dataclass(frozen=True)
class RunOptions:
    """How a run folder is filled: the engine and its number of workers, whether to go on, and limits for reading a file.

    None stands for the default; ``seconds`` and ``megabytes`` are those of `whopays.batch.engine.Limits`.
    """

    engine: str | None = None
    workers: int | None = None
    resume: bool = False
    seconds: float | None = None
    megabytes: int | None = None

    def given(self) -> list[str]:
        """The command line's names of the options that are not at their defaults."""
        values = {
            "--engine": self.engine,
            "--workers": self.workers,
            "--resume": self.resume or None,
            "--time-limit": self.seconds,
            "--memory-limit": self.megabytes,
        }
        return [name for name, value in values.items() if value is not None]


def is_run_folder(output: str | None) -> bool:
    """Whether an output means a run folder: it ends in a slash, or is a folder."""
    return output is not None and (output.endswith(("/", os.sep)) or Path(output).is_dir())


def run_folder(paths: Sequence[str], output: str, model: str, precision: float | None, options: RunOptions) -> int:
    """Tag a collection into a run folder; returns 0, or 1 if there were problems.

    Raises `UsageError` for wrong usage, `RunError` if the folder is another run's or cannot be written, `ModelError`.
    """
    from importlib.metadata import version

    from whopays.batch.engine import Limits
    from whopays.batch.ledger import Ledger
    from whopays.batch.parts import PART, Identity
    from whopays.batch.run import ENGINES, engine, execute
    from whopays.writers.progress import Progress
    from whopays.writers.run_folder import check_folder, write_run
    from whopays.writers.terminal import print_problem

    folder = Path(output)
    usual = Limits()
    limits = Limits(options.seconds or usual.seconds, (options.megabytes or 0) * 1_000_000 or usual.memory)
    runner = engine(options.engine or ENGINES[0], options.workers)
    if "-" in paths:
        raise UsageError(
            "standard input cannot be read again by --resume; save it to a file, or give a file as --output."
        )
    files = [str(file) for file in _inputs(paths) if file is not None and not _inside(file, folder, paths)]
    if not files:
        raise UsageError(f"{', '.join(paths)}: found no document to tag there; name files or folders that hold some.")
    check_folder(folder)
    tagger = load(model, threads=1, precision=precision)
    if precision is not None:
        _tell_cost(tagger)
    codebook = tagger.codebook
    identity = Identity(tagger.model_id, codebook.hash, version("whopays"), {"part": PART})
    del tagger  # the workers have their own
    with Ledger(folder, identity, options.resume) as ledger:
        try:
            with Progress().showing() as progress:
                execute(files, ledger, identity, runner, progress, model, precision, limits)
        except KeyboardInterrupt:
            print_problem(f"stopped; {len(ledger):,} texts are tagged, go on by --output {output} --resume")
            raise
        summary = write_run(folder, files, ledger, identity, codebook)
    for _, problem in summary.problems[:_MOST_NAMED]:
        print_problem(problem.message)
    more = len(summary.problems) - _MOST_NAMED
    if more > 0:
        print_problem(f"and {more:,} more problems, see {folder / 'problems.jsonl'}")
    print_problem(f"{summary.results:,} results and {len(summary.problems):,} problems in {output}")
    return 1 if summary.problems else 0


def _inside(file: Path, folder: Path, paths: Sequence[str]) -> bool:
    """Whether a file that was found in a folder is one of the run's own."""
    return str(file) not in paths and file.parent.resolve().is_relative_to(folder.resolve())


def _format(output: str | None, format: str | None) -> str | None:
    """The output format; None means coloured text."""
    if format is not None:
        return format
    if output is None:
        return None if sys.stdout.isatty() else "jsonl"
    suffix = Path(output).suffix.lower().lstrip(".")
    if suffix not in FORMATS:
        raise UsageError(
            f"{output}: cannot tell the format from the name; end it in .{', .'.join(FORMATS)}, or in / for a run "
            "folder, or give --format."
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
def output_stream(output: str | None) -> Iterator[IO[bytes]]:
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
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
