"""One run over a collection: what is left to do goes to an engine, and what it says into the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Protocol

from whopays.batch.engine import Engine, Event, Job, Limits
from whopays.batch.ledger import Ledger
from whopays.batch.local import LocalEngine
from whopays.batch.parts import Identity
from whopays.batch.reading_process import sign
from whopays.errors import UsageError

#: The names of the engines there are; the first is the default.
ENGINES = ("local", "ray")


class Observer(Protocol):
    """Is told how a run comes along."""

    def begin(self, sizes: dict[str, int], done: int) -> None:
        """The files that will be read with their sizes in bytes, and the number of files that are done already."""
        ...

    def saw(self, event: Event) -> None:
        """Something new is in the ledger."""
        ...


def engine(name: str, workers: int | None) -> Engine:
    """The engine of that name. Raises `UsageError` for an unknown one, or one whose library is not installed."""
    if name == "local":
        return LocalEngine(workers)
    if name == "ray":
        from whopays.batch.ray import RayEngine

        return RayEngine(workers)
    raise UsageError(f"found the engine {name!r}, expected one of {', '.join(ENGINES)}.")


def execute(
    files: Sequence[str],
    ledger: Ledger,
    identity: Identity,
    engine: Engine,
    observer: Observer,
    model: str = "default",
    precision: float | None = None,
    limits: Limits | None = None,
) -> None:
    """Bring the ledger to where it has the outcome of every file; a file that is named twice is read once.

    Files that ended with a problem in an earlier session are tried again. Raises `RunError` if the ledger cannot be
    written or the engine cannot go on; all that was written until then is kept.
    """
    limits = limits or Limits()
    named = dict.fromkeys(files)
    signatures = {file: sign(file) for file in named}
    left = [file for file in named if not ledger.ended(file, signatures[file])]
    sizes = {file: (signatures[file] or (0, 0))[0] for file in left}
    observer.begin(sizes, len(named) - len(left))
    if left:
        job = Job(left, model, identity.model, limits, ledger.done, precision)
        with closing(engine.run(job)) as events:
            for event in events:
                if ledger.add(event):
                    observer.saw(event)
    ledger.sync()
