"""Tagging: what holds for every text, and that neighbours, threads and order change nothing."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, pairwise
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import whopays
from whopays.errors import ModelError, UsageError
from whopays.result import Result
from whopays.tagger import Tagger, load, model_folder
from whopays.text import Document

ROOT = Path(__file__).parents[1]
CLAIM = "Students now pay $5,500 a year."
TEXTS = [
    CLAIM,
    "The state has cut its grants, and firms pass the cost of training on to the workers. Nobody asked the learners.",
    "Employers use the degree as a proxy for persistence, and discard applications without the certificate unread.",
    "Jobs that once asked for a diploma now demand a degree for the same work.",
    "The museum opens at nine.",
    "",
    "The company reimburses tuition for its staff.\n\n- Apprentices earn while they learn\n- Fees are waived",
    "Taxpayers cover two thirds of the course. " * 30,
]
ODD_TEXTS = {
    "emoji": "\U0001f600 Students \U0001f4b8 now pay $5,500 \U0001f469\u200d\U0001f393 a year. \U0001f600",
    "crlf": "Students now\r\npay $5,500 a year.\r\n\r\nThe state cut\r\nits grants.\r\n",
    "combining": "Stu\u0308dents now pa\u0301y $5,500 a ye\u0302ar, and e\u0301mployers pay nothing.",
    "soft-hyphen": "Stu\u00addents now pay the tui\u00adtion of $5,500 a year.",
    "ligature": "The \ufb01rm reimburses the \ufb02at fee of its sta\ufb00 and pays for o\ufb03ce training.",
    "no-break-space": "\u00a0Students\u00a0now pay $5,500\u202fa year\u00a0!\u00a0",
    "right-to-left": "Students pay \u202e the whole tuition \u202c of \u05d0\u05d1\u05d2 themselves.",
    "nul": "\x00Students\x00 now pay $5,500 a year.\x00\x00 The state\x00 cut its grants.",
    "lone-surrogates": "\ud800Students now \udfff pay $5,500 a year. \ud83d\ude00\ud83d\ude00 The state cut its grants.",
    "full-width": "\uff33tudents now pay \uff045,500 a year. Firms pay nothing\u3002",
    "form-feed": "Students now pay\f$5,500 a year.\x1c\x85The state\u2028cut its grants.",
    "replacement": "\ufeffStudents now pay \ufffd5,500 a year.",
}
BLANK = ["", " ", "\n\r\n\t\f", "\u00a0\u3000\u2028"]


def check(text: str, result: Result, tagger: Tagger) -> None:
    """Labels, spans and scores agree with each other and with the text."""
    assert tuple(result.scores) == tuple(result.thresholds) == tagger.codebook.ids
    assert all(0 <= score <= 1 for score in result.scores.values())
    given = tuple(label for label, score in result.scores.items() if score >= result.thresholds[label])
    assert result.labels == given == tagger.codebook.order(span.label for span in result.spans)
    assert result.readings == tagger.codebook.readings(result.labels)
    for span in result.spans:
        assert text[span.start : span.end] == span.text == span.text.strip() != ""
        assert span.score is not None
        assert span.score >= result.thresholds[span.label]
    for label in result.labels:
        evidence = result.evidence(label)
        assert result.scores[label] == max(span.score or 0 for span in evidence)
        assert all(a.end <= b.start for a, b in pairwise(evidence))
    assert [span.start for span in result.spans] == sorted(span.start for span in result.spans)
    assert result.coverage == 1.0


# -- examples --------------------------------------------------------------------------------------------------------


def test_the_example_in_the_packages_docstring_runs() -> None:
    code = dedent(str(whopays.__doc__).partition("\n")[2])
    names: dict[str, Any] = {"whopays": whopays}
    exec(code, names)
    assert isinstance(names["result"], Result)
    assert names["result"].labels


README = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("example", README, ids=[f"example-{number}" for number, _ in enumerate(README, start=1)])
def test_a_python_example_of_the_readme_runs_and_gives_what_it_says(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(example, names)
    for expression, value in re.findall(r"^(\S.*?)  # -> (.+)$", example, re.M):
        assert repr(eval(expression, names)) == value, expression


def test_a_plain_claim_is_found_with_its_evidence(tagger: Tagger) -> None:
    result = tagger.tag(CLAIM)
    assert "learner" in result.payers
    assert "pay" in result.evidence("learner:bears")[0].text


def test_a_text_without_claims_has_no_tags(tagger: Tagger) -> None:
    result = tagger.tag("The museum opens at nine. It is closed on Mondays.")
    assert (result.labels, result.spans, result.payers, result.evaders, result.mechanisms) == ((), (), (), (), ())


# -- what holds for every text ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS)
def test_labels_are_those_with_evidence_and_those_that_reach_their_threshold(tagger: Tagger, text: str) -> None:
    check(text, tagger.tag(text), tagger)


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=list(ODD_TEXTS))
def test_spans_quote_odd_texts_exactly(tagger: Tagger, text: str) -> None:
    check(text, tagger.tag(text), tagger)


def test_most_odd_texts_have_evidence_to_quote(tagger: Tagger) -> None:
    assert sum(bool(tagger.tag(text).spans) for text in ODD_TEXTS.values()) > len(ODD_TEXTS) / 2


FRAGMENTS = [
    CLAIM,
    "firms pay nothing",
    "the state cut its grants",
    "free for learners",
    "(",
    ")",
    "“",
    "”",
    "—",
    ".",
    "a",
]
FRAGMENTS += [
    "\x00",
    "\ud800",
    "\udc00",
    "\U0001f600",
    "\u0301",
    "\u00ad",
    "\u00a0",
    "\r\n",
    "\n\n",
    " ",
    "\t",
    "\u2028",
    "!",
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=8), max_size=25).map("".join))
def test_tags_scores_and_quotes_agree_on_any_text(tagger: Tagger, text: str) -> None:
    check(text, tagger.tag(text), tagger)


@pytest.mark.parametrize("text", BLANK, ids=ascii)
def test_an_empty_or_blank_text_has_no_tags_and_zero_scores(tagger: Tagger, text: str) -> None:
    result = tagger.tag(text)
    assert (result.labels, result.spans) == ((), ())
    assert set(result.scores.values()) == {0.0}
    assert result.coverage == 1.0


@pytest.mark.parametrize("text", ["\x00", "\x00\x00 \x00", "\u200b", "…", "—.!"], ids=ascii)
def test_a_text_without_words_is_no_error(tagger: Tagger, text: str) -> None:
    check(text, tagger.tag(text), tagger)


def test_a_text_of_300_kilobytes_is_covered_from_its_first_to_its_last_sentence(tagger: Tagger) -> None:
    # Mostly long strings of letters, such as scraped pages hold: they are few tokens, so that the test is quick.
    blob = " ".join(["x" * 110] * 25) + "\n\n"
    half = blob * (150_000 // len(blob))
    text = f"{CLAIM}\n\n{half}{CLAIM}\n\n{half}{CLAIM}"
    assert len(text) > 299_000
    result = tagger.tag(text)
    check(text, result, tagger)
    starts = [0, text.index(CLAIM, 1), len(text) - len(CLAIM)]
    for start in starts:
        assert any(start <= span.start < span.end <= start + len(CLAIM) for span in result.spans)


def test_a_sentence_longer_than_a_window_is_read_to_its_end(tagger: Tagger) -> None:
    text = "the committee met, " * 150 + "and students now pay the whole tuition of $5,500 a year themselves."
    (prediction,) = tagger.predict_sentences(text)
    assert prediction.segment.end == len(text)
    (shorter,) = tagger.predict_sentences(text[: text.rindex("and students")].strip())
    assert prediction.scores.tolist() != shorter.scores.tolist()


# -- determinism -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def expected(tagger: Tagger) -> dict[str, Result]:
    return {text: tagger.tag(text) for text in [*TEXTS, *ODD_TEXTS.values()]}


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_and_neighbours_change_nothing(expected: dict[str, Result], threads: int) -> None:
    tagger = load("small", threads=threads)
    texts = list(expected)
    assert tagger.tag_all(texts) == list(expected.values())
    assert [tagger.tag(text) for text in texts] == list(expected.values())


def test_the_best_model_too_gives_the_same_tags_whatever_the_threads_and_neighbours(best_tagger: Tagger) -> None:
    alone = [load(threads=1).tag(text) for text in TEXTS]
    assert best_tagger.tag_all(TEXTS[::-1]) == alone[::-1]
    for text, result in zip(TEXTS, alone, strict=True):
        check(text, result, best_tagger)


@pytest.mark.parametrize("seed", range(3))
def test_order_and_repetition_change_nothing(tagger: Tagger, expected: dict[str, Result], seed: int) -> None:
    texts = list(expected) * 2
    random.Random(seed).shuffle(texts)
    assert tagger.tag_all(texts) == [expected[text] for text in texts]


def test_a_streamed_text_gets_the_tags_of_the_same_text_alone(tagger: Tagger, expected: dict[str, Result]) -> None:
    texts = [text for text in expected for _ in range(3)]
    assert list(tagger.tag_all(iter(texts))) == [expected[text] for text in texts]


def test_a_tagger_may_be_shared_between_threads(tagger: Tagger, expected: dict[str, Result]) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(tagger.tag, expected)) == list(expected.values())


def test_a_document_gets_the_tags_of_its_text(tagger: Tagger) -> None:
    document = Document(CLAIM, id="d1", source="d.pdf", title="D", page_starts=(0, 13))
    result, plain = tagger.tag(document), tagger.tag(CLAIM)
    assert (result.id, result.source, result.sha256) == ("d1", "d.pdf", document.sha256)
    assert (result.labels, result.scores) == (plain.labels, plain.scores)
    assert all(span.page == document.page_at(span.start) for span in result.spans)
    assert all(span.page is None for span in plain.spans)


def test_sentences_sum_up_to_the_result(tagger: Tagger) -> None:
    text = TEXTS[1]
    predictions, result = tagger.predict_sentences(text), tagger.tag(text)
    assert [prediction.segment.text for prediction in predictions] == [s.text for s in whopays.segment(text)]
    assert sorted(span for prediction in predictions for span in prediction.spans) == sorted(result.spans)
    assert [max(column) for column in zip(*(p.scores for p in predictions), strict=True)] == list(
        result.scores.values()
    )


# -- language, scope and precision ------------------------------------------------------------------------------------

GERMAN = "Die Arbeitgeber zahlen nicht für die Ausbildung, und die Kosten werden auf die Auszubildenden abgewälzt. " * 3


def test_a_text_in_another_language_is_not_tagged_and_says_so(tagger: Tagger) -> None:
    result = tagger.tag(GERMAN)
    assert (result.labels, result.language) == ((), "de")
    assert "100% of the text is in another language (de)" in result.notices[0]
    assert len(result.notices) == 1
    assert result.coverage == 1.0


def test_an_english_passage_inside_a_german_text_is_tagged(tagger: Tagger) -> None:
    english = (
        f"{CLAIM} The figures come from the ministry, which publishes them every spring for each of the counties. "
    )
    result = tagger.tag(f"{GERMAN}\n\n{english * 2}\n\n{GERMAN}")
    assert "learner:bears" in result.labels
    assert result.language == "de"
    assert "was not tagged" in result.notices[0]


@pytest.mark.parametrize(
    "text",
    ["The home side won by two goals after extra time.", "Preheat the oven and grease a large tin with butter."],
)
def test_a_text_about_something_else_is_called_out_of_scope(tagger: Tagger, text: str) -> None:
    result = tagger.tag(text)
    assert (result.labels, result.in_scope) == ((), False)
    assert "Out of scope" in result.notices[0]


def test_a_text_with_a_claim_is_in_scope_and_needs_no_notice(tagger: Tagger) -> None:
    result = tagger.tag(CLAIM)
    assert (result.in_scope, result.language, result.notices) == (True, "en", ())
    data = result.to_dict()
    assert (data["in_scope"], data["language"], data["notices"]) == (True, "en", [])


def test_what_passes_the_gate_gets_the_same_scores_as_without_it(tagger: Tagger) -> None:
    text = "\n\n".join([*TEXTS, "Preheat the oven and grease a large tin with butter."])
    gated, ungated = tagger.predict_sentences(text), load("small", gate=False).predict_sentences(text)
    assert any(not prediction.passed for prediction in gated)
    for one, other in zip(gated, ungated, strict=True):
        assert other.passed
        if one.passed:
            assert one.scores.tolist() == other.scores.tolist()
        else:
            assert not one.scores.any()


def test_a_wanted_precision_moves_thresholds_and_says_what_recall_it_costs(tagger: Tagger) -> None:
    strict = load("small", precision=0.9)
    assert strict.model_id == f"{tagger.model_id}+precision=0.9"
    for label, point in strict.operating_points.items():
        usual = tagger.operating_points[label]
        assert point.threshold > 1 or point.precision >= 0.9
        assert point.recall <= usual.recall or point.threshold <= usual.threshold
    assert set(strict.tag(TEXTS[1]).thresholds.values()) == {p.threshold for p in strict.operating_points.values()}


@pytest.mark.parametrize("precision", [0, -1, 1.5])
def test_a_precision_is_a_share(precision: float) -> None:
    with pytest.raises(UsageError, match="precision"):
        load("small", precision=precision)


def test_the_models_that_come_with_the_package_keep_to_their_sizes() -> None:
    for name, most in (("default", 120e6), ("small", 30e6)):
        sizes = [file.stat().st_size for file in model_folder(name).iterdir()]
        assert sum(sizes) <= most, name
        assert max(sizes) <= 95e6, name
    assert load("small").model_id != load().model_id


def test_a_model_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="medium"):
        model_folder("medium")
    with pytest.raises(ModelError, match="medium"):
        load("medium")


# -- the call --------------------------------------------------------------------------------------------------------


def test_a_list_gives_a_list_in_order(tagger: Tagger) -> None:
    documents = [Document(text, id=str(number)) for number, text in enumerate(TEXTS)]
    results = tagger.tag_all(documents)
    assert isinstance(results, list)
    assert [result.id for result in results] == [document.id for document in documents]
    assert tagger.tag_all([]) == []


def test_a_generator_gives_an_iterator_that_takes_texts_as_needed(tagger: Tagger) -> None:
    taken = 0

    def texts() -> Iterator[str]:
        nonlocal taken
        for number in range(500):
            taken += 1
            yield f"Fee {number} is paid."

    results = tagger.tag_all(texts())
    assert isinstance(results, Iterator)
    assert taken == 0
    assert [result.sha256 for result in islice(results, 2)] == [Document(f"Fee {n} is paid.").sha256 for n in (0, 1)]
    assert taken < 100
    assert list(tagger.tag_all(iter([]))) == []


@pytest.mark.parametrize("text", [None, 5, b"Students pay.", ["Students pay."], Path("a.txt")], ids=ascii)
def test_tagging_something_else_than_a_text_is_a_usage_error(tagger: Tagger, text: Any) -> None:
    with pytest.raises(UsageError, match=type(text).__name__):
        tagger.tag(text)
    with pytest.raises(UsageError, match=type(text).__name__):
        tagger.tag_all([CLAIM, text])
    with pytest.raises(UsageError, match=type(text).__name__):
        tagger.predict_sentences(text)


@pytest.mark.parametrize("texts", [CLAIM, Document(CLAIM), None, 5, b"Students pay."], ids=lambda t: type(t).__name__)
def test_tagging_many_texts_needs_many_texts(tagger: Tagger, texts: Any) -> None:
    with pytest.raises(UsageError):
        tagger.tag_all(texts)


@pytest.mark.parametrize("threads", [0, -1])
def test_a_tagger_needs_a_thread(threads: int) -> None:
    with pytest.raises(UsageError, match=str(threads)):
        load(threads=threads)


def test_a_result_says_which_model_codebook_and_version_made_it(tagger: Tagger) -> None:
    result = tagger.tag(CLAIM)
    assert (result.model, result.codebook, result.version) == (
        tagger.model_id,
        tagger.codebook.hash,
        whopays.__version__,
    )


def test_a_result_names_its_readings_when_asked_for_another(tagger: Tagger) -> None:
    result = tagger.tag(CLAIM)
    with pytest.raises(AttributeError, match="payers, evaders, mechanisms"):
        result.winners  # noqa: B018
    assert {"payers", "evaders", "mechanisms"} <= set(dir(result))


def test_tagging_imports_neither_torch_nor_what_only_training_needs() -> None:
    code = (
        "import sys, whopays\n"
        f"assert whopays.load().tag({CLAIM!r}).labels\n"
        "heavy = {'torch', 'transformers', 'sklearn', 'datasets', 'scipy', 'pandas', 'pyarrow'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
