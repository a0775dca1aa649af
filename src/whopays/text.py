"""Text and places in it: frozen values with half-open code-point offsets.

One text space: a document's text is fixed when it is read and never changed afterwards, and every offset indexes it.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from whopays.errors import OffsetError


def _check_offsets(start: int, end: int, text: str) -> None:
    if not 0 <= start < end:
        raise OffsetError(
            f"found the offsets {start}:{end}, expected 0 <= start < end; spans are half-open, never empty."
        )
    if len(text) != end - start:
        raise OffsetError(f"offsets {start}:{end} cover {end - start} characters, but the text given has {len(text)}.")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A labelled stretch of a text: ``document.text[span.start:span.end] == span.text``, in code points.

    ``score`` is the calibrated probability of the label here (None for gold), ``page`` counts from 1 (None if the
    document has no pages). Raises `OffsetError` if the offsets are negative, empty, or disagree with the text's length.
    """

    start: int
    end: int
    label: str
    text: str
    score: float | None = None
    page: int | None = None

    def __post_init__(self) -> None:
        _check_offsets(self.start, self.end, self.text)

    def to_dict(self) -> dict[str, Any]:
        """The span as in a result's JSON; ``score`` and ``page`` only where they are known."""
        data: dict[str, Any] = {"label": self.label, "start": self.start, "end": self.end, "text": self.text}
        if self.score is not None:
            data["score"] = self.score
        if self.page is not None:
            data["page"] = self.page
        return data


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a document that is scored as one unit, such as a sentence; offsets as in `Span`."""

    start: int
    end: int
    text: str

    def __post_init__(self) -> None:
        _check_offsets(self.start, self.end, self.text)


@dataclass(frozen=True)
class Document:
    """A text with an id and, where it has them, a source and pages.

    ``page_starts[i]`` is the offset at which page ``i + 1`` begins; the first is 0, and they never decrease (an empty
    page starts where the next one does). ``breaks`` are offsets at which no segment may run on: ends of paragraphs,
    headings, list items and table cells that the reader saw.
    Raises `OffsetError` if page starts or breaks do not lie in the text in order.
    """

    text: str
    id: str = ""
    source: str = ""
    title: str = ""
    page_starts: tuple[int, ...] = ()
    breaks: tuple[int, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.page_starts and self.page_starts[0] != 0:
            raise OffsetError(f"found a first page that starts at {self.page_starts[0]}, expected 0.")
        for name, offsets in (("page starts", self.page_starts), ("breaks", self.breaks)):
            for earlier, later in zip((0, *offsets), (*offsets, len(self.text)), strict=True):
                if earlier > later:
                    raise OffsetError(f"{name} must rise within the text, found {earlier} before {later}.")

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the text in UTF-8; lone surrogates are hashed as Python's ``surrogatepass`` writes them."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    def page_at(self, offset: int) -> int | None:
        """The page, counted from 1, that holds the character at ``offset``; None if the document has no pages.

        The offset at the very end of the text belongs to the last page. Raises `OffsetError` outside the text.
        """
        if not 0 <= offset <= len(self.text):
            raise OffsetError(f"found the offset {offset}, expected 0 <= offset <= {len(self.text)}.")
        if not self.page_starts:
            return None
        return bisect_right(self.page_starts, offset)

    def span(self, start: int, end: int, label: str, score: float | None = None) -> Span:
        """The labelled stretch ``start:end``, with its text and page. Raises `OffsetError` outside the text."""
        if not 0 <= start < end <= len(self.text):
            raise OffsetError(f"found the offsets {start}:{end}, expected 0 <= start < end <= {len(self.text)}.")
        return Span(start, end, label, self.text[start:end], score, self.page_at(start))

    def segment(self, start: int, end: int) -> Segment:
        """The stretch ``start:end`` as a segment. Raises `OffsetError` outside the text."""
        if not 0 <= start < end <= len(self.text):
            raise OffsetError(f"found the offsets {start}:{end}, expected 0 <= start < end <= {len(self.text)}.")
        return Segment(start, end, self.text[start:end])
