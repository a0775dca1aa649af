"""Linear heads on the encoder's vectors: one for the sentence, one for each token, with calibration and thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from whopays.model.encoder import Encoding

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Heads:
    """Weights for ``labels`` labels on vectors of ``width`` numbers.

    sentence_weights, token_weights: (labels, width); sentence_bias, token_bias: (labels,).
    slope, intercept: (labels,), Platt scaling of the sentence logit (Platt 1999): p = 1 / (1 + exp(-(slope * z + intercept))).
    threshold: (labels,), the calibrated probability from which a label is given.
    token_offset: (labels,), subtracted from a token's logit: above zero means evidence.
    """

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
        return self.calibrate(self.sentence_weights @ encoding.mean.astype(np.float64) + self.sentence_bias)

    def calibrate(self, logits: Floats) -> Floats:
        """Sentence logits (..., labels) -> calibrated probabilities of the same shape."""
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(self.slope * logits + self.intercept, -60, 60))))

    def token_scores(self, encoding: Encoding) -> Floats:
        """How much each token speaks for each label, shape (tokens, labels); above 0 means evidence."""
        return np.asarray(
            encoding.states.astype(np.float64) @ self.token_weights.T + self.token_bias - self.token_offset
        )
