"""What is shown of a text around its evidence."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whopays.excerpts import REACH, WHOLE, excerpts, quotes
from whopays.text import Document, Span

LONG = "Dull words stand here.\nAnd more of them. " * 2000


@st.composite
def marked(draw: st.DrawFn) -> tuple[str, list[Span]]:
    text = draw(st.text(alphabet="ab \n.\r\U0001f600\u0301", min_size=1, max_size=400))
    ends = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).map(sorted).filter(lambda ab: ab[0] < ab[1])
    document = Document(text)
    return text, [document.span(start, end, "a") for start, end in draw(st.lists(ends, max_size=6))]


@given(marked(), st.integers(0, 300), st.integers(1, 60))
def test_every_span_lies_in_exactly_one_passage_and_passages_quote_the_text(
    drawn: tuple[str, list[Span]], whole: int, reach: int
) -> None:
    text, spans = drawn
    for passages in (excerpts(text, spans, whole, reach), quotes(spans)):
        assert all(text[passage.start : passage.end] == passage.text for passage in passages)
        assert all(a.end < b.start for a, b in itertools.pairwise(passages))
        for span in spans:
            assert sum(passage.start <= span.start and span.end <= passage.end for passage in passages) == 1


def test_a_short_text_is_shown_whole_and_a_long_one_around_its_evidence() -> None:
    (whole,) = excerpts(LONG[:WHOLE], [])
    assert len(whole.text) == WHOLE
    assert excerpts(LONG, []) == ()
    assert excerpts("", []) == ()
    start = LONG.index("more", 20_000)
    (passage,) = excerpts(LONG, [Document(LONG).span(start, start + 4, "a")])
    assert passage.start >= start - REACH
    assert passage.end <= start + 4 + REACH
    assert re.match(r"(And|Dull)", passage.text), "a passage begins with a sentence"
    assert passage.text.endswith("."), "and ends with one"


@pytest.mark.parametrize("text", ["x" * 2000, "wörter " * 300])
def test_a_text_without_sentences_is_cut_at_a_word_or_where_it_must(text: str) -> None:
    (passage,) = excerpts(text, [Document(text).span(1000, 1010, "a")], whole=0, reach=50)
    assert 10 <= len(passage.text) <= 110
    assert " " not in (passage.text[0], passage.text[-1])
