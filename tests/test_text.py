"""Texts and places in them: offsets are code points, half-open, and always quote the text that was given."""

from __future__ import annotations

import hashlib
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from whopays.errors import OffsetError, WhopaysError
from whopays.text import Document, Segment, Span

# A text, a quote in it, and the quote's offsets counted by hand.
HARD_TEXTS = {
    "emoji outside the basic plane": ("The 🎓 pays.", "🎓 pays", 4, 10),
    "emoji joined from several": ("a 👩\u200d🎓\ufe0f b", "👩\u200d🎓\ufe0f", 2, 6),
    "combining marks": ("cafe\u0301 fees", "e\u0301 fees", 3, 10),
    "a combining mark alone": ("e\u0301", "\u0301", 1, 2),
    "right-to-left text": ("שלום: من يدفع؟", "من يدفع؟", 6, 14),
    "right-to-left override": ("pays \u202eabc\u202c now", "abc", 6, 9),
    "line breaks of two characters": ("one\r\ntwo\r\nthree", "two\r\n", 5, 10),
    "the second half of a line break": ("one\r\ntwo", "\ntwo", 4, 8),
    "soft hyphens": ("em\u00adploy\u00ader pays", "ploy\u00ader", 3, 10),
    "ligatures": ("the ﬁrm’s oﬀer", "ﬁrm", 4, 7),
    "NUL": ("a\x00b\x00c", "\x00b", 1, 3),
    "lone surrogates": ("a\ud83db\udc00c", "\ud83db\udc00", 1, 4),
    "unicode line separators": ("a\u2028b\u2029c\x85d", "b\u2029c\x85", 2, 6),
    "byte-order mark": ("\ufeffThe state", "The", 1, 4),
    "letters that grow in lower case": ("İİ pays", "pays", 3, 7),
    "Chinese": ("谁付钱？学习者。", "学习者", 4, 7),
}
anything = st.text(alphabet=st.characters(exclude_categories=()), max_size=80)
fragments = st.sampled_from([text for text, *_ in HARD_TEXTS.values()])
texts = st.one_of(anything, st.lists(fragments, max_size=4).map("".join))
quick = settings(deadline=None)


def stretch(data: st.DataObject, text: str) -> tuple[int, int]:
    start = data.draw(st.integers(0, len(text) - 1))
    return start, data.draw(st.integers(start + 1, len(text)))


# Offsets ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "quote", "start", "end"), HARD_TEXTS.values(), ids=HARD_TEXTS)
def test_offsets_count_code_points_of_the_text_as_given(text: str, quote: str, start: int, end: int) -> None:
    document = Document(text)
    assert text.index(quote) == start
    assert document.span(start, end, "x").text == document.segment(start, end).text == quote == text[start:end]
    assert document.text == text


@quick
@given(texts, st.data())
def test_every_span_and_segment_quotes_the_text_at_its_offsets(text: str, data: st.DataObject) -> None:
    assume(text)
    start, end = stretch(data, text)
    document = Document(text)
    span, segment = document.span(start, end, "x", 0.5), document.segment(start, end)
    assert (
        (span.start, span.end, span.text) == (segment.start, segment.end, segment.text) == (start, end, text[start:end])
    )
    assert (span.label, span.score, span.page) == ("x", 0.5, None)
    assert Span(start, end, "x", text[start:end], 0.5) == span
    assert Segment(start, end, text[start:end]) == segment


@quick
@given(texts, st.integers(-5, 90), st.integers(-5, 90))
def test_offsets_outside_the_text_or_empty_are_refused(text: str, start: int, end: int) -> None:
    assume(not 0 <= start < end <= len(text))
    document = Document(text)
    for make in (lambda: document.span(start, end, "x"), lambda: document.segment(start, end)):
        with pytest.raises(OffsetError, match=rf"offsets {start}:{end}, expected 0 <= start < end <= {len(text)}"):
            make()


@pytest.mark.parametrize(("start", "end"), [(0, 0), (3, 3), (3, 2), (-1, 2), (-3, -1)])
def test_a_span_that_is_empty_backwards_or_negative_is_refused(start: int, end: int) -> None:
    for make in (lambda: Span(start, end, "x", "abc"), lambda: Segment(start, end, "abc")):
        with pytest.raises(OffsetError, match=f"found the offsets {start}:{end}, expected 0 <= start < end"):
            make()


@pytest.mark.parametrize("text", ["", "ab", "abcd", "🎓🎓🎓🎓"])
def test_a_text_of_another_length_than_its_offsets_is_refused(text: str) -> None:
    for make in (lambda: Span(4, 7, "x", text), lambda: Segment(4, 7, text)):
        with pytest.raises(OffsetError, match=f"offsets 4:7 cover 3 characters, but the text given has {len(text)}"):
            make()


def test_an_offset_error_is_a_value_error_of_this_library() -> None:
    assert issubclass(OffsetError, WhopaysError)
    assert issubclass(OffsetError, ValueError)


def test_an_empty_text_is_a_document_without_places() -> None:
    document = Document("")
    assert document.page_at(0) is None
    assert Document("", page_starts=(0, 0), breaks=(0,)).page_at(0) == 2
    with pytest.raises(OffsetError):
        document.span(0, 1, "x")
    with pytest.raises(OffsetError):
        document.segment(0, 0)


def test_a_single_line_of_two_megabytes_is_quoted_at_its_very_end() -> None:
    text = "Die Lernende zahlt. 🎓 " * 100_000
    assert len(text) > 2_000_000
    document = Document(text, page_starts=tuple(range(0, len(text), 1000)))
    span = document.span(len(text) - 2, len(text), "x")
    assert (span.text, span.page) == ("🎓 ", len(document.page_starts))
    assert document.segment(0, len(text)).text == text


# Spans as values ----------------------------------------------------------------------------------------------------


def test_spans_sort_by_start_then_end_then_label() -> None:
    document = Document("abcdef")
    places = [(2, 4, "a"), (0, 5, "b"), (0, 5, "a"), (0, 2, "z"), (2, 3, "b")]
    spans = sorted(document.span(*place) for place in places)
    assert [(span.start, span.end, span.label) for span in spans] == sorted(places)


def test_a_span_writes_score_and_page_only_where_they_are_known() -> None:
    gold = Document("abc").span(0, 2, "x")
    assert gold.to_dict() == {"label": "x", "start": 0, "end": 2, "text": "ab"}
    predicted = Document("abc", page_starts=(0,)).span(0, 2, "x", 0.0)
    assert predicted.to_dict() == {"label": "x", "start": 0, "end": 2, "text": "ab", "score": 0.0, "page": 1}


@pytest.mark.parametrize(
    "value", [Document("abc"), Span(0, 1, "x", "a"), Segment(0, 1, "a")], ids=lambda v: type(v).__name__
)
def test_values_are_frozen_and_hashable(value: Document | Span | Segment) -> None:
    with pytest.raises(FrozenInstanceError):
        value.text = "b"  # type: ignore[misc]
    assert value == replace(value)
    assert len({value, replace(value)}) == 1


@pytest.mark.parametrize("value", [Span(0, 1, "x", "a"), Segment(0, 1, "a")], ids=lambda v: type(v).__name__)
def test_places_take_no_further_attributes(value: Span | Segment) -> None:
    with pytest.raises((AttributeError, TypeError)):
        value.note = "b"  # type: ignore[union-attr]


def test_a_changed_copy_is_checked_too() -> None:
    with pytest.raises(OffsetError):
        replace(Span(0, 1, "x", "a"), end=2)
    with pytest.raises(OffsetError):
        replace(Document("abc", breaks=(3,)), text="ab")


# Hash ---------------------------------------------------------------------------------------------------------------


@quick
@given(texts)
@example("")
@example("\ud800 \udfff")
def test_the_hash_is_that_of_the_text_alone(text: str) -> None:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    assert Document(text).sha256 == Document(text, id="a", source="b", title="c", page_starts=(0,)).sha256 == digest


def test_texts_that_only_look_alike_have_different_hashes() -> None:
    alike = ["caf\u00e9", "cafe\u0301", "cafe\u0301\u200b", "café\r\n", "café\n", "ca\u00adfé"]
    assert len({Document(text).sha256 for text in alike}) == len(alike)


# Pages and breaks ---------------------------------------------------------------------------------------------------


@quick
@given(st.integers(0, 30), st.lists(st.integers(0, 30), max_size=6))
def test_each_character_is_on_the_page_that_holds_it(length: int, offsets: list[int]) -> None:
    starts = (0, *sorted(min(offset, length) for offset in offsets))
    document = Document("x" * length, page_starts=starts)
    ends = (*starts[1:], length)
    for offset in range(length):
        holding = [page for page, (start, end) in enumerate(zip(starts, ends, strict=True), 1) if start <= offset < end]
        assert [document.page_at(offset)] == holding
    assert document.page_at(length) == len(starts)


def test_pages_count_from_one_and_empty_pages_hold_nothing() -> None:
    document = Document("abcdef", page_starts=(0, 2, 2, 4, 6))
    assert [document.page_at(offset) for offset in range(7)] == [1, 1, 3, 3, 4, 4, 5]


def test_a_span_over_two_pages_is_on_the_page_where_it_begins() -> None:
    assert Document("abcdef", page_starts=(0, 3)).span(1, 5, "x").page == 1


def test_a_document_without_pages_has_no_page_numbers() -> None:
    assert Document("abc").page_at(1) is None


@pytest.mark.parametrize("pages", [(), (0,)])
@pytest.mark.parametrize("offset", [-1, 4])
def test_there_is_no_page_outside_the_text(offset: int, pages: tuple[int, ...]) -> None:
    with pytest.raises(OffsetError, match=f"found the offset {offset}, expected 0 <= offset <= 3"):
        Document("abc", page_starts=pages).page_at(offset)


def test_the_first_page_must_begin_at_the_start() -> None:
    with pytest.raises(OffsetError, match="first page that starts at 1, expected 0"):
        Document("abc", page_starts=(1, 2))


@pytest.mark.parametrize("offsets", [(0, 2, 1), (0, 4), (0, 3, 9)])
def test_page_starts_that_fall_or_leave_the_text_are_refused(offsets: tuple[int, ...]) -> None:
    with pytest.raises(OffsetError, match=r"page starts must rise within the text, found \d before \d"):
        Document("abc", page_starts=offsets)


@pytest.mark.parametrize("offsets", [(2, 1), (-1,), (4,), (0, 3, 9)])
def test_breaks_that_fall_or_leave_the_text_are_refused(offsets: tuple[int, ...]) -> None:
    with pytest.raises(OffsetError, match=r"breaks must rise within the text, found -?\d before -?\d"):
        Document("abc", breaks=offsets)


@quick
@given(texts, st.data())
def test_page_starts_and_breaks_in_order_are_kept_as_given(text: str, data: st.DataObject) -> None:
    offsets = tuple(sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5))))
    document = Document(text, page_starts=(0, *offsets), breaks=offsets)
    assert (document.page_starts, document.breaks) == ((0, *offsets), offsets)
