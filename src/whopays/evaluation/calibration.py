"""How far scores can be taken for probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bin:
    """One group of a reliability diagram: mean score, share that carries the label, and how many there are."""

    score: float
    share: float
    size: int


def reliability(scores: Floats, gold: Bools, bins: int = 10) -> list[Bin]:
    """One label's scores and gold, both (items,), in groups of equal width of the score; empty groups are left out."""
    edges = np.clip((scores * bins).astype(int), 0, bins - 1)
    groups = [edges == number for number in range(bins)]
    return [Bin(float(scores[g].mean()), float(gold[g].mean()), int(g.sum())) for g in groups if g.any()]


def expected_calibration_error(scores: Floats, gold: Bools, bins: int = 10) -> float:
    """The mean distance between score and share over `reliability`'s groups, weighted by size (Naeini et al. 2015)."""
    groups = reliability(scores, gold, bins)
    return float(sum(g.size * abs(g.score - g.share) for g in groups) / max(len(scores), 1))
