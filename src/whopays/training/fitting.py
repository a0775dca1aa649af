"""Fitting heads on a frozen encoder: logistic regression for sentences and tokens, calibration, thresholds.

Calibration and thresholds are chosen on scores of texts that the heads were not fitted on: out of fold, or, where the
encoder itself was tuned on the texts, on a calibration part that neither the encoder nor the heads have learnt from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.corpus.sentences import labelled_sentences
from whopays.errors import UsageError
from whopays.model.encoder import Encoder, Encoding, Tokens, default_threads
from whopays.model.heads import Heads, pool
from whopays.model.operating import NEVER, Curves
from whopays.text import Span

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FitOptions:
    """How heads are fitted.

    sentence_c, token_c: inverse strength of the L2 penalty of the logistic regressions, for sentences on vectors whose numbers
    are scaled to unit variance. token_offset: the token logit from which a word counts as evidence; below 0, since a span
    that is a little long is worth more than one cut short (chosen on the calibration texts: IOU F1 0.79 at 0, 0.83 at -0.75, the
    same word F1). gate_c, gate_recall: the gate's inverse penalty, and the share of the sentences with a label that the
    heads find which it must let pass. folds: cross-validation folds.
    min_positive: a label with fewer positive sentences gets a threshold that is never reached, and is reported.
    """

    sentence_c: float = 0.03
    token_c: float = 0.05
    token_offset: float = -0.75
    gate_c: float = 0.1
    gate_recall: float = 0.995
    folds: int = 5
    min_positive: int = 5
    seed: int = 0

    def without_part(self, parts: int) -> FitOptions:
        """The same for texts of which one part of so many is left out: a label that just has enough keeps only its share."""
        return replace(self, min_positive=max(2, math.floor(self.min_positive * (1 - 1 / parts))))


@dataclass(frozen=True)
class LabelledSentence:
    """One training sentence.

    example: its text's index. tokens: its word pieces. pooled: (labels, width), its vector for each label (`pool`). labels:
    (labels,). states (tokens, width) and token_labels (tokens, labels) are kept where it carries a label, else empty.
    """

    example: int
    tokens: Tokens
    pooled: Singles
    labels: Bools
    states: Singles
    token_labels: Bools


@dataclass(frozen=True)
class Fit:
    """Fitted heads, and what was measured on texts that they had not seen: ``curves`` and, per label, a ``report``.

    found: (items,), whether the heads gave an item one of its labels when they had not seen its text.
    """

    heads: Heads
    curves: Curves
    report: dict[str, dict[str, float]]
    found: Bools


def encode_examples(
    examples: Sequence[Example], codebook: Codebook, encoder: Encoder, attention: Floats | None = None
) -> list[LabelledSentence]:
    """All sentences of all examples, encoded, in order. ``attention``: see `Heads`; none weighs all tokens alike."""
    count = len(codebook.labels)
    focus = np.zeros((count, encoder.width), np.float32) if attention is None else attention.astype(np.float32)
    labelled = [labelled_sentences(example.text, example.spans) for example in examples]
    tokens = [[encoder.tokenize(part.text) for part, _ in rows] for rows in labelled]
    sentences = []
    for index, encoded in enumerate(encoder.encode_all(tokens, default_threads())):
        for (part, labels), pieces, encoding in zip(labelled[index], tokens[index], encoded, strict=True):
            seen = len(encoding.states) if labels else 0
            sentences.append(
                LabelledSentence(
                    index,
                    pieces,
                    pool(encoding.states, focus),
                    np.array([label in labels for label in codebook.ids]),
                    encoding.states[:seen].copy(),
                    _token_labels(encoding, part.start, examples[index].spans, codebook)[:seen],
                )
            )
    return sentences


def evidence_attention(sentences: Sequence[LabelledSentence], options: FitOptions) -> Floats:
    """Attention (labels, width) under which tokens count by how much they look like evidence, learnt from ``sentences``.

    Its rows are the weights of token heads, so that a token's share in its sentence is in proportion to the odds that it is
    evidence: a clause that carries a label is not diluted by the rest of a long sentence. A label with too few sentences, or
    with evidence that is always whole sentences, has zeros: all tokens count alike. Raises `UsageError` without sentences.

    Thresholds may then be chosen by folds inside ``sentences``, although their attention has seen them: on the climate example
    that gave the same as attention learnt inside each fold (F1 of texts 0.693 and 0.694).
    """
    from threadpoolctl import threadpool_limits

    if not sentences:
        raise UsageError("found no sentence to learn from, expected some; write more examples.")
    positives = np.stack([s.labels for s in sentences]).sum(axis=0)
    with threadpool_limits(limits=1):
        return _fit_tokens(sentences, options, np.asarray(positives >= max(options.min_positive, 2)))[0]


def pooled_anew(sentences: Sequence[LabelledSentence], encoder: Encoder, attention: Floats) -> list[LabelledSentence]:
    """The same sentences, in order, pooled with another ``attention``; ``encoder`` is the one that encoded them."""
    focus = attention.astype(np.float32)
    groups = [list(group) for _, group in groupby(sentences, key=lambda sentence: sentence.example)]
    encoded = encoder.encode_all([[s.tokens for s in group] for group in groups], default_threads())
    return [
        replace(sentence, pooled=pool(encoding.states, focus))
        for group, encodings in zip(groups, encoded, strict=True)
        for sentence, encoding in zip(group, encodings, strict=True)
    ]


def _token_labels(encoding: Encoding, offset: int, spans: Sequence[Span], codebook: Codebook) -> Bools:
    labels = np.zeros((len(encoding.starts), len(codebook.labels)), dtype=np.bool_)
    for span in spans:
        inside = (encoding.starts + offset < span.end) & (encoding.ends + offset > span.start)
        labels[inside, codebook.ids.index(span.label)] = True
    return labels


def fit_heads(
    examples: Sequence[Example],
    sentences: Sequence[LabelledSentence],
    codebook: Codebook,
    options: FitOptions,
    calibration: Collection[int] = (),
    weights: Mapping[int, float] = MappingProxyType({}),
    attention: Floats | None = None,
) -> Fit:
    """Fit all heads. Arguments and errors as in `fit_sentence_heads`; token heads are fitted on the same texts."""
    from threadpoolctl import threadpool_limits

    fit = fit_sentence_heads(examples, sentences, codebook, options, calibration, weights, attention)
    kept = [sentence for sentence in sentences if sentence.example not in set(calibration)]
    with threadpool_limits(limits=1):
        token_weights, token_bias = _fit_tokens(kept, options, fit.heads.threshold <= 1)
    offset = np.full(len(token_bias), options.token_offset)
    heads = replace(fit.heads, token_weights=token_weights, token_bias=token_bias, token_offset=offset)
    return replace(fit, heads=heads)


def fit_sentence_heads(
    examples: Sequence[Example],
    sentences: Sequence[LabelledSentence],
    codebook: Codebook,
    options: FitOptions,
    calibration: Collection[int] = (),
    weights: Mapping[int, float] = MappingProxyType({}),
    attention: Floats | None = None,
) -> Fit:
    """Fit the sentence heads, calibration and thresholds; token heads are zero.

    ``calibration``: indices of examples that are kept out of the fit and used for calibration and thresholds alone; if
    there are none, both come from cross-validation, and the heads are fitted on everything. ``weights``: how often an
    example counts in the fit of the sentence heads, by index (default 1). ``attention``: what the sentences were pooled with.
    Raises `UsageError` if no label has enough positive sentences.
    """
    if not sentences:
        raise UsageError(f"found no sentence in {len(examples)} texts, expected some; write more examples.")

    def vectors(label: int) -> Singles:
        return np.stack([s.pooled[label] for s in sentences])

    labels = np.stack([s.labels for s in sentences])
    owners = np.array([s.example for s in sentences])
    unseen = unseen_parts(examples, options, calibration)
    counts = np.array([weights.get(int(owner), 1.0) for owner in owners])
    return fit_vectors(vectors, labels, owners, codebook.ids, options, unseen, not calibration, counts, attention)


def fit_vectors(
    vectors: Callable[[int], Singles],
    labels: Bools,
    owners: npt.NDArray[np.int64],
    names: Sequence[str],
    options: FitOptions,
    unseen: Sequence[npt.NDArray[np.int64]],
    refit: bool,
    counts: Floats,
    attention: Floats | None = None,
) -> Fit:
    """What `fit_sentence_heads` does, from vectors and labels (items, labels), named ``names``.

    ``vectors``: for a label's index the vectors of all items, (items, width); asked for one label at a time, since a copy of
    all labels' would be the largest thing in memory. ``owners``: (items,), the text of each item. ``unseen``: texts that are
    scored by what is fitted on the others, part by part; ``refit`` fits on everything afterwards. ``counts``: (items,), how
    often each counts. Raises `UsageError` as there.
    """
    from threadpoolctl import threadpool_limits

    enough = (labels.sum(axis=0) >= max(options.min_positive, 2)) & ~labels.all(axis=0)
    if not enough.any():
        raise UsageError(
            f"found at most {int(labels.sum(axis=0).max(initial=0))} positive sentences for any label, "
            f"expected {options.min_positive} or more for at least one, and sentences without it; write more examples."
        )
    scored = np.zeros(len(labels), dtype=np.bool_)
    # One thread: sums in another order would change the last bits, and with them the bytes of the model.
    with threadpool_limits(limits=1):
        logits = np.zeros(labels.shape)
        for fold in unseen:
            held_out = np.isin(owners, fold)
            if held_out.any() and not held_out.all():
                matrix, bias = _fit_linear(vectors, labels, counts, options.sentence_c, enough, ~held_out)
                for label in range(len(enough)):
                    logits[held_out, label] = vectors(label)[held_out] @ matrix[label] + bias[label]
                scored |= held_out
        if refit:
            matrix, bias = _fit_linear(vectors, labels, counts, options.sentence_c, enough, np.ones_like(scored))
        slope, intercept = _platt(logits[scored], labels[scored], enough)
    zeros = np.zeros(len(enough))
    focus = np.zeros_like(matrix) if attention is None else attention
    heads = Heads(focus, matrix, bias, np.zeros_like(matrix), zeros, slope, intercept, zeros, zeros)
    scores = heads.calibrate(logits[scored])
    _, f1 = best_thresholds(scores, labels[scored], enough)
    thresholds = np.where(enough, np.round(half_of_best_f1(f1), 2), NEVER)
    curves = Curves.measure(np.where(enough, scores, 0.0), labels[scored])
    positives = labels.sum(axis=0)
    report = {
        label: {
            "positive_sentences": int(positives[i]),
            "threshold": point.threshold,
            "f1": round(2 * point.precision * point.recall / max(point.precision + point.recall, 1e-9), 3),
        }
        for i, (label, point) in enumerate(zip(names, curves.at(thresholds), strict=True))
    }
    found = np.zeros(len(labels), dtype=np.bool_)
    found[scored] = ((scores >= thresholds) & labels[scored]).any(axis=1)
    return Fit(replace(heads, threshold=thresholds), curves, report, found)


def unseen_parts(
    examples: Sequence[Example], options: FitOptions, calibration: Collection[int]
) -> list[npt.NDArray[np.int64]]:
    """The parts that are scored by what is fitted on the rest: the calibration part, or else the folds."""
    return [np.array(sorted(calibration), dtype=np.int64)] if calibration else folds(examples, options)


def pair_groups(examples: Sequence[Example]) -> list[list[int]]:
    """The indices of the examples in lists: the members of a pair together, every other one by itself."""
    groups: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        groups.setdefault(example.attributes.get("pair") or f"#{index}", []).append(index)
    return list(groups.values())


def folds(examples: Sequence[Example], options: FitOptions) -> list[npt.NDArray[np.int64]]:
    """Indices of the examples of each cross-validation fold, shuffled; the members of a pair are never separated."""
    members = pair_groups(examples)
    order = np.random.default_rng(options.seed).permutation(len(members))
    parts = [[index for group in part for index in members[group]] for part in np.array_split(order, options.folds)]
    return [np.array(sorted(part), dtype=np.int64) for part in parts]


def _fit_linear(
    vectors: Callable[[int], Singles], y: Bools, counts: Floats, c: float, enough: Bools, rows: Bools
) -> tuple[Floats, Floats]:
    """Weights (labels, width) and biases (labels,), fitted on the items in which ``rows`` (items,) is true."""
    columns: dict[int, Floats] = {}
    bias = np.full(y.shape[1], -20.0)
    for label in map(int, np.flatnonzero(enough)):
        x = vectors(label)[rows].astype(np.float64)
        columns[label] = np.zeros(x.shape[1])
        if not y[rows, label].all() and y[rows, label].any():
            columns[label], bias[label] = _fit_scaled(x, y[rows, label], c, counts[rows])
    nothing = np.zeros_like(next(iter(columns.values())))
    return np.stack([columns.get(label, nothing) for label in range(y.shape[1])]), bias


def _fit_scaled(x: Floats, y: Bools, c: float, counts: Floats) -> tuple[Floats, float]:
    """Logistic regression on features scaled to unit variance; weights (width,) and bias for the features as they are.

    Without scaling the penalty would forbid the encoder's quiet dimensions to matter.
    """
    from sklearn.linear_model import LogisticRegression

    mean, deviation = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    fitted = LogisticRegression(C=c, max_iter=1000).fit((x - mean) / deviation, y, sample_weight=counts)
    weights = fitted.coef_[0] / deviation
    return weights, float(fitted.intercept_[0] - weights @ mean)


def _fit_tokens(sentences: Sequence[LabelledSentence], options: FitOptions, enough: Bools) -> tuple[Floats, Floats]:
    """Token heads, fitted inside the sentences that carry the label: the question there is where, not whether."""
    from sklearn.linear_model import LogisticRegression

    width = sentences[0].pooled.shape[1]
    weights = np.zeros((len(enough), width))
    bias = np.zeros(len(enough))
    for label in np.flatnonzero(enough):
        chosen = [s for s in sentences if s.labels[label]]
        x = np.concatenate([s.states for s in chosen]).astype(np.float64)
        y = np.concatenate([s.token_labels[:, label] for s in chosen])
        if y.all() or not y.any():
            continue
        fitted = LogisticRegression(C=options.token_c, max_iter=1000).fit(x, y)
        weights[label], bias[label] = fitted.coef_[0], fitted.intercept_[0]
    return weights, bias


def _platt(logits: Floats, labels: Bools, enough: Bools) -> tuple[Floats, Floats]:
    from sklearn.linear_model import LogisticRegression

    slope, intercept = np.ones(len(enough)), np.zeros(len(enough))
    for label in np.flatnonzero(enough):
        if labels[:, label].all() or not labels[:, label].any():
            continue
        fitted = LogisticRegression(C=1e6, max_iter=1000).fit(logits[:, [label]], labels[:, label])
        slope[label], intercept[label] = fitted.coef_[0, 0], fitted.intercept_[0]
    return np.maximum(slope, 1e-3), intercept


def half_of_best_f1(f1: Sequence[float]) -> Floats:
    """For calibrated scores, the threshold that gives the best F1 is half of that F1 (Lipton et al. 2014); (labels,).

    F1 hardly changes around its best threshold, so that the place of its peak is mostly luck; its height is not.
    """
    return np.clip(np.array(f1) / 2, 0.05, 0.5)


def best_thresholds(scores: Floats, gold: Bools, enough: Bools) -> tuple[Floats, list[float]]:
    """For each label the threshold with the best F1 over the rows of ``scores`` and ``gold``, both (items, labels).

    Items are sentences where whole documents will be tagged: a threshold that suits short texts lets through too much in
    long ones. The F1 of neighbouring thresholds is averaged, so that a lucky peak is not taken for a good place.
    """
    grid = np.arange(0.06, 0.86, 0.02)
    thresholds = np.full(len(enough), NEVER)
    best = [0.0] * len(enough)
    for label in np.flatnonzero(enough):
        given = scores[:, label][:, None] >= grid[None, :]
        true = (given & gold[:, [label]]).sum(axis=0)
        f1 = 2 * true / np.maximum(given.sum(axis=0) + gold[:, label].sum(), 1)
        smooth = np.convolve(np.pad(f1, 2, mode="edge"), np.ones(5) / 5, mode="valid")
        chosen = int(np.argmax(smooth))
        thresholds[label], best[label] = grid[chosen], float(f1[chosen])
    return thresholds, best
