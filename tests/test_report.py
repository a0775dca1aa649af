"""What the report is made of: flows read off from where quotes lie, and how much text it holds."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from report_page import Page, quotes
from tagged_texts import tagged
from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.errors import CodebookError
from whopays.evaluation.curves import confidence, precision_recall, risk_coverage
from whopays.evaluation.evaluating import evaluate_spans
from whopays.excerpts import excerpts
from whopays.text import Document, Segment
from whopays.writers import html
from whopays.writers.charts import wilson
from whopays.writers.evaluation_html import Judged, write_evaluation
from whopays.writers.flows import flowing, flows
from whopays.writers.html import NOTHING, PASSAGES, QUOTES, WHOLE, Shown, write_report

PATH = Path(__file__).parents[1] / "corpus" / "codebook.toml"
ESCAPE, SHIFT, BEAR = ("employer:escapes", "cost-shifting", "learner:bears")


@pytest.fixture(scope="module")
def codebook() -> Codebook:
    return Codebook.load(PATH)


# -- flows -----------------------------------------------------------------------------------------------------------


def found(codebook: Codebook, text: str, claims: tuple[tuple[str, str], ...], at_hand: bool = True) -> Counter[object]:
    document, result = tagged(codebook, text, claims)
    passages = excerpts(document.text, result.spans) if at_hand else ()
    return Counter(flows(result.spans, passages, codebook))


@pytest.mark.parametrize(
    "text",
    [
        "Firms save, shift the cost and workers pay.",
        "Firms save (see p. 4), shift the cost\nand workers pay.",
        "shift the cost: Firms save while workers pay",
    ],
)
def test_parties_in_the_sentence_of_a_mechanism_are_joined_by_it(codebook: Codebook, text: str) -> None:
    claims = ((ESCAPE, "Firms save"), (SHIFT, "shift the cost"), (BEAR, "workers pay"))
    expected = {(SHIFT, ESCAPE, BEAR): 1} if "p. 4" not in text else {(SHIFT, "", BEAR): 1}
    assert found(codebook, text, claims) == expected


@pytest.mark.parametrize("gap", [". ", "! ", ".” ", "\n\n", " far " * 60])
def test_what_stands_in_another_sentence_or_far_away_is_not_joined(codebook: Codebook, gap: str) -> None:
    text = f"Firms save{gap}shift the cost{gap}workers pay"
    claims = ((ESCAPE, "Firms save"), (SHIFT, "shift the cost"), (BEAR, "workers pay"))
    assert found(codebook, text, claims) == {(SHIFT, "", ""): 1}


def test_a_quote_that_ends_in_a_full_stop_ends_its_sentence(codebook: Codebook) -> None:
    claims = ((ESCAPE, "Firms save."), (SHIFT, "They shift it"))
    assert found(codebook, "Firms save. They shift it", claims) == {(SHIFT, "", ""): 1}


def test_overlap_joins_without_the_text_and_nothing_else_does(codebook: Codebook) -> None:
    claims = ((ESCAPE, "Firms save and shift"), (SHIFT, "shift the cost"), (BEAR, "workers pay"))
    text = "Firms save and shift the cost, workers pay"
    assert found(codebook, text, claims, at_hand=False) == {(SHIFT, ESCAPE, ""): 1}
    assert found(codebook, text, claims) == {(SHIFT, ESCAPE, BEAR): 1}


def test_one_quote_beside_two_sources_counts_for_both(codebook: Codebook) -> None:
    claims = ((ESCAPE, "Firms"), ("state:escapes", "the state"), (SHIFT, "shift it"), (BEAR, "workers"))
    text = "Firms and the state shift it onto workers"
    assert found(codebook, text, claims) == {(SHIFT, ESCAPE, BEAR): 1, (SHIFT, "state:escapes", BEAR): 1}


def test_the_codebook_says_between_which_stances_things_flow_without_a_change_of_its_hash() -> None:
    content = PATH.read_text(encoding="utf-8")
    declared = 'flow = ["escapes", "bears"]\n'
    assert declared in content
    shipped = Codebook.parse(content)
    for line, flow in [
        ("", ("escapes", "bears")),
        ('flow = ["bears", "escapes"]\n', ("bears", "escapes")),
        ("flow = []\n", None),
    ]:
        other = Codebook.parse(content.replace(declared, line))
        assert (other.groups[0].flow, other.hash) == (flow, shipped.hash)
    assert flowing(other) is None
    for wrong in ('["bears"]', '["bears", "pays"]', '"bears"', "[1, 2]"):
        with pytest.raises(CodebookError, match="flow"):
            Codebook.parse(content.replace(declared, f"flow = {wrong}\n"))


# -- how much text ---------------------------------------------------------------------------------------------------


def report(codebook: Codebook, *documents: Shown) -> Page:
    stream = io.BytesIO()
    write_report(iter(documents), codebook, stream)
    return Page(stream.getvalue())


def long_text(codebook: Codebook, number: int) -> Shown:
    text = f"{'Dull words. ' * 300}Claim {number} stands here. {'More words. ' * 300}"
    document, result = tagged(codebook, text, ((BEAR, f"Claim {number} stands here."),), id=f"d{number}")
    return Shown(result, "", (Segment(0, len(text), text),), len(document.text))


def test_texts_get_shorter_when_the_report_gets_large_and_all_rows_stay(
    codebook: Codebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "WHOLE_UNTIL", 20_000)
    monkeypatch.setattr(html, "PASSAGES_UNTIL", 26_000)
    monkeypatch.setattr(html, "QUOTES_UNTIL", 28_000)
    page = report(codebook, *(long_text(codebook, number) for number in range(1, 31)))
    contents = [row[7] for row in page.data["index"]]
    assert contents == sorted(contents)
    assert set(contents) == {WHOLE, PASSAGES, QUOTES, NOTHING}
    assert page.data["about"]["contents"] == [contents.count(kind) for kind in range(4)]
    for number, content in enumerate(contents, start=1):
        assert (f"t{number}" in page.data) == (content != NOTHING)
        if content != NOTHING:
            assert quotes(page, number) == [f"Claim {number} stands here."]
    sizes = [sum(len(text) for _, text in page.data[f"t{1 + contents.index(kind)}"]["passages"]) for kind in range(3)]
    assert sizes[0] > 5000 > sizes[1] > sizes[2]


def test_a_text_that_is_not_at_hand_is_shown_by_its_quotes(codebook: Codebook) -> None:
    shown = long_text(codebook, 1)
    page = report(codebook, replace(shown, passages=()))
    assert page.data["about"]["contents"] == [0, 0, 1, 0]
    assert quotes(page) == ["Claim 1 stands here."]


def test_equal_documents_give_equal_bytes(codebook: Codebook) -> None:
    streams = [io.BytesIO(), io.BytesIO()]
    for stream in streams:
        write_report((long_text(codebook, number) for number in range(3)), codebook, stream)
    assert streams[0].getvalue() == streams[1].getvalue()


# -- evaluation ------------------------------------------------------------------------------------------------------


def test_precision_and_recall_are_those_of_every_threshold() -> None:
    curve = precision_recall(np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, False, True, False]))
    assert curve is not None
    points = set(zip(curve.recall.round(3).tolist(), curve.precision.round(3).tolist(), strict=True))
    assert {(0.5, 1.0), (0.5, 0.5), (1.0, 0.667)} <= points
    assert curve.average == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert precision_recall(np.array([0.9]), np.array([False])) is None


def test_a_text_is_as_sure_as_its_least_sure_label() -> None:
    scores = np.array([[0.99, 0.5], [0.9, 0.1], [0.0, 1.0]])
    sure = confidence(scores, np.array([0.5, 0.5]))
    assert sure[0] == 0
    assert sure[1] == pytest.approx(np.log(9))
    assert np.isfinite(sure).all()
    assert sure[2] > sure[1]
    assert confidence(scores, np.array([0.5, 1.5]))[0] == pytest.approx(np.log(99)), "a label never given is certain"
    assert confidence(scores, np.array([1.5, 1.5])).tolist() == [0, 0, 0]


def test_risk_falls_with_coverage_where_sureness_is_worth_something() -> None:
    curve = risk_coverage(np.array([4.0, 3.0, 2.0, 1.0]), np.array([False, False, True, True]))
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert curve.area == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
    tied = risk_coverage(np.zeros(4), np.array([False, False, True, True]))
    assert (tied.coverage.tolist(), tied.risk.tolist()) == ([1.0], [0.5])


def test_the_interval_of_a_share_is_wilsons() -> None:
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-3)
    assert wilson(0.0, 10)[0] == 0
    assert 0 < wilson(0.0, 10)[1] < 0.31


def test_nothing_in_gold_texts_becomes_markup_in_the_evaluation_report(codebook: Codebook) -> None:
    def written(attack: str) -> Page:
        document, result = tagged(codebook, f"{attack} says so.", ((BEAR, attack),), id=attack)
        result = replace(result, model=attack, thresholds=dict.fromkeys(codebook.ids, 0.5))
        gold = [Example(attack, document.text)]
        stream = io.BytesIO()
        hostile = replace(codebook, title=attack)
        evaluation = evaluate_spans(gold, [result.spans], codebook.ids, samples=10)
        write_evaluation(Judged(gold, [result], evaluation), hostile, stream)
        return Page(stream.getvalue())

    attack = "</style><script>alert(1)</script><img src=x onerror=alert(2)>\"'><b>"
    plain, attacked = written("x"), written(attack)
    assert attacked.tags == plain.tags
    assert [name for name, _ in attacked.attributes] == [name for name, _ in plain.attributes]
    assert (attacked.policy, attacked.programs) == (plain.policy, plain.programs)
    assert attacked.text.count(attack) >= 5


# -- notebooks -------------------------------------------------------------------------------------------------------


def test_a_result_in_a_notebook_shows_its_text_where_it_is_at_hand_and_a_table_where_not(codebook: Codebook) -> None:
    text = f"{'Dull words. ' * 900}Firms save and shift <the> cost. Bye."
    claims = ((ESCAPE, "Firms save and shift"), (SHIFT, "shift <the> cost"))
    _, result = tagged(codebook, text, claims)
    table = Page(result._repr_html_().encode())
    assert ("mark" in table.tags, table.tags.count("tr")) == (False, 3)
    shown = Page(replace(result, text=text)._repr_html_().encode())
    assert shown.tags.count("mark") == 3, "what overlaps is a piece of its own"
    assert "shift <the> cost" in shown.text.replace("cost-shifting ", "")
    assert len(shown.text) < 3000, "a long text is shown around its evidence"
    assert "script" not in shown.tags
    assert "No claim found" in replace(result, spans=(), labels=())._repr_html_()


def test_an_evaluation_in_a_notebook_is_a_table(codebook: Codebook) -> None:
    document = Document("Fees are paid.")
    gold = [Example("a", document.text, (document.span(0, 4, BEAR),))]
    evaluation = evaluate_spans(gold, [gold[0].spans], codebook.ids, samples=10)
    page = Page(evaluation._repr_html_().encode())
    assert page.tags.count("tr") == 1 + len(codebook.ids) + 2 + 6
    assert "1 texts" in page.text
