"""The contract between a batch and what runs it: an engine turns files into events, in any order.

An engine gives, for the files of a `Job`:

- one `FileRead` for every file, after the `DocumentRead` of each of its documents; if it reads a file anew (because a
  process died), the documents of the abandoned attempt stay without a `FileRead` and count for nothing;
- for every part that a `DocumentRead` names, and that ``done`` does not know, at least one `PartTagged` or `PartFailed`.

Everything else (the ledger, resuming, the order of results, the tables) is the same for all engines, so that they give
the same bytes. Results must not depend on how work is divided, and no file may take the engine down with it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from whopays.errors import UsageError

READING: Literal["reading"] = "reading"
TAGGING: Literal["tagging"] = "tagging"
# Size in bytes, time of last change in nanoseconds; None for what is no readable file.
Signature = tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading may take: ``seconds`` of work until the next document of a file, ``memory`` in bytes for a file.

    Raises `UsageError` unless both are positive.
    """

    seconds: float = 120.0
    memory: int = 1_000_000_000

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.memory <= 0:
            raise UsageError(f"found limits of {self.seconds} s and {self.memory} bytes, expected more than nothing.")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a file or text gave no result: the stage, the name of the error's type, and a sentence."""

    stage: Literal["reading", "tagging"]
    error: str
    message: str


@dataclass(frozen=True, slots=True)
class PartOf:
    """A part of a document: the hash by which its result is found, and its length in code points."""

    hash: str
    length: int


@dataclass(frozen=True, slots=True)
class DocumentRead:
    """A document of a file, without its text; ``attempt`` tells apart what was read when a file is read again."""

    file: str
    attempt: int
    id: str
    title: str
    sha256: str
    page_starts: tuple[int, ...]
    parts: tuple[PartOf, ...]


@dataclass(frozen=True, slots=True)
class FileRead:
    """The end of a file: how many documents it gave in this attempt, and the problem that ended it, if any."""

    file: str
    attempt: int
    documents: int
    signature: Signature
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class PartTagged:
    """What the tagger says of a part: ``labels``, ``scores``, ``spans`` and ``coverage`` as in a result's JSON."""

    hash: str
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PartFailed:
    """A part that could not be tagged."""

    hash: str
    problem: Problem


Event = DocumentRead | FileRead | PartTagged | PartFailed


@dataclass(frozen=True)
class Job:
    """What an engine is given: the files to read, each once; the model; and which parts have results already.

    ``model`` and ``precision`` are for `whopays.load`; an engine refuses to tag with a model whose id is not ``model_id``.
    ``done`` may be called from any thread of the engine's process.
    """

    files: Sequence[str]
    model: str
    model_id: str
    limits: Limits
    done: Callable[[str], bool]
    precision: float | None = None


class Engine(Protocol):
    """Runs jobs."""

    def run(self, job: Job) -> Generator[Event, None, None]:
        """The events of a job; see the module. Closing the generator stops the work and leaves no process behind.

        Raises `RunError` if the work itself cannot go on.
        """
        ...
