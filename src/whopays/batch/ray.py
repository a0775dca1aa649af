"""The engine of a Ray cluster: the same processes as on one machine, on any of its nodes.

Ray Core actors, not ``map_batches`` of Ray Data, run the workers. Each actor keeps what a worker has at home, a process that
reads and one that tags, with the same limits; this process hands out files and texts and writes the ledger. Ray Data would
give the results of whole blocks, at the end of each: the ledger would learn of them late, a node that dies would cost
whole blocks, a text that occurs in several of them would be tagged as often, and to isolate a hostile file would be as
much code as here.

All nodes must see the files under the same names, and have the same version of whopays installed. Actors that die, with
their node or without, are replaced where there is room, and what they had in hand is done again. Only the
death of this process, or of the cluster's head, ends a run; --resume goes on with it.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

from whopays.batch.engine import READING, TAGGING, Event, Job
from whopays.batch.process import Child, ChildDiedError, Watch, pack, unpack
from whopays.batch.reading_process import sign
from whopays.batch.supervising import Run
from whopays.batch.workplace import Process
from whopays.errors import RunError, UsageError

_PATIENCE = 600.0  # seconds without any worker
# Actors in a row that do not come up, and for how many seconds at least: a cluster takes its time to notice that a node is
# dead, and until then starts actors there.
_TRIES = 5
_SETTLING = 60.0
_CONNECTIONS = 3  # tries to connect, which fails while the node that Ray chooses for it is dying
_PAUSE = 1.0  # seconds between them
_ENDING = 10.0  # seconds


class RayEngine:
    """Runs a job on the Ray cluster that ``RAY_ADDRESS`` names or that runs on this machine, else on one of its own.

    ``workers``: actors, each with one process that tags and one that reads (default: one for each CPU of the cluster).
    Raises `UsageError` for fewer than one, or if Ray is not installed.
    """

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise UsageError(f"found {workers} workers, expected 1 or more.")
        if find_spec("ray") is None:
            raise UsageError("found no Ray, which --engine ray needs; install it by `pip install 'whopays[ray]'`.")
        self.workers = workers

    def run(self, job: Job) -> Generator[Event, None, None]:
        """The events of a job.

        Raises `RunError` if there is no cluster, if no worker can be had for ten minutes, or if the nodes do not see the
        files, or have another version of whopays or another model.
        """
        with _interruptions() as interrupted, connected():
            workers = self.workers or _processors()
            for event in Run(job, _Cluster(job, workers), workers).events():
                if interrupted.is_set():
                    raise KeyboardInterrupt
                yield event


@contextlib.contextmanager
def _interruptions() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, besides what it does anyway.

    A KeyboardInterrupt that is raised while Ray's own code calls back into Python is swallowed there, and would be lost.
    """
    interrupted = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield interrupted
        return

    def note(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def connected() -> Iterator[None]:
    """Use the cluster that the program uses already, else connect and disconnect."""
    import ray

    if ray.is_initialized():
        yield
        return
    # Nothing is told to anyone unless the user has asked for it; and no graphics card is hidden, nor warned about.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    for remaining in reversed(range(_CONNECTIONS)):
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
            break
        except Exception as error:  # Ray raises plain exceptions, too, such as when a node does not come up in time
            if remaining:
                time.sleep(_PAUSE)
                continue
            reason = " ".join(str(error).split())
            raise RunError(
                f"cannot use Ray ({reason}); is RAY_ADDRESS right, or is a cluster gone that ran here? "
                "Without RAY_ADDRESS, and after `ray stop`, one is started for the run."
            ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _processors() -> int:
    import ray

    resources: Mapping[str, float] = ray.cluster_resources()
    return max(1, int(resources.get("CPU", 1)))


class _Host:
    """The actor: keeps processes on its node, and hands on messages, as bytes that only `pack` and `unpack` touch."""

    def __init__(self, settings: bytes) -> None:
        found = unpack(settings)
        # Relative paths; where there is no such folder, `about` finds that out.
        with contextlib.suppress(OSError):
            os.chdir(found["folder"])
        self._watch = Watch(found["memory"])
        self._children: dict[str, Child] = {}
        # Linux takes the end of the thread that started a child for its parent's death; this one lives as long as we do.
        self._starter = ThreadPoolExecutor(1)

    def about(self, probe: bytes) -> bytes:
        """What must be the same everywhere: our version, and whether a file can be seen."""
        seen = sign(unpack(probe)["file"]) is not None
        return pack({"version": version("whopays"), "seen": seen, "node": platform.node()})

    def start(self, name: str, order: bytes) -> bytes:
        """Start a process under a name; says why not, if so."""
        wanted = unpack(order)
        try:
            child = self._starter.submit(Child, wanted["module"], wanted["options"]).result()
        except OSError as error:
            return pack({"refused": str(error.strerror)})
        self._children[name] = child
        self._watch.add(child, wanted["limited"])
        return pack({})

    def ask(self, name: str, request: bytes | None, seconds: float | None) -> bytes:
        """Send a request, if there is one, and wait for the next answer."""
        child = self._children[name]
        try:
            if request is not None:
                child.send(unpack(request))
            return pack({"answer": child.receive(seconds)})
        except ChildDiedError as death:
            return pack({"died": {"reason": death.reason, "ended_for": death.ended_for, "peak": death.peak}})

    def end(self, name: str) -> None:
        """End a process."""
        child = self._children.pop(name)
        self._watch.remove(child)
        child.close()


@dataclass
class _Hired:
    """An actor, and its answer to `_Host.about` to come."""

    actor: Any
    about: Any
    known: bool = False


@dataclass
class _Place:
    """What a worker has at present: an actor for its two threads, or none."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    hired: _Hired | None = None
    failures: int = 0
    failing_since: float = 0.0


class _Remote:
    """Our end of a process that an actor keeps; its ``name`` there, and the ``group`` of calls that it waits in."""

    def __init__(self, worker: int, hired: _Hired, name: str, group: str) -> None:
        self.worker = worker
        self.hired = hired
        self.name = name
        self.group = group
        self._request: bytes | None = None

    def send(self, message: Mapping[str, Any]) -> None:
        """Ask something; it goes out with the next `receive`."""
        self._request = pack(message)

    def receive(self, seconds: float | None = None) -> dict[str, Any]:
        """The next answer. Raises `ChildDiedError`, with ``lost`` if the actor is gone."""
        import ray

        request, self._request = self._request, None
        ask = self.hired.actor.ask.options(concurrency_group=self.group)
        try:
            answer = unpack(ray.get(ask.remote(self.name, request, seconds)))
        except ray.exceptions.RayError as error:
            raise ChildDiedError(_reason(error), lost=True) from None
        if "died" in answer:
            raise ChildDiedError(**answer["died"])
        found: dict[str, Any] = answer["answer"]
        return found


class _Cluster:
    """A workplace of actors, one for each worker."""

    def __init__(self, job: Job, workers: int) -> None:
        import ray

        self._places = [_Place() for _ in range(workers)]
        self._names = map(str, itertools.count())
        self._stopped = False
        self._alone_since = time.monotonic()
        self._settings = pack({"folder": str(Path.cwd()), "memory": job.limits.memory})
        self._probe = next((file for file in job.files if sign(file) is not None), None)
        # No restart by Ray: an actor that it restarts would not know the processes that we talk to.
        remote: Any = ray.remote
        self._host = remote(concurrency_groups={READING: 1, TAGGING: 1})(_Host).options(
            num_cpus=1, max_restarts=0, scheduling_strategy="SPREAD"
        )

    def start(
        self, worker: int, module: str, options: Mapping[str, Any], limited: bool, wanted: Callable[[], bool]
    ) -> _Remote | None:
        """A new process beside a worker's actor; see `whopays.batch.workplace.Workplace`."""
        import ray

        order = pack({"module": module, "options": dict(options), "limited": limited})
        group = READING if limited else TAGGING
        while (hired := self._hire(worker, wanted)) is not None:
            name = next(self._names)
            try:
                answer = unpack(ray.get(hired.actor.start.options(concurrency_group=group).remote(name, order)))
            except ray.exceptions.RayError as error:
                self._dismiss(worker, hired, _reason(error))
                continue
            if "refused" in answer:
                raise RunError(f"cannot start a process on a node ({answer['refused']}); give fewer --workers.")
            self._places[worker].failures = 0
            return _Remote(worker, hired, name, group)
        return None

    def end(self, process: Process) -> None:
        """End a process; an actor that does not answer is replaced."""
        import ray

        assert isinstance(process, _Remote)
        end = process.hired.actor.end.options(concurrency_group=process.group)
        try:
            ray.get(end.remote(process.name), timeout=_ENDING)
        except ray.exceptions.RayError as error:
            self._dismiss(process.worker, process.hired, _reason(error))

    def stop(self) -> None:
        """End all actors, and with them their processes."""
        import ray

        self._stopped = True
        for place in self._places:
            with place.lock:
                if place.hired is not None:
                    ray.kill(place.hired.actor)

    def _hire(self, worker: int, wanted: Callable[[], bool]) -> _Hired | None:
        """The worker's actor when it is up, a new one if it has none; None when it is no longer wanted."""
        import ray

        place = self._places[worker]
        while wanted():
            with place.lock:
                if self._stopped:
                    return None
                if place.hired is None:
                    actor = self._host.remote(self._settings)
                    place.hired = _Hired(actor, actor.about.remote(pack({"file": self._probe or ""})))
                hired = place.hired
            ready, _ = ray.wait([hired.about], timeout=0.5)
            if not ready:
                self._lose_patience()
                continue
            try:
                about = unpack(ray.get(hired.about))
            except ray.exceptions.RayError as error:
                self._dismiss(worker, hired, _reason(error))
                time.sleep(0.5)
                continue
            hired.known = True
            check_node(about, self._probe)
            return hired
        return None

    def _dismiss(self, worker: int, hired: _Hired, reason: str) -> None:
        """Give up an actor that did not answer. Raises `RunError` if none of several in a row came up."""
        import ray

        place = self._places[worker]
        with place.lock:
            if place.hired is not hired:
                return  # the worker's other thread has seen to it
            place.hired = None
            place.failures += 1
            if place.failures == 1:
                place.failing_since = time.monotonic()
            hopeless = place.failures >= _TRIES and time.monotonic() - place.failing_since >= _SETTLING
            ray.kill(hired.actor)
        if not any(other.hired is not None and other.hired.known for other in self._places):
            self._alone_since = time.monotonic()
        if hopeless and not self._stopped:
            raise RunError(f"no worker comes up on the Ray cluster ({reason}); is whopays installed on all nodes?")

    def _lose_patience(self) -> None:
        import ray

        if any(place.hired is not None and place.hired.known for place in self._places):
            return
        homes = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        if ray.get_runtime_context().get_node_id() not in homes:
            raise RunError("Ray is gone from this machine; start it again, and run again with --resume.")
        if time.monotonic() - self._alone_since > _PATIENCE:
            raise RunError(
                f"the Ray cluster had no room for a worker for {_PATIENCE / 60:g} minutes; each takes one CPU. "
                "What was done is kept, run again with --resume."
            )


def check_node(about: Mapping[str, Any], probe: str | None) -> None:
    """Raise `RunError` if a node has another version of whopays, or does not see the file ``probe`` that we see."""
    ours = version("whopays")
    if about["version"] != ours:
        raise RunError(
            f"the node {about['node']} has whopays {about['version']}, here it is {ours}; install the same on all."
        )
    if probe is not None and not about["seen"] and sign(probe) is not None:
        raise RunError(
            f"the node {about['node']} does not see {probe}; put the files where all nodes see them under the same name, "
            "such as a network file system."
        )


def _reason(error: Exception) -> str:
    """The last line of Ray's account that is not empty, where the cause stands."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
