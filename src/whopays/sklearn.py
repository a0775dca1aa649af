"""scikit-learn estimators: texts in, indicator matrix out, on the frozen encoder of a whopays model.

    ClaimClassifier    texts -> labels, in one estimator; `ClaimClassifier.pretrained` tags with a model as it is
    ClaimEncoder       texts -> vectors, (texts, width)
    ClaimHead          vectors -> labels: a calibrated logistic regression with a threshold for each label

The last two make up the first, for pipelines that keep the vectors (`sklearn.pipeline.Pipeline(memory=...)`) or put
other heads on them. Here a text is scored as a whole, as mean of its word pieces; it is meant for passages. Evidence and
sentence by sentence scores are the business of `whopays train`, which learns from spans.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.errors import ModelError, UsageError
from whopays.integrations.indicator import indicator
from whopays.model.encoder import Encoder, default_threads
from whopays.model.folder import ENCODER_FILES, OPTIONAL_FILES, file_sha256, load_model
from whopays.model.heads import pool
from whopays.model.operating import NEVER
from whopays.segmenting import segment
from whopays.tagger import folder_of, load
from whopays.training.fitting import Fit, FitOptions, fit_vectors, unseen_parts

__all__ = ["ClaimClassifier", "ClaimEncoder", "ClaimHead"]

Singles = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
#: One number for all labels, one for each, or those of some labels by name; None chooses them.
Thresholds: TypeAlias = float | Sequence[float] | Mapping[Any, float] | None

# Texts whose token vectors are in memory at once.
_GROUP = 64
_SURE = 20.0


class ClaimHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A logistic regression for each label, with Platt scaling and a threshold, both from out-of-fold scores.

    ``y`` is an indicator matrix (rows, labels), or one class a row. For a matrix, labels are given from their threshold
    on: by default half of the best out-of-fold F1 (Lipton et al. 2014). For one class a row, the likeliest is given.

    C: inverse strength of the L2 penalty. thresholds: a number for all labels, a sequence of one for each, a mapping with those
    of some labels, or None to choose them. precision: choose the lowest thresholds with this out-of-fold precision instead;
    a label that never reaches it is never given. folds: of the cross-validation for scaling and thresholds.
    min_positive: a label with fewer positive rows is never given. random_state: seed of the folds.

    After `fit`: classes_ (labels,), coef_ (labels, features), intercept_ (labels,), and heads_ with the calibration too; for a
    matrix also thresholds_ (labels,) and operating_points_: precision and recall of each label at its threshold, out of fold.
    """

    def __init__(
        self,
        C: float = FitOptions.sentence_c,
        *,
        thresholds: Thresholds = None,
        precision: float | None = None,
        folds: int = FitOptions.folds,
        min_positive: int = FitOptions.min_positive,
        random_state: int = FitOptions.seed,
    ) -> None:
        self.C = C
        self.thresholds = thresholds
        self.precision = precision
        self.folds = folds
        self.min_positive = min_positive
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> ClaimHead:
        """Fit on vectors (rows, features) and y (rows, labels) or (rows,); returns itself.

        Raises `ValueError` for what scikit-learn refuses, and `UsageError`, which is one, if no label can be learnt.
        """
        X, y = validate_data(self, X, y, multi_output=True, dtype=np.float32, ensure_min_samples=2)
        check_classification_targets(y)
        if type_of_target(y) == "multilabel-indicator":
            y = y.toarray() if hasattr(y, "toarray") else y
            return self._fit(X, y.astype(np.bool_), np.arange(y.shape[1]))
        if y.ndim == 2 and y.shape[1] > 1:
            raise UsageError("found several classes in each column of y, expected a matrix of 0 and 1; binarize it.")
        binarizer = LabelBinarizer().fit(column_or_1d(y, warn=True))
        if len(binarizer.classes_) < 2:
            raise UsageError(f"found one class ({binarizer.classes_[0]}), expected rows of two classes or more.")
        return self._fit(X, binarizer.transform(column_or_1d(y)).astype(np.bool_), binarizer.classes_, exclusive=True)

    def _fit(self, X: Singles, Y: Bools, classes: npt.NDArray[Any], exclusive: bool = False) -> ClaimHead:
        options = FitOptions(
            sentence_c=self.C,
            folds=self.folds,
            seed=self.random_state,
            # Where every row has a class, none may be left out; a label may.
            min_positive=1 if exclusive else self.min_positive,
        )
        if self.folds < 2:
            raise UsageError(f"found folds={self.folds}, expected 2 or more.")
        if self.precision is not None and not 0 < self.precision <= 1:
            raise UsageError(f"found precision={self.precision}, expected a share above 0 and up to 1, such as 0.9.")
        if exclusive and (self.thresholds is not None or self.precision is not None):
            raise UsageError("found thresholds or a precision for one class a row; they are for an indicator matrix.")
        fit = _fit_columns(X, Y, options)
        self.exclusive_ = exclusive
        self.classes_ = classes
        self.heads_ = fit.heads
        if not exclusive:
            chosen = fit.heads.threshold if self.precision is None else fit.curves.for_precision(self.precision)
            self.thresholds_ = _replaced(chosen, self.thresholds, classes)
            self.operating_points_ = fit.curves.at(self.thresholds_)
        return self

    @property
    def coef_(self) -> Floats:
        """The weights, (labels, features); their sums are logits before Platt scaling."""
        return self.heads_.sentence_weights

    @property
    def intercept_(self) -> Floats:
        """The biases, (labels,)."""
        return self.heads_.sentence_bias

    def decision_function(self, X: Any) -> Floats:
        """Calibrated log odds, (rows, labels), or (rows,) for two classes; 0 stands for even odds, not for the threshold."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float32)
        # Not a matrix product: its sums depend on how many rows there are, and a row's score must not.
        logits = np.einsum("rw,lw->rl", X.astype(np.float64), self.coef_) + self.intercept_
        odds = np.asarray(self.heads_.slope * logits + self.heads_.intercept)
        return odds[:, 0] if self.exclusive_ and odds.shape[1] == 1 else odds

    def predict_proba(self, X: Any) -> Floats:
        """Calibrated probabilities, (rows, labels); of classes that exclude each other they sum to 1 in each row."""
        scores = np.asarray(expit(self.decision_function(X)))
        if not self.exclusive_:
            return scores
        if scores.ndim == 1:
            return np.stack([1 - scores, scores], axis=1)
        return np.asarray(scores / scores.sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Indicator matrix (rows, labels) of 0 and 1, or the likeliest class of each row."""
        scores = self.predict_proba(X)
        if self.exclusive_:
            return np.asarray(self.classes_[np.argmax(scores, axis=1)])
        return (scores >= self.thresholds_).astype(np.int64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class ClaimEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Texts -> vectors of length 1, (texts, width), float32: the mean of a text's word pieces, read in their context.

    Nothing is fitted. A text of any length is read whole, in windows; one without a word gives zeros. The same text gives
    the same vector whatever its neighbours and the number of threads.

    encoder: "default", "small", or a folder with encoder.onnx and tokenizer.json. threads: default all cores.
    """

    def __init__(self, encoder: str | Path = "default", *, threads: int | None = None) -> None:
        self.encoder = encoder
        self.threads = threads

    def fit(self, X: Any, y: Any = None) -> ClaimEncoder:  # noqa: ARG002
        """Check the texts; returns itself."""
        _texts(X)
        return self

    def transform(self, X: Any) -> Singles:
        """The texts' vectors. Raises `UsageError` for anything but texts, `ModelError` if the encoder cannot be loaded."""
        texts = _texts(X)
        encoder, _ = _encoder(self.encoder)
        mean = np.zeros((1, encoder.width), np.float32)
        vectors = np.zeros((len(texts), encoder.width), np.float32)
        for begin in range(0, len(texts), _GROUP):
            group = texts[begin : begin + _GROUP]
            tokens = [[encoder.tokenize(part.text) for part in segment(text)] for text in group]
            for row, encoded in enumerate(encoder.encode_all(tokens, self.threads or default_threads()), start=begin):
                if encoded:
                    vectors[row] = pool(np.concatenate([part.states for part in encoded]), mean)[0]
        return vectors

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:  # noqa: ARG002
        """Names of the columns, such as "claimencoder0"."""
        return np.array([f"claimencoder{column}" for column in range(_encoder(self.encoder)[0].width)], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = _text_tags(super().__sklearn_tags__())
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = []
        return tags


class ClaimClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Texts in, indicator matrix out: a `ClaimHead` on the vectors of a `ClaimEncoder`.

    encoder, threads: see `ClaimEncoder`. C, thresholds, precision, folds, min_positive, random_state: see `ClaimHead`.
    classes: the labels in the order of the columns: a sequence, a `whopays.Codebook` or the path of a codebook's TOML file; None
    takes them from y (a DataFrame's columns, the labels that occur in sorted order, or the columns' numbers).

    After `fit`: classes_ (labels,), thresholds_ (labels,), head_. An estimator from `pretrained` has tagger_ instead of head_:
    it gives what the model gives, and `tagger_` the evidence, too.
    """

    def __init__(
        self,
        encoder: str | Path = "default",
        *,
        classes: Sequence[str] | Codebook | str | Path | None = None,
        C: float = FitOptions.sentence_c,
        thresholds: Thresholds = None,
        precision: float | None = None,
        folds: int = FitOptions.folds,
        min_positive: int = FitOptions.min_positive,
        random_state: int = FitOptions.seed,
        threads: int | None = None,
    ) -> None:
        self.encoder = encoder
        self.classes = classes
        self.C = C
        self.thresholds = thresholds
        self.precision = precision
        self.folds = folds
        self.min_positive = min_positive
        self.random_state = random_state
        self.threads = threads

    @classmethod
    def pretrained(
        cls, model: str | Path = "default", *, precision: float | None = None, threads: int | None = None
    ) -> ClaimClassifier:
        """A classifier that predicts at once, with the labels, scores and thresholds of a model: see `whopays.load`.

        As with any fitted estimator, `sklearn.base.clone` gives an unfitted one, and `fit` fits a new head for the same
        labels on the same encoder; `sklearn.frozen.FrozenEstimator` keeps it as it is in cross-validation.
        Raises `ModelError` if the model cannot be loaded.
        """
        tagger = load(model, precision=precision, threads=threads)
        classifier = cls(model, classes=tagger.codebook.ids, precision=precision, threads=threads)
        classifier.tagger_ = tagger
        classifier.classes_ = np.array(tagger.codebook.ids)
        classifier.thresholds_ = np.array([point.threshold for point in tagger.operating_points.values()])
        return classifier

    def fit(self, X: Any, y: Any) -> ClaimClassifier:
        """Fit heads on texts and y: an indicator matrix (texts, labels), or a list of labels for each text.

        Raises `UsageError` if X are not texts, if y does not fit them or the classes, or if no label can be learnt.
        """
        texts = _texts(X)
        classes, Y = indicator(y, self.classes)
        if len(texts) != len(Y):
            raise UsageError(
                f"found {len(texts)} texts and {len(Y)} rows of y, expected as many of one as of the other."
            )
        options = {name: getattr(self, name) for name in ClaimHead().get_params()}
        vectors = ClaimEncoder(self.encoder, threads=self.threads).transform(texts)
        self.head_ = ClaimHead(**options)._fit(vectors, Y, classes)
        self.encoder_sha256_ = _encoder(self.encoder)[1]
        self.classes_ = classes
        self.thresholds_ = self.head_.thresholds_
        if hasattr(self, "tagger_"):
            del self.tagger_
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Calibrated probabilities, (texts, labels). Raises `ModelError` if the encoder is not the one of the fit."""
        check_is_fitted(self)
        texts = _texts(X)
        if hasattr(self, "tagger_"):
            rows = [list(result.scores.values()) for result in self.tagger_.tag_all(texts)]
            return np.array(rows, dtype=np.float64).reshape(-1, len(self.classes_))
        found = _encoder(self.encoder)[1]
        if found != self.encoder_sha256_:
            raise ModelError(
                f"the classifier was fitted on the encoder {self.encoder_sha256_[:12]}, and {self.encoder} now holds "
                f"{found[:12]}; fit it again."
            )
        return self.head_.predict_proba(ClaimEncoder(self.encoder, threads=self.threads).transform(texts))

    def predict(self, X: Any) -> Integers:
        """Indicator matrix (texts, labels) of 0 and 1."""
        return (self.predict_proba(X) >= self.thresholds_).astype(np.int64)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classes_")

    def __sklearn_tags__(self) -> Any:
        tags = _text_tags(super().__sklearn_tags__())
        tags.classifier_tags.multi_label = True
        tags.target_tags.two_d_labels = True
        tags.target_tags.single_output = False
        return tags


def _text_tags(tags: Any) -> Any:
    tags.input_tags.two_d_array = False
    tags.input_tags.string = True
    return tags


def _texts(X: Any) -> list[str]:
    if isinstance(X, str | bytes | Mapping) or not isinstance(X, Iterable):
        raise UsageError(f"found one {type(X).__name__}, expected a list, array or Series of texts.")
    texts = list(X)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise UsageError(f"found {type(text).__name__} as text {number}, expected a str; X is one text a row.")
    return texts


@lru_cache(maxsize=2)
def _load_encoder(folder: Path) -> tuple[Encoder, str]:
    encoder = load_model(folder).encoder if (folder / "model.json").is_file() else Encoder(folder)
    files = [name for name in ENCODER_FILES if name not in OPTIONAL_FILES or (folder / name).is_file()]
    digests = " ".join(file_sha256(folder / name) for name in files)
    return encoder, hashlib.sha256(digests.encode()).hexdigest()


def _encoder(name: str | Path) -> tuple[Encoder, str]:
    """An encoder and the hash of its files; kept in memory, since each clone in a grid search asks for it."""
    return _load_encoder(folder_of(name).resolve())


def _fit_columns(X: Singles, Y: Bools, options: FitOptions) -> Fit:
    """Heads for the columns of Y; a column of ones is predicted as it is."""
    always = Y.all(axis=0)
    if (always | ~Y.any(axis=0)).all():
        raise UsageError(
            f"found no label that some of the {len(Y)} rows have and others lack, expected two classes of rows for at "
            "least one; add rows."
        )
    rows = [Example(str(row), "") for row in range(len(Y))]
    names = [str(column) for column in range(Y.shape[1])]
    parts = unseen_parts(rows, options, ())
    fit = fit_vectors(lambda _: X, Y, np.arange(len(Y)), names, options, parts, True, np.ones(len(Y)))
    fit.heads.sentence_bias[always] = _SURE
    fit.heads.threshold[always] = 0.5
    return fit


def _replaced(chosen: Floats, wanted: Thresholds, classes: npt.NDArray[Any]) -> Floats:
    """The thresholds chosen, or those wanted in their place; none makes a label possible that could not be learnt."""
    if wanted is None:
        return chosen
    own: Any = wanted
    if isinstance(wanted, Mapping):
        unknown = [name for name in wanted if name not in classes.tolist()]
        if unknown:
            raise UsageError(f"found thresholds for {unknown}, expected some of {classes.tolist()}.")
        own = [wanted.get(name, threshold) for name, threshold in zip(classes.tolist(), chosen, strict=True)]
    values = np.asarray(own, dtype=np.float64)
    if values.shape not in ((), chosen.shape):
        raise UsageError(f"found thresholds of the shape {values.shape}, expected one number, or {len(chosen)}.")
    return np.where(chosen >= NEVER, NEVER, values)
