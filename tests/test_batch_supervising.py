"""Supervision of a job, with processes that are played: whatever is lost, every file ends once and every part is tagged."""

from __future__ import annotations

import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whopays.batch.engine import DocumentRead, Event, FileRead, Job, Limits, PartFailed, PartTagged
from whopays.batch.parts import Part
from whopays.batch.process import ChildDiedError
from whopays.batch.supervising import Run
from whopays.errors import RunError

FILES = [f"{number}.txt" for number in range(8)]
ROWS = 3  # documents of each file; the last is the same text in all


def text_of(file: str, row: int) -> str:
    return "the same" if row == ROWS - 1 else f"{file} {row}"


class Played:
    """A process that answers as the real ones do, until it dies as the workplace decides."""

    def __init__(self, workplace: Stage, reads: bool) -> None:
        self.workplace = workplace
        self.answers: deque[dict[str, Any]] = deque([] if reads else [{"model": "m-1"}])

    def send(self, message: Mapping[str, Any]) -> None:
        if "file" in message:
            for row in range(ROWS):
                part = Part(text_of(message["file"], row))
                self.answers.append({"text": part.text, "breaks": [], "hash": part.hash})
                about = {"id": f"{row}", "title": "", "sha256": "", "page_starts": []}
                self.answers.append({"document": {**about, "parts": [[part.hash, len(part.text)]]}})
            self.answers.append({"signature": [1, 1], "error": None, "message": None})
        else:
            self.answers.extend({"result": {"labels": [part["text"]]}} for part in message["parts"])

    def receive(self, seconds: float | None = None) -> dict[str, Any]:
        answer = self.answers.popleft()
        if self.workplace.stopped or (death := self.workplace.death(answer)) is None:
            return answer
        raise death


class Stage:
    """A workplace where ``death`` says, for each answer to come, whether the process dies instead."""

    def __init__(self, death: Callable[[dict[str, Any]], ChildDiedError | None], absent: Sequence[int] = ()) -> None:
        self.death = death
        self.absent = set(absent)  # workers that find no place once they have lost theirs
        self.started: Counter[int] = Counter()
        self.alive = 0
        self.stopped = False
        self._lock = threading.Lock()

    def start(
        self, worker: int, module: str, options: Mapping[str, Any], limited: bool, wanted: Callable[[], bool]
    ) -> Played | None:
        while worker in self.absent and self.started[worker] >= 2 and wanted():
            threading.Event().wait(0.005)
        if not wanted():
            return None
        with self._lock:
            self.started[worker] += 1
            self.alive += 1
        return Played(self, limited)

    def end(self, process: Any) -> None:
        with self._lock:
            self.alive -= 1

    def stop(self) -> None:
        self.stopped = True


def events(stage: Stage, workers: int = 2, files: Sequence[str] = FILES) -> list[Event]:
    job = Job(files, "small", "m-1", Limits(), lambda _: False)
    found = list(Run(job, stage, workers).events())
    assert stage.alive == 0
    return found


def check(found: list[Event], files: Sequence[str] = FILES) -> None:
    ends = [event for event in found if isinstance(event, FileRead)]
    assert sorted(end.file for end in ends) == sorted(files)
    assert all((end.problem, end.documents) == (None, ROWS) for end in ends)
    attempts = {(end.file, end.attempt) for end in ends}
    read = [event for event in found if isinstance(event, DocumentRead)]
    assert len([event for event in read if (event.file, event.attempt) in attempts]) == ROWS * len(files)
    texts = {Part(text_of(file, row)).hash: text_of(file, row) for file in files for row in range(ROWS)}
    tagged = [event for event in found if isinstance(event, PartTagged)]
    assert {event.hash: event.result["labels"][0] for event in tagged} == texts
    assert not [event for event in found if isinstance(event, PartFailed)]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0, 0.15), workers=st.integers(1, 3))
def test_lost_machines_cost_nothing(seed: int, share: float, workers: int) -> None:
    chance = random.Random(seed)
    losses = [0]

    def death(answer: dict[str, Any]) -> ChildDiedError | None:
        # Fewer than would put the blame on a file or a text.
        if losses[0] < 9 and chance.random() < share:
            losses[0] += 1
            return ChildDiedError("node died", lost=True)
        return None

    check(events(Stage(death), workers))


def test_work_in_hand_goes_to_others_when_a_worker_finds_no_place_again() -> None:
    """The node of worker 1 dies with a file and a group in hand, and no room is left for another one."""
    left = [ChildDiedError("node died", lost=True)] * 2
    stage = Stage(lambda answer: left.pop() if left else None, absent=[1])
    check(events(stage))


def test_a_job_whose_workers_all_lose_their_place_once_goes_on() -> None:
    left = [ChildDiedError("node died", lost=True)] * 4
    check(events(Stage(lambda answer: left.pop() if left else None), workers=1))


def test_a_file_that_kills_whatever_reads_it_is_blamed_after_two_deaths_and_a_text_after_three() -> None:
    deaths: Counter[str] = Counter()

    def death(answer: dict[str, Any]) -> ChildDiedError | None:
        if answer.get("text") == text_of("3.txt", 1):
            deaths["file"] += 1
            return ChildDiedError("signal SIGSEGV")
        if answer.get("result") == {"labels": [text_of("5.txt", 0)]}:
            deaths["text"] += 1
            return ChildDiedError("signal SIGABRT")
        return None

    found = events(Stage(death))
    (end,) = [event for event in found if isinstance(event, FileRead) and event.problem]
    assert (end.file, end.problem and end.problem.error) == ("3.txt", "ReaderCrashError")
    (failed,) = [event for event in found if isinstance(event, PartFailed)]
    assert failed.hash == Part(text_of("5.txt", 0)).hash
    assert "died 3 times (signal SIGABRT)" in failed.problem.message
    assert deaths == {"file": 2, "text": 3}
    assert len([event for event in found if isinstance(event, FileRead)]) == len(FILES)


@pytest.mark.parametrize("key", ["text", "result"])
def test_a_file_or_text_that_takes_every_machine_down_is_blamed_in_the_end(key: str) -> None:
    def death(answer: dict[str, Any]) -> ChildDiedError | None:
        found = answer.get(key)
        hit = found in (text_of("3.txt", 0), {"labels": [text_of("3.txt", 0)]})
        return ChildDiedError("node died", lost=True) if hit else None

    found = events(Stage(death))
    problems = [event.problem for event in found if isinstance(event, FileRead | PartFailed) and event.problem]
    assert [problem.error for problem in problems] == ["ReaderCrashError" if key == "text" else "TaggingError"]
    assert "10 machines were lost" in problems[0].message


def test_an_error_of_the_workplace_ends_the_job() -> None:
    class Refusing(Stage):
        def start(self, *arguments: Any) -> Played | None:
            raise RunError("no room")

    with pytest.raises(RunError, match="no room"):
        events(Refusing(lambda answer: None))
