"""The gate in front of the encoder: word pieces say cheaply which sentences could carry a claim at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

# Sentences before and behind that count as a sentence's neighbourhood: what "they" pay for often stands there.
NEIGHBOURS = 2


@dataclass(frozen=True)
class Gate:
    """A linear scorer on the set of a sentence's word pieces (``own``) and that of its neighbours (``near``).

    own, near: (vocabulary,), the weight of each word piece. A sentence passes if the sum of weights and ``bias`` reaches
    ``threshold``; minus infinity lets everything pass.
    """

    own: Floats
    near: Floats
    bias: float
    threshold: float

    @classmethod
    def open(cls) -> Gate:
        """A gate that lets every sentence pass."""
        return cls(np.zeros(0), np.zeros(0), 0.0, -np.inf)

    def passes(self, sentences: Sequence[Ids]) -> Bools:
        """Which of a document's sentences, given as word piece ids in reading order, could carry a claim; (sentences,)."""
        if self.threshold == -np.inf:
            return np.ones(len(sentences), dtype=np.bool_)
        return self.scores(sentences) >= self.threshold

    def scores(self, sentences: Sequence[Ids]) -> Floats:
        """The score of each of a document's sentences, shape (sentences,)."""
        scores = [self.own[own].sum() + self.near[near].sum() + self.bias for own, near in neighbourhoods(sentences)]
        return np.array(scores, dtype=np.float64)


def neighbourhoods(sentences: Sequence[Ids]) -> list[tuple[Ids, Ids]]:
    """For each sentence of a document the sets of word pieces in it, and in its neighbours on both sides."""
    own = [np.unique(ids) for ids in sentences]
    none = np.zeros(0, dtype=np.int64)
    return [
        (
            pieces,
            np.unique(np.concatenate([none, *own[max(0, i - NEIGHBOURS) : i], *own[i + 1 : i + 1 + NEIGHBOURS]])),
        )
        for i, pieces in enumerate(own)
    ]
