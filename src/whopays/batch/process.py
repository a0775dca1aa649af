"""A child process that answers requests, and dies with its parent.

Each child is a fresh interpreter, started by its own command: nothing of the parent's memory is inherited, no start-up
code of the calling program runs a second time, and a program that calls whopays needs no ``__main__`` guard. The two
talk in JSON, never in pickle, so that a file that takes over its reader gets no hold on the parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any

_START = "import json,sys;o=json.loads(sys.argv[1]);sys.path[:]=o['path'];import whopays.batch.process as p;p.main(o)"
# One thread each; few memory arenas, since a limit on address space counts those that are merely reserved too.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "TOKENIZERS_PARALLELISM": "false",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
_ENDING = 2.0  # seconds that a child which closed its pipe has to be gone
_LENGTH = 8  # bytes in front of each message
_PDEATHSIG = 1  # PR_SET_PDEATHSIG, see prctl(2)


class ChildDiedError(Exception):
    """The child ended before it answered; ``reason`` says how, such as "signal SIGSEGV".

    ended_for: "time" or "memory" if it was ended for taking too much, else "". peak: the most memory that it was seen to
    hold since it was asked, in bytes. lost: it went down with the machine or the process that it belonged to.
    """

    def __init__(self, reason: str, ended_for: str = "", peak: int = 0, lost: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.ended_for = ended_for
        self.peak = peak
        self.lost = lost


def pack(message: Mapping[str, Any]) -> bytes:
    """A message as JSON in UTF-8, lone surrogates included."""
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")


def unpack(data: bytes) -> dict[str, Any]:
    """The message that `pack` made."""
    message: dict[str, Any] = json.loads(data.decode("utf-8", "surrogatepass"))
    return message


class Channel:
    """Messages over a pair of pipes: a length, then what `pack` makes of each."""

    def __init__(self, source: IO[bytes], target: IO[bytes]) -> None:
        self._source = source
        self._target = target

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message. Raises `OSError` if the other side is gone."""
        data = pack(message)
        self._target.write(len(data).to_bytes(_LENGTH, "big"))
        self._target.write(data)
        self._target.flush()

    def receive(self) -> dict[str, Any] | None:
        """The next message; None when the other side is gone."""
        head = self._source.read(_LENGTH)
        size = int.from_bytes(head, "big")
        data = self._source.read(size) if len(head) == _LENGTH else b""
        if len(head) < _LENGTH or len(data) < size:
            return None
        return unpack(data)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while (message := self.receive()) is not None:
            yield message

    def close(self) -> None:
        """Close both pipes; the other side sees the end."""
        for stream in (self._target, self._source):
            with contextlib.suppress(OSError):
                stream.close()


@dataclass(frozen=True, slots=True)
class _Wait:
    """How long a child may take over an answer, since when, and what it had worked by then, all in seconds."""

    seconds: float
    since: float
    worked: float | None


class Child:
    """The parent's end of a child that runs ``serve(channel, options)`` of a module.

    To be started by the thread that uses it, which must live as long: Linux counts a thread's end as a parent's death.
    """

    def __init__(self, module: str, options: Mapping[str, Any]) -> None:
        settings = {**options, "module": module, "parent": os.getpid(), "path": sys.path}
        self._process = subprocess.Popen(
            # -P: nothing is imported from the folder that this runs in, which may be one of hostile files.
            [sys.executable, "-P", "-c", _START, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **_ENVIRONMENT},
            # Ctrl-C at a terminal reaches a whole group of processes; here the parent alone decides what it means.
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._channel = Channel(self._process.stdout, self._process.stdin)
        self._wait: _Wait | None = None
        #: Why the parent ended it: "time", "memory" or "".
        self.ended_for = ""
        #: The most memory it was seen to hold since it was last asked something, in bytes.
        self.peak = 0

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def send(self, message: Mapping[str, Any]) -> None:
        """Ask something. Raises `ChildDiedError`."""
        self.peak = 0
        try:
            self._channel.send(message)
        except (OSError, ValueError):
            raise self._died() from None

    def receive(self, seconds: float | None = None) -> dict[str, Any]:
        """The next answer. Raises `ChildDiedError` if the child ends first, or a `Watch` ends it after ``seconds``.

        These are seconds of work, so that a busy machine changes no outcome; a child that waits gets four times as long.
        """
        self._wait = None if seconds is None else _Wait(seconds, time.monotonic(), self._worked())
        try:
            message = self._channel.receive()
        except (OSError, ValueError):
            message = None
        finally:
            self._wait = None
        if message is None:
            raise self._died()
        return message

    def _died(self) -> ChildDiedError:
        try:
            code = self._process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._process.wait()
        if code >= 0:
            reason = f"exit status {code}"
        else:
            known = {number.value: number.name for number in signal.Signals}
            reason = f"signal {known.get(-code, -code)}"
        return ChildDiedError(reason, self.ended_for, self.peak)

    def overdue(self) -> bool:
        """Whether it takes longer over an answer than it may."""
        wait = self._wait
        if wait is None or (waited := time.monotonic() - wait.since) < wait.seconds:
            return False
        worked = self._worked()
        return worked is None or wait.worked is None or worked - wait.worked > wait.seconds or waited > 4 * wait.seconds

    def _worked(self) -> float | None:
        """The seconds that a processor has worked on it; None where that cannot be told."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError, AttributeError):
            return None

    def resident(self) -> int:
        """The memory it holds now, in bytes; 0 where that cannot be told."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, IndexError, AttributeError):
            return 0

    def kill(self) -> None:
        """End it at once; safe to call at any time, from any thread."""
        with contextlib.suppress(OSError):
            self._process.kill()

    def close(self) -> None:
        """End it and forget it."""
        self.kill()
        self._process.wait()
        self._channel.close()


class Watch:
    """Ends children that are over their time or memory; one thread for all of them."""

    def __init__(self, memory: int, interval: float = 0.1) -> None:
        """``memory`` in bytes, for children added with ``limited``; ``interval`` between looks, in seconds."""
        self._memory = memory
        self._interval = interval
        self._children: dict[Child, bool] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        threading.Thread(target=self._look, daemon=True).start()

    def add(self, child: Child, limited: bool) -> None:
        """Watch a child's time and, if ``limited``, its memory."""
        with self._lock:
            self._children[child] = limited
            stopped = self._stopped.is_set()
        if stopped:
            child.kill()

    def remove(self, child: Child) -> None:
        """Watch a child no longer."""
        with self._lock:
            self._children.pop(child, None)

    def stop(self) -> None:
        """Stop watching, and end all children that are still watched, as well as any that are added later."""
        with self._lock:
            self._stopped.set()
            for child in self._children:
                child.kill()

    def _look(self) -> None:
        while not self._stopped.wait(self._interval):
            with self._lock:
                children = list(self._children.items())
            for child, limited in children:
                if child.overdue():
                    child.ended_for = child.ended_for or "time"
                    child.kill()
                elif limited:
                    child.peak = max(child.peak, child.resident())
                    if child.peak > self._memory:
                        child.ended_for = child.ended_for or "memory"
                        child.kill()


def main(options: Mapping[str, Any]) -> None:
    """What a child runs."""
    _die_with(options["parent"])
    source = os.fdopen(os.dup(0), "rb")
    target = os.fdopen(os.dup(1), "wb")
    # Whatever a library prints or reads must not get between the messages.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    channel = Channel(source, target)
    with contextlib.suppress(BrokenPipeError):
        import_module(options["module"]).serve(channel, options)
    # Threads and destructors of libraries must not hold up, or crash, an end that is in order.
    os._exit(0)


def _die_with(parent: int) -> None:
    """Arrange for this process to end when its parent does, however that ends."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    if os.name == "posix":
        threading.Thread(target=watch, daemon=True).start()
