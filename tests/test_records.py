"""Gold examples as JSON lines: written and read without loss, and every broken record named with its line."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.corpus.records import ATTRIBUTES, load_examples, save_examples, to_record
from whopays.errors import RecordError, UsageError
from whopays.text import Span

CODEBOOK = Codebook.load(Path(__file__).parents[1] / "corpus" / "codebook.toml")
TEXT = "The learner pays 🎓."
GOOD: dict[str, Any] = {"id": "a", "text": TEXT, "spans": [{"label": "learner:bears", "start": 4, "end": 16}]}
BOM = b"\xef\xbb\xbf"


def write(path: Path, *records: object, newline: str = "\n") -> Path:
    lines = (record if isinstance(record, bytes) else json.dumps(record).encode() for record in records)
    path.write_bytes(b"".join(line + newline.encode() for line in lines))
    return path


def with_span(**changes: Any) -> dict[str, Any]:
    return {**GOOD, "spans": [{**GOOD["spans"][0], **changes}]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gold.jsonl"


# Reading ------------------------------------------------------------------------------------------------------------


def test_a_record_gives_its_text_with_quoted_spans(path: Path) -> None:
    (found,) = load_examples(write(path, {**GOOD, "register": "blog", "year": "1999"}), CODEBOOK)
    assert found == Example(
        "a", TEXT, (Span(4, 16, "learner:bears", "learner pays"),), {"register": "blog", "year": "1999"}
    )
    assert found.labels == {"learner:bears"}


def test_records_keep_their_order(path: Path) -> None:
    records = [{"id": str(number), "text": f"Text {number}.", "spans": []} for number in (5, 3, 9, 1)]
    assert [found.id for found in load_examples(write(path, *records), CODEBOOK)] == ["5", "3", "9", "1"]


def test_spans_are_sorted_however_they_are_written(path: Path) -> None:
    spans = [
        {"label": "signaling", "start": 4, "end": 11},
        {"label": "inflation", "start": 4, "end": 11},
        {"label": "inflation", "start": 0, "end": 3},
    ]
    (found,) = load_examples(write(path, {**GOOD, "spans": spans}), CODEBOOK)
    assert [(span.start, span.label) for span in found.spans] == [(0, "inflation"), (4, "inflation"), (4, "signaling")]


def test_labels_come_from_the_spans_whatever_the_record_says(path: Path) -> None:
    (found,) = load_examples(write(path, {**GOOD, "labels": ["inflation"]}), CODEBOOK)
    assert found.labels == {"learner:bears"}


@pytest.mark.parametrize("given_id", [None, "", "absent"])
def test_a_record_without_an_id_is_named_by_its_line(given_id: str | None, path: Path) -> None:
    record = {**GOOD, "id": given_id}
    if given_id == "absent":
        del record["id"]
    found = load_examples(write(path, GOOD, b"", record), CODEBOOK)
    assert [passage.id for passage in found] == ["a", "3"]


def test_a_number_is_an_id_too(path: Path) -> None:
    found = load_examples(write(path, {**GOOD, "id": 0}, {**GOOD, "id": 7}), CODEBOOK)
    assert [passage.id for passage in found] == ["0", "7"]


def test_empty_attributes_are_absent_and_unknown_keys_are_left(path: Path) -> None:
    record = {**GOOD, "year": 1999, "country": "", "title": None, "score": 3}
    (found,) = load_examples(write(path, record), CODEBOOK)
    assert found.attributes == {"year": "1999"}


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\n\n \t\n"])
def test_line_breaks_of_every_system_and_blank_lines_are_read(newline: str, path: Path) -> None:
    second = {**GOOD, "id": "b", "text": "One\r\ntwo \u2028 learner"}
    found = load_examples(write(path, GOOD, second, newline=newline), CODEBOOK)
    assert [passage.text for passage in found] == [TEXT, "One\r\ntwo \u2028 learner"]


def test_a_last_line_without_a_line_break_is_read(path: Path) -> None:
    path.write_text(json.dumps(GOOD), encoding="utf-8")
    assert len(load_examples(path, CODEBOOK)) == 1


def test_a_byte_order_mark_at_the_start_is_no_part_of_the_first_record(path: Path) -> None:
    raw = json.dumps({**GOOD, "text": "\ufeff" + TEXT}, ensure_ascii=False).encode()
    found = load_examples(write(path, BOM + raw, {**GOOD, "id": "b"}), CODEBOOK)
    assert [passage.text for passage in found] == ["\ufeff" + TEXT, TEXT]


def test_an_empty_file_has_no_examples(path: Path) -> None:
    assert load_examples(write(path), CODEBOOK) == []
    assert load_examples(write(path, b"", b"  "), CODEBOOK) == []


# Broken records -----------------------------------------------------------------------------------------------------

BROKEN: dict[str, tuple[object, str]] = {
    "half an object": (b'{"id": "b", "text": ', "not valid JSON"),
    "plain words": (b"The learner pays.", "not valid JSON"),
    "two objects in a line": (b"{} {}", "not valid JSON"),
    "a line break in a string": (b'{"id": "b", "text": "one\ntwo", "spans": []}', "not valid JSON"),
    "a byte-order mark": (BOM + b"{}", "not valid JSON"),
    "Latin-1": ('{"text": "é"}'.encode("latin-1"), "not valid JSON"),
    "UTF-16": ('{"text": "a"}'.encode("utf-16"), "not valid JSON"),
    "nesting without end": (b"[" * 200_000, "not valid JSON"),
    "a number too long to read": (b'{"start": ' + b"1" * 9000 + b"}", "not valid JSON"),
    "a list": ([GOOD], "found a JSON list, expected an object"),
    "a string": ("text", "found a JSON str, expected an object"),
    "null": (None, "found a JSON NoneType, expected an object"),
    "no text": ({"id": "b", "spans": []}, "found no 'text', expected a string; the fields are id, spans"),
    "nothing": ({}, r"found no 'text', expected a string; the fields are \(none\)"),
    "null for a text": ({**GOOD, "text": None}, "found no 'text'"),
    "a number for a text": ({**GOOD, "text": 3}, "found a 'text' of type int"),
    "no spans": ({"id": "b", "text": "a"}, "expected 'spans', a list of {label, start, end}"),
    "an object for spans": ({**GOOD, "spans": {}}, "expected 'spans', a list"),
    "a list for a span": (
        {**GOOD, "spans": [[0, 3, "learner:bears"]]},
        "found the span .*, expected {label, start, end}",
    ),
    "a string for a span": ({**GOOD, "spans": ["learner"]}, "found the span 'learner', expected {label, start, end}"),
    "null for a span": ({**GOOD, "spans": [None]}, "found the span None, expected"),
    "a span without an end": ({**GOOD, "spans": [{"label": "inflation", "start": 0}]}, "found the span .*, expected"),
    "an unknown label": (
        with_span(label="learner"),
        "unknown label 'learner'; the codebook 'who-pays' has learner:bears",
    ),
    "null for a label": (with_span(label=None), "unknown label None"),
    "a list for a label": (with_span(label=["inflation"]), r"unknown label \['inflation'\]"),
    "an end outside the text": (with_span(end=20), "found the offsets 4:20, expected 0 <= start < end <= 19"),
    "an end counted in bytes": (with_span(end=len(TEXT.encode())), "found the offsets 4:22, expected"),
    "a start below zero": (with_span(start=-1), "found the offsets -1:16, expected"),
    "a span without length": (with_span(start=16), "found the offsets 16:16, expected"),
    "a span backwards": (with_span(start=17), "found the offsets 17:16, expected"),
    "a fraction for an offset": (with_span(start=4.0), "found the offsets 4.0:16, expected"),
    "a string for an offset": (with_span(start="4"), "found the offsets 4:16, expected"),
    "true for an offset": (with_span(start=True), "found the offsets True:16, expected"),
    "null for an offset": (with_span(end=None), "found the offsets 4:None, expected"),
    "a span of an empty text": ({**GOOD, "text": ""}, "found the offsets 4:16, expected 0 <= start < end <= 0"),
    "an id twice": (GOOD, "the id 'a' stands in line 1 too; make ids unique"),
}


@pytest.mark.parametrize(("record", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_record_is_refused_with_file_and_line(record: object, reason: str, path: Path) -> None:
    write(path, GOOD, b"", b" ", record, {**GOOD, "id": "last"})
    with pytest.raises(RecordError, match=rf"^{re.escape(str(path))}, line 4: {reason}"):
        load_examples(path, CODEBOOK)


def test_ids_that_only_look_alike_in_json_are_the_same(path: Path) -> None:
    with pytest.raises(RecordError, match="line 2: the id '7' stands in line 1 too"):
        load_examples(write(path, {**GOOD, "id": 7}, {**GOOD, "id": "7"}), CODEBOOK)


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    for missing in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(UsageError, match=rf"^{re.escape(str(missing))}: .*give the path of a JSON lines file"):
            load_examples(missing, CODEBOOK)


# Writing ------------------------------------------------------------------------------------------------------------


def test_a_record_has_all_attributes_and_its_labels_in_the_order_of_the_codebook() -> None:
    spans = (Span(0, 3, "signaling", "The"), Span(4, 11, "learner:bears", "learner"), Span(12, 16, "signaling", "pays"))
    assert to_record(Example("a", TEXT, spans, {"year": "1999"}), CODEBOOK) == {
        "id": "a",
        "text": TEXT,
        "spans": [
            {"label": "signaling", "start": 0, "end": 3},
            {"label": "learner:bears", "start": 4, "end": 11},
            {"label": "signaling", "start": 12, "end": 16},
        ],
        "labels": ["learner:bears", "signaling"],
        **dict.fromkeys(ATTRIBUTES, ""),
        "year": "1999",
    }


def test_a_file_is_utf_8_with_one_line_a_record_on_every_system(path: Path) -> None:
    save_examples([Example("a", "One\r\n🎓\u2028"), Example("b", "Two")], path, CODEBOOK)
    content = path.read_bytes()
    assert content.count(b"\n") == 2
    assert content.endswith(b"}\n")
    assert b"\r" not in content
    assert "🎓\u2028".encode() in content


anything = st.text(alphabet=st.characters(exclude_categories=()), max_size=40)
hard = st.sampled_from(
    ["\r\n", "\u2028", "\x85", "\x00", '"', "\\", "😀", "e\u0301", "\u00ad", "ﬁ", "שלום", "\ufeff", "\ud800"]
)
texts = st.one_of(anything, st.lists(hard, max_size=10).map("".join))
attributes = st.dictionaries(st.sampled_from(ATTRIBUTES), texts.filter(bool), max_size=3)


def round_trip(examples: list[Example]) -> list[Example]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gold.jsonl"
        save_examples(examples, path, CODEBOOK)
        return load_examples(path, CODEBOOK)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(texts.filter(bool), texts, attributes), max_size=4, unique_by=lambda row: row[0]), st.data())
@example([("a", "\ud800 and \udfff", {})], None)
def test_examples_survive_being_written_and_read(
    rows: list[tuple[str, str, dict[str, str]]], data: st.DataObject | None
) -> None:
    # JSON has no way to tell two surrogates that stand together from the character that they make.
    assume(not re.search("[\ud800-\udbff][\udc00-\udfff]", all_strings(rows)))
    examples = []
    for identifier, text, extra in rows:
        offset = st.integers(0, len(text))
        places = st.lists(st.tuples(offset, offset, st.sampled_from(CODEBOOK.ids)), max_size=6)
        drawn = data.draw(places) if data else [(0, len(text), "inflation")]
        spans = {Span(a, b, label, text[a:b]) for a, b, label in drawn if a < b}
        examples.append(Example(identifier, text, tuple(sorted(spans)), extra))
    assert round_trip(examples) == examples


def all_strings(rows: list[tuple[str, str, dict[str, str]]]) -> str:
    return "\n".join("\n".join([identifier, text, *extra.values()]) for identifier, text, extra in rows)


def test_a_text_of_two_megabytes_in_one_line_survives() -> None:
    text = "The learner pays 🎓. " * 100_001
    assert len(text) > 2_000_000
    examples = [Example("long", text, (Span(len(text) - 3, len(text), "inflation", text[-3:]),))]
    assert round_trip(examples) == examples
