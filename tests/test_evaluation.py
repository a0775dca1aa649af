"""Scores against hand-computed ones, intervals, agreement, and the evaluation of a tagger."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whopays.corpus.markup import Example
from whopays.errors import UsageError
from whopays.evaluation.agreement import agreement, krippendorff_alpha
from whopays.evaluation.calibration import expected_calibration_error, reliability
from whopays.evaluation.evaluating import evaluate, evaluate_spans, format_evaluation
from whopays.evaluation.faithfulness import faithfulness
from whopays.evaluation.metrics import (
    bootstrap,
    f1,
    label_counts,
    macro_f1,
    matched_span_counts,
    scores,
    word_counts,
)
from whopays.tagger import Tagger
from whopays.text import Span

LABELS = ("fee", "grant", "loan")


def span(text: str, quote: str, label: str = "fee") -> Span:
    start = text.index(quote)
    return Span(start, start + len(quote), label, quote)


def place(start: int, end: int, label: str = "fee") -> Span:
    return Span(start, end, label, "x" * (end - start))


# -- precision, recall, F1 -------------------------------------------------------------------------------------------

# Four documents. fee: gold 3, predicted 2, both right. grant: gold 1, predicted 2, one right. loan: nowhere.
GOLD = [{"fee"}, {"fee", "grant"}, {"fee"}, set()]
PREDICTED = [{"fee"}, {"fee", "grant"}, set(), {"grant"}]


def rows(gold: Sequence[set[str]] = GOLD, predicted: Sequence[set[str]] = PREDICTED) -> np.ndarray:
    return np.stack([label_counts(frozenset(g), frozenset(p), LABELS) for g, p in zip(gold, predicted, strict=True)])


def test_scores_equal_those_computed_by_hand() -> None:
    table = scores(rows(), LABELS)
    fee, grant, micro = table["fee"], table["grant"], table["micro"]
    assert (fee.precision, fee.recall, fee.f1, fee.support) == pytest.approx((1.0, 2 / 3, 0.8, 3))
    assert (grant.precision, grant.recall, grant.f1, grant.support) == pytest.approx((0.5, 1.0, 2 / 3, 1))
    assert (micro.precision, micro.recall, micro.f1, micro.support) == pytest.approx((0.75, 0.75, 0.75, 4))


def test_macro_is_the_mean_over_the_labels_that_occur() -> None:
    macro = scores(rows(), LABELS)["macro"]
    assert (macro.precision, macro.recall, macro.support) == pytest.approx((0.75, 5 / 6, 4))
    assert macro.f1 == pytest.approx((0.8 + 2 / 3) / 2)
    assert float(macro_f1(rows().sum(axis=0))) == pytest.approx(macro.f1)


def test_a_label_that_is_only_predicted_counts_in_macro() -> None:
    table = scores(rows([{"fee"}], [{"fee", "loan"}]), LABELS)
    assert table["loan"].precision == table["loan"].recall == table["loan"].f1 == 0
    assert table["macro"].f1 == pytest.approx(0.5)


def test_without_gold_and_prediction_all_scores_are_zero() -> None:
    for score in scores(rows([set()], [set()]), LABELS).values():
        assert (score.precision, score.recall, score.f1, score.low, score.high, score.support) == (0, 0, 0, 0, 0, 0)


def test_perfect_predictions_score_one_with_an_interval_without_width() -> None:
    table = scores(rows([*GOLD, {"loan"}] * 20, [*GOLD, {"loan"}] * 20), LABELS)
    for score in table.values():
        assert (score.precision, score.recall, score.f1, score.low, score.high) == (1, 1, 1, 1, 1)


def test_f1_is_the_harmonic_mean() -> None:
    assert f1(np.array([[2.0, 4, 8], [0, 0, 0], [0, 3, 0]])).tolist() == pytest.approx([2 * 0.5 * 0.25 / 0.75, 0, 0])


# -- intervals -------------------------------------------------------------------------------------------------------


def large_sample() -> np.ndarray:
    generator = np.random.default_rng(7)
    gold = [{label for label in LABELS if generator.random() < 0.4} for _ in range(400)]
    found = [{label for label in LABELS if (label in g) == (generator.random() < 0.8)} for g in gold]
    return rows(gold, found)


def test_the_interval_of_a_large_sample_contains_the_score_and_is_narrow() -> None:
    for score in scores(large_sample(), LABELS).values():
        assert score.low < score.f1 < score.high
        assert score.high - score.low < 0.2


def test_intervals_are_reproducible_and_depend_on_the_seed_alone() -> None:
    sample = large_sample()
    assert scores(sample, LABELS, seed=3) == scores(sample, LABELS, seed=3)
    assert scores(sample, LABELS, seed=3)["micro"].low != scores(sample, LABELS, seed=4)["micro"].low


def test_resamples_draw_whole_documents_as_many_as_there_are() -> None:
    ones = np.ones((50, 3, 3))
    assert (bootstrap(ones, samples=20) == 50).all()
    first = np.zeros((50, 1, 3))
    first[0] = 1
    drawn = bootstrap(first, samples=2000)[:, 0, 0]
    assert drawn.min() == 0
    assert drawn.max() > 2
    assert drawn.mean() == pytest.approx(1, abs=0.15)


def test_two_systems_are_compared_on_the_same_resamples() -> None:
    sample = large_sample()
    assert (bootstrap(sample, seed=1) * 2 == bootstrap(sample * 2, seed=1)).all()


# -- evidence: words -------------------------------------------------------------------------------------------------


def words(text: str, gold: Sequence[Span], predicted: Sequence[Span]) -> list[float]:
    return list(word_counts(gold, predicted, text, ["fee"])[0])


def test_words_inside_evidence_are_counted() -> None:
    text = "Students now pay the whole fee themselves."
    gold, predicted = [span(text, "pay the whole fee")], [span(text, "now pay the")]
    assert words(text, gold, predicted) == [2, 3, 4]


@pytest.mark.parametrize(
    ("quote", "count"),
    [
        ("ay th", 2),
        ("pay ", 1),
        (" pay", 1),
        (" pay ", 1),
        ("Students", 1),
        ("Students now", 2),
        ("fee.", 1),
        ("ee", 1),
    ],
)
def test_a_word_counts_if_the_evidence_touches_it(quote: str, count: int) -> None:
    text = "Students now pay the fee."
    assert words(text, [], [span(text, quote)]) == [0, count, 0]


def test_blanks_alone_are_no_word_and_a_word_counts_once() -> None:
    text = "  pay \r\n fees\u00a0now  "
    assert words(text, [place(0, 2), place(len(text) - 2, len(text)), place(5, 9)], []) == [0, 0, 0]
    assert words(text, [], [place(2, 4), place(3, 5)]) == [0, 1, 0]
    assert words(text, [place(0, len(text))], [span(text, "now")]) == [1, 1, 3]
    assert words("", [], []) == [0, 0, 0]


spans_of_words = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 9)).map(lambda s: place(s[0], s[0] + s[1])), max_size=5
)


@given(st.text("ab \n", min_size=40, max_size=40), spans_of_words, spans_of_words)
def test_word_counts_are_those_of_a_plain_count(text: str, gold: list[Span], predicted: list[Span]) -> None:
    owner = []
    for index, character in enumerate(text):
        begins = not character.isspace() and (index == 0 or text[index - 1].isspace())
        owner.append(-1 if character.isspace() else index if begins else owner[-1])
    sets = [{owner[i] for s in spans for i in range(s.start, s.end)} - {-1} for spans in (gold, predicted)]
    assert words(text, gold, predicted) == [len(sets[0] & sets[1]), len(sets[1]), len(sets[0])]


# -- evidence: spans -------------------------------------------------------------------------------------------------


def many_to_one_hits(gold: Sequence[Span], predicted: Sequence[Span]) -> int:
    """How ERASER's reference code counts: every prediction that overlaps some gold span enough is a hit."""

    def iou(a: Span, b: Span) -> float:
        shared = len(set(range(a.start, a.end)) & set(range(b.start, b.end)))
        return shared / len(set(range(a.start, a.end)) | set(range(b.start, b.end)))

    return sum(max((iou(g, p) for g in gold), default=0) >= 0.5 for p in predicted)


def test_splitting_a_span_earns_one_match_where_eraser_counts_two() -> None:
    gold, predicted = [place(0, 100)], [place(0, 50), place(50, 100)]
    assert many_to_one_hits(gold, predicted) == 2
    assert matched_span_counts(gold, predicted, ["fee"]).tolist() == [[1, 2, 1]]


def test_the_matching_is_the_best_one_not_the_first() -> None:
    gold = [place(0, 10), place(10, 20)]
    predicted = [place(0, 20), place(0, 10)]
    assert matched_span_counts(gold, predicted, ["fee"]).tolist() == [[2, 2, 2]]


@pytest.mark.parametrize(("end", "matched"), [(100, 1), (50, 1), (49, 0), (200, 1), (201, 0)])
def test_spans_match_from_an_overlap_of_one_half(end: int, matched: int) -> None:
    assert matched_span_counts([place(0, 100)], [place(0, end)], ["fee"])[0, 0] == matched


def test_spans_of_different_labels_never_match() -> None:
    counts = matched_span_counts([place(0, 9, "fee")], [place(0, 9, "grant")], LABELS)
    assert counts.tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 0]]


@given(spans_of_words, spans_of_words)
def test_no_span_is_matched_twice(gold: list[Span], predicted: list[Span]) -> None:
    matched, found, support = matched_span_counts(gold, predicted, ["fee"])[0]
    assert (found, support) == (len(predicted), len(gold))
    assert matched <= min(found, support, many_to_one_hits(gold, predicted))
    assert matched == matched_span_counts(predicted, gold, ["fee"])[0, 0]


# -- agreement -------------------------------------------------------------------------------------------------------


def bits(text: str) -> np.ndarray:
    return np.array([character == "1" for character in text])


def test_alpha_equals_krippendorffs_published_example() -> None:
    # K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), A: binary data, two observers, alpha = 0.095.
    assert krippendorff_alpha(bits("0100000010"), bits("1110010000")) == pytest.approx(0.095, abs=0.0005)


def test_alpha_is_one_for_perfect_and_negative_for_systematic_disagreement() -> None:
    assert krippendorff_alpha(bits("0101"), bits("0101")) == 1
    assert krippendorff_alpha(bits("0000"), bits("0000")) == 1
    assert krippendorff_alpha(bits("0101"), bits("1010")) < 0


def test_agreement_is_over_the_texts_that_both_have_read() -> None:
    text = "Students pay the fee. The state gives a grant."
    fee, grant = span(text, "pay the fee"), span(text, "gives a grant", "grant")
    first = [Example("a", text, (fee, grant)), Example("b", text, (fee,)), Example("only-first", text, (grant,))]
    second = [Example("b", text, (fee,)), Example("a", text, (fee,)), Example("only-second", text)]
    found = agreement(first, second, LABELS)
    assert found.size == 2
    assert found.micro_f1 == pytest.approx(2 * 2 / (3 + 2))
    assert found.span_f1 == pytest.approx(2 * 2 / (3 + 2))
    assert found.word_f1 == pytest.approx(2 * 6 / (9 + 6))
    assert (found.alpha["fee"], found.alpha["loan"]) == (1, 1)
    assert found.alpha["grant"] == pytest.approx(krippendorff_alpha(bits("10"), bits("00")))


def test_readings_without_common_texts_are_refused() -> None:
    with pytest.raises(UsageError, match="ids"):
        agreement([Example("a", "text")], [Example("b", "text")], LABELS)
    with pytest.raises(UsageError, match="a: "):
        agreement([Example("a", "text")], [Example("a", "another")], LABELS)


# -- evaluating ------------------------------------------------------------------------------------------------------

TEXT = "Students pay the fee. The state gives a grant."
TINY = [
    Example("1", TEXT, (span(TEXT, "Students pay the fee"), span(TEXT, "gives a grant", "grant"))),
    Example("2", TEXT, (span(TEXT, "pay the fee"),)),
    Example("3", "The museum is open."),
    Example("4", "The museum is closed."),
]


def test_levels_are_scored_as_computed_by_hand() -> None:
    museum = TINY[3].text
    predicted = [[span(TEXT, "pay the fee")], [span(TEXT, "a grant", "fee")], [], [span(museum, "museum", "loan")]]
    found = evaluate_spans(TINY, predicted, LABELS)
    assert found.size == 4
    assert found.false_alarms == 0.5
    assert found.documents["fee"].f1 == 1
    assert found.documents["micro"].f1 == pytest.approx(2 * 2 / (3 + 3))
    assert (found.sentences["fee"].precision, found.sentences["fee"].recall) == (0.5, 0.5)
    assert found.sentences["micro"].support == 3
    assert (found.words["fee"].precision, found.words["fee"].recall) == pytest.approx((3 / 5, 3 / 7))
    assert (found.spans["fee"].precision, found.spans["fee"].recall) == (0.5, 0.5)
    assert found.document_rows.shape == (4, 3, 3)


def test_gold_against_itself_is_perfect_on_every_level() -> None:
    found = evaluate_spans(TINY, [example.spans for example in TINY], LABELS)
    for table in (found.documents, found.sentences, found.words, found.spans):
        assert {table[name].f1 for name in ("fee", "grant", "micro", "macro")} == {1.0}
    assert found.false_alarms == 0


def test_without_texts_free_of_claims_there_is_no_rate_of_false_alarms() -> None:
    found = evaluate_spans(TINY[:2], [(), ()], LABELS)
    assert found.false_alarms is None
    assert "without claims" not in format_evaluation(found)


def test_a_tagger_evaluated_on_its_own_tags_is_perfect(tagger: Tagger) -> None:
    texts = [
        "Students now pay $5,500 a year.",
        "The museum opens at nine.",
        "",
        "Employers pay for the training of staff.",
    ]
    gold = [
        Example(str(number), text, tuple(Span(s.start, s.end, s.label, s.text) for s in tagger.tag(text).spans))
        for number, text in enumerate(texts)
    ]
    found = evaluate(gold, tagger)
    for table in (found.documents, found.sentences, found.words, found.spans):
        assert (table["micro"].f1, table["macro"].f1) == (1.0, 1.0)
    assert found.false_alarms == 0
    assert evaluate(gold, tagger).to_dict() == found.to_dict()


def test_an_evaluation_is_json_and_a_table(tagger: Tagger) -> None:
    found = evaluate_spans(TINY, [(), (), (), ()], LABELS)
    data = json.loads(json.dumps(found.to_dict()))
    assert set(data) == {"documents", "sentences", "words", "spans", "false_alarms", "size"}
    assert set(data["documents"]) == {*LABELS, "micro", "macro"}
    assert set(data["spans"]["fee"]) == {"precision", "recall", "f1", "low", "high", "support"}
    table = format_evaluation(found)
    assert all(name in table for name in (*LABELS, "micro", "macro", "sentences", "evidence words", "4 texts"))


@pytest.mark.parametrize(("gold", "predicted"), [([], []), (TINY, [()])], ids=["empty", "unequal"])
def test_an_evaluation_needs_gold_and_as_many_predictions(
    gold: list[Example], predicted: list[tuple[Span, ...]]
) -> None:
    with pytest.raises(UsageError):
        evaluate_spans(gold, predicted, LABELS)


# -- calibration and faithfulness --------------------------------------------------------------------------------------


def test_scores_that_are_right_as_often_as_they_say_have_no_calibration_error() -> None:
    scores = np.array([0.25] * 4 + [0.75] * 4)
    gold = np.array([True, False, False, False, True, True, True, False])
    assert expected_calibration_error(scores, gold) == pytest.approx(0)
    assert [(group.score, group.share, group.size) for group in reliability(scores, gold)] == [
        (0.25, 0.25, 4),
        (0.75, 0.75, 4),
    ]


def test_calibration_error_is_the_mean_distance_weighted_by_size() -> None:
    scores = np.array([0.9, 0.9, 0.9, 0.1])
    gold = np.array([False, False, False, False])
    assert expected_calibration_error(scores, gold) == pytest.approx((3 * 0.9 + 0.1) / 4)
    assert expected_calibration_error(np.array([1.0]), np.array([True])) == 0


def test_a_tag_hangs_on_its_evidence(tagger: Tagger) -> None:
    texts = [
        "The museum opens at nine. Students now pay $5,500 a year in tuition fees. It closes on Mondays.",
        "Hello.",
    ]
    found = faithfulness(texts, tagger)
    assert found.tags >= 1
    assert found.lost == 1
    assert found.comprehensiveness > 0.3


def test_texts_without_tags_have_nothing_to_be_faithful_to(tagger: Tagger) -> None:
    assert faithfulness(["The museum opens at nine."], tagger).tags == 0
