"""The scikit-learn estimators, with the real scikit-learn: its own checks, selection, pipelines, pickle."""

from __future__ import annotations

import itertools
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import f1_score, get_scorer
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from whopays.codebook import Codebook
from whopays.errors import CodebookError, ModelError, UsageError
from whopays.integrations.indicator import indicator
from whopays.model.operating import NEVER
from whopays.sklearn import ClaimClassifier, ClaimEncoder, ClaimHead
from whopays.tagger import Tagger, model_folder

ROOT = Path(__file__).parents[1]
CLASSES = ("animals", "money", "weather")
_PARTS = {
    "animals": ["The dog chased two cats.", "A fox and her cubs slept.", "Horses graze behind the barn."],
    "money": ["The fee is forty euros.", "Her wage rose by a tenth.", "The bank lent us money."],
    "weather": ["It rained the whole night.", "Snow fell on the hills.", "The sun burnt the grass."],
}


def texts_and_labels() -> tuple[list[str], list[list[str]]]:
    """54 texts of one or two sentences with labels that are easily told apart, and six without any."""
    texts, labels = [], []
    for one, two in itertools.product(CLASSES, CLASSES):
        for first, second in itertools.product(_PARTS[one], _PARTS[two][:2]):
            texts.append(first if one == two else f"{first} {second}")
            labels.append(sorted({one, two}))
    plain = ["He read a book.", "The train was late.", "She sang.", "Doors opened.", "They met at noon.", "It is blue."]
    texts, labels = texts + plain, labels + [[] for _ in plain]
    order = np.random.default_rng(0).permutation(len(texts))
    return [texts[i] for i in order], [labels[i] for i in order]


TEXTS, LABELS = texts_and_labels()
Y = np.array([[label in row for label in CLASSES] for row in LABELS], dtype=int)


@pytest.fixture(scope="module")
def fitted() -> ClaimClassifier:
    return ClaimClassifier("small", classes=CLASSES, C=50).fit(TEXTS, Y)


# The numeric head ---------------------------------------------------------------------------------------------------


@parametrize_with_checks([ClaimHead()])
def test_the_head_passes_every_check_of_scikit_learn(estimator: ClaimHead, check: Callable[[Any], None]) -> None:
    check(estimator)


def rows(count: int = 400, labels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    X = random.normal(size=(count, 8))
    return X, (X[:, :labels] + random.normal(size=(count, labels)) > 1).astype(int)


def test_scores_are_calibrated_and_thresholds_beat_even_odds_on_unseen_rows() -> None:
    X, y = rows(4000)
    head = ClaimHead().fit(X[:2000], y[:2000])
    scores = head.predict_proba(X[2000:])
    assert abs(scores.mean(axis=0) - y[2000:].mean(axis=0)).max() < 0.03
    at_half = f1_score(y[2000:], scores >= 0.5, average="macro")
    assert f1_score(y[2000:], head.predict(X[2000:]), average="macro") > at_half
    for label, point in enumerate(head.operating_points_):
        given = head.predict(X[2000:])[:, label].astype(bool)
        assert abs(y[2000:][given, label].mean() - point.precision) < 0.1
        assert abs(given[y[2000:, label] == 1].mean() - point.recall) < 0.1


def test_a_rows_scores_are_the_same_to_the_last_bit_whatever_the_other_rows() -> None:
    X, y = rows()
    head = ClaimHead().fit(X, y)
    together = head.predict_proba(X)
    alone = np.vstack([head.predict_proba(row[None]) for row in X])
    assert (alone == together).all()


def test_a_precision_that_is_asked_for_is_reached_or_the_label_is_never_given() -> None:
    X, y = rows()
    y[:, 2] = np.random.default_rng(1).random(len(y)) < 0.3
    head = ClaimHead(precision=0.9).fit(X, y)
    assert all(point.precision >= 0.9 for point in head.operating_points_)
    assert head.thresholds_[2] == NEVER
    assert not head.predict(X)[:, 2].any()
    assert head.predict(X)[:, 0].any()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(0.4, [0.4, 0.4, 0.4]), ([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]), ({1: 0.7}, [None, 0.7, None])],
)
def test_thresholds_can_be_given_for_all_for_each_or_for_some(wanted: Any, expected: list[float | None]) -> None:
    X, y = rows()
    own, chosen = ClaimHead(thresholds=wanted).fit(X, y), ClaimHead().fit(X, y)
    wished = [chosen.thresholds_[i] if value is None else value for i, value in enumerate(expected)]
    assert own.thresholds_.tolist() == wished
    assert (own.predict(X) == (own.predict_proba(X) >= wished)).all()


def test_labels_that_all_none_or_too_few_rows_have_are_predicted_soberly() -> None:
    X, y = rows(labels=1)
    rare = np.zeros(len(y), int)
    rare[:4] = 1
    y = np.column_stack([y, np.ones(len(y), int), np.zeros(len(y), int), rare])
    head = ClaimHead(thresholds=0.3).fit(X, y)
    given = head.predict(X)
    assert given[:, 0].any()
    assert given[:, 1].all()
    assert not given[:, 2:].any()


@pytest.mark.parametrize(
    ("options", "y", "reason"),
    [
        ({}, np.ones((40, 2), int), "found no label that some of the 40 rows have and others lack"),
        ({"folds": 1}, None, "found folds=1, expected 2 or more"),
        ({"precision": 90}, None, "found precision=90, expected a share"),
        ({"thresholds": [0.5]}, None, r"found thresholds of the shape \(1,\), expected one number, or 3"),
        ({"thresholds": {"x": 0.5}}, None, "found thresholds for .'x'., expected some of"),
        ({"precision": 0.9}, np.arange(40) % 2, "they are for an indicator matrix"),
        ({"min_positive": 50}, None, "expected 50 or more"),
    ],
)
def test_a_head_that_cannot_be_fitted_says_why(options: dict[str, Any], y: Any, reason: str) -> None:
    X, own = rows(40)
    with pytest.raises(UsageError, match=reason):
        ClaimHead(**options).fit(X, own if y is None else y)


# Texts in, labels out -----------------------------------------------------------------------------------------------


def test_a_classifier_learns_labels_that_are_not_the_codebooks() -> None:
    found = cross_val_predict(ClaimClassifier("small", classes=CLASSES, C=50), TEXTS, Y, cv=2)
    assert f1_score(Y, found, average="micro") > 0.8


def test_fitted_attributes_have_one_entry_a_label_and_predictions_one_column(fitted: ClaimClassifier) -> None:
    assert fitted.classes_.tolist() == list(CLASSES)
    scores, given = fitted.predict_proba(TEXTS[:5]), fitted.predict(TEXTS[:5])
    assert scores.shape == given.shape == (5, 3)
    assert given.dtype == np.int64
    assert (given == (scores >= fitted.thresholds_)).all()
    assert fitted.score(TEXTS, Y) > 0.8


def test_a_texts_scores_do_not_depend_on_its_neighbours_order_or_threads(fitted: ClaimClassifier) -> None:
    texts = [*TEXTS[:9], "", "word " * 900]
    together = fitted.predict_proba(texts)
    assert (together == np.vstack([fitted.predict_proba([text]) for text in texts])).all()
    assert (together[::-1] == clone(fitted).set_params(threads=1).fit(TEXTS, Y).predict_proba(texts[::-1])).all()


@pytest.mark.parametrize("kind", [list, np.array, pd.Series, tuple], ids=lambda kind: kind.__name__)
def test_texts_come_as_list_array_series_or_tuple(kind: Callable[[list[str]], Any], fitted: ClaimClassifier) -> None:
    assert (fitted.predict_proba(kind(TEXTS[:3])) == fitted.predict_proba(TEXTS[:3])).all()


@pytest.mark.parametrize(
    "y",
    [Y, Y.tolist(), Y.astype(bool), csr_matrix(Y), pd.DataFrame(Y, columns=CLASSES), LABELS, [set(r) for r in LABELS],
     pd.Series(LABELS), [np.array(row, dtype=object) for row in LABELS]],
    ids=["array", "lists of numbers", "bools", "sparse", "frame", "lists", "sets", "series", "arrays of names"],
)  # fmt: skip
def test_labels_come_as_indicator_or_as_lists_of_names(y: Any) -> None:
    classes, found = indicator(y, CLASSES)
    assert classes.tolist() == list(CLASSES)
    assert (found == Y.astype(bool)).all()


def test_classes_come_from_names_columns_a_frame_or_a_codebook(codebook: Codebook) -> None:
    def classes(y: Any, given: Any = None) -> list[Any]:
        return list(indicator(y, given)[0].tolist())

    assert classes(LABELS) == sorted(CLASSES)
    assert classes(Y) == [0, 1, 2]
    assert classes(pd.DataFrame(Y, columns=["x", "b", "c"])) == ["x", "b", "c"]
    assert classes(LABELS, ("money", "weather", "animals", "more")) == ["money", "weather", "animals", "more"]
    own = [[codebook.ids[CLASSES.index(label)] for label in row] for row in LABELS]
    path = ROOT / "corpus" / "codebook.toml"
    assert classes(own, codebook) == classes(own, path) == classes(own, str(path)) == list(codebook.ids)


def test_one_label_alone_is_a_column_too() -> None:
    classifier = ClaimClassifier("small", classes=["money"], C=50).fit(TEXTS, Y[:, [1]])
    assert classifier.predict_proba(TEXTS).shape == (len(TEXTS), 1)
    assert f1_score(Y[:, 1], classifier.predict(TEXTS)[:, 0]) > 0.9


@pytest.mark.parametrize(
    ("X", "y", "classes", "reason"),
    [
        ("one text", Y, None, "found one str, expected a list, array or Series of texts"),
        ([*TEXTS[:-1], None], Y, None, "found NoneType as text 59, expected a str"),
        (np.zeros((60, 3)), Y, None, "found ndarray as text 0"),
        (TEXTS[:3], Y, None, "found 3 texts and 60 rows of y"),
        (TEXTS, None, None, "found no y"),
        (TEXTS, ["animals"] * 60, None, "found one label for each text"),
        (TEXTS, Y[:, 0], None, "found one label for each text"),
        (TEXTS, 2 * Y, None, r"found \[2\] in y"),
        (TEXTS, LABELS, ["animals", "money"], "found the labels weather in y, expected some of animals, money"),
        (TEXTS, [[]] * 60, None, "found no label in y"),
        (TEXTS, Y, ["animals", "money"], "found 3 columns in y, expected one for each of 2 classes"),
        (TEXTS, Y, ["a", "b", "a"], "found classes that occur twice"),
        (TEXTS, pd.DataFrame(Y, columns=["c", "b", "a"]), ["a", "b", "c"], "found the columns .'c', 'b', 'a'. in y"),
    ],
)
def test_a_wrong_call_of_fit_says_what_was_found(X: Any, y: Any, classes: Any, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        ClaimClassifier("small", classes=classes).fit(X, y)


def test_wrong_codebooks_encoders_and_calls_before_fit_are_refused(fitted: ClaimClassifier, tmp_path: Path) -> None:
    with pytest.raises(CodebookError, match="cannot read the codebook"):
        ClaimClassifier("small", classes=tmp_path / "none.toml").fit(TEXTS, LABELS)
    with pytest.raises(ModelError, match="cannot load the encoder"):
        ClaimClassifier(tmp_path).fit(TEXTS, Y)
    with pytest.raises(NotFittedError):
        ClaimClassifier("small").predict(TEXTS)
    with pytest.raises(UsageError, match="found one str"):
        fitted.predict(TEXTS[0])


# What scikit-learn asks of every estimator, by hand: its own checks skip estimators of texts ---------------------------


def test_parameters_are_kept_as_given_and_clone_takes_them_along(fitted: ClaimClassifier) -> None:
    params: dict[str, Any] = {
        "encoder": "small",
        "classes": list(CLASSES),
        "C": 2.0,
        "thresholds": {"money": 0.3},
        "folds": 3,
    }
    classifier = ClaimClassifier(**params)
    assert params.items() <= classifier.get_params().items()
    assert all(classifier.get_params()[name] is value for name, value in params.items())
    assert classifier.set_params(C=1.0).C == 1.0
    assert not vars(classifier).keys() - classifier.get_params().keys()
    before = dict(fitted.get_params())
    copy = clone(fitted)
    assert copy.get_params() == before
    assert not copy.__sklearn_is_fitted__()
    with pytest.raises(ValueError, match="Invalid parameter 'colour'"):
        classifier.set_params(colour="red")


def test_fit_gives_itself_changes_no_parameter_and_is_idempotent(fitted: ClaimClassifier) -> None:
    classifier = clone(fitted)
    before, y = dict(classifier.get_params()), Y.copy()
    assert classifier.fit(TEXTS, y) is classifier
    assert classifier.get_params() == before
    assert (y == Y).all()
    first = classifier.predict_proba(TEXTS)
    assert (classifier.fit(TEXTS, y).predict_proba(TEXTS) == first).all()
    assert (first == fitted.predict_proba(TEXTS)).all()


def test_a_fitted_classifier_survives_pickle_in_another_process(fitted: ClaimClassifier, tmp_path: Path) -> None:
    data = pickle.dumps(fitted)
    assert len(data) < 100_000  # heads, not the encoder
    (tmp_path / "classifier.pickle").write_bytes(data)
    code = (
        "import json, pickle, sys; c = pickle.load(open(sys.argv[1], 'rb'));"
        "print(json.dumps(c.predict_proba(json.loads(sys.argv[2])).tolist()), 'torch' in sys.modules)"
    )
    argv = [sys.executable, "-c", code, str(tmp_path / "classifier.pickle"), json.dumps(TEXTS[:4])]
    run = subprocess.run(argv, capture_output=True, encoding="utf-8", check=True)
    assert run.stdout.strip() == f"{json.dumps(fitted.predict_proba(TEXTS[:4]).tolist())} False"


def test_a_classifier_refuses_another_encoder_than_that_of_its_fit(model_copy: Path) -> None:
    shutil.copyfile(model_folder("small") / "tokenizer.json", model_copy / "tokenizer.json")
    (model_copy / "model.json").unlink()  # an exported encoder is no whole model
    classifier = ClaimClassifier(model_copy, classes=CLASSES).fit(TEXTS, Y)
    other = pickle.loads(pickle.dumps(classifier))
    tokenizer = (model_copy / "tokenizer.json").read_text(encoding="utf-8")
    moved = model_copy.rename(model_copy.with_name("moved"))
    (moved / "tokenizer.json").write_text(tokenizer + "\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"was fitted on the encoder \w{12}, and .* now holds \w{12}; fit it again"):
        other.set_params(encoder=moved).predict(TEXTS)


def test_a_grid_search_tries_parameters_and_scorers(fitted: ClaimClassifier) -> None:
    search = GridSearchCV(clone(fitted), {"C": [0.001, 50]}, scoring="f1_micro", cv=2)
    search.fit(TEXTS, Y)
    assert search.best_params_ == {"C": 50}
    assert search.best_score_ > 0.8
    assert search.best_estimator_.predict(TEXTS).shape == Y.shape
    for scorer in ("roc_auc", "average_precision", "accuracy"):
        assert get_scorer(scorer)(search, TEXTS, Y) > 0.8


def test_two_labels_are_scored_like_three() -> None:
    classifier = ClaimClassifier("small", classes=CLASSES[:2], C=50)
    y = Y[:, :2]
    assert cross_val_score(classifier, TEXTS, y, scoring="f1_macro", cv=2).min() > 0.7
    assert cross_val_predict(classifier, TEXTS, y, cv=2, method="predict_proba").shape == y.shape


def test_pipelines_end_in_a_classifier_or_keep_the_vectors(fitted: ClaimClassifier, tmp_path: Path) -> None:
    whole = Pipeline([("tag", clone(fitted))]).fit(TEXTS, Y)
    assert (whole.predict_proba(TEXTS) == fitted.predict_proba(TEXTS)).all()
    parts = make_pipeline(ClaimEncoder("small"), ClaimHead(50), memory=str(tmp_path)).fit(TEXTS, Y)
    assert (parts.predict_proba(TEXTS) == fitted.predict_proba(TEXTS)).all()
    search = GridSearchCV(parts, {"claimhead__C": [0.001, 50]}, scoring="f1_micro", cv=2).fit(TEXTS, Y)
    assert search.best_score_ > 0.8


def test_the_encoder_needs_no_fit_and_gives_vectors_of_length_one() -> None:
    encoder = ClaimEncoder("small")
    vectors = encoder.transform([*TEXTS[:70], "", "\n"])
    assert vectors.shape == (62, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors[:60], axis=1), 1)
    assert not vectors[60:].any()
    assert len(encoder.get_feature_names_out()) == 384
    assert encoder.fit(TEXTS) is encoder
    assert encoder.set_output(transform="pandas").transform(TEXTS[:2]).shape == (2, 384)


# A model as it is ---------------------------------------------------------------------------------------------------

CLAIMS = ["Students now pay $5,500 a year.", "The museum opens at nine.", "", "The state cut its grants. 😀"]


def test_a_pretrained_classifier_gives_what_the_tagger_gives(tagger: Tagger) -> None:
    classifier = ClaimClassifier.pretrained("small")
    results = tagger.tag_all(CLAIMS)
    assert classifier.classes_.tolist() == list(tagger.codebook.ids)
    assert classifier.predict_proba(CLAIMS).tolist() == [list(result.scores.values()) for result in results]
    given = [list(classifier.classes_[row.astype(bool)]) for row in classifier.predict(CLAIMS)]
    assert given == [list(result.labels) for result in results]
    assert given[0]
    assert classifier.predict([]).shape == (0, 9)
    assert classifier.tagger_.tag(CLAIMS[0]).spans
    copy = pickle.loads(pickle.dumps(classifier))
    assert (copy.predict_proba(CLAIMS) == classifier.predict_proba(CLAIMS)).all()


def test_a_pretrained_classifier_takes_a_precision() -> None:
    strict = ClaimClassifier.pretrained("small", precision=0.95)
    assert (strict.thresholds_ > ClaimClassifier.pretrained("small").thresholds_).all()


def test_a_clone_of_a_pretrained_classifier_is_unfitted_and_a_frozen_one_is_not(codebook: Codebook) -> None:
    classifier = ClaimClassifier.pretrained("small")
    assert not clone(classifier).__sklearn_is_fitted__()
    gold = np.zeros((4, len(codebook.ids)), int)
    found = cross_val_predict(FrozenEstimator(classifier), CLAIMS, gold, cv=2)
    assert (found == classifier.predict(CLAIMS)).all()


def test_fitting_a_pretrained_classifier_replaces_the_model_and_keeps_its_labels(codebook: Codebook) -> None:
    classifier = ClaimClassifier.pretrained("small")
    own = [[codebook.ids[CLASSES.index(label)] for label in row] for row in LABELS]
    classifier.fit(TEXTS, own)
    assert not hasattr(classifier, "tagger_")
    assert classifier.classes_.tolist() == list(codebook.ids)
    assert classifier.predict(TEXTS)[:, :3].sum() > 50


def test_the_module_hides_neither_scikit_learn_nor_loads_torch() -> None:
    code = "import whopays.sklearn, sys, sklearn; print(sklearn.__name__, 'torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert (run.stderr, run.stdout.strip()) == ("", "sklearn False")
