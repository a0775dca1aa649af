"""Gold spans -> gold labels of sentences, for training and evaluation alike."""

from __future__ import annotations

from collections.abc import Iterable

from whopays.segmenting import segment
from whopays.text import Segment, Span


def labelled_sentences(text: str, spans: Iterable[Span]) -> list[tuple[Segment, frozenset[str]]]:
    """The sentences of a text with their labels: a sentence has a label if it holds at least half of one of its spans."""
    spans = tuple(spans)
    return [
        (
            part,
            frozenset(
                span.label
                for span in spans
                if 2 * (min(part.end, span.end) - max(part.start, span.start)) >= span.end - span.start
            ),
        )
        for part in segment(text)
    ]
