"""Sentences: a golden set of hard cases, and what must hold for every text whatever it says."""

from __future__ import annotations

import gc
import math
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import TypedDict

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from whopays.segmenting import is_heading, segment
from whopays.text import Document, Segment

GOLDEN = Path(__file__).parent / "data" / "sentences.toml"
FLOOR = 0.95
MEGABYTE = 1_000_000
SECONDS = 20.0
PROSE = (
    "The learner pays for the promise of a better job under Sec. 134(c)(3) of the Act, e.g. in the U.S., and the "
    "employer gains $1.2 million. “Who pays?” asked Dr. J. K. Smith of Acme Inc. at 5 p.m. The state did not say. "
)


class Case(TypedDict):
    name: str
    text: str
    sentences: list[str]


def golden() -> list[Case]:
    cases: list[Case] = tomllib.loads(GOLDEN.read_text(encoding="utf-8"))["case"]
    return cases


def check(text: str, segments: list[Segment]) -> None:
    """Segments are in order, do not overlap, quote the text exactly, and leave nothing but white space out."""
    position = 0
    for part in segments:
        assert part.start >= position
        assert not text[position : part.start].strip()
        assert text[part.start : part.end] == part.text == part.text.strip() != ""
        position = part.end
    assert not text[position:].strip()


# Golden set ---------------------------------------------------------------------------------------------------------


def test_golden_set_is_well_formed() -> None:
    cases = golden()
    assert len(cases) >= 150
    assert len({case["name"] for case in cases}) == len(cases)
    for case in cases:
        rest = case["text"]
        for sentence in case["sentences"]:
            before, found, rest = rest.partition(sentence)
            assert found, f"{case['name']}: not in the text, or out of order: {sentence!r}"
            assert not before.strip(), f"{case['name']}: belongs to no sentence: {before!r}"
        assert not rest.strip(), f"{case['name']}: belongs to no sentence: {rest!r}"


def test_golden_set_is_divided_as_a_careful_reader_would() -> None:
    cases = golden()
    wrong = []
    for case in cases:
        found = [part.text for part in segment(case["text"])]
        if found != case["sentences"]:
            wrong.append(f"{case['name']}\n    expected {case['sentences']}\n    found    {found}")
    score = 1 - len(wrong) / len(cases)
    report = "\n".join([f"{score:.1%} of {len(cases)} cases are right", *wrong])
    print(report)
    assert score >= FLOOR, report


# Every text ---------------------------------------------------------------------------------------------------------

FRAGMENTS = """The learner pays~the firm~U.S.~Sec. 4~e.g.~etc.~Dr.~J. K.~No~A~i~12~3.5~2014.~. ~.~...~…~? ~?!~! ~:
~; ~, ~—~ - ~- ~* ~• ~1. ~(a) ~iv) ~# ~§ ~"~“~”~‘~’~'~(~)~[~]~«~ »~[12]~¹~**~_~|~ | ~|---|~Q: ~MR. X: ~ ~  ~\t~\n
~\n\n~\r\n~\r~\f~\v~\x1c~\x85~\u2028~\u2029~\u00a0~\u3000~\u00ad~\u200b~\u200d~\ufeff~\x00~\ud83d~\udc00~😀~👩\u200d🎓~🏛\ufe0f~e\u0301
~\u0301~ﬁ~שלום~من يدفع؟~\u202e~谁付钱？学习者。~ß~İ~https://a.org/b?C=d.~a.b@c.org"""
fragments = st.sampled_from([*FRAGMENTS.split("~"), "x" * 250, " " * 250])
anything = st.text(alphabet=st.characters(exclude_categories=()), max_size=300)
mixed = st.lists(st.one_of(fragments, st.text(max_size=3)), max_size=60).map("".join)
texts = st.one_of(anything, mixed)
thorough = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@thorough
@given(texts)
@example("\ud800. The learner pays.\udfff")
@example("The learner\x00 pays.\r\n\r\nThe firm\u00ad gains. 😀 e\u0301. שלום. A")
def test_segments_quote_the_text_in_order_and_leave_nothing_out(text: str) -> None:
    check(text, segment(text))


@thorough
@given(texts)
def test_a_text_and_its_document_have_the_same_segments_every_time(text: str) -> None:
    assert segment(text) == segment(Document(text)) == segment(text)


@thorough
@given(texts, st.data())
def test_segments_never_cross_a_break(text: str, data: st.DataObject) -> None:
    breaks = tuple(sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8))))
    segments = segment(Document(text, breaks=breaks))
    check(text, segments)
    for part in segments:
        assert not any(part.start < offset < part.end for offset in breaks)


def test_a_break_ends_a_sentence_that_would_go_on() -> None:
    text = "Who pays for training in the learner's own time"
    assert [part.text for part in segment(Document(text, breaks=(8,)))] == ["Who pays", text[9:]]


@pytest.mark.parametrize("note", ["¹", "¹²", "²,³", "²–⁴", "[2]"])
@pytest.mark.parametrize("word", ["foreman", "71,000", "2001", "pay"])
def test_a_note_number_belongs_to_the_sentence_that_it_follows(word: str, note: str) -> None:
    text = f"It was a matter of {word}.{note} The office kept its records."
    assert [part.text for part in segment(text)] == [
        f"It was a matter of {word}.{note}",
        "The office kept its records.",
    ]


@pytest.mark.parametrize("text", ["", " ", "\n", "\r\n\r\n", "\t \u00a0\u3000\f"])
def test_a_blank_text_has_no_segments(text: str) -> None:
    assert segment(text) == []


def test_a_stretch_without_a_sentence_end_is_cut_into_segments_of_bounded_length() -> None:
    text = "word " * 50_000
    segments = segment(text)
    check(text, segments)
    assert max(len(part.text) for part in segments) <= 20_000
    assert all(part.text.startswith("word") and part.text.endswith("word") for part in segments)


# Time and memory ----------------------------------------------------------------------------------------------------


def seconds(text: str) -> float:
    gc.disable()  # a collection of all that the tests before made would be charged to whoever runs when it is due
    try:
        began = time.process_time()
        segments = segment(text)
        took = time.process_time() - began
    finally:
        gc.enable()
    check(text, segments)
    return took


def assert_linear(part: str, whole: str) -> None:
    """Time grows at most two and a half times as fast as the text (and half a second), a quadratic one eight times as fast.

    ``whole`` has eight times the length of ``part``. A machine that does other work can make one measurement several times
    too long, never too short: the shortest of at most four counts.
    """
    ratio = len(whole) / len(part)
    assert 7 < ratio < 9
    segment(PROSE)
    shortest = {part: math.inf, whole: math.inf}
    for _ in range(4):
        shortest = {text: min(before, seconds(text)) for text, before in shortest.items()}
        bound = 2.5 * ratio * shortest[part] + 0.5
        if shortest[whole] < bound:
            break
    assert shortest[whole] < SECONDS
    assert shortest[whole] < bound


PATTERNS = '.~ ~a~. ~a. ~(~\n~"~A B. ~1. ~a\n~A. B\n\n~? "~.[1] ~U.S. ~- a\n~😀~\ud800 '


@pytest.mark.parametrize("pattern", PATTERNS.split("~"), ids=repr)
def test_time_is_linear_in_repetitive_text(pattern: str) -> None:
    text = (pattern * (MEGABYTE // len(pattern) + 1))[:MEGABYTE]
    assert_linear(text[: MEGABYTE // 8], text)


@pytest.mark.parametrize(
    ("head", "tail"), [("( ", ". , "), (" ", "a,\n"), ("#", "\na,"), ("A ", ": "), ("a\n", ". a ")]
)
def test_time_is_linear_where_a_long_beginning_could_be_read_again_and_again(head: str, tail: str) -> None:
    part, whole = (head * (size // 4) + tail * (size // 8) for size in (MEGABYTE // 8, MEGABYTE))
    assert_linear(part, whole)


def test_time_is_linear_in_one_long_line_of_prose() -> None:
    text = (PROSE * (2 * MEGABYTE // len(PROSE) + 1))[: 2 * MEGABYTE]
    assert_linear(text[: MEGABYTE // 4], text)


def test_segmenting_imports_spacy_but_never_torch(tmp_path: Path) -> None:
    # A torch that is certainly found, and that tells on whoever imports it.
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')\n", encoding="utf-8")
    program = (
        "import sys\n"
        "import whopays.segmenting\n"
        "assert 'spacy' not in sys.modules, 'spaCy is imported before it is needed'\n"
        "assert len(whopays.segmenting.segment('Who pays? The learner.')) == 2\n"
        "assert 'spacy' in sys.modules and 'torch' not in sys.modules\n"
    )
    for first in ([str(tmp_path)], []):
        path = os.pathsep.join([*first, *(entry for entry in sys.path if entry)])
        environment = {**os.environ, "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "text", ["## Funding", "Paying for the Second Trade", "FEES AND CHARGES", "Languages", "----", "2.1 Who Pays"]
)
def test_headings_are_told_from_statements(text):
    assert is_heading(text)


@pytest.mark.parametrize(
    "text",
    [
        "Students pay.",
        "STUDENTS NOW PAY $5,500.",
        "the learner pays the fee and the levy board pays the rest",
        "Who pays?",
    ],
)
def test_statements_are_no_headings(text):
    assert not is_heading(text)
