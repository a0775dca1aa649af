"""Linear heads on the encoder's vectors: one for the sentence, one for each token, with calibration and thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from whopays.model.encoder import Encoding

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Heads:
    """Weights for ``labels`` labels on vectors of ``width`` numbers.

    attention: (labels, width), how much each token of a sentence counts for a label; zeros weigh all tokens alike.
    sentence_weights, token_weights: (labels, width); sentence_bias, token_bias: (labels,).
    slope, intercept: (labels,), Platt scaling of the sentence logit (Platt 1999): p = 1 / (1 + exp(-(slope * z + intercept))).
    threshold: (labels,), the calibrated probability from which a label is given.
    token_offset: (labels,), subtracted from a token's logit: above zero means evidence.
    """

    attention: Floats
    sentence_weights: Floats
    sentence_bias: Floats
    token_weights: Floats
    token_bias: Floats
    slope: Floats
    intercept: Floats
    threshold: Floats
    token_offset: Floats

    def sentence_scores(self, encoding: Encoding) -> Floats:
        """The calibrated probability of each label for a sentence, shape (labels,)."""
        return self.pooled_scores(pool(encoding.states, self.attention.astype(np.float32)))

    def pooled_scores(self, pooled: Singles) -> Floats:
        """The same from what `pool` made of the sentence, shape (labels, width)."""
        return self.calibrate((self.sentence_weights * pooled.astype(np.float64)).sum(axis=1) + self.sentence_bias)

    def calibrate(self, logits: Floats) -> Floats:
        """Sentence logits (..., labels) -> calibrated probabilities of the same shape."""
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(self.slope * logits + self.intercept, -60, 60))))

    def token_scores(self, encoding: Encoding) -> Floats:
        """How much each token speaks for each label, shape (tokens, labels); above 0 means evidence."""
        return np.asarray(
            encoding.states.astype(np.float64) @ self.token_weights.T + self.token_bias - self.token_offset
        )


def pool(states: Singles, attention: Singles) -> Singles:
    """Token vectors (tokens, width) -> one vector for each label, of length 1, shape (labels, width).

    Label-wise attention (Mullenbach et al. 2018): the weights of a label are the softmax over tokens of ``attention`` (labels,
    width) times the token's vector. Zeros for a sentence without tokens.
    """
    if not len(states):
        return np.zeros(attention.shape, dtype=np.float32)
    weights = states @ attention.T
    weights = np.exp(weights - weights.max(axis=0))
    sums = (weights / weights.sum(axis=0)).T @ states
    return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9), dtype=np.float32)
