"""What runs in a process that reads: a path in, its documents out in parts; isolated, since any file may be hostile."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from whopays.batch.engine import READING, Limits, Signature
from whopays.batch.parts import Part, cut, cut_stream
from whopays.batch.process import Channel
from whopays.errors import ChangedDocumentError, MemoryLimitError, WhopaysError
from whopays.reading import read
from whopays.reading.plain import stream_plain
from whopays.text import Document

Message = dict[str, Any]
# Plain text beyond this many bytes is read in pieces.
_STREAMED = 16_000_000
_SLACK = 200_000_000  # bytes of address space that libraries reserve beside what they use


def serve(channel: Channel, options: Mapping[str, Any]) -> None:
    """Answer each request, a path, with messages: parts, the document they make, ..., and the end of the file."""
    limits = Limits(options["seconds"], options["memory"])
    for request in channel:
        _limit_memory(limits.memory)
        exhausted = False
        for message in messages(request["file"], limits):
            channel.send(message)
            exhausted = message.get("error") == MemoryLimitError.__name__
        if exhausted:
            return  # what is left of its memory is in pieces


def messages(file: str, limits: Limits) -> Iterator[Message]:
    """Reading ``file``: ``{"text", "breaks", "hash"}`` for each part, ``{"document"}`` behind a document's last part,
    and at the end ``{"documents", "signature", "error", "message"}``, the last two None if all went well.
    """
    documents = 0
    problem: BaseException | None = None
    signature = sign(file)
    try:
        for message in _documents(Path(file), file):
            documents += "document" in message
            yield message
        if sign(file) != signature:
            raise ChangedDocumentError(f"{file}: changed while it was read; run again when nothing writes to it.")
    except Exception as error:  # libraries raise anything for hostile files, and none may be lost
        problem = _limit(file, error, limits)
    end: Message = {"documents": documents, "signature": signature, "stage": READING, "error": None, "message": None}
    if problem is not None:
        end |= {"error": type(problem).__name__, "message": " ".join(str(problem).splitlines())}
        if not isinstance(problem, WhopaysError):
            end["message"] = f"{file}: cannot be read ({end['error']}: {end['message']}); please report this file."
    yield end


def sign(file: str) -> Signature:
    """What tells whether a file changed; None for what is not there."""
    try:
        status = Path(file).stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def _documents(path: Path, source: str) -> Iterator[Message]:
    size = sign(source)
    pieces = stream_plain(path) if size and size[0] > _STREAMED else None
    if pieces is not None:
        digest = hashlib.sha256()
        parts: list[tuple[str, int]] = []
        for text in cut_stream(pieces):
            digest.update(text.encode("utf-8", "surrogatepass"))
            part = Part(text)
            parts.append((part.hash, len(text)))
            yield _part(part)
        yield _document(Document("", id=path.name, source=source), digest.hexdigest(), parts)
        return
    # By path name, so that messages name the file as it was given.
    for document in read(source):
        parts = []
        for part in cut(document):
            parts.append((part.hash, len(part.text)))
            yield _part(part)
        yield _document(document, document.sha256, parts)


def _part(part: Part) -> Message:
    return {"text": part.text, "breaks": part.breaks, "hash": part.hash}


def _document(document: Document, sha256: str, parts: list[tuple[str, int]]) -> Message:
    data = {"id": document.id, "title": document.title, "sha256": sha256, "page_starts": document.page_starts}
    return {"document": {**data, "parts": parts}}


def _limit(file: str, error: BaseException, limits: Limits) -> BaseException:
    """The error to report: where memory ran out, that, whatever the reader made of it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return over_memory(file, limits)
        cause = cause.__cause__ or cause.__context__
    return error


def over_memory(file: str, limits: Limits) -> MemoryLimitError:
    """The error for a file that takes more memory than allowed."""
    allowed = f"{limits.memory / 1e6:,.0f} MB"
    return MemoryLimitError(f"{file}: reading it takes more than {allowed} of memory; allow more with --memory-limit.")


def _limit_memory(memory: int) -> None:
    """Let this process have ``memory`` bytes more than it has now, where the system can enforce that."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        present = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (present + memory + _SLACK, most))
