"""Whether a tag hangs on its evidence: sufficiency and comprehensiveness, as in ERASER (DeYoung et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whopays.result import Result
from whopays.tagger import Tagger


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """Means over the tags of many texts.

    sufficiency: score of the text minus score of its evidence alone (near 0 is good). comprehensiveness: score of the text
    minus score of the rest without the evidence (near the score itself is good). kept: share of tags that the evidence alone
    still gets. lost: share of tags that are gone without it. tags: how many there were.
    """

    sufficiency: float
    comprehensiveness: float
    kept: float
    lost: float
    tags: int


def faithfulness(texts: Sequence[str], tagger: Tagger) -> Faithfulness:
    """Tag each text, then, for each of its tags, the evidence alone and the text without it."""
    rows: list[tuple[str, Result]] = []
    alone: list[str] = []
    without: list[str] = []
    for text, result in zip(texts, tagger.tag_all(list(texts)), strict=True):
        for label in result.labels:
            rows.append((label, result))
            spans = result.evidence(label)
            alone.append("\n\n".join(_sentence(span.text) for span in spans))
            without.append(_cut(text, [(span.start, span.end) for span in spans]))
    if not rows:
        return Faithfulness(0.0, 0.0, 0.0, 0.0, 0)
    kept, rest = tagger.tag_all(alone), tagger.tag_all(without)
    count = len(rows)
    pairs = list(zip(rows, kept, rest, strict=True))
    return Faithfulness(
        sum(result.scores[label] - a.scores[label] for (label, result), a, _ in pairs) / count,
        sum(result.scores[label] - b.scores[label] for (label, result), _, b in pairs) / count,
        sum(label in a.labels for (label, _), a, _ in pairs) / count,
        sum(label not in b.labels for (label, _), _, b in pairs) / count,
        count,
    )


def _sentence(text: str) -> str:
    """A clause made to look like a sentence: without a full stop it would be taken for a heading."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _cut(text: str, spans: Sequence[tuple[int, int]]) -> str:
    kept, end = [], 0
    for start, stop in sorted(spans):
        kept.append(text[end:start])
        end = max(end, stop)
    return "".join([*kept, text[end:]])
