"""How far two readers of the same texts agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from whopays.corpus.markup import Example
from whopays.errors import UsageError
from whopays.evaluation.metrics import f1, label_counts, matched_span_counts, word_counts


@dataclass(frozen=True)
class Agreement:
    """Agreement of two readers: Krippendorff's alpha by label over texts, and F1 of one against the other.

    ``micro_f1``: labels of texts. ``word_f1``: words inside evidence. ``span_f1``: spans matched one to one at IOU 0.5.
    ``size``: texts that both read.
    """

    alpha: Mapping[str, float]
    micro_f1: float
    word_f1: float
    span_f1: float
    size: int


def krippendorff_alpha(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """Krippendorff's alpha for two readers, nominal data without gaps (Krippendorff 2011, "Computing alpha-reliability").

    ``first`` and ``second`` have shape (units,). 1 is perfect agreement, 0 what chance gives; 1.0 if only one value occurs.
    """
    values = np.concatenate([first, second]).astype(bool)
    n = len(values)
    ones = int(values.sum())
    if n < 2 or ones in (0, n):
        return 1.0
    observed = float(np.mean(first != second))
    expected = 2 * ones * (n - ones) / (n * (n - 1))
    return 1 - observed / expected


def krippendorff_alpha_with_gaps(readings: npt.NDArray[np.float64]) -> float:
    """Krippendorff's alpha for any number of readers, nominal data, where not everybody read everything.

    ``readings`` has shape (readers, units), NaN where a reader did not read. Units with fewer than two readings count for
    nothing. 1.0 if only one value occurs. Equals `krippendorff_alpha` for two readers without gaps.
    """
    read = ~np.isnan(readings)
    paired = read.sum(axis=0) >= 2
    readings, read = readings[:, paired], read[:, paired]
    values = np.unique(readings[read])
    if len(values) < 2:
        return 1.0
    per_unit = np.array([np.sum(readings == value, axis=0) for value in values], dtype=np.float64)
    m = per_unit.sum(axis=0)
    totals = per_unit.sum(axis=1)
    n = totals.sum()
    observed = float(np.sum((m**2 - np.sum(per_unit**2, axis=0)) / (m - 1)))
    expected = float((n**2 - np.sum(totals**2)) / (n - 1))
    return 1 - observed / expected


def agreement(first: Sequence[Example], second: Sequence[Example], labels: Sequence[str]) -> Agreement:
    """Agreement on the texts whose ids both readers have. Raises `UsageError` if there are none, or if texts differ."""
    other = {example.id: example for example in second}
    pairs = [(example, other[example.id]) for example in first if example.id in other]
    if not pairs:
        raise UsageError("the two readings have no text in common; ids must match.")
    for a, b in pairs:
        if a.text != b.text:
            raise UsageError(f"{a.id}: the two readings have different texts.")
    has = np.array([[[label in example.labels for label in labels] for example in pair] for pair in pairs])
    documents = sum(label_counts(a.labels, b.labels, labels) for a, b in pairs)
    words = sum(word_counts(a.spans, b.spans, a.text, labels) for a, b in pairs)
    spans = sum(matched_span_counts(a.spans, b.spans, labels) for a, b in pairs)
    alpha = {label: krippendorff_alpha(has[:, 0, i], has[:, 1, i]) for i, label in enumerate(labels)}
    micro = [float(f1(np.sum(counts, axis=0))) for counts in (documents, words, spans)]
    return Agreement(alpha, micro[0], micro[1], micro[2], len(pairs))
