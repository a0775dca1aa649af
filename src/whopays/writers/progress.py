"""How a run comes along, on standard error: a bar at a terminal, else a line every now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from whopays.batch.engine import DocumentRead, Event, FileRead, PartFailed

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

_LINES_APART = 15.0  # seconds


class Progress:
    """Counts files, documents and problems; the time left follows the bytes of the files that are left."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._sizes: dict[str, int] = {}
        self._total = self._bytes = 0
        self._files = self._bytes_done = self._documents = self._problems = 0
        self._before = 0
        self._read = self._left = 0
        self._tagged: set[bytes] = set()
        self._waiting: dict[bytes, int] = {}
        self._started = self._told = time.monotonic()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    @contextmanager
    def showing(self) -> Iterator[Progress]:
        """Show progress while the block runs."""
        if not self._stream.isatty():
            yield self
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (BarColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=Console(file=self._stream), transient=True) as self._bar:
            self._task = self._bar.add_task("starting", total=None)
            yield self
        self._bar = None

    def begin(self, sizes: dict[str, int], done: int) -> None:
        """See `whopays.batch.run.Observer`."""
        self._sizes = sizes
        self._before = done
        self._total = len(sizes)
        self._bytes = sum(sizes.values())
        self._started = self._told = time.monotonic()
        if done:
            self._write(f"{done:,} files are done already, {self._total:,} are left")

    def saw(self, event: Event) -> None:
        """See `whopays.batch.run.Observer`."""
        if isinstance(event, DocumentRead):
            self._documents += 1
            for part in event.parts:
                self._read += part.length
                key = _key(part.hash)
                if key not in self._tagged and key not in self._waiting:
                    self._waiting[key] = part.length
                    self._left += part.length
        elif isinstance(event, FileRead):
            self._files += 1
            self._bytes_done += self._sizes.get(event.file, 0)
            self._problems += event.problem is not None
        else:
            self._tagged.add(_key(event.hash))
            self._left -= self._waiting.pop(_key(event.hash), 0)
            self._problems += isinstance(event, PartFailed)
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task, total=self._bytes, completed=self._bytes_done * self._share, description=self.line()
            )
        elif time.monotonic() - self._told >= _LINES_APART:
            self._told = time.monotonic()
            self._write(self.line())

    @property
    def _share(self) -> float:
        """The share of the text read that is tagged."""
        return 1 - self._left / self._read if self._read else 1.0

    def line(self) -> str:
        """Files done of all, documents a second, time left, and problems, in words."""
        seconds = max(time.monotonic() - self._started, 1e-3)
        share = self._share
        parts = [f"{self._before + int(self._files * share):,} of {self._before + self._total:,} files"]
        parts.append(f"{self._documents * share / seconds:.1f} documents/s")
        if done := self._bytes_done * share:
            parts.append(f"{_duration(seconds * (self._bytes - done) / done)} left")
        if self._problems:
            parts.append(f"{self._problems:,} with problems")
        return ", ".join(parts)

    def _write(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(f"whopays: {line}", highlight=False)
        else:
            print(f"whopays: {line}", file=self._stream, flush=True)


def _key(hash: str) -> bytes:
    return bytes.fromhex(hash[:16])


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
