"""The benchmark of peers: the keyword lexicon, the linear head, what is kept between runs, and the tables."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lexicon
import peer_models
import peer_runs
import peer_spacy
import peer_tables
import seed_lodo
from peer_heads import HeadOptions, LinearHead, few_shot, fit_at, fit_head, sentence_spans
from peer_runs import Fit, Settings, Store, fit_key, fitted, size_on_disk
from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.text import Span

ROOT = Path(__file__).parents[1]


# -- the lexicon -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "labels"),
    [
        ("Students now pay $5,500 a year for the course.", {"learner:bears"}),
        ("Most of the apprentices pay nothing for the classes.", {"learner:escapes"}),
        ("The course is free for job seekers.", {"learner:escapes"}),
        ("The company reimburses tuition for its staff.", {"employer:bears"}),
        ("Employers do not pick up the bill for training.", {"employer:escapes"}),
        ("The Secretary shall award grants to eligible institutions for training.", {"state:bears"}),
        ("Federal aid does not cover short courses.", {"state:escapes"}),
        ("Tuition was paid by the state, not by the trainees.", {"state:bears", "learner:escapes"}),
        ("Firms offload training costs onto workers.", {"employer:escapes", "learner:bears", "cost-shifting"}),
        ("The more people hold the certificate, the less it is worth.", {"inflation"}),
        ("Recruiters use the degree as a proxy for persistence.", {"signaling"}),
        ("Credentials are not mere signals.", set()),
        ("Employers might invest in training.", set()),
        ("Grants for students cover half of the college budget.", set()),
        ("Who pays for training?", set()),
        ("The course costs $300.", set()),
        ("Health premiums were shifted onto employees at the college.", set()),
        ("Firms pay for lunch.", set()),
    ],
)
def test_the_strict_rules_of_the_lexicon_follow_the_codebook(sentence: str, labels: set[str]) -> None:
    assert {span.label for span in lexicon.tag(sentence)} == labels


def test_a_pronoun_stands_for_the_party_named_last() -> None:
    text = "The ministry owns the college. It pays for the training."
    assert [(span.label, span.text) for span in lexicon.tag(text)] == [("state:bears", "It pays for the training")]


def test_a_number_does_not_end_the_evidence() -> None:
    (span,) = lexicon.tag("Students now pay $5,500 a year for the course.")
    assert span.text == "Students now pay $5,500 a year for the course"


def test_the_lexicon_has_strict_or_loose_rules_for_every_label(codebook: Codebook) -> None:
    assert set(lexicon.LOOSE) == set(codebook.ids)


def test_loose_rules_only_add() -> None:
    text = "The money for evening classes came out of the wages of the men. Students pay the fees."
    strict, loose = lexicon.tag(text), lexicon.tag(text, ("learner:bears",))
    assert {span.label for span in loose} == {"learner:bears"}
    assert len(loose) > len(strict) == 1


_PIECES = st.sampled_from(
    [
        "students",
        "Employers",
        "the state",
        "pay",
        "do not",
        "training",
        "costs",
        "onto",
        "\n\n",
        ". ",
        ", ",
        "é",
        "😀",
        "?",
    ]
)


@given(st.lists(_PIECES | st.text(max_size=5), max_size=40).map(" ".join))
def test_evidence_of_the_lexicon_is_verbatim_and_without_overlap(text: str) -> None:
    spans = lexicon.tag(text, lexicon.LOOSE)
    assert all(text[span.start : span.end] == span.text for span in spans)
    for label in lexicon.LOOSE:
        own = [span for span in spans if span.label == label]
        assert all(a.end <= b.start for a, b in pairwise(own))


QUOTES = [("Students pay the fee", "learner:bears"), ("the state pays nothing", "state:escapes")]


# -- the head --------------------------------------------------------------------------------------------------------


def test_a_head_learns_what_can_be_separated_and_survives_its_file(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(300, 4))
    # The third label has no example, and must never be given.
    labels = np.column_stack([features[:, 0] > 0, features[:, 1] > 0.5, np.zeros(300, dtype=bool)])
    parts = np.array_split(np.arange(300), 5)
    head = fit_head(features, labels, parts, HeadOptions((0.1, 10.0)))
    assert head.strength == 10.0
    assert (head.given(features) == labels).mean() > 0.97
    head.save(tmp_path / "head.npz")
    again = LinearHead.load(tmp_path / "head.npz")
    assert (again.given(features) == head.given(features)).all()


def test_thresholds_come_only_from_the_rows_that_may_be_judged() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(400, 2))
    labels = (features[:, [0]] + generator.normal(size=(400, 1)) > 0.5).astype(bool)
    parts = np.array_split(np.arange(400), 5)
    first = np.arange(400) < 200
    heads = [
        fit_head(features, labels, parts, HeadOptions((1.0,)), judged=judged)
        for judged in (first, ~first, first | True)
    ]
    assert len({float(head.threshold[0]) for head in heads}) > 1
    assert np.allclose(heads[0].weights, heads[1].weights)


def test_a_head_at_settings_chosen_before_is_the_head_that_was_chosen() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(300, 4))
    labels = np.column_stack([features[:, 0] > 0, np.zeros(300, dtype=bool)])
    options = HeadOptions((0.1, 10.0))
    chosen = fit_head(features, labels, np.array_split(np.arange(300), 5), options)
    again = fit_at(features, labels, chosen.strength, chosen.threshold, options)
    assert np.array_equal(again.weights, chosen.weights)
    assert np.array_equal(again.bias, chosen.bias)
    assert np.array_equal(again.threshold, chosen.threshold)
    assert again.strength == chosen.strength
    first = np.arange(300) < 150
    half = fit_at(features, labels, 1.0, chosen.threshold, options, counts=first.astype(float))
    assert np.allclose(
        half.weights, fit_at(features[first], labels[first], 1.0, chosen.threshold, options).weights, atol=1e-3
    )


def test_a_rival_is_fitted_without_the_seed_that_it_is_asked_about(codebook: Codebook) -> None:
    # Features: a column for each seed that nothing else has, and one that tells the pool's labels.
    label = codebook.ids[0]
    spans = (Span(0, 5, label, "Text."),)
    pool = [Example(f"p{n}", "Text.", spans if n % 2 else (), {"register": "statute"}) for n in range(40)]
    seeds = [Example(f"s{n}", "Text.", spans, {}) for n in range(2)]
    x = np.zeros((42, 3))
    x[:40, 0] = [10 * (n % 2) - 5 for n in range(40)]
    x[40, 1] = x[41, 2] = 20
    x[40:, 0] = -5
    assert seed_lodo._leave_out(x, pool, seeds, codebook, (10.0,), weight=20.0) == [frozenset(), frozenset()]
    x[41] = x[40]
    assert seed_lodo._leave_out(x, pool, seeds, codebook, (10.0,), weight=20.0) == [frozenset([label])] * 2


def test_few_shot_takes_so_many_for_each_label_and_for_none() -> None:
    labels = np.zeros((100, 2), dtype=bool)
    labels[:30, 0] = labels[60:63, 1] = True
    rows = few_shot(labels, 5)
    assert len(rows) == len(set(rows)) == 5 + 3 + 5
    assert [int(labels[rows, column].sum()) for column in (0, 1)] == [5, 3]
    assert few_shot(labels, 5) == rows


def test_a_peer_without_evidence_gives_whole_sentences_and_no_headings(codebook: Codebook) -> None:
    text = "FUNDING OF COURSES\n\nStudents pay. The state pays too."
    size = len(codebook.ids)
    (spans,) = sentence_spans([text], codebook, lambda parts: np.eye(size, dtype=bool)[: len(parts)])
    assert [(span.label, span.text) for span in spans] == [
        (codebook.ids[0], "Students pay."),
        (codebook.ids[1], "The state pays too."),
    ]


def test_spacy_is_given_sentences_with_their_spans(codebook: Codebook) -> None:
    import spacy

    text = "It rained. Students pay the fee, and the state pays nothing."
    spans = [(text.index(quote), len(quote), label) for quote, label in QUOTES]
    example = Example("a", text, tuple(Span(s, s + n, label, text[s : s + n]) for s, n, label in spans))
    first, second = peer_spacy._docs(example, codebook, spacy.blank("en"))
    assert not any(first.cats.values())
    assert not first.spans[peer_spacy.KEY]
    assert {label for label, value in second.cats.items() if value} == {label for _, label in QUOTES}
    assert [(span.text, span.label_) for span in second.spans[peer_spacy.KEY]] == QUOTES
    assert [span.text for span in second.spans[peer_spacy.CANDIDATES]] == [quote for quote, _ in QUOTES]


def test_spacy_quotes_the_best_span_and_others_that_are_sure_and_apart() -> None:
    import spacy

    doc = spacy.blank("en").make_doc("one two three four five")
    places = np.array([(0, 2), (1, 3), (3, 5)])

    def quotes(*scores: float) -> list[str]:
        return [doc.text[a:b] for a, b in peer_spacy._evidence(doc, places, np.array(scores))]

    assert quotes(0.1, 0.3, 0.2) == ["two three"]
    assert quotes(0.6, 0.7, 0.8) == ["two three", "four five"]
    assert peer_spacy._evidence(doc, places[:0], np.zeros(0)) == [(0, len(doc.text))]


# -- what is kept ----------------------------------------------------------------------------------------------------

TEXT = "Students pay the fee."
EXAMPLE = Example("a", TEXT, (Span(0, 12, "learner:bears", "Students pay"),))


def test_the_key_changes_with_text_labels_settings_and_codebook(codebook: Codebook) -> None:
    key = fit_key({"steps": 1}, [EXAMPLE], codebook)
    assert key == fit_key({"steps": 1}, [EXAMPLE], codebook)
    others = [
        fit_key({"steps": 2}, [EXAMPLE], codebook),
        fit_key({"steps": 1}, [Example("a", TEXT)], codebook),
        fit_key({"steps": 1}, [Example("a", TEXT + " ", EXAMPLE.spans)], codebook),
        fit_key({"steps": 1}, [EXAMPLE, EXAMPLE], codebook),
    ]
    assert len({key, *others}) == 5


def test_predictions_are_kept_for_exactly_their_texts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.predictions([TEXT, "Nothing."]) is None
    store.save_predictions([TEXT, "Nothing."], [EXAMPLE.spans, ()])
    assert store.predictions([TEXT, "Nothing."]) == [list(EXAMPLE.spans), []]
    assert store.predictions(["Nothing.", TEXT]) is None
    assert not list(tmp_path.glob("*.partial"))


def test_a_peer_is_fitted_once_and_its_predictions_are_made_once(
    tmp_path: Path, codebook: Codebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def in_process(settings: Settings, function: Any, *arguments: Any) -> Any:
        calls.append(function.__name__)
        return function(*arguments)

    monkeypatch.setattr(peer_runs, "_in_process", in_process)
    settings = Settings(ROOT / "corpus" / "codebook.toml")
    said: list[str] = []
    results = []
    for _ in range(2):
        store, fit = fitted("lexicon", settings, [EXAMPLE], tmp_path, said.append)
        results.append(peer_runs.predicted("lexicon", settings, store, {"x": [TEXT]}, said.append))
    assert calls == ["_fit", "_tag"]
    assert results[0] == results[1]
    assert {span.label for span in results[0]["x"][0]} == {"learner:bears"}
    assert fit == store.fit()
    assert fit.texts == 1
    assert size_on_disk(store.model) > 0


def test_an_unfinished_fit_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_runs, "_in_process", lambda settings, function, *arguments: function(*arguments))
    settings = Settings(ROOT / "corpus" / "codebook.toml")
    store, _ = fitted("lexicon", settings, [EXAMPLE], tmp_path, lambda _: None)
    (store.folder / "fit.json").unlink()
    (store.model / "remains.txt").write_text("half")
    assert store.fit() is None
    fitted("lexicon", settings, [EXAMPLE], tmp_path, lambda _: None)
    assert not (store.model / "remains.txt").exists()
    assert store.fit() is not None


def test_a_fit_is_read_as_it_was_written(tmp_path: Path) -> None:
    fit = Fit(1.5, 3, "C = 1", "k")
    Store(tmp_path).save_fit(fit)
    assert Store(tmp_path).fit() == fit
    assert set(json.loads((tmp_path / "fit.json").read_text())) == {"seconds", "texts", "said", "key"}


# -- tables ----------------------------------------------------------------------------------------------------------

LABELS = ("learner:bears", "state:bears")
STATE = "The state pays the rest."
GOLD = [
    EXAMPLE,
    Example("b", "The museum is open. It rained."),
    Example("c", STATE, (Span(0, 14, "state:bears", STATE[:14]),)),
]
RIGHT = [example.spans for example in GOLD]
WRONG = [(), (Span(0, 10, "state:bears", "The museum"),), ()]


def test_wrong_tags_are_counted_on_sentences_without_claims() -> None:
    found = peer_tables.score(GOLD, WRONG, LABELS)
    assert (found.wrong, found.free_sentences) == (1, 2)
    assert found.evaluation.false_alarms == 1
    assert peer_tables.score(GOLD, RIGHT, LABELS).wrong == 0


def test_a_lead_is_the_difference_with_its_paired_interval() -> None:
    right, wrong = (peer_tables.score(GOLD, spans, LABELS).evaluation.document_rows for spans in (RIGHT, WRONG))
    assert str(peer_tables.lead(right, right)) == "+0.00 (+0.00 to +0.00)"
    assert peer_tables.lead(right, wrong).difference == 1
    assert peer_tables.lead(wrong, right, macro=True).difference == -1


def test_the_best_peer_is_never_one_of_ours() -> None:
    scored = {
        name: peer_tables.score(GOLD, spans, LABELS) for name, spans in (("a", RIGHT), ("b", WRONG), ("c", RIGHT))
    }
    assert peer_tables.best_peer(scored, ["a"], "micro") == "c"
    assert peer_tables.best_peer(scored, ["a", "c"], "macro") == "b"
    assert peer_tables.best_peer(scored, ["a", "b", "c"], "micro") is None
    assert peer_tables.lead_table({"x": scored}, ["a", "b", "c"]) == ""


def test_the_tables_are_markdown_with_a_row_for_each_system() -> None:
    scored = {"whopays": peer_tables.score(GOLD, RIGHT, LABELS), "peer": peer_tables.score(GOLD, WRONG, LABELS)}
    quality = peer_tables.quality_table(scored, ["whopays"], {"peer": "sentences"}).splitlines()
    assert len(quality) == 4
    assert len({line.count("|") for line in quality}) == 1
    assert quality[2].startswith("| whopays | 1.00 (")
    assert "0.00 ¹" in quality[3]
    assert "| 100% | 500 | +1.00 (" in quality[3]
    leads = peer_tables.lead_table({"texts": scored}, ["whopays"]).splitlines()
    assert leads[2].startswith("| texts | whopays | peer | +1.00 (")
    costs = {
        "whopays": peer_tables.Cost(700, 1, 23_500_000, 190_000_000, None),
        "peer": peer_tables.Cost(7, 100, 5, None, 600),
    }
    cost = peer_tables.cost_table(costs, "whopays").splitlines()
    assert cost[2] == "| whopays | 700 |  | 23.5 MB | 190 MB |  |"
    assert cost[3] == "| peer | 7 | 100.00 | 0.0 MB |  | 10 min |"


def test_the_mean_cosine_is_that_of_all_pairs_of_vectors():
    vectors = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    assert peer_models.mean_cosine(vectors) == pytest.approx((cosines.sum() - 20) / (20 * 19), abs=1e-5)


def test_a_setfit_encoder_that_takes_all_texts_for_alike_is_refused(monkeypatch, tmp_path):
    codebook = Codebook.load(Path(__file__).parents[1] / "corpus" / "codebook.toml")
    texts = ["The state pays for it.", "She pays for the course.", "It rained."]
    train = [Example(str(i), text, ()) for i, text in enumerate(texts)]
    monkeypatch.setattr(peer_models, "tune_by_contrast", lambda *_: 1)
    monkeypatch.setattr(peer_models, "load_encoder", lambda *_: None)
    monkeypatch.setattr(peer_models, "embed", lambda _, found: np.full((len(found), 4), 0.5, np.float32))
    peer = peer_models.SetFit("setfit", "SetFit", tmp_path, peer_models.SetFitOptions(steps=1))
    with pytest.raises(RuntimeError, match="takes all texts for alike"):
        peer.fit(train, codebook, tmp_path, threads=1)
