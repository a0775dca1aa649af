"""The tables and the report of a run, built from its ledger when all is done."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from whopays.batch.engine import Problem
from whopays.batch.ledger import NAME as LEDGER
from whopays.batch.ledger import Ledger
from whopays.batch.parts import Identity, assemble, passages
from whopays.codebook import Codebook
from whopays.errors import RunError
from whopays.result import Result
from whopays.text import Document
from whopays.writers import Tagged, writer
from whopays.writers.html import Shown, write_report

TABLES = {"results.jsonl": "jsonl", "results.parquet": "parquet"}
REPORT = "report.html"
NAMES = ("problems.jsonl", *TABLES, REPORT, "run.json")


@dataclass(frozen=True)
class Summary:
    """What a run came to: how many results, and the problems, each with its file, in the order of the files."""

    results: int
    problems: tuple[tuple[str, Problem], ...]


def check_folder(folder: Path) -> None:
    """Raise `RunError` if a folder holds files that a run would overwrite, but no run."""
    if not (folder / LEDGER).exists():
        foreign = [name for name in NAMES if os.path.lexists(folder / name)]
        if foreign:
            raise RunError(
                f"{folder}: holds {foreign[0]}, but not the ledger of a run; give another folder as --output."
            )


def write_run(folder: Path, files: Sequence[str], ledger: Ledger, identity: Identity, codebook: Codebook) -> Summary:
    """Write `NAMES` into the run folder; the same results give the same bytes, whatever way they came about.

    Each is written under a temporary name and synced, and when all are, they are renamed: earlier ones stay whole until
    then. Raises `RunError` if they cannot be written, or if what is in the ledger does not add up.
    """
    problems: list[tuple[str, Problem]] = []
    counts: Counter[str] = Counter()
    texts: set[str] = set()

    def tagged() -> Iterator[Tagged]:
        for file in files:
            for outcome in ledger.outcomes(file):
                if not isinstance(outcome, Problem):
                    yield assemble(*outcome, identity, codebook)

    def shown() -> Iterator[Shown]:
        for file in files:
            for outcome in ledger.outcomes(file):
                if not isinstance(outcome, Problem):
                    read, records = outcome
                    document, result = assemble(read, records, identity, codebook)
                    length = sum(part.length for part in read.parts)
                    yield Shown(result, document.title, passages(read, records), length, read.page_starts)

    def count() -> Iterator[tuple[Document, Result]]:
        for file in files:
            counts["inputs"] += ledger.inputs(file)
            for outcome in ledger.outcomes(file):
                if isinstance(outcome, Problem):
                    problems.append((file, outcome))
                else:
                    counts["results"] += 1
                    texts.add(outcome[0].sha256)
                    yield assemble(*outcome, identity, codebook)

    with _replacing(folder) as create:
        for name, format in TABLES.items():
            with create(name) as stream:
                writer(format)(count() if format == "jsonl" else tagged(), codebook, stream)
        with create(REPORT) as stream:
            write_report(shown(), codebook, stream)
        inputs, results = counts["inputs"], counts["results"]
        if inputs != results + len(problems):
            raise RunError(
                f"{folder}: {inputs} inputs, but {results} results and {len(problems)} problems; please report this."
            )
        with create("problems.jsonl") as stream:
            stream.writelines(_line(_problem(file, problem)) for file, problem in problems)
        with create("run.json") as stream:
            summary = {
                **identity.to_dict(),
                "files": len(files),
                "inputs": inputs,
                "results": results,
                "distinct_texts": len(texts),
                "problems": len(problems),
                "problems_by_error": dict(sorted(Counter(problem.error for _, problem in problems).items())),
            }
            stream.write(json.dumps(summary, indent=1).encode() + b"\n")
    return Summary(results, tuple(problems))


def _problem(file: str, problem: Problem) -> dict[str, Any]:
    return {"file": file, "stage": problem.stage, "error": problem.error, "message": problem.message}


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


@contextlib.contextmanager
def _replacing(folder: Path) -> Iterator[Callable[[str], contextlib.AbstractContextManager[IO[bytes]]]]:
    """Gives what opens a file of the folder for writing; all take their names at the end, or none does."""
    partial: dict[Path, Path] = {}

    @contextlib.contextmanager
    def create(name: str) -> Iterator[IO[bytes]]:
        path = folder / f".{name}.partial"
        partial[path] = folder / name
        with path.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())

    try:
        yield create
        for path, target in partial.items():
            path.replace(target)
        _sync(folder)
    except OSError as error:
        raise RunError(
            f"{folder}: cannot write the results there ({error.strerror or error}); mend that and run again with "
            "--resume, nothing will be tagged anew."
        ) from None
    finally:
        for path in partial:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Make the new names last; not every system can."""
    with contextlib.suppress(OSError):
        place = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(place)
        finally:
            os.close(place)
