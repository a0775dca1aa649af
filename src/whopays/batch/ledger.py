"""The ledger of a run: what is done, one JSON object a line, written and synced before it counts.

The first line is the run's identity. Others are the events of the engine: a ``document`` for each document read, a
``file`` when a file has ended, ``tagged`` or ``failed`` for each part. A part's result is kept under the hash of its text
and the digest of the identity, so under text, codebook, model and settings together. A line that does not parse, such
as the last one of a run that was killed, is dropped, and what it said is done again.
"""

from __future__ import annotations

import contextlib
import json
import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from whopays.batch.engine import DocumentRead, Event, PartFailed, PartOf, PartTagged, Problem, Signature
from whopays.batch.parts import Identity
from whopays.errors import RunError

NAME = "ledger.jsonl"
FORMAT = "whopays-run/1"


@dataclass
class _File:
    """A file's documents, as places in the ledger, of the attempt that is under way or ended."""

    attempt: str
    places: array[int] = field(default_factory=lambda: array("q"))
    documents: int = -1
    signature: Signature = None
    problem: Problem | None = None

    @property
    def ended(self) -> bool:
        return self.documents == len(self.places)


class Ledger:
    """The ledger in a run folder, open for writing; one process at a time. To be used as a context manager."""

    def __init__(self, folder: Path, identity: Identity, resume: bool) -> None:
        """Start a ledger, or go on with the one that is there.

        Raises `RunError` if there is one and ``resume`` is false, if it was made with another identity, if another
        process has it open, or if it cannot be written.
        """
        self.path = folder / NAME
        self._identity = identity
        self._digest = identity.digest
        self._results: dict[bytes, int] = {}
        self._failures: dict[bytes, Problem] = {}
        self._files: dict[str, _File] = {}
        self._sessions = 0
        with self._named():
            folder.mkdir(parents=True, exist_ok=True)
            there = self.path.exists() and self.path.stat().st_size > 0
            if there and not resume:
                raise RunError(
                    f"{folder}: holds a run already; go on with it by --resume, or give another folder as --output."
                )
            self._stream: IO[bytes] = self.path.open("a+b")
        try:
            self._lock(folder)
            with self._named():
                self._load(folder)
                self._append({"kind": "session", "number": self._sessions})
                self.sync()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        # What could not be written before cannot be written now; that was said already.
        with contextlib.suppress(OSError):
            self._stream.close()

    def __len__(self) -> int:
        """The number of parts that have a result."""
        return len(self._results)

    def done(self, hash: str) -> bool:
        """Whether a part has its result; that it failed in an earlier session does not count."""
        return bytes.fromhex(hash) in self._results

    def ended(self, file: str, signature: Signature) -> bool:
        """Whether a file needs no reading: it ended without a problem, is unchanged, and all its parts have results."""
        known = self._files.get(file)
        if known is None or not known.ended or known.problem is not None or known.signature != signature:
            return False
        return all(self.done(part.hash) for document in self._documents(known) for part in document.parts)

    def add(self, event: Event) -> bool:
        """Write an event down; returns False if it says nothing new. Raises `RunError` if it cannot be written."""
        with self._named():
            if isinstance(event, PartTagged):
                key = bytes.fromhex(event.hash)
                if key in self._results:
                    return False
                line = {"kind": "tagged", "key": f"{event.hash}:{self._digest}", "result": dict(event.result)}
                self._results[key] = self._append(line)
                self.sync()
            elif isinstance(event, PartFailed):
                self._failures[bytes.fromhex(event.hash)] = event.problem
                self._append({"kind": "failed", "key": f"{event.hash}:{self._digest}", **asdict(event)})
            else:
                kind = "document" if isinstance(event, DocumentRead) else "file"
                line = {"kind": kind, **asdict(event), "attempt": f"{self._sessions}.{event.attempt}"}
                self._take(line, self._append(line))
        return True

    def sync(self) -> None:
        """Make sure that all that was written survives a failure of power."""
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def outcomes(self, file: str) -> Iterator[tuple[DocumentRead, list[dict[str, Any]]] | Problem]:
        """What became of a file, in order: its documents with the records of their parts, or problems in their place."""
        known = self._files[file]
        for document in self._documents(known):
            hashes = [bytes.fromhex(part.hash) for part in document.parts]
            failed = [self._failures[key] for key in hashes if key not in self._results and key in self._failures]
            if failed:
                name = "" if document.id == Path(file).name else f" ({document.id})"
                yield Problem(failed[0].stage, failed[0].error, f"{file}{name}: {failed[0].message}")
            else:
                missing = [key.hex() for key in hashes if key not in self._results]
                if missing:
                    raise RunError(f"{file}: the text {missing[0]} was not tagged; run again with --resume.")
                yield document, [self._line(self._results[key])["result"] for key in hashes]
        if known.problem is not None:
            yield known.problem

    def inputs(self, file: str) -> int:
        """How many results and problems a file must give. Raises `RunError` if it was not read to its end."""
        known = self._files.get(file)
        if known is None or not known.ended:
            raise RunError(f"{file}: was not read to its end; run again with --resume.")
        return known.documents + (known.problem is not None)

    def _documents(self, known: _File) -> Iterator[DocumentRead]:
        for place in known.places:
            line = self._line(place)
            yield DocumentRead(
                file=line["file"],
                attempt=0,
                id=line["id"],
                title=line["title"],
                sha256=line["sha256"],
                page_starts=tuple(line["page_starts"]),
                parts=tuple(PartOf(part["hash"], part["length"]) for part in line["parts"]),
            )

    def _line(self, place: int) -> dict[str, Any]:
        self._stream.seek(place)
        line: dict[str, Any] = _parse(self._stream.readline())
        return line

    def _append(self, line: Mapping[str, Any]) -> int:
        """Write one line; returns its place."""
        data = (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")
        place = self._stream.seek(0, os.SEEK_END)
        self._stream.write(data)
        self._stream.flush()
        return place

    def _load(self, folder: Path) -> None:
        place = whole = 0
        self._stream.seek(0)
        header: dict[str, Any] | None = None
        for data in self._stream:
            if data.endswith(b"\n"):
                whole = place + len(data)
                with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                    line = _parse(data)
                    if header is None:
                        header = line
                        _check(folder, header, self._identity)
                    else:
                        self._take(line, place)
            place += len(data)
        self._stream.truncate(whole)
        if header is None:
            if whole:
                raise RunError(f"{self.path}: is not the ledger of a run; give another folder as --output.")
            self._append({"kind": "run", "format": FORMAT, **self._identity.to_dict()})
        self._sessions += 1

    def _take(self, line: dict[str, Any], place: int) -> None:
        kind = line["kind"]
        if kind == "session":
            self._sessions = line["number"]
        elif kind in ("tagged", "failed"):
            hash, _, digest = line["key"].partition(":")
            if kind == "tagged" and digest == self._digest:
                self._results[bytes.fromhex(hash)] = place
        else:
            known = self._files.get(line["file"])
            if known is None or known.attempt != line["attempt"]:
                known = self._files[line["file"]] = _File(line["attempt"])
            if kind == "document":
                known.places.append(place)
            else:
                signature, problem = line["signature"], line["problem"]
                known.signature = (signature[0], signature[1]) if signature else None
                known.problem = Problem(**problem) if problem else None
                known.documents = line["documents"]

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot be written ({error.strerror}); mend that and run again with --resume, "
                "everything up to here is kept."
            ) from None

    def _lock(self, folder: Path) -> None:
        with contextlib.suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    f"{folder}: another process is at work on this run; wait for it, or stop it first."
                ) from None
            except OSError:
                return  # a file system without locks


def _parse(data: bytes) -> Any:
    return json.loads(data.decode("utf-8", "surrogatepass"))


def _check(folder: Path, header: Mapping[str, Any], identity: Identity) -> None:
    if header.get("format") != FORMAT:
        raise RunError(f"{folder}: its ledger has the format {header.get('format')!r}, expected {FORMAT!r}.")
    differences = _differences(header, identity.to_dict())
    if differences:
        raise RunError(
            f"{folder}: this run was made with {'; '.join(differences)}; its results would not match. "
            "Use the same, or give another folder as --output."
        )


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], names: Sequence[str] = ()) -> list[str]:
    found = []
    for name, value in now.items():
        if isinstance(value, dict):
            found += _differences(before.get(name) or {}, value, (*names, name))
        elif before.get(name) != value:
            found.append(f"the {' '.join((*names, name))} {before.get(name)!r}, now it is {value!r}")
    return found
