"""Documents cut into parts that fit in memory, and the results of the parts put together again.

A document of up to 250,000 characters, which is a report of 100 pages, is one part, and gets exactly the result that
`Tagger.tag` gives. A longer one is cut between paragraphs, at places that depend on its text alone.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whopays.batch.engine import DocumentRead
from whopays.codebook import Codebook
from whopays.excerpts import excerpts
from whopays.result import Result
from whopays.text import Document, Segment, Span

#: The most code points in a part.
PART = 250_000
_SEPARATORS = ("\n\n", "\n\r\n", "\n", ". ", " ")


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a document that is tagged as one; ``breaks`` as in `Document`, but counted from its start."""

    text: str
    breaks: tuple[int, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 of what decides the result: the text in UTF-8, and the breaks where there are any."""
        digest = hashlib.sha256(self.text.encode("utf-8", "surrogatepass"))
        if self.breaks:
            digest = hashlib.sha256(f"{digest.hexdigest()} {json.dumps(self.breaks)}".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Identity:
    """What a result depends on beside the text: codebook, model, and settings such as the version and `PART`."""

    model: str
    codebook: str
    version: str
    settings: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The identity as JSON."""
        return {
            "model": self.model,
            "codebook": self.codebook,
            "version": self.version,
            "settings": dict(self.settings),
        }

    @property
    def digest(self) -> str:
        """The first 16 hex digits of the identity's SHA-256."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:16]


def cut(document: Document, size: int = PART) -> Iterator[Part]:
    """The parts of a document, in order; together they are its text. An empty text is one empty part."""
    text = document.text
    if len(text) <= size:
        yield Part(text, document.breaks)
        return
    start = 0
    for piece in cut_stream((text[at : at + size] for at in range(0, len(text), size)), size):
        end = start + len(piece)
        inside = document.breaks[bisect_right(document.breaks, start) : bisect_left(document.breaks, end)]
        yield Part(piece, tuple(offset - start for offset in inside))
        start = end


def cut_stream(pieces: Iterable[str], size: int = PART) -> Iterator[str]:
    """The texts of the parts of one text that comes in pieces; they do not depend on where the pieces end."""
    held = ""
    for piece in pieces:
        held += piece
        while len(held) > size:
            end = _end(held, size)
            yield held[:end]
            held = held[end:]
    if held:
        yield held


def _end(text: str, size: int) -> int:
    """Where the first part of a text ends: behind its last paragraph, else line, sentence or word."""
    for separator in _SEPARATORS:
        found = text.rfind(separator, size // 2, size)
        if found >= 0:
            return found + len(separator)
    # Nothing to cut at, but never between a carriage return and its line feed.
    return size - 1 if text[size - 1] == "\r" else size


def to_record(result: Result) -> dict[str, Any]:
    """What the ledger keeps of a part's result: what does not depend on the file it stands in.

    ``passages`` are what a report shows of the part's text, as pairs of their start and their words.
    """
    data = result.to_dict()
    names = ("labels", "scores", "spans", "coverage", "language", "in_scope", "notices")
    passages = [[piece.start, piece.text] for piece in excerpts(result.text, result.spans)]
    return {**{name: data[name] for name in names}, "passages": passages}


def passages(document: DocumentRead, records: Sequence[Mapping[str, Any]]) -> tuple[Segment, ...]:
    """What the records of a document's parts keep of its text, in order."""
    found: list[Segment] = []
    shift = 0
    for part, record in zip(document.parts, records, strict=True):
        for start, text in record.get("passages", ()):
            found.append(Segment(shift + start, shift + start + len(text), text))
        shift += part.length
    return tuple(found)


def assemble(
    document: DocumentRead, records: Sequence[Mapping[str, Any]], identity: Identity, codebook: Codebook
) -> tuple[Document, Result]:
    """A document (without its text) and its result, from the records of its parts in order.

    A label's score is the highest of its scores in the parts, as it is the highest of those of the sentences in each.
    """
    spans: list[Span] = []
    start = 0
    for part, record in zip(document.parts, records, strict=True):
        spans += [_span(span, start, document.page_starts) for span in record["spans"]]
        start += part.length
    labels = codebook.order(label for record in records for label in record["labels"])
    result = Result(
        id=document.id,
        source=document.file,
        sha256=document.sha256,
        readings=codebook.readings(labels),
        labels=labels,
        scores={label: max(float(record["scores"][label]) for record in records) for label in codebook.ids},
        spans=tuple(spans),
        model=identity.model,
        codebook=identity.codebook,
        version=identity.version,
        coverage=_coverage(document, records),
        language=_language(document, records),
        in_scope=any(record["in_scope"] for record in records),
        notices=tuple(dict.fromkeys(notice for record in records for notice in record["notices"])),
    )
    return Document("", id=document.id, source=document.file, title=document.title), result


def _span(record: Mapping[str, Any], shift: int, page_starts: tuple[int, ...]) -> Span:
    start = record["start"] + shift
    page = bisect_right(page_starts, start) if page_starts else None
    return Span(start, record["end"] + shift, record["label"], record["text"], record.get("score"), page)


def _language(document: DocumentRead, records: Sequence[Mapping[str, Any]]) -> str:
    sizes: Counter[str] = Counter()
    for part, record in zip(document.parts, records, strict=True):
        sizes[str(record["language"])] += part.length
    return sizes.most_common(1)[0][0]


def _coverage(document: DocumentRead, records: Sequence[Mapping[str, Any]]) -> float:
    if len(records) == 1:
        return float(records[0]["coverage"])
    total = sum(part.length for part in document.parts)
    covered = sum(part.length * float(record["coverage"]) for part, record in zip(document.parts, records, strict=True))
    return covered / total
