"""Which passages a person should read: those that the model is unsure of or is contradicted on, and not ten of a kind."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from whopays.corpus.markup import Example
from whopays.errors import UsageError
from whopays.tagger import SentencePrediction, Tagger
from whopays.text import Document, Span

# A passage is about as long as a paragraph: enough to judge a claim by, short enough to read at a glance.
_LONGEST = 700
# How many times the passages asked for are looked at when choosing different ones, the most worthy first.
_POOL = 10


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage with what the model says of it.

    ``example`` has the model's spans. ``uncertainty`` is 1 where a score lies at its threshold and falls towards 0 with
    the distance in log-odds; ``disagreement`` is how far the model's score is from what gold or another model says, for
    the label where they differ most, and 0 where all give the same labels. ``reasons`` say both in words.
    """

    example: Example
    uncertainty: float
    disagreement: float
    reasons: tuple[str, ...]

    @property
    def worth(self) -> float:
        """How much there is to learn from a person's answer."""
        return self.uncertainty + self.disagreement


def document_candidates(
    documents: Iterable[Document], tagger: Tagger, other: Tagger | None = None
) -> Iterator[Candidate]:
    """The passages of documents: sentences of one paragraph, joined up to a limit.

    A passage's id is the document's, with its place: ``report.pdf:1200-1840``. ``other`` is a second model to disagree
    with. Raises `UsageError` if its codebook is another one.
    """
    for document in documents:
        for start, end in _passages(document, tagger.predict_sentences(document)):
            name = f"{document.id or document.source or 'text'}:{start}-{end}"
            attributes = {"title": document.title} if document.title else {}
            yield candidate(Example(name, document.text[start:end], (), attributes), tagger, other, gold=False)


def _passages(document: Document, sentences: Sequence[SentencePrediction]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for sentence in sentences:
        start, end = sentence.segment.start, sentence.segment.end
        between = document.text[found[-1][1] : start] if found else ""
        if found and between.count("\n") < 2 and end - found[-1][0] <= _LONGEST:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def candidate(example: Example, tagger: Tagger, other: Tagger | None = None, *, gold: bool) -> Candidate:
    """What the model says of one text, and ``other``, and, if ``gold``, the example's own spans.

    Raises `UsageError` if the two models have different codebooks.
    """
    result = tagger.tag(example.text)
    closeness = {label: _closeness(result.scores[label], result.thresholds[label]) for label in result.scores}
    nearest = max(closeness, key=lambda label: closeness[label])
    reasons = []
    if closeness[nearest] > 0.5:
        score, threshold = result.scores[nearest], result.thresholds[nearest]
        reasons.append(f"{nearest} scores {score:.2f}, close to its threshold {threshold:.2f}")
    against = [0.0]
    if gold:
        for label in sorted(example.labels ^ set(result.labels)):
            has = label in example.labels
            against.append(abs(float(has) - result.scores[label]))
            reasons.append(f"gold has {'' if has else 'no '}{label}, the model scores {result.scores[label]:.2f}")
    if other is not None:
        if other.codebook.hash != tagger.codebook.hash:
            raise UsageError("the two models have different codebooks; compare models of one label scheme.")
        second = other.tag(example.text)
        for label in tagger.codebook.order({*result.labels} ^ {*second.labels}):
            against.append(abs(second.scores[label] - result.scores[label]))
            reasons.append(
                f"{label} scores {result.scores[label]:.2f}, with the other model {second.scores[label]:.2f}"
            )
    marked = Example(
        example.id, example.text, tuple(sorted(_without_page(s) for s in result.spans)), example.attributes
    )
    return Candidate(marked, closeness[nearest], max(against), tuple(reasons))


def _without_page(span: Span) -> Span:
    return Span(span.start, span.end, span.label, span.text, span.score)


def _closeness(score: float, threshold: float) -> float:
    low, high = 1e-6, 1 - 1e-6
    odds = [math.log(p / (1 - p)) for p in (min(max(score, low), high), min(max(threshold, low), high))]
    return math.exp(-abs(odds[0] - odds[1]))


def pick(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """The ``count`` candidates to read, best first: worthy, and different from each other in their words.

    Farthest-point traversal (Gonzalez 1985) over TF-IDF: each next one has the greatest product of its worth and its
    cosine distance to the nearest one picked. Of equal texts one is kept. The order of the candidates makes no
    difference, and neither does chance. Raises `UsageError` for a count below 1.
    """
    if count < 1:
        raise UsageError(f"found a count of {count}, expected 1 or more.")
    best = sorted(candidates, key=lambda item: (-item.worth, item.example.id))
    distinct = list({item.example.text: item for item in reversed(best)}.values())[::-1]
    pool = sorted(distinct, key=lambda item: (-item.worth, item.example.id))[: _POOL * count]
    if len(pool) <= 1 or not any(item.example.text.strip() for item in pool):
        return pool[:count]
    vectors = _vectors([item.example.text for item in pool])
    worth = np.array([item.worth for item in pool])
    nearest = np.ones(len(pool))
    picked: list[int] = []
    while len(picked) < min(count, len(pool)):
        gain = worth * nearest + 1e-9 * worth
        gain[picked] = -1
        picked.append(int(np.argmax(gain)))
        distance = 1 - np.asarray((vectors @ vectors[picked[-1]].T).todense()).ravel()
        nearest = np.minimum(nearest, np.clip(distance, 0, 1))
    return [pool[index] for index in picked]


def _vectors(texts: list[str]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    # Marks count as words here, so that only a blank text is without a vector.
    return TfidfVectorizer(token_pattern=r"\w+|[^\w\s]", sublinear_tf=True).fit_transform(texts)
