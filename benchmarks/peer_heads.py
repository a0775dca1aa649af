"""What the peers on vectors share: sentences with labels, and logistic regressions with thresholds chosen out of fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.corpus.sentences import labelled_sentences
from whopays.segmenting import is_heading, segment
from whopays.text import Span
from whopays.training.fitting import FitOptions, best_thresholds, folds

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sentences:
    """All sentences of some examples: texts, labels (sentences, labels), and the index of each one's example."""

    texts: list[str]
    labels: Bools
    owners: npt.NDArray[np.int64]

    @classmethod
    def of(cls, examples: Sequence[Example], codebook: Codebook) -> Self:
        """The sentences of labelled examples, in order."""
        rows = [(index, row) for index, e in enumerate(examples) for row in labelled_sentences(e.text, e.spans)]
        labels = np.array([[label in found for label in codebook.ids] for _, (_, found) in rows], dtype=np.bool_)
        return cls([part.text for _, (part, _) in rows], labels, np.array([index for index, _ in rows]))


@dataclass(frozen=True)
class LinearHead:
    """Logistic regressions: weights (labels, features), bias and threshold (labels,), and the C that was chosen."""

    weights: Array
    bias: Array
    threshold: Array
    strength: float

    def given(self, features: Any) -> Bools:
        """Which labels reach their threshold; features (rows, features) -> (rows, labels)."""
        logits = np.asarray(features @ self.weights.T) + self.bias
        return np.asarray(1 / (1 + np.exp(-logits)) >= self.threshold)

    def save(self, path: Path) -> None:
        """Write to a .npz file."""
        np.savez_compressed(
            path, weights=self.weights, bias=self.bias, threshold=self.threshold, strength=np.asarray(self.strength)
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(path) as data:
            return cls(data["weights"], data["bias"], data["threshold"], float(data["strength"]))


@dataclass(frozen=True)
class HeadOptions:
    """``strengths``: values of C to choose from; ``solver``: of scikit-learn's LogisticRegression."""

    strengths: tuple[float, ...]
    solver: str = "lbfgs"


def fit_head(
    features: Any,
    labels: Bools,
    parts: Sequence[npt.NDArray[np.int64]],
    options: HeadOptions,
    *,
    counts: Array | None = None,
    judged: Bools | None = None,
    threads: int = 1,
) -> LinearHead:
    """Logistic regression for each label on all rows, with C and thresholds as `choose` finds them; arguments as there."""
    strength, threshold = choose(features, labels, parts, options, counts=counts, judged=judged, threads=threads)
    return fit_at(features, labels, strength, threshold, options, counts=counts, threads=threads)


def choose(
    features: Any,
    labels: Bools,
    parts: Sequence[npt.NDArray[np.int64]],
    options: HeadOptions,
    *,
    counts: Array | None = None,
    judged: Bools | None = None,
    threads: int = 1,
) -> tuple[float, Array]:
    """C, and one threshold per label (labels,), by cross-validation of logistic regressions.

    ``parts``: the rows of each fold. ``counts``: how often a row counts in the fit (default 1). ``judged``: the rows on whose
    out-of-fold scores the choice is made (default all). The mean F1 of the labels at their thresholds decides on C.
    """
    from threadpoolctl import threadpool_limits

    counts = np.ones(len(labels)) if counts is None else counts
    judged = np.ones(len(labels), dtype=np.bool_) if judged is None else judged
    enough = _enough(labels)

    def out_of_fold(job: tuple[int, npt.NDArray[np.int64], float]) -> Array:
        label, fold, c = job
        rest = np.setdiff1d(np.arange(len(labels)), fold)
        if not labels[rest, label].any():
            return np.zeros(len(fold))
        fitted = _regression(c, options).fit(features[rest], labels[rest, label], counts[rest])
        return np.asarray(fitted.predict_proba(features[fold])[:, 1])

    best: tuple[float, float, Array] | None = None
    with threadpool_limits(limits=1), ThreadPoolExecutor(threads) as pool:
        for c in options.strengths:
            scores = np.zeros(labels.shape)
            jobs = [(int(label), fold, c) for label in np.flatnonzero(enough) for fold in parts if len(fold)]
            for (label, fold, _), column in zip(jobs, pool.map(out_of_fold, jobs), strict=True):
                scores[fold, label] = column
            thresholds, f1s = best_thresholds(scores[judged], labels[judged], enough)
            if best is None or np.mean(f1s) > best[0]:
                best = (float(np.mean(f1s)), c, thresholds)
    assert best is not None
    return best[1:]


def fit_at(
    features: Any,
    labels: Bools,
    strength: float,
    threshold: Array,
    options: HeadOptions,
    *,
    counts: Array | None = None,
    threads: int = 1,
) -> LinearHead:
    """Logistic regression for each label on all rows, with the C and the thresholds (labels,) that were chosen before."""
    from threadpoolctl import threadpool_limits

    counts = np.ones(len(labels)) if counts is None else counts
    chosen = [int(label) for label in np.flatnonzero(_enough(labels))]
    weights = np.zeros((labels.shape[1], features.shape[1]), dtype=np.float32)
    bias = np.full(labels.shape[1], -20.0)

    def fit(label: int) -> Any:
        return _regression(strength, options).fit(features, labels[:, label], counts)

    with threadpool_limits(limits=1), ThreadPoolExecutor(threads) as pool:
        for label, fitted in zip(chosen, pool.map(fit, chosen), strict=True):
            weights[label], bias[label] = fitted.coef_[0], fitted.intercept_[0]
    return LinearHead(weights, bias, threshold, strength)


def _regression(strength: float, options: HeadOptions) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, solver=options.solver, max_iter=2000)


def _enough(labels: Bools) -> Bools:
    return np.asarray(labels.any(axis=0) & ~labels.all(axis=0))


def sentence_parts(examples: Sequence[Example], owners: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """The rows of each cross-validation fold, as whopays cuts its own: no text, nor a pair of texts, is divided."""
    return [np.flatnonzero(np.isin(owners, fold)) for fold in folds(examples, FitOptions())]


def sentence_spans(texts: Sequence[str], codebook: Codebook, given: Callable[[list[str]], Bools]) -> list[list[Span]]:
    """Whole sentences as evidence; ``given``: sentence texts -> their labels. Headings get none, as in whopays."""
    parts = [[part for part in segment(text) if not is_heading(part.text)] for text in texts]
    flat = [part.text for found in parts for part in found]
    rows = iter(given(flat) if flat else np.zeros((0, len(codebook.ids)), dtype=np.bool_))
    return [
        [
            Span(part.start, part.end, label, part.text)
            for part in found
            for label, has in zip(codebook.ids, next(rows), strict=True)
            if has
        ]
        for found in parts
    ]


def few_shot(labels: Bools, per_label: int, seed: int = 0) -> list[int]:
    """Rows for a contrastive stage: so many at random for each label, and for no label; labels (rows, labels)."""
    order = np.random.default_rng(seed).permutation(len(labels))
    columns = [*labels[order].T, ~labels[order].any(axis=1)]
    return list(dict.fromkeys(int(row) for column in columns for row in order[column][:per_label]))
