"""A job under way, the same for all engines: processes that read, isolated, beside processes that tag.

Each process has a thread here that alone talks to it, wherever it runs; a `Workplace` starts them. Reading runs ahead of
tagging by a bounded amount of text. Among the parts that wait, the longest is tagged first, so that no long one is left
over at the end; since every part is tagged alone, no result depends on it. Whoever loses a process gives back what it had
in hand, for anyone to take, before seeking another one: nothing waits for a place that may never come back.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import queue
import threading
from collections import deque
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
    Limits,
    PartFailed,
    PartOf,
    PartTagged,
    Problem,
)
from whopays.batch.process import ChildDiedError
from whopays.batch.reading_process import over_memory, sign
from whopays.batch.workplace import Process, Workplace
from whopays.errors import ReaderCrashError, RunError, TaggingError, TimeLimitError

_MOST_WAITING = 1_000_000  # code points that are read but not tagged, for each worker
_MOST_EVENTS = 256
_GROUP, _GROUP_SIZE = 16, 20_000  # parts and code points that are sent to a process at once
_READING_TRIES, _TAGGING_TRIES = 2, 3  # processes that may die over a file, or a part, before it is blamed
_LOSSES = 10  # machines that may be lost over a file or a part before it is blamed
_FILES_OF_A_READER = 500  # after which a fresh process takes over, whatever the libraries have leaked
_STARTING = 300.0  # seconds


@dataclass(order=True)
class _Waiting:
    """A part in the queue; sorts by length, longest first, then by age."""

    priority: int
    age: int
    part: dict[str, Any] = field(compare=False)
    deaths: int = field(default=0, compare=False)
    losses: int = field(default=0, compare=False)


@dataclass
class _Reading:
    """A file to read, and how far the present attempt has come."""

    file: str
    deaths: int = 0
    losses: int = 0
    attempt: int = 0
    documents: int = 0


class Run:
    """One job under way at a workplace, with ``workers`` processes that tag and as many that read."""

    def __init__(self, job: Job, workplace: Workplace, workers: int) -> None:
        self._job = job
        self._workplace = workplace
        self._workers = workers
        self._attempts = itertools.count(1)
        self._ages = itertools.count()
        self._changed = threading.Condition()
        self._files = deque(job.files)
        self._given_back: list[_Reading] = []
        self._files_in_hand = 0
        self._waiting: list[_Waiting] = []
        self._waiting_size = 0
        self._groups_in_hand = 0
        self._claimed: set[bytes] = set()
        self._reading = self._tagging = workers
        self._failure: BaseException | None = None
        self._stopped = False
        self._events: queue.Queue[Event | None] = queue.Queue(_MOST_EVENTS)

    def events(self) -> Generator[Event, None, None]:
        """What `whopays.batch.engine.Engine.run` gives. Closing it stops the work and ends all processes."""
        threads = [
            threading.Thread(target=self._guarded, args=(target, worker), daemon=True)
            for target in (self._read_files, self._tag_parts)
            for worker in range(self._workers)
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
        self._workplace.stop()

    def _guarded(self, target: Callable[[int], None], worker: int) -> None:
        try:
            target(worker)
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

    def _read_files(self, worker: int) -> None:
        process: Process | None = None
        used = 0
        try:
            while True:
                if process is None:
                    process, used = self._start_reading(worker), 0
                if process is None or (reading := self._next_file()) is None:
                    return
                used += 1
                try:
                    alive = self._read(process, reading)
                except ChildDiedError as death:
                    alive = False
                    self._died_reading(reading, death)
                finally:
                    with self._changed:
                        self._files_in_hand -= 1
                        self._changed.notify_all()
                if not alive or used >= _FILES_OF_A_READER:
                    self._workplace.end(process)
                    process = None
        finally:
            if process is not None:
                self._workplace.end(process)

    def _start_reading(self, worker: int) -> Process | None:
        limits = self._job.limits
        options = {"seconds": limits.seconds, "memory": limits.memory}
        return self._workplace.start(worker, "whopays.batch.reading_process", options, True, self._files_left)

    def _files_left(self) -> bool:
        with self._changed:
            return not self._stopped and bool(self._files or self._given_back or self._files_in_hand)

    def _next_file(self) -> _Reading | None:
        """A file to read; None when all have ended. While others have some in hand, one may be given back."""
        with self._changed:
            while not self._stopped:
                if self._given_back or self._files:
                    self._files_in_hand += 1
                    return self._given_back.pop() if self._given_back else _Reading(self._files.popleft())
                if not self._files_in_hand:
                    break
                self._changed.wait()
            return None

    def _read(self, process: Process, reading: _Reading) -> bool:
        """Read one file; returns whether the process can go on. Raises `ChildDiedError`."""
        file = reading.file
        reading.attempt, reading.documents = next(self._attempts), 0
        process.send({"file": file})
        while "signature" not in (message := process.receive(self._job.limits.seconds)):
            if "document" in message:
                self._emit(_document(file, reading.attempt, message["document"]))
                reading.documents += 1
            else:
                self._offer(message)
        signature = message["signature"]
        problem = Problem(READING, message["error"], message["message"]) if message["error"] else None
        ended = tuple(signature) if signature else None
        self._emit(FileRead(file, reading.attempt, reading.documents, ended, problem))
        return bool(message["error"] != "MemoryLimitError")

    def _died_reading(self, reading: _Reading, death: ChildDiedError) -> None:
        """A death that looks like chance gives the file back; any other is its end."""
        if death.lost:
            reading.losses += 1
        else:
            reading.deaths += 1
        to_blame = death.ended_for or reading.deaths == _READING_TRIES or reading.losses == _LOSSES
        with self._changed:
            if not to_blame and not self._stopped:
                self._given_back.append(reading)
        if to_blame and not self._stopped:
            problem = _blame_file(reading, death, self._job.limits)
            self._emit(FileRead(reading.file, reading.attempt, reading.documents, sign(reading.file), problem))

    def _offer(self, part: dict[str, Any]) -> None:
        """Queue a part that nobody has tagged or claimed yet, when there is room."""
        key = bytes.fromhex(part["hash"])
        with self._changed:
            if key in self._claimed or self._job.done(part["hash"]):
                return
            self._claimed.add(key)
            while self._waiting and self._waiting_size > _MOST_WAITING * self._workers and not self._stopped:
                self._changed.wait()
            self._push(_Waiting(-len(part["text"]), next(self._ages), part))

    def _push(self, waiting: _Waiting) -> None:
        heapq.heappush(self._waiting, waiting)
        self._waiting_size -= waiting.priority
        self._changed.notify_all()

    # -- tagging -----------------------------------------------------------------------------------------------------

    def _tag_parts(self, worker: int) -> None:
        process: Process | None = None
        try:
            while True:
                process = process or self._start_tagging(worker)
                if process is None or not (group := self._take()):
                    return
                try:
                    self._tag(process, group)
                except ChildDiedError as death:
                    self._died_tagging(group, death)
                    self._workplace.end(process)
                    process = None
                finally:
                    with self._changed:
                        self._groups_in_hand -= 1
                        for waiting in group:
                            self._push(waiting)
                        self._changed.notify_all()
        finally:
            if process is not None:
                self._workplace.end(process)

    def _parts_left(self) -> bool:
        with self._changed:
            return not self._stopped and bool(self._waiting or self._reading or self._groups_in_hand)

    def _take(self) -> list[_Waiting]:
        """The parts to tag next; few of them when few are left, so that all processes have some. Empty at the end."""
        with self._changed:
            while not self._waiting and (self._reading or self._groups_in_hand) and not self._stopped:
                self._changed.wait()
            if self._stopped:
                return []
            group: list[_Waiting] = []
            size = 0
            most = min(_GROUP, 1 + len(self._waiting) // (2 * self._workers))
            while self._waiting and len(group) < most and size < _GROUP_SIZE:
                group.append(heapq.heappop(self._waiting))
                size -= group[-1].priority
            self._waiting_size -= size
            self._groups_in_hand += bool(group)
            self._changed.notify_all()
            return group

    def _tag(self, process: Process, group: list[_Waiting]) -> None:
        """Tag a group of parts, taking each out of it when it is done. Raises `ChildDiedError`."""
        parts = [waiting.part for waiting in group]
        process.send({"parts": [{"text": part["text"], "breaks": part["breaks"]} for part in parts]})
        while group:
            part = group[0].part
            answer = process.receive(300 + len(part["text"]) / 200)
            group.pop(0)
            if "result" in answer:
                self._emit(PartTagged(part["hash"], answer["result"]))
            else:
                message = f"cannot be tagged ({answer['error']}: {answer['message']}); please report this file."
                self._emit(PartFailed(part["hash"], Problem(TAGGING, answer["error"], message)))

    def _died_tagging(self, group: list[_Waiting], death: ChildDiedError) -> None:
        """What comes first in the group is what the process died over, or was killed over by chance."""
        first = group[0]
        if death.lost:
            first.losses += 1
        else:
            first.deaths += 1
        if not self._stopped and (death.ended_for or first.deaths == _TAGGING_TRIES or first.losses == _LOSSES):
            self._emit(PartFailed(group.pop(0).part["hash"], _blame_part(first, death)))

    def _start_tagging(self, worker: int) -> Process | None:
        job = self._job
        options = {"model": job.model, "precision": job.precision}
        reasons: list[str] = []
        while len(reasons) < _TAGGING_TRIES:
            process = self._workplace.start(worker, "whopays.batch.tagging_process", options, False, self._parts_left)
            if process is None:
                return None
            try:
                answer = process.receive(_STARTING)
            except ChildDiedError as death:
                self._workplace.end(process)
                if not death.lost:
                    reasons.append(death.reason)
                continue
            if answer.get("model") == job.model_id:
                return process
            self._workplace.end(process)
            if "refused" in answer:
                raise RunError(answer["refused"])
            raise RunError(
                f"the model changed from {job.model_id!r} to {answer['model']!r} during the run; "
                "put the first one back and run again with --resume."
            )
        raise RunError(f"the process that tags does not start ({reasons[-1]}); is there enough memory for --workers?")


def _document(file: str, attempt: int, data: dict[str, Any]) -> DocumentRead:
    parts = tuple(PartOf(hash, length) for hash, length in data["parts"])
    return DocumentRead(file, attempt, data["id"], data["title"], data["sha256"], tuple(data["page_starts"]), parts)


def _blame_file(reading: _Reading, death: ChildDiedError, limits: Limits) -> Problem:
    file = reading.file
    error: Exception
    if death.ended_for == "time":
        error = TimeLimitError(
            f"{file}: reading it takes longer than {limits.seconds:g} seconds; allow more with --time-limit."
        )
    elif death.ended_for == "memory" or death.peak > limits.memory / 2:
        error = over_memory(file, limits)
    elif death.lost:
        error = ReaderCrashError(f"{file}: {_LOSSES} machines were lost while they read it ({death.reason}).")
    else:
        error = ReaderCrashError(f"{file}: the process that read it died twice ({death.reason}); is it damaged?")
    return Problem(READING, type(error).__name__, str(error))


def _blame_part(part: _Waiting, death: ChildDiedError) -> Problem:
    if death.ended_for:
        message = "tagging it takes too long; divide the text."
    elif death.lost:
        message = f"{part.losses} machines were lost while they tagged it ({death.reason})."
    else:
        message = f"the process that tagged it died {part.deaths} times ({death.reason}); is there enough memory?"
    return Problem(TAGGING, TaggingError.__name__, message)
