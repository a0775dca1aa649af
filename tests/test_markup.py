"""Inline mark-up: what it says, that it holds every text without loss, and that each mistake is named with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from whopays.codebook import Codebook
from whopays.corpus.markup import Example, format_file, format_text, parse_file, parse_text
from whopays.errors import CodebookError, MarkupError, OffsetError
from whopays.text import Span

CODEBOOK = Codebook.load(Path(__file__).parents[1] / "corpus" / "codebook.toml")
LB, LE, EB, EE, SB, SE, CS, IN, SI = CODEBOOK.ids

FRAGMENTS = r"""{ } | \ \\ {} {LB| {LB EE|x} \{ \} == %% \== \%% \\== ==a %%a=b LB ' " # = a B 1 é""".split()
FRAGMENTS += [
    "\n",
    "\n\n",
    "\n==",
    "\n%%",
    "\n\\==",
    "\r",
    "\r\n",
    "\r\n==",
    "\v",
    "\f",
    "\x1c",
    "\x85",
    "\u2028==",
    "\u2029",
]
FRAGMENTS += [
    " ",
    "\t",
    "\u00a0",
    "\u00ad",
    "\u200b",
    "\ufeff",
    "\x00",
    "\ud83d",
    "\udc00",
    "😀",
    "👩\u200d🎓",
    "e\u0301",
    "ﬁ",
    "שלום",
]
anything = st.text(alphabet=st.characters(exclude_categories=()), max_size=60)
texts = st.one_of(anything, st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join))
thorough = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def gold(text: str, *places: tuple[int, int, str]) -> tuple[Span, ...]:
    return tuple(sorted(Span(start, end, label, text[start:end]) for start, end, label in places))


def fits(span: Span, others: list[Span]) -> bool:
    """Whether mark-up can hold the span beside the others: no crossing, no overlap of one label, not blank."""
    for other in others:
        apart = span.end <= other.start or other.end <= span.start
        inside = other.start <= span.start and span.end <= other.end
        around = span.start <= other.start and other.end <= span.end
        if not (apart or inside or around) or (not apart and span.label == other.label):
            return False
    return bool(span.text.strip())


def draw_spans(data: st.DataObject, text: str) -> tuple[Span, ...]:
    spans: list[Span] = []
    offset = st.integers(0, len(text))
    for one, other, label in data.draw(st.lists(st.tuples(offset, offset, st.sampled_from(CODEBOOK.ids)), max_size=8)):
        start, end = sorted((one, other))
        if start < end and fits(span := Span(start, end, label, text[start:end]), spans):
            spans.append(span)
    return tuple(sorted(spans))


# What mark-up says --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("marked", "text", "places"),
    [
        ("", "", []),
        ("No claim.", "No claim.", []),
        ("{LB|She} pays.", "She pays.", [(0, 3, LB)]),
        ("The fee {LB|falls on her}", "The fee falls on her", [(8, 20, LB)]),
        ("{LB|all of it}", "all of it", [(0, 9, LB)]),
        ("{LB EE CS|ab}", "ab", [(0, 2, LB), (0, 2, EE), (0, 2, CS)]),
        ("{ LB  EE |ab}", "ab", [(0, 2, LB), (0, 2, EE)]),
        ("{LB|a{EE|b}c}", "abc", [(0, 3, LB), (1, 2, EE)]),
        ("{LB|{EE|{CS|a}}}", "a", [(0, 1, LB), (0, 1, EE), (0, 1, CS)]),
        ("{LB|{EE|a}b{EE|c}}", "abc", [(0, 3, LB), (0, 1, EE), (2, 3, EE)]),
        ("{LB|a}{LB|b}", "ab", [(0, 1, LB), (1, 2, LB)]),
        ("{LB|a}{EE|b}", "ab", [(0, 1, LB), (1, 2, EE)]),
        ("{LB|one\ntwo\r\nthree}", "one\ntwo\r\nthree", [(0, 14, LB)]),
        ("{LB| padded }", " padded ", [(0, 8, LB)]),
        ("{LB|a|b}", "a|b", [(0, 3, LB)]),
        (r"\{{LB|a\}\\b}", "{a}\\b", [(1, 5, LB)]),
        (r"\a\{\|", "a{|", []),
        ("\\\nb", "\nb", []),
        ("🎓{LB|👩\u200d🎓}e\u0301{EE|e\u0301}", "🎓👩\u200d🎓e\u0301e\u0301", [(1, 4, LB), (6, 8, EE)]),
    ],
)
def test_marks_give_labels_to_the_plain_text_between_their_braces(
    marked: str, text: str, places: list[tuple[int, int, str]]
) -> None:
    assert parse_text(marked, CODEBOOK) == (text, gold(text, *places))


def test_spans_come_in_order_of_start_end_and_label() -> None:
    _, spans = parse_text("{SI|a {LB|b} {CS EE|c}} {EB|d}", CODEBOOK)
    assert [(span.start, span.end, span.label) for span in spans] == sorted(
        [(0, 5, SI), (2, 3, LB), (4, 5, CS), (4, 5, EE), (6, 7, EB)]
    )


def test_coinciding_spans_are_written_as_one_mark_in_the_order_of_the_codebook() -> None:
    assert format_text("a b", gold("a b", (2, 3, SI), (2, 3, CS), (2, 3, LB)), CODEBOOK) == "a {LB CS SI|b}"


def test_nested_and_touching_spans_are_written_from_the_outside_in() -> None:
    text = "abcdef"
    spans = gold(text, (0, 4, LB), (0, 2, EE), (1, 2, CS), (2, 4, EE), (4, 6, LB))
    assert format_text(text, spans, CODEBOOK) == "{LB|{EE|a{CS|b}}{EE|cd}}{LB|ef}"


def test_special_characters_are_written_with_a_backslash_only_where_they_are_special() -> None:
    assert format_text("a | b == c %% d", (), CODEBOOK) == "a | b == c %% d"
    assert format_text("{a} \\", (), CODEBOOK) == r"\{a\} \\"
    assert format_text("==\n%%x\n x==", (), CODEBOOK) == "\\==\n\\%%x\n x=="


def test_the_marks_of_another_codebook_are_its_own() -> None:
    content = 'name = "a"\nversion = "1"\n[groups.g]\n[[labels]]\nid = "x"\nmark = "X1"\ngroup = "g"\ndefinition = "d"'
    other = Codebook.parse(content)
    assert parse_text("{X1|a}", other)[1] == (Span(0, 1, "x", "a"),)
    with pytest.raises(MarkupError, match="'LB', expected some of X1"):
        parse_text("{LB|a}", other)


# No loss ------------------------------------------------------------------------------------------------------------


@thorough
@given(texts, st.data())
def test_every_text_with_its_spans_survives_being_written_and_read(text: str, data: st.DataObject) -> None:
    spans = draw_spans(data, text)
    assert parse_text(format_text(text, spans, CODEBOOK), CODEBOOK) == (text, spans)


@thorough
@given(texts)
@example("")
@example("\\")
@example("==")
@example("\n\\\\%%\n\n")
@example("{LB|x}")
@example("\u2028==\x85%%\r==\r\n==")
def test_every_text_without_spans_survives_being_written_and_read(text: str) -> None:
    assert parse_text(format_text(text, (), CODEBOOK), CODEBOOK) == (text, ())


@thorough
@given(texts)
def test_any_text_is_read_or_refused_with_a_line(marked: str) -> None:
    try:
        text, spans = parse_text(marked, CODEBOOK, "f.txt")
    except MarkupError as error:
        told = str(error)
    else:
        told = "f.txt: fine"
        assert all(text[span.start : span.end] == span.text for span in spans)
    assert re.match(r"f\.txt(: fine|, line \d+ of the passage: |: two marks of )", told)


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,5}", fullmatch=True)
values = st.one_of(anything, st.lists(st.sampled_from(FRAGMENTS), max_size=4).map("".join))
attributes = st.dictionaries(names, values.filter(lambda value: "\n" not in value), max_size=3)


@settings(thorough, max_examples=100)
@given(st.lists(st.tuples(texts.map(lambda text: text.strip("\n")), attributes), max_size=4), st.data())
def test_every_passage_survives_being_written_to_a_file_and_read(
    passages: list[tuple[str, dict[str, str]]], data: st.DataObject
) -> None:
    assume(all(text.strip() for text, _ in passages))
    assume(len({text for text, _ in passages}) == len(passages))
    ids = data.draw(st.lists(names, min_size=len(passages), max_size=len(passages), unique=True))
    examples = [Example(i, text, draw_spans(data, text), a) for i, (text, a) in zip(ids, passages, strict=True)]
    assert parse_file(format_file(examples, CODEBOOK), CODEBOOK, "f.txt") == examples


def test_a_passage_of_two_megabytes_in_one_line_survives() -> None:
    text = "The learner {pays} \\ == 🎓. " * 75_000
    assert len(text) > 2_000_000
    spans = gold(text, (0, len(text), LB), (4, 11, EE), (len(text) - 3, len(text), CS))
    examples = [Example("long", text, spans)]
    assert parse_file(format_file(examples, CODEBOOK), CODEBOOK, "f.txt") == examples


# Files --------------------------------------------------------------------------------------------------------------

FILE = """\
%% register=statute author=a1
== one country=GB title='A Bill, {LB|or} == Act'

The {EB CS|levy falls on the industry}.

A second paragraph.

%% author=a2 level=

== two
{LE|Free.}
== three register=blog
Nothing.
"""


def test_a_file_gives_its_passages_in_order_with_shared_and_own_attributes() -> None:
    one, two, three = parse_file(FILE, CODEBOOK, "f.txt")
    assert one.text == "The levy falls on the industry.\n\nA second paragraph."
    assert one.spans == gold(one.text, (4, 30, EB), (4, 30, CS))
    assert one.attributes == {"register": "statute", "author": "a1", "country": "GB", "title": "A Bill, {LB|or} == Act"}
    assert (two.id, two.text, two.labels) == ("two", "Free.", frozenset([LE]))
    assert two.attributes == {"register": "statute", "author": "a2", "level": ""}
    assert (three.text, three.spans, three.labels) == ("Nothing.", (), frozenset())
    assert three.attributes == {"register": "blog", "author": "a2", "level": ""}


@pytest.mark.parametrize("content", ["", "\n \n", "%% register=blog\n", "%%\n\n"])
def test_a_file_without_passages_gives_none(content: str) -> None:
    assert parse_file(content, CODEBOOK, "f.txt") == []


def test_headers_with_line_breaks_of_two_characters_are_read_too() -> None:
    (passage,) = parse_file("%% register=blog\r\n== one year=1999\r\nA\r\nB", CODEBOOK, "f.txt")
    assert passage == Example("one", "A\r\nB", (), {"register": "blog", "year": "1999"})


def test_no_file_is_written_for_no_examples() -> None:
    assert format_file([], CODEBOOK) == ""


# What is refused ----------------------------------------------------------------------------------------------------

BAD_MARKS = {
    "an unknown mark": ("{XX|a}", "found the mark 'XX', expected some of LB, LE, "),
    "a mark in lower case": ("{lb|a}", "found the mark 'lb'"),
    "an id in place of a mark": ("{inflation|a}", "found the mark 'inflation'"),
    "one unknown mark of two": ("{LB XX|a}", "found the mark 'XX'"),
    "no mark": ("{|a}", "found the mark '(none)'"),
    "only spaces for a mark": ("{  |a}", "found the mark '(none)'"),
    "a repeated mark": ("{LB EE LB|a}", "the mark 'LB EE LB' names a label twice"),
    "a mark without text": ("{LB|}", "the mark learner:bears holds no text"),
    "a mark with white space only": ("{LB EE|\u00a0\t}", "the mark learner:bears employer:escapes holds no text"),
    "a mark with an empty mark inside": ("{LB|{EE|}}", "the mark employer:escapes holds no text"),
    "a mark never closed": ("{LB|a", "a mark is opened here and never closed"),
    "a mark closed too often": ("{LB|a}}", "found '}' without an open mark"),
    "a stray opening brace": ("a { b", "found '{' without 'MARKS|' behind it"),
    "a brace with a word": ("a {b} c", "found '{' without 'MARKS|' behind it"),
    "a brace at the end": ("a {", "found '{' without 'MARKS|' behind it"),
    "a mark over a line break": ("{LB\n|a}", "found '{' without 'MARKS|' behind it"),
    "a stray closing brace": ("a } b", "found '}' without an open mark"),
    "a backslash at the end": ("a\\", "a backslash at the end of the text"),
}


@pytest.mark.parametrize(("marked", "reason"), BAD_MARKS.values(), ids=BAD_MARKS)
def test_a_bad_mark_is_refused_with_its_line(marked: str, reason: str) -> None:
    for before, line in (("", 1), ("One.\n\nTwo.\n", 4), ("{LB|One\u2028}\r\n{EE|Two.}\n", 3)):
        with pytest.raises(MarkupError) as caught:
            parse_text(before + marked, CODEBOOK)
        assert str(caught.value).startswith(f"line {line}: {reason}")


@pytest.mark.parametrize(("marked", "reason"), BAD_MARKS.values(), ids=BAD_MARKS)
def test_a_bad_mark_in_a_file_is_refused_with_file_header_and_line(marked: str, reason: str) -> None:
    with pytest.raises(MarkupError) as caught:
        parse_file(f"%% a=b\n== one\nGood.\n\n== two c=d\nLine one.\n{marked}", CODEBOOK, "dir/f.txt")
    assert str(caught.value).startswith(f"dir/f.txt, line 5 (two), line 2 of the passage: {reason}")


def test_a_mark_never_closed_is_refused_where_it_is_opened() -> None:
    with pytest.raises(MarkupError, match=r"^line 2: a mark is opened here and never closed"):
        parse_text("One.\n{LB|Two.\n{EE|Three.}\nFour.", CODEBOOK)


@pytest.mark.parametrize("marked", ["{LB|a {LB|b} c}", "{LB|{LB|b}}", "{LB|a {EE|b {LB CS|c}}}"])
def test_two_marks_of_one_label_over_the_same_text_are_refused(marked: str) -> None:
    with pytest.raises(
        MarkupError, match=r"^f\.txt, line 1 \(one\): two marks of 'learner:bears' overlap: '.*' and '.'"
    ):
        parse_file(f"== one\n{marked}\n", CODEBOOK, "f.txt")


BAD_FILES = {
    "text before the first header": ("\n\nText.\n== one\nA", 3, "text without a '== id' header"),
    "text after shared attributes": ("%% a=b\n\nText.", 3, "text without a '== id' header"),
    "text between a passage and the next": ("== one\nA\n%% a=b\nText.\n== two\nB", 4, "text without a '== id' header"),
    "a byte-order mark": ("\ufeff== one\nA", 1, "text without a '== id' header"),
    "a header without an id": ("== one\nA\n==\nB", 3, "found '==', expected '== id key=value ...'"),
    "a header that begins with an attribute": ("== year=1999\nB", 1, "found '== year=1999', expected '== id"),
    "an id with other characters": ("== a/b\nB", 1, "found '== a/b', expected '== id"),
    "an id that begins with a dash": ("== -a\nB", 1, "found '== -a', expected '== id"),
    "an underlined heading": ("== one\nHeading\n=======\nB", 3, "found '=======', expected '== id"),
    "an attribute without a value": ("== one\nA\n== two year\nB", 3, "found 'year', expected key=value"),
    "an attribute without a key": ("== two =1999\nB", 1, "found '=1999', expected key=value"),
    "a shared attribute without a value": ("\n%% register\n", 2, "found 'register', expected key=value"),
    "an open quote": ("== one title='A Bill\nB", 1, "cannot read the header (No closing quotation)"),
    "an open quote in shared attributes": ('%% title="A\n', 1, "cannot read the header (No closing quotation)"),
    "a backslash at the end of a header": ("== one \\\nB", 1, "cannot read the header (No escaped character)"),
    "an id twice": ("== one\nA\n== two\nB\n\n== one\nC", 6, "the id 'one' stands in line 1 too"),
}


@pytest.mark.parametrize(("content", "line", "reason"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_refused_with_file_and_line(content: str, line: int, reason: str) -> None:
    with pytest.raises(MarkupError) as caught:
        parse_file(content, CODEBOOK, "dir/f.txt")
    assert str(caught.value).startswith(f"dir/f.txt, line {line}: {reason}")


BAD_PASSAGES = {
    "a text twice": ("== one\nSame.\n== two\nB\n== three\n\nSame.\n", 5, "three", "the same text stands in line 1"),
    "a text twice with other marks": ("== one\nSame.\n== two\n{LB|Same}.", 3, "two", "the same text stands in line 1"),
    "an empty passage": ("== one\nA\n== two\n\n== three\nB", 3, "two", "the passage is empty"),
    "an empty passage at the end": ("== one\nA\n== two", 3, "two", "the passage is empty"),
    "a blank passage": ("== one\n \t\n\u00a0\n", 1, "one", "the passage is empty"),
}


@pytest.mark.parametrize(("content", "line", "identifier", "reason"), BAD_PASSAGES.values(), ids=BAD_PASSAGES)
def test_a_bad_passage_is_refused_with_file_line_and_id(content: str, line: int, identifier: str, reason: str) -> None:
    with pytest.raises(MarkupError) as caught:
        parse_file(content, CODEBOOK, "dir/f.txt")
    assert str(caught.value).startswith(f"dir/f.txt, line {line} ({identifier}): {reason}")


# What cannot be written ---------------------------------------------------------------------------------------------


def test_crossing_spans_cannot_be_written() -> None:
    with pytest.raises(MarkupError, match="the spans ending at 4 and 6 cross; mark-up can only nest"):
        format_text("abcdef", gold("abcdef", (0, 4, LB), (2, 6, EE)), CODEBOOK)
    with pytest.raises(MarkupError, match="cross"):
        format_text("abcdef", gold("abcdef", (0, 6, SI), (0, 4, LB), (2, 3, CS), (3, 6, EE)), CODEBOOK)


@thorough
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6), st.sampled_from([LB, EE, CS])), max_size=4, unique=True)
)
def test_spans_are_written_exactly_when_none_cross_or_overlap_with_their_own_label(
    places: list[tuple[int, int, str]],
) -> None:
    spans = gold("abcdef", *((start, end, label) for start, end, label in places if start < end))
    holds = all(fits(span, [other for other in spans if other is not span]) for span in spans)
    try:
        marked = format_text("abcdef", spans, CODEBOOK)
    except MarkupError:
        assert not holds
    else:
        assert holds
        assert parse_text(marked, CODEBOOK) == ("abcdef", spans)


def test_overlapping_spans_of_one_label_cannot_be_written() -> None:
    for second in ((1, 2), (2, 4), (0, 3)):
        with pytest.raises(MarkupError, match="two marks of 'learner:bears' overlap"):
            format_text("abcdef", [*gold("abcdef", (0, 3, LB)), *gold("abcdef", (*second, LB))], CODEBOOK)


def test_a_span_of_white_space_cannot_be_written() -> None:
    with pytest.raises(MarkupError, match="the span 1:3 holds no text"):
        format_text("a \nb", gold("a \nb", (1, 3, LB)), CODEBOOK)


@pytest.mark.parametrize("span", [Span(0, 3, LB, "xyz"), Span(4, 7, LB, "abc"), Span(5, 8, LB, "fgh")])
def test_a_span_that_does_not_quote_the_text_cannot_be_written(span: Span) -> None:
    with pytest.raises(OffsetError, match=f"the span {span.start}:{span.end} does not quote its text"):
        format_text("abcdef", [span], CODEBOOK)


def test_a_span_with_an_unknown_label_cannot_be_written() -> None:
    with pytest.raises(CodebookError, match="unknown label 'learner'"):
        format_text("abc", [Span(0, 1, "learner", "a")], CODEBOOK)


@pytest.mark.parametrize("text", ["", " \t", "\nabc", "abc\n", "\n"])
def test_a_passage_that_is_blank_or_ends_in_line_breaks_cannot_be_written(text: str) -> None:
    with pytest.raises(MarkupError, match="one: a passage must hold text and not begin or end in a line break"):
        format_file([Example("one", text)], CODEBOOK)


@pytest.mark.parametrize("identifier", ["", "a b", "a/b", "-a", "é", "a\n"])
def test_an_id_with_other_characters_cannot_be_written(identifier: str) -> None:
    with pytest.raises(MarkupError, match="ids and attribute keys hold letters, digits"):
        format_file([Example(identifier, "A")], CODEBOOK)


@pytest.mark.parametrize("key", ["", "a b", "a=b", "a\u2028b"])
def test_an_attribute_key_with_spaces_or_equals_signs_cannot_be_written(key: str) -> None:
    with pytest.raises(MarkupError, match="ids and attribute keys hold letters, digits"):
        format_file([Example("one", "A", (), {key: "v"})], CODEBOOK)


def test_an_attribute_with_a_line_break_cannot_be_written() -> None:
    with pytest.raises(MarkupError, match="one: an attribute holds a line break"):
        format_file([Example("one", "A", (), {"title": "a\nb"})], CODEBOOK)
