"""Thresholds for a wanted precision, and the recall that they cost, as measured on texts that the heads have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
# A precision measured on fewer given sentences than this is luck.
FEWEST_GIVEN = 10
NEVER = 1.01


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What a threshold gives for one label: precision and recall over sentences of the calibration texts."""

    threshold: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Curves:
    """How many sentences each threshold gives, per label, on the calibration texts.

    thresholds: (steps,), rising; given, true: (labels, steps), sentences whose score reaches the threshold, and those of
    them that carry the label; positives: (labels,), sentences that carry it.
    """

    thresholds: Floats
    given: Floats
    true: Floats
    positives: Floats

    @classmethod
    def measure(cls, scores: Floats, gold: npt.NDArray[np.bool_]) -> Curves:
        """From scores and gold labels of sentences, both (sentences, labels)."""
        thresholds = np.round(np.arange(0.02, 1.0, 0.01), 2)
        reached = scores[:, :, None] >= thresholds
        true = (reached & gold[:, :, None]).sum(axis=0)
        return cls(thresholds, reached.sum(axis=0).astype(float), true.astype(float), gold.sum(axis=0).astype(float))

    def at(self, thresholds: Sequence[float] | Floats) -> list[OperatingPoint]:
        """The operating point of each label at the threshold given for it."""
        points = []
        for label, threshold in enumerate(thresholds):
            step = int(np.searchsorted(self.thresholds, threshold - 1e-9))
            if step == len(self.thresholds):
                points.append(OperatingPoint(float(threshold), 1.0, 0.0))
                continue
            given, true = self.given[label, step], self.true[label, step]
            precision = float(true / given) if given else 1.0
            points.append(OperatingPoint(float(threshold), precision, float(true / max(self.positives[label], 1.0))))
        return points

    def for_precision(self, precision: float) -> Floats:
        """For each label the lowest threshold from which on the precision is at least as wanted; (labels,).

        `NEVER` for a label that does not reach it on at least `FEWEST_GIVEN` sentences.
        """
        thresholds = np.full(len(self.positives), NEVER)
        for label in range(len(thresholds)):
            for step in range(len(self.thresholds) - 1, -1, -1):
                if self.given[label, step] < FEWEST_GIVEN:
                    continue
                if self.true[label, step] < precision * self.given[label, step]:
                    break
                thresholds[label] = self.thresholds[step]
        return thresholds
