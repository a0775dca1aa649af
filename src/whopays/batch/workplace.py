"""What differs between engines: where the processes of a job run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol


class Process(Protocol):
    """A process that answers, such as `whopays.batch.process.Child`."""

    def send(self, message: Mapping[str, Any]) -> None:
        """Ask something. Raises `ChildDiedError`."""
        ...

    def receive(self, seconds: float | None = None) -> dict[str, Any]:
        """The next answer, which may take so many seconds of work. Raises `ChildDiedError`."""
        ...


class Workplace(Protocol):
    """Where the processes of a job run."""

    def start(
        self, worker: int, module: str, options: Mapping[str, Any], limited: bool, wanted: Callable[[], bool]
    ) -> Process | None:
        """A new process that runs ``serve(channel, options)`` of a module, for the worker of that number.

        May wait for room, until it is no longer ``wanted``: then, and only then, it is None. ``limited``: the memory that
        it takes is watched. Called by the thread that will talk to it. Raises `RunError` if none can be started.
        """
        ...

    def end(self, process: Process) -> None:
        """End a process that was started here, dead or alive."""
        ...

    def stop(self) -> None:
        """End all processes at once, and any that is started later; whoever waits for an answer learns of their death."""
        ...
