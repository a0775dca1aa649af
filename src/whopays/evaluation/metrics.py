"""Counts, precision, recall, F1, and intervals.

All counts are additive over documents, so that a bootstrap only has to add up resampled rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from whopays.text import Span

Counts = npt.NDArray[np.float64]
# Columns of a row of counts.
TRUE_POSITIVE, PREDICTED, GOLD = range(3)


@dataclass(frozen=True, slots=True)
class Score:
    """Precision, recall and F1 with the 95 % bootstrap interval of F1, and the support (gold items).

    Where nothing is predicted, precision is 0; where there is no gold and nothing is predicted, all three are 0.
    """

    precision: float
    recall: float
    f1: float
    low: float
    high: float
    support: int


def label_counts(gold: frozenset[str], predicted: frozenset[str], labels: Sequence[str]) -> Counts:
    """One item's counts, shape (labels, 3): true positives, predicted, gold."""
    rows = [(label in gold and label in predicted, label in predicted, label in gold) for label in labels]
    return np.array(rows, dtype=np.float64)


def word_counts(gold: Sequence[Span], predicted: Sequence[Span], text: str, labels: Sequence[str]) -> Counts:
    """Counts of words inside evidence, shape (labels, 3); a word is a run without blanks, taken if a span touches it."""
    words = np.array([match.span() for match in re.finditer(r"\S+", text)], dtype=np.int64).reshape(-1, 2)
    counts = np.zeros((len(labels), 3))
    for row, label in enumerate(labels):
        sets = [_words(spans, label, words) for spans in (gold, predicted)]
        counts[row] = len(sets[0] & sets[1]), len(sets[1]), len(sets[0])
    return counts


def _words(spans: Sequence[Span], label: str, words: npt.NDArray[np.int64]) -> set[int]:
    found: set[int] = set()
    for span in spans:
        if span.label == label:
            first = int(np.searchsorted(words[:, 1], span.start, side="right"))
            behind = int(np.searchsorted(words[:, 0], span.end, side="left"))
            found.update(range(first, behind))
    return found


def matched_span_counts(
    gold: Sequence[Span], predicted: Sequence[Span], labels: Sequence[str], iou: float = 0.5
) -> Counts:
    """Counts of spans, shape (labels, 3): a predicted span is right if it is matched one to one with a gold span of the
    same label at an intersection over union of at least ``iou`` characters.

    The matching is optimal. ERASER's reference code (DeYoung et al. 2020) lets several predictions claim one gold span,
    which rewards splitting; here each gold span counts once.
    """
    from scipy.optimize import linear_sum_assignment

    counts = np.zeros((len(labels), 3))
    for row, label in enumerate(labels):
        g = [span for span in gold if span.label == label]
        p = [span for span in predicted if span.label == label]
        matched = 0
        if g and p:
            hits = np.array([[_iou(a, b) >= iou for b in p] for a in g], dtype=np.float64)
            matched = int(hits[linear_sum_assignment(-hits)].sum())
        counts[row] = matched, len(p), len(g)
    return counts


def _iou(a: Span, b: Span) -> float:
    intersection = min(a.end, b.end) - max(a.start, b.start)
    return intersection / (max(a.end, b.end) - min(a.start, b.start)) if intersection > 0 else 0.0


def f1(counts: Counts) -> npt.NDArray[np.float64]:
    """F1 of counts (..., 3) -> (...); 0 where there is neither gold nor prediction."""
    total = counts[..., PREDICTED] + counts[..., GOLD]
    return np.asarray(2 * counts[..., TRUE_POSITIVE] / np.maximum(total, 1))


def macro_f1(counts: Counts) -> npt.NDArray[np.float64]:
    """The mean F1 of the labels that occur in gold or prediction; counts (..., labels, 3) -> (...)."""
    present = (counts[..., PREDICTED] + counts[..., GOLD]) > 0
    return np.asarray((f1(counts) * present).sum(axis=-1) / np.maximum(present.sum(axis=-1), 1))


def bootstrap(rows: Counts, samples: int = 1000, seed: int = 0) -> Counts:
    """Counts summed over resampled documents: rows (documents, labels, 3) -> (samples, labels, 3).

    Percentile bootstrap over documents (Efron 1979); the same seed gives the same resamples, which makes two systems on
    the same documents comparable pair by pair.
    """
    generator = np.random.default_rng(seed)
    n = len(rows)
    weights = generator.multinomial(n, np.full(n, 1 / n), size=samples) if n else np.zeros((samples, 0))
    return np.asarray(np.tensordot(weights, rows, axes=(1, 0)))


def scores(rows: Counts, labels: Sequence[str], samples: int = 1000, seed: int = 0) -> dict[str, Score]:
    """Scores by label, and ``micro`` and ``macro``, from per-document counts (documents, labels, 3).

    Macro averages precision, recall and F1 over the labels that occur in gold or prediction; its F1 is the mean F1.
    """
    total = rows.sum(axis=0)
    resampled = bootstrap(rows, samples, seed)
    table = {label: _score(total[i], f1(resampled[:, i])) for i, label in enumerate(labels)}
    table["micro"] = _score(total.sum(axis=0), f1(resampled.sum(axis=1)))
    present = [table[label] for i, label in enumerate(labels) if total[i, PREDICTED] + total[i, GOLD] > 0]
    low, high = np.percentile(macro_f1(resampled), [2.5, 97.5])
    table["macro"] = Score(
        float(np.mean([s.precision for s in present])) if present else 0.0,
        float(np.mean([s.recall for s in present])) if present else 0.0,
        float(macro_f1(total)),
        float(low),
        float(high),
        int(total[:, GOLD].sum()),
    )
    return table


def _score(counts: Counts, resampled: npt.NDArray[np.float64]) -> Score:
    true, predicted, gold = (float(value) for value in counts)
    low, high = np.percentile(resampled, [2.5, 97.5])
    precision = true / predicted if predicted else 0.0
    recall = true / gold if gold else 0.0
    return Score(precision, recall, float(f1(counts)), float(low), float(high), int(gold))
