"""What to show of a text around its evidence: the whole of a short text, passages of a long one, or the quotes alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from whopays.text import Segment, Span

#: A text of up to this many code points (some twelve pages) is shown whole where texts have to be stored.
WHOLE = 30_000
#: How many code points of context a passage of a longer text has on either side of its evidence, at most.
REACH = 500
# Where a passage may begin and end, best first: between paragraphs, lines, sentences, words.
_BOUNDARIES = (re.compile(r"\n\s*\n"), re.compile(r"\n"), re.compile(r"[.!?]\s+"), re.compile(r"\s+"))


def excerpts(text: str, spans: Iterable[Span], whole: int = WHOLE, reach: int = REACH) -> tuple[Segment, ...]:
    """The passages of a text that hold its evidence, in order, none touching another; the text itself if it is short.

    Every span lies in exactly one passage. ``whole`` and ``reach`` are in code points.
    """
    if 0 < len(text) <= whole:
        return (Segment(0, len(text), text),)
    reached = [(_start(text, span.start, reach), _end(text, span.end, reach)) for span in spans]
    return tuple(Segment(start, end, text[start:end]) for start, end in _merged(reached))


def quotes(spans: Sequence[Span]) -> tuple[Segment, ...]:
    """The least of it, for a text that is not at hand: the spans' own words, those of overlapping spans together."""
    found: list[Segment] = []
    for span in sorted(spans):
        last = found[-1] if found else None
        if last is None or span.start > last.end:
            found.append(Segment(span.start, span.end, span.text))
        elif span.end > last.end:
            found[-1] = Segment(last.start, span.end, last.text + span.text[last.end - span.start :])
    return tuple(found)


def _start(text: str, at: int, reach: int) -> int:
    earliest = max(0, at - reach)
    if earliest == 0:
        return 0
    for boundary in _BOUNDARIES:
        # The first of its kind within reach gives the longest passage; a paragraph's start is worth a shorter one.
        if match := boundary.search(text, earliest, at):
            return match.end()
    return earliest


def _end(text: str, at: int, reach: int) -> int:
    latest = min(len(text), at + reach)
    if latest == len(text):
        return latest
    for boundary in _BOUNDARIES:
        if found := list(boundary.finditer(text, at, latest)):
            # A sentence keeps its full stop.
            last = found[-1]
            return last.start() + (boundary is _BOUNDARIES[2])
    return latest


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
