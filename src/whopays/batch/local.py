"""The engine of one machine: processes that read, isolated, beside processes that tag, each with its own model.

Reading runs ahead of tagging by a bounded amount of text. Among the parts that wait, the longest is tagged first, so
that no long one is left over at the end; since every part is tagged alone, no result depends on it.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import queue
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from whopays.batch.engine import (
    READING,
    TAGGING,
    DocumentRead,
    Event,
    FileRead,
    Job,
    PartFailed,
    PartOf,
    PartTagged,
    Problem,
)
from whopays.batch.process import Child, ChildDiedError, Watch
from whopays.batch.reading_process import over_memory, sign
from whopays.errors import ReaderCrashError, RunError, TaggingError, TimeLimitError, UsageError

_MOST_WAITING = 1_000_000  # code points that are read but not tagged, for each worker
_MOST_EVENTS = 256
_GROUP, _GROUP_SIZE = 16, 20_000  # parts and code points that are sent to a process at once
_TRIES = 3
_FILES_OF_A_READER = 500  # after which a fresh process takes over, whatever the libraries have leaked
_STARTING = 300.0  # seconds


@dataclass(order=True, frozen=True)
class _Waiting:
    """A part in the queue; sorts by length, longest first, then by age."""

    priority: int
    age: int
    part: dict[str, Any] = field(compare=False)


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
        return _Run(job, self.workers).events()


class _Run:
    """One job under way: a thread for each child process, which alone talks to it."""

    def __init__(self, job: Job, workers: int) -> None:
        self._job = job
        self._workers = workers
        self._files = iter(job.files)
        self._attempts = itertools.count(1)
        self._ages = itertools.count()
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._waiting_size = 0
        self._claimed: set[bytes] = set()
        self._reading = self._tagging = workers
        self._failure: BaseException | None = None
        self._stopped = False
        self._events: queue.Queue[Event | None] = queue.Queue(_MOST_EVENTS)
        self._watch = Watch(job.limits.memory)

    def events(self) -> Generator[Event, None, None]:
        threads = [
            threading.Thread(target=self._guarded, args=(target,), daemon=True)
            for target in (self._read_files, self._tag_parts)
            for _ in range(self._workers)
        ]
        try:
            for thread in threads:
                thread.start()
            while (event := self._next_event()) is not None:
                yield event
            if self._failure is not None:
                raise self._failure
        finally:
            self._stop()
            for thread in threads:
                thread.join()

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._watch.stop()

    def _guarded(self, target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException as error:
            with self._changed:
                if self._failure is None and not self._stopped:
                    self._failure = error
            self._stop()
        finally:
            with self._changed:
                if target == self._read_files:
                    self._reading -= 1
                else:
                    self._tagging -= 1
                self._changed.notify_all()
                last = self._reading + self._tagging == 0
            if last:
                self._emit(None)

    def _emit(self, event: Event | None) -> None:
        """Hand an event over, or None for the end; when stopped, only what fits."""
        while True:
            with contextlib.suppress(queue.Full):
                self._events.put(event, timeout=0.2)
                return
            if self._stopped:
                return

    def _next_event(self) -> Event | None:
        while True:
            with contextlib.suppress(queue.Empty):
                return self._events.get(timeout=0.5)
            # The mark of the end finds no room if the work was stopped while the queue was full.
            with self._changed:
                if self._reading + self._tagging == 0 and self._events.empty():
                    return None

    # -- reading -----------------------------------------------------------------------------------------------------

    def _read_files(self) -> None:
        limits = self._job.limits
        options = {"seconds": limits.seconds, "memory": limits.memory}
        child: Child | None = None
        used = 0
        try:
            while (file := self._next_file()) is not None:
                for last in (False, True):
                    if child is None:
                        child, used = self._start("whopays.batch.reading_process", options, limited=True), 0
                    used += 1
                    ended, alive = self._read(child, file, last)
                    if not alive or used >= _FILES_OF_A_READER:
                        self._end(child)
                        child = None
                    if ended:
                        break
        finally:
            self._end(child)

    def _next_file(self) -> str | None:
        with self._changed:
            return None if self._stopped else next(self._files, None)

    def _read(self, child: Child, file: str, last: bool) -> tuple[bool, bool]:
        """Read one file; whether it ended, and whether the child can go on. A death that looks like chance is no end."""
        attempt = next(self._attempts)
        documents = 0
        child.peak = 0
        try:
            child.send({"file": file})
            while "signature" not in (message := child.receive(self._job.limits.seconds)):
                if "document" in message:
                    self._emit(_document(file, attempt, message["document"]))
                    documents += 1
                else:
                    self._offer(message)
        except ChildDiedError as death:
            if self._stopped or not (last or child.ended_for):
                return self._stopped, False
            self._emit(FileRead(file, attempt, documents, sign(file), self._blame(child, file, death)))
            return True, False
        signature = message["signature"]
        problem = Problem(READING, message["error"], message["message"]) if message["error"] else None
        self._emit(FileRead(file, attempt, documents, tuple(signature) if signature else None, problem))
        return True, message["error"] != "MemoryLimitError"

    def _blame(self, child: Child, file: str, death: ChildDiedError) -> Problem:
        limits = self._job.limits
        error: Exception
        if child.ended_for == "time":
            error = TimeLimitError(
                f"{file}: reading it takes longer than {limits.seconds:g} seconds; allow more with --time-limit."
            )
        elif child.ended_for == "memory" or child.peak > limits.memory / 2:
            error = over_memory(file, limits)
        else:
            error = ReaderCrashError(f"{file}: the process that read it died twice ({death.reason}); is it damaged?")
        return Problem(READING, type(error).__name__, str(error))

    def _offer(self, part: dict[str, Any]) -> None:
        """Queue a part that nobody has tagged or claimed yet, when there is room."""
        key = bytes.fromhex(part["hash"])
        with self._changed:
            if key in self._claimed or self._job.done(part["hash"]):
                return
            self._claimed.add(key)
            while self._waiting and self._waiting_size > _MOST_WAITING * self._workers and not self._stopped:
                self._changed.wait()
            heapq.heappush(self._waiting, _Waiting(-len(part["text"]), next(self._ages), part))
            self._waiting_size += len(part["text"])
            self._changed.notify_all()

    # -- tagging -----------------------------------------------------------------------------------------------------

    def _tag_parts(self) -> None:
        child: Child | None = None
        try:
            child = self._start_tagging()
            while group := self._take():
                tries = 0
                while group:
                    try:
                        self._tag(child, group)
                    except ChildDiedError as death:
                        if self._stopped:
                            return
                        # What comes first in the group is what it died over, or was killed over by chance.
                        tries += 1
                        if tries == _TRIES or child.ended_for:
                            self._emit(PartFailed(group.pop(0)["hash"], _blame(child, death)))
                            tries = 0
                        self._end(child)
                        child = self._start_tagging()
        finally:
            self._end(child)

    def _take(self) -> list[dict[str, Any]]:
        """The parts to tag next; few of them when few are left, so that all processes have some. Empty at the end."""
        with self._changed:
            while not self._waiting and self._reading and not self._stopped:
                self._changed.wait()
            if self._stopped:
                return []
            group: list[dict[str, Any]] = []
            size = 0
            most = min(_GROUP, 1 + len(self._waiting) // (2 * self._workers))
            while self._waiting and len(group) < most and size < _GROUP_SIZE:
                waiting = heapq.heappop(self._waiting)
                group.append(waiting.part)
                size -= waiting.priority
            self._waiting_size -= size
            self._changed.notify_all()
            return group

    def _tag(self, child: Child, group: list[dict[str, Any]]) -> None:
        """Tag a group of parts, taking each out of it when it is done."""
        child.send({"parts": [{"text": part["text"], "breaks": part["breaks"]} for part in group]})
        while group:
            answer = child.receive(300 + len(group[0]["text"]) / 200)
            hash = group.pop(0)["hash"]
            if "result" in answer:
                self._emit(PartTagged(hash, answer["result"]))
            else:
                message = f"cannot be tagged ({answer['error']}: {answer['message']}); please report this file."
                self._emit(PartFailed(hash, Problem(TAGGING, answer["error"], message)))

    def _start_tagging(self) -> Child:
        for _ in range(_TRIES):
            options = {"model": self._job.model, "precision": self._job.precision}
            child = self._start("whopays.batch.tagging_process", options, limited=False)
            try:
                answer = child.receive(_STARTING)
            except ChildDiedError as death:
                self._end(child)
                reason = death.reason
                continue
            if "refused" in answer:
                self._end(child)
                raise RunError(answer["refused"])
            if answer["model"] != self._job.model_id:
                self._end(child)
                raise RunError(
                    f"the model changed from {self._job.model_id!r} to {answer['model']!r} during the run; "
                    "put the first one back and run again with --resume."
                )
            return child
        raise RunError(f"the process that tags does not start ({reason}); is there enough memory for --workers?")

    # -- processes ---------------------------------------------------------------------------------------------------

    def _start(self, module: str, options: dict[str, Any], limited: bool) -> Child:
        try:
            child = Child(module, options)
        except OSError as error:
            raise RunError(f"cannot start a process ({error.strerror}); give fewer --workers.") from None
        self._watch.add(child, limited)
        return child

    def _end(self, child: Child | None) -> None:
        if child is not None:
            self._watch.remove(child)
            child.close()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def _document(file: str, attempt: int, data: dict[str, Any]) -> DocumentRead:
    parts = tuple(PartOf(hash, length) for hash, length in data["parts"])
    return DocumentRead(file, attempt, data["id"], data["title"], data["sha256"], tuple(data["page_starts"]), parts)


def _blame(child: Child, death: ChildDiedError) -> Problem:
    error = TaggingError(
        "tagging it takes too long; divide the text."
        if child.ended_for
        else f"the process that tagged it died {_TRIES} times ({death.reason}); is there enough memory?"
    )
    return Problem(TAGGING, type(error).__name__, str(error))
