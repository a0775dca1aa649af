"""Fitting the gate in front of the encoder: which sentences could carry a claim, told by their word pieces."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from whopays.corpus.markup import Example
from whopays.model.gate import Gate, neighbourhoods
from whopays.training.fitting import FitOptions, LabelledSentence, unseen_parts

# With fewer sentences that the heads find, nobody can say how many of them a threshold would lose.
_FEWEST_FOUND = 500


def fit_gate(
    examples: Sequence[Example],
    sentences: Sequence[LabelledSentence],
    vocabulary: int,
    options: FitOptions,
    found: npt.NDArray[np.bool_],
    calibration: Collection[int] = (),
) -> tuple[Gate, dict[str, float]]:
    """Fit a gate on sentences in reading order; returns it with what was measured on unseen texts.

    ``found``: (sentences,), `Fit.found`, those in which the heads, without a gate, rightly find a label in a text that they have
    not seen. The threshold is the highest that lets ``options.gate_recall`` of them pass: a claim that the heads would
    miss is not lost at the gate. Where there are too few, the gate stays open. ``calibration``: as in `fit_sentence_heads`.
    """
    from threadpoolctl import threadpool_limits

    positive = np.array([bool(s.labels.any()) for s in sentences])
    owners = np.array([s.example for s in sentences])
    if found.sum() < _FEWEST_FOUND:
        return Gate.open(), {}
    rows = _rows(sentences, vocabulary)
    scores = np.zeros(len(sentences))
    scored = np.zeros(len(sentences), dtype=np.bool_)
    with threadpool_limits(limits=1):
        for fold in unseen_parts(examples, options, calibration):
            held_out = np.isin(owners, fold)
            weights, bias = _fit(rows[~held_out], positive[~held_out], options)
            scores[held_out] = rows[held_out] @ weights + bias
            scored |= held_out
        if not calibration:
            weights, bias = _fit(rows, positive, options)
    # Rounded down as the weights are stored, so that the sentence at the threshold does not fall to the last digit.
    threshold = float(np.quantile(scores[scored & found], 1 - options.gate_recall, method="lower")) - 1e-3
    passed = scores >= threshold
    measured = {
        "found_passed": round(float(passed[scored & found].mean()), 4),
        "labelled_passed": round(float(passed[scored & positive].mean()), 4),
        "passed": round(float(passed[scored].mean()), 3),
    }
    return Gate(weights[:vocabulary], weights[vocabulary:], bias, round(threshold, 6)), measured


def _rows(sentences: Sequence[LabelledSentence], vocabulary: int) -> Any:
    """Sparse rows (sentences, 2 * vocabulary) of ones: the word pieces of the sentence, then of its neighbours."""
    from scipy.sparse import csr_matrix

    columns: list[npt.NDArray[np.int64]] = []
    for _, group in groupby(sentences, key=lambda sentence: sentence.example):
        for own, near in neighbourhoods([sentence.tokens.ids for sentence in group]):
            columns.append(np.concatenate([own, near + vocabulary]))
    starts = np.cumsum([0, *(len(part) for part in columns)])
    shape = (len(columns), 2 * vocabulary)
    return csr_matrix((np.ones(starts[-1]), np.concatenate(columns), starts), shape=shape)


def _fit(rows: Any, positive: npt.NDArray[np.bool_], options: FitOptions) -> tuple[npt.NDArray[np.float64], float]:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=options.gate_c, max_iter=1000).fit(rows, positive)
    return fitted.coef_[0], float(fitted.intercept_[0])
