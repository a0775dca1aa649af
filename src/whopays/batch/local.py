"""The engine of one machine: all processes are children of this one."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from typing import Any

from whopays.batch.engine import Event, Job
from whopays.batch.process import Child, Watch
from whopays.batch.supervising import Run
from whopays.batch.workplace import Process
from whopays.errors import RunError, UsageError


class LocalEngine:
    """Runs a job with ``workers`` processes that tag (default: one a core) and as many that read.

    Raises `UsageError` for fewer than one.
    """

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise UsageError(f"found {workers} workers, expected 1 or more.")
        self.workers = workers or _cores()

    def run(self, job: Job) -> Generator[Event, None, None]:
        """The events of a job. Raises `RunError` if no process can be kept running, or a model cannot be loaded."""
        return Run(job, Workplace(job.limits.memory), self.workers).events()


class Workplace:
    """The machine that we are on. ``memory``: the bytes that a limited process may take."""

    def __init__(self, memory: int) -> None:
        self._watch = Watch(memory)

    def start(
        self,
        worker: int,  # noqa: ARG002
        module: str,
        options: Mapping[str, Any],
        limited: bool,
        wanted: Callable[[], bool],
    ) -> Child | None:
        """A new child; see `whopays.batch.workplace.Workplace`."""
        if not wanted():
            return None
        try:
            child = Child(module, options)
        except OSError as error:
            raise RunError(f"cannot start a process ({error.strerror}); give fewer --workers.") from None
        self._watch.add(child, limited)
        return child

    def end(self, process: Process) -> None:
        """End a child."""
        assert isinstance(process, Child)
        self._watch.remove(process)
        process.close()

    def stop(self) -> None:
        """End all children, and any that is started later."""
        self._watch.stop()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
