"""What scores are worth at every threshold: precision against recall, and risk against coverage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whopays.evaluation.calibration import Bools, Floats


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """One label's precision and recall at each threshold, both (points,), by falling recall; and the average precision."""

    precision: Floats
    recall: Floats
    average: float


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """The share of wrong texts among the surest, ``risk``, at each share of texts kept, ``coverage``; both (texts,).

    ``area`` is the mean risk over all coverages: 0 is perfect, the risk at full coverage is what a useless order gives.
    """

    coverage: Floats
    risk: Floats
    area: float


def precision_recall(scores: Floats, gold: Bools) -> PrecisionRecall | None:
    """One label's curve from its scores and gold, both (texts,); None if no text has the label."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    if not gold.any():
        return None
    precision, recall, _ = precision_recall_curve(gold, scores)
    return PrecisionRecall(precision, recall, float(average_precision_score(gold, scores)))


def confidence(scores: Floats, thresholds: Floats) -> Floats:
    """How sure the tags of each text are, scores (texts, labels) and thresholds (labels,) -> (texts,).

    The distance, in log-odds, from its threshold of the label that lies closest to its own: one doubtful label makes a
    text doubtful. A threshold that no score reaches, or every score, makes its label certain.
    """
    # Scores have four digits, so 0 and 1 stand for what lies just inside.
    odds = _log_odds(np.clip(scores, 5e-5, 1 - 5e-5))
    open_ = (thresholds > 0) & (thresholds < 1)
    if not open_.any():
        return np.zeros(len(scores))
    return np.asarray(np.abs(odds[:, open_] - _log_odds(thresholds[open_])).min(axis=1))


def _log_odds(share: Floats) -> Floats:
    return np.asarray(np.log(share / (1 - share)))


def risk_coverage(confidence: Floats, wrong: Bools) -> RiskCoverage:
    """Risk against coverage when the least sure texts are left to a person (Geifman and El-Yaniv 2017); both (texts,).

    Texts that are equally sure are kept or left together.
    """
    order = np.argsort(-confidence, kind="stable")
    kept = np.arange(1, len(order) + 1)
    # Among ties every order is as good: the last of them stands for all.
    last = np.append(np.diff(confidence[order]) != 0, True)
    coverage = kept[last] / len(order)
    risk = np.cumsum(wrong[order])[last] / kept[last]
    area = float(np.average(risk, weights=np.diff(coverage, prepend=0.0)))
    return RiskCoverage(coverage, risk, area)
