"""From whom to whom: which evidence of a mechanism stands together with evidence of who escapes and of who bears.

Read off from where quotes lie, and from nothing else: no model says that one party shifts a cost onto another.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence

from whopays.codebook import Codebook, Group
from whopays.text import Segment, Span

#: What may stand between two quotes of one sentence, in code points.
NEAR = 200
# What ends a sentence, as far as can be told without splitting the text again; quotes themselves lie inside sentences.
_END = re.compile(r"[.!?][\"'”’)\]]*\s|\n\s*\n")

#: A flow: the mechanism's label, the label that names where it comes from, the label that names where it goes; "" for
#: a side that is not named beside the mechanism.
Flow = tuple[str, str, str]


def flowing(codebook: Codebook) -> Group | None:
    """The group between whose stances things flow, if the codebook has one, and mechanisms for it to flow by."""
    with_flow = [group for group in codebook.groups if group.flow is not None]
    mechanisms = [group for group in codebook.groups if None in group.fields]
    return with_flow[0] if with_flow and mechanisms else None


def flows(spans: Sequence[Span], passages: Sequence[Segment], codebook: Codebook) -> Counter[Flow]:
    """How often each flow occurs in a document: once for each quote of a mechanism that it stands beside.

    A quote stands beside another if they overlap, or if what is between them, at most `NEAR` code points of a passage
    that is at hand, holds no end of a sentence. A quote of a mechanism beside two sources and one target counts for both
    pairs.
    """
    group = flowing(codebook)
    counts: Counter[Flow] = Counter()
    if group is None or group.flow is None:
        return counts
    parties = {
        stance: {label.id for label in codebook.labels if label.group == group.id and label.stance == stance}
        for stance in group.flow
    }
    mechanisms = {
        label.id for label in codebook.labels if any(g.id == label.group and None in g.fields for g in codebook.groups)
    }
    ordered = sorted(spans)
    starts = [span.start for span in ordered]
    longest = max((span.end - span.start for span in ordered), default=0)
    for span in ordered:
        if span.label not in mechanisms:
            continue
        first = bisect_left(starts, span.start - longest - NEAR)
        behind = bisect_left(starts, span.end + NEAR + 1)
        beside = {other.label for other in ordered[first:behind] if _beside(span, other, passages)}
        sources, targets = (_named(beside, parties[stance]) for stance in group.flow)
        counts.update((span.label, source, target) for source in sources for target in targets)
    return counts


def _named(labels: set[str], wanted: set[str]) -> list[str]:
    return sorted(labels & wanted) or [""]


def _beside(a: Span, b: Span, passages: Sequence[Segment]) -> bool:
    start, end = min(a.end, b.end), max(a.start, b.start)
    if end <= start:
        return True
    if end - start > NEAR:
        return False
    between = _text(start, end, passages)
    # One more character, if there is one, would show whether a quote that ends in a full stop ends its sentence.
    before = _text(start - 1, end, passages)
    return between is not None and _END.search(before if before is not None else between) is None


def _text(start: int, end: int, passages: Sequence[Segment]) -> str | None:
    """The words at ``start:end``, or None if no passage holds them."""
    place = bisect_left(passages, end, key=lambda passage: passage.end)
    if place == len(passages) or passages[place].start > start:
        return None
    passage = passages[place]
    return passage.text[start - passage.start : end - passage.start]


def as_rows(counts: Mapping[Flow, int], order: Mapping[str, int]) -> list[list[int]]:
    """Flows as the report's data: mechanism, source and target by their numbers, -1 for none, and the count."""
    return sorted([*(order.get(label, -1) for label in flow), count] for flow, count in counts.items())
