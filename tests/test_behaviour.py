"""How the default model behaves on plain cases (CheckList): that the cases are sound, and the floors of each kind."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from checklist.cases import CASINGS, FOLDER, KINDS, TYPES, Case, Outcome, all_cases, digest, floors, judge
from whopays.codebook import Codebook
from whopays.tagger import Tagger

ROOT = Path(__file__).parents[1]
CODEBOOK = Codebook.load(ROOT / "corpus" / "codebook.toml")
CASES = all_cases()
FLOORS = floors()
# What the issue asks of each kind: at least so many cases, and this share of them right.
ASKED = {"functionality": (700, 0.95), "invariance": (600, 0.97), "direction": (300, 0.90)}
SHARED_WORDS = 8


def of_kind(kind: str) -> list[Case]:
    return [case for case in CASES if case.kind == kind]


@pytest.fixture(scope="module")
def outcomes(best_tagger: Tagger) -> list[Outcome]:
    return judge(best_tagger, CASES)


# The cases ----------------------------------------------------------------------------------------------------------


def test_there_are_enough_cases_of_each_kind() -> None:
    assert len(CASES) >= 1500
    assert set(ASKED) == set(KINDS) == {case.kind for case in CASES}
    for kind, (fewest, _) in ASKED.items():
        assert len(of_kind(kind)) >= fewest, kind


def test_no_two_cases_have_the_same_id_or_the_same_texts() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
    texts = Counter((case.before, case.text) for case in CASES)
    assert not [pair for pair, times in texts.items() if times > 1]


@pytest.mark.parametrize("label", CODEBOOK.ids)
def test_each_label_has_sixty_plain_sentences_of_twenty_templates(label: str) -> None:
    sentences = [case for case in of_kind("functionality") if case.capability == label]
    assert len(sentences) >= 60
    groups = tomllib.loads((FOLDER / "functionality.toml").read_text(encoding="utf-8"))["group"]
    assert sum(len(group["templates"]) for group in groups if group["capability"] == label) >= 20
    assert all(label in case.must for case in sentences)


def test_there_are_150_plain_sentences_without_a_claim() -> None:
    free = [case for case in of_kind("functionality") if case.capability.startswith("no claim: ")]
    assert len(free) >= 150
    assert all(case.exact and not case.must for case in free)


def test_expectations_name_labels_of_the_codebook_and_do_not_contradict_themselves() -> None:
    for case in CASES:
        assert case.must | case.must_not <= set(CODEBOOK.ids), case.id
        assert not case.must & case.must_not, case.id
        assert bool(case.before) == (case.kind != "functionality"), case.id
        assert bool(case.must | case.must_not) == (case.kind == "direction" or bool(case.must)), case.id


def test_every_slot_is_filled_and_every_text_reads_like_a_sentence() -> None:
    for case in CASES:
        for text in filter(None, (case.before, case.text)):
            assert not set("{}") & set(text), case.id
            assert text.strip()[-1] in ".?", case.id
        if case.kind != "invariance":
            assert re.match(r"[A-Z]", case.text), case.id
            assert "  " not in case.text, case.id


def test_a_changed_text_differs_from_the_text_before() -> None:
    assert not [case.id for case in CASES if case.text == case.before]


@pytest.mark.parametrize("change", [*CASINGS, *TYPES])
def test_casing_and_typography_change_characters_and_keep_the_words(change: str) -> None:
    changed = [case for case in of_kind("invariance") if case.capability.endswith(f": {change}")]
    assert changed
    for case in changed:
        assert case.text != case.before
        assert letters(case.text) == letters(case.before), case.id


def letters(text: str) -> str:
    plain = text.replace("ﬁ", "fi").replace("ﬂ", "fl").replace("ﬀ", "ff")
    return re.sub(r"[\W_]", "", plain).lower()


def test_the_cases_are_the_same_in_every_run() -> None:
    code = "from checklist.cases import all_cases, digest; print(digest(all_cases()))"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=ROOT / "tests", capture_output=True, encoding="utf-8", check=True)
    assert run.stdout.strip() == digest(CASES) == digest(all_cases())


def test_a_change_of_the_cases_is_written_down_since_figures_hold_for_one_set_of_cases_only() -> None:
    assert digest(CASES) == FLOORS["cases"]["sha256"], "measure the model anew, and put the new hash into floors.toml"


def test_no_case_shares_eight_words_in_a_row_with_a_text_of_the_corpus() -> None:
    known: set[tuple[str, ...]] = set()
    for path in sorted((ROOT / "corpus" / "data").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            known.update(runs(json.loads(line)["text"]))
    shared = {case.id: found for case in CASES if (found := known.intersection(runs(case.text)))}
    assert not shared, f"cases must not be training text: {shared}"


def runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + SHARED_WORDS]) for i in range(len(words) - SHARED_WORDS + 1)}


# How cases are judged -----------------------------------------------------------------------------------------------


def labels(*names: str) -> frozenset[str]:
    return frozenset(names)


@pytest.mark.parametrize(
    ("case", "found", "before", "problem"),
    [
        (Case("1", "functionality", "", "t", must=labels("a"), exact=True), labels("a"), labels(), ""),
        (
            Case("2", "functionality", "", "t", must=labels("a"), exact=True),
            labels("b"),
            labels(),
            "missing a; wrongly given b",
        ),
        (Case("3", "functionality", "", "t", exact=True), labels("b"), labels(), "wrongly given b"),
        (
            Case("4", "functionality", "", "t", must=labels("a"), must_not=labels("c")),
            labels("a", "b"),
            labels(),
            "",
        ),
        (
            Case("5", "functionality", "", "t", must=labels("a"), must_not=labels("c")),
            labels("a", "c"),
            labels(),
            "wrongly given c",
        ),
        (Case("6", "invariance", "", "t", "b"), labels("a"), labels("a"), ""),
        (Case("7", "invariance", "", "t", "b"), labels("a"), labels("b"), "lost b; came a"),
        (Case("8", "direction", "", "t", "b", labels("a"), labels("c")), labels("a", "d"), labels("c"), ""),
        (
            Case("9", "direction", "", "t", "b", labels("a"), labels("c")),
            labels("c"),
            labels("a"),
            "missing before c; wrongly given before a; missing a; wrongly given c",
        ),
    ],
    ids=lambda value: value.id if isinstance(value, Case) else "",
)
def test_an_answer_is_judged_by_what_must_hold(
    case: Case, found: frozenset[str], before: frozenset[str], problem: str
) -> None:
    assert case.problem(found, before) == problem


# The model ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_floor_below_what_is_asked_says_why(kind: str) -> None:
    assert FLOORS[kind]["asked"] == ASKED[kind][1]
    assert FLOORS[kind]["floor"] == FLOORS[kind]["asked"] or FLOORS[kind]["why"].strip()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_default_model_reaches_the_floor(kind: str, outcomes: Sequence[Outcome]) -> None:
    own = [outcome for outcome in outcomes if outcome.case.kind == kind]
    failed = [outcome for outcome in own if outcome.problem]
    right = 1 - len(failed) / len(own)
    message = f"{right:.1%} of {len(own)} {kind} cases are right, the floor is {FLOORS[kind]['floor']:.0%}; wrong:\n"
    assert right >= FLOORS[kind]["floor"], message + "\n".join(map(str, failed))
