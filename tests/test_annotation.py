"""Annotation formats: every text and span survives them, and what each tool really exports is read exactly."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from whopays.annotation import FORMATS, Annotation, Conversion, annotation_format, convert
from whopays.annotation.offsets import Offsets
from whopays.annotation.tokens import tokens
from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.corpus.records import ATTRIBUTES, load_examples
from whopays.errors import CodebookError, OffsetError, RecordError, UsageError
from whopays.text import Span

CODEBOOK = Codebook.load(Path(__file__).parents[1] / "corpus" / "codebook.toml")
LB, LE, EB, EE, SB, SE, CS, IN, SI = CODEBOOK.ids
FOLDERS = ("brat", "web-annotation")
WITHOUT_ATTRIBUTES = FOLDERS
SEVERAL_READERS = ("label-studio", "prodigy", "web-annotation")

FRAGMENTS = [*" \t\n\r\\#_|%", "\r\n", "\n\n", "\u00a0", "\u2028", "\x85", "\x1c", "\x0b", "\x00", "\ufeff", "\u200b"]
FRAGMENTS += [
    "😀",
    "👩🏽\u200d🎓",
    "🇬🇧",
    "e\u0301",
    "\u0301",
    "ﬁ",
    "שלום",
    "\u202e",
    "a",
    "B-",
    "O",
    "fee",
    "\\s",
    "# id = ",
    "''",
]
anything = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=40)
texts = st.one_of(anything, st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join))
thorough = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ids = st.one_of(st.from_regex(r"[a-z0-9._-]{1,8}", fullmatch=True), anything.filter(lambda text: 0 < len(text) < 20))
values = anything.filter(bool)


@st.composite
def examples(draw: st.DrawFn) -> Example:
    text = draw(texts)
    offset = st.integers(0, len(text))
    places = draw(st.lists(st.tuples(offset, offset, st.sampled_from(CODEBOOK.ids)), max_size=8))
    spans = [Span(min(a, b), max(a, b), label, text[min(a, b) : max(a, b)]) for a, b, label in places if a != b]
    attributes = draw(st.dictionaries(st.sampled_from(ATTRIBUTES), values, max_size=2))
    return Example(draw(ids), text, tuple(sorted(spans)), attributes)


def span(text: str, words: str, label: str = LB) -> Span:
    start = text.index(words)
    return Span(start, start + len(words), label, words)


def gold(identifier: str, text: str, *spans: Span) -> Example:
    return Example(identifier, text, tuple(sorted(spans)))


def write(name: str, annotations: Iterable[Annotation], path: Path, **options: Any) -> Path:
    path = path / f"out{annotation_format(name).suffix}"
    annotation_format(name).write(annotations, path, CODEBOOK, **options)
    return path


def read(name: str, path: Path, unit: str | None = None) -> list[Example]:
    return annotation_format(name).read(path, CODEBOOK, unit).examples


def there_and_back(name: str, annotations: list[Annotation]) -> list[Annotation]:
    with tempfile.TemporaryDirectory() as folder:
        path = write(name, annotations, Path(folder))
        return list(annotation_format(name).read(path, CODEBOOK, None).items)


def kept(name: str, item: Example) -> Example:
    return Example(item.id, item.text, item.spans) if name in WITHOUT_ATTRIBUTES else item


# Round trips --------------------------------------------------------------------------------------------------------

AWKWARD = "😀 e\u0301\u200b\t\r\n#fee 👩🏽\u200d🎓\r\n\u00a0"


@pytest.mark.parametrize("name", FORMATS)
@thorough
@given(item=examples())
@example(item=Example("empty", ""))
@example(item=Example("blank", " \r\n\t"))
@example(item=gold("all", AWKWARD, Span(0, len(AWKWARD), LB, AWKWARD)))
@example(item=gold("each", AWKWARD, *(Span(i, i + 1, LB, c) for i, c in enumerate(AWKWARD))))
@example(item=gold("itself", "abcd", *(Span(0, i, LB, "abcd"[:i]) for i in (1, 2, 3, 4, 4))))
@example(
    item=gold(
        "breaks", "\n\na\n\nb\n\n", Span(0, 8, LB, "\n\na\n\nb\n\n"), Span(0, 1, EB, "\n"), Span(3, 5, CS, "\n\n")
    )
)
def test_every_text_with_its_spans_survives_being_written_and_read(name: str, item: Example) -> None:
    assert there_and_back(name, [Annotation(item)]) == [Annotation(kept(name, item))]


@pytest.mark.parametrize("name", FORMATS)
@settings(thorough, max_examples=25)
@given(items=st.lists(examples(), max_size=4, unique_by=lambda item: item.id.casefold()))
def test_many_texts_survive_together_in_their_order(name: str, items: list[Example]) -> None:
    found = [annotation.example for annotation in there_and_back(name, [Annotation(item) for item in items])]
    expected = [kept(name, item) for item in items]
    if name in FOLDERS:
        found.sort(key=lambda item: item.id)
        expected.sort(key=lambda item: item.id)
    assert found == expected


@pytest.mark.parametrize("name", SEVERAL_READERS)
@settings(thorough, max_examples=25)
@given(text=texts, data=st.data())
def test_the_readings_of_several_people_survive(name: str, text: str, data: st.DataObject) -> None:
    offset = st.integers(0, len(text))
    items = []
    for annotator in ("alice@example.org", "bob", "3"):
        places = data.draw(st.lists(st.tuples(offset, offset), max_size=3))
        spans = sorted({Span(min(p), max(p), EE, text[min(p) : max(p)]) for p in places if p[0] != p[1]})
        items.append(Annotation(Example("one", text, tuple(spans)), annotator))
    assert sorted(there_and_back(name, items), key=lambda item: item.annotator) == sorted(
        items, key=lambda item: item.annotator
    )


@pytest.mark.parametrize("name", ["label-studio", "doccano", "web-annotation"])
@pytest.mark.parametrize("unit", ["code-points", "utf-16"])
@settings(thorough, max_examples=25)
@given(item=examples())
def test_both_ways_to_count_survive_where_a_tool_may_count_either_way(name: str, unit: str, item: Example) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(name, [Annotation(item)], Path(folder), unit=unit)
        assert read(name, path, unit) == [kept(name, item)]


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "corpus"])
def test_the_whole_training_corpus_survives(name: str, tmp_path: Path) -> None:
    source = Path(__file__).parents[1] / "corpus" / "data" / "heldout.jsonl"
    target = tmp_path / f"out{annotation_format(name).suffix}"
    convert(Conversion(source, "corpus", target, name), CODEBOOK)
    convert(Conversion(target, name, tmp_path / "back.jsonl", "corpus"), CODEBOOK)
    found = {item.id: item for item in load_examples(tmp_path / "back.jsonl", CODEBOOK)}
    for item in load_examples(source, CODEBOOK):
        assert found.pop(item.id) == kept(name, item)
    assert not found


@thorough
@given(item=examples())
def test_tokens_joined_are_the_text_and_every_span_begins_and_ends_at_one(item: Example) -> None:
    found = tokens(item.text, item.spans)
    assert "".join(item.text[token.start : token.end] for token in found) == item.text
    loud = [token for token in found if not token.silent]
    assert {span.start for span in item.spans} <= {token.start for token in loud}
    assert {span.end for span in item.spans} <= {token.end for token in loud}
    assert all(item.text[token.start : token.end].isspace() for token in found if token.silent)


def test_tokens_are_words_and_marks_and_keep_accents_and_joined_emoji_whole() -> None:
    text = "The fee, e\u0301tude 👩🏽\u200d🎓 5%"
    words = [text[token.start : token.end] for token in tokens(text, ()) if not token.silent]
    assert words == ["The", "fee", ",", "e\u0301tude", "👩", "🏽\u200d🎓", "5", "%"]


def test_utf_16_counts_as_javascript_does() -> None:
    offsets = Offsets("a😀b", "utf-16")
    assert [offsets.to_units(i) for i in range(4)] == [0, 1, 3, 4]
    assert [offsets.to_points(i) for i in (0, 1, 2, 3, 4, 5, -1, "1", None, True)] == [0, 1, None, 2, 3] + [None] * 5
    with pytest.raises(UsageError, match="found the unit 'bytes', expected code-points or utf-16"):
        Offsets("", "bytes")


# Label Studio -------------------------------------------------------------------------------------------------------

FIRE = "👨🏻\u200d🚒 firemen pay firetrucks"


def task(text: str, *readings: dict[str, Any], **data: Any) -> dict[str, Any]:
    """A task as Label Studio's export in JSON has it, with the keys that are of no use here."""
    return {
        "id": 7,
        "annotations": list(readings),
        "file_upload": "0a1b2c3d-tasks.json",
        "drafts": [],
        "predictions": [],
        "data": {"text": text, **data},
        "meta": {},
        "created_at": "2024-03-09T21:52:49.513742Z",
        "inner_id": 1,
        "total_annotations": len(readings),
        "project": 83,
    }


def reading(*regions: dict[str, Any], by: Any = 1, **keys: Any) -> dict[str, Any]:
    head = {"id": 1001, "completed_by": by, "was_cancelled": False, "ground_truth": False, "lead_time": 4.2}
    return {**head, "result": list(regions), **keys}


def region(start: int, end: int, text: str | None, *labels: str) -> dict[str, Any]:
    value = {"start": start, "end": end, **({} if text is None else {"text": text}), "labels": list(labels)}
    return {"value": value, "id": "qAx1", "from_name": "label", "to_name": "text", "type": "labels", "origin": "manual"}


def studio(tmp_path: Path, *tasks: dict[str, Any]) -> Path:
    path = tmp_path / "project-1-at-2024-03-09-22-16-08b0c5d7.json"
    path.write_text(json.dumps(list(tasks)), encoding="utf-8")
    return path


@pytest.mark.parametrize("start", [19, 22], ids=["code points, as it counts now", "UTF-16, as it once counted"])
def test_label_studio_is_read_in_the_unit_that_its_quotes_fit(tmp_path: Path, start: int) -> None:
    text = FIRE.replace("pay", "drive")
    path = studio(tmp_path, task(text, reading(region(start, start + 10, "firetrucks", LB, CS))))
    assert read("label-studio", path) == [gold("7", text, span(text, "firetrucks"), span(text, "firetrucks", CS))]


def test_label_studio_is_read_in_code_points_without_quotes_unless_told_otherwise(tmp_path: Path) -> None:
    path = studio(tmp_path, task("😀 pays", reading(region(2, 6, None, LB))))
    assert read("label-studio", path) == [gold("7", "😀 pays", span("😀 pays", "pays"))]
    path = studio(tmp_path, task("😀 pays", reading(region(3, 7, None, LB))))
    assert read("label-studio", path, "utf-16") == [gold("7", "😀 pays", span("😀 pays", "pays"))]
    with pytest.raises(RecordError, match=r"task 1: found the offsets 3:7, expected 0 <= start < end <= 6"):
        read("label-studio", path, "code-points")


def test_label_studio_counts_a_windows_line_break_as_two_and_may_quote_it_otherwise(tmp_path: Path) -> None:
    text = "One.\r\nShe pays."
    path = studio(tmp_path, task(text, reading(region(0, 9, "One.\n\nShe", LB), region(10, 14, "pays", EB))))
    assert read("label-studio", path) == [gold("7", text, span(text, "One.\r\nShe"), span(text, "pays", EB))]


def test_label_studio_gives_each_reader_and_names_what_was_skipped(tmp_path: Path) -> None:
    people = (
        reading(region(0, 3, "She", LB), by={"id": 4, "email": "ann@example.org"}),
        reading(by=5),
        reading(was_cancelled=True),
    )
    choice = {"value": {"choices": ["x"]}, "from_name": "c", "to_name": "text", "type": "choices", "id": "a"}
    path = studio(
        tmp_path,
        task("She pays.", *people, id="mine", register="statute"),
        task("Not yet."),
        task("Skipped.", reading(was_cancelled=True)),
        task("Other regions.", reading(choice)),
    )
    found = annotation_format("label-studio").read(path, CODEBOOK, None)
    assert [(item.annotator, item.example.id, len(item.example.spans)) for item in found.items] == [
        ("ann@example.org", "mine", 1),
        ("5", "mine", 0),
        ("1", "7", 0),
    ]
    assert found.items[0].example.attributes == {"register": "statute"}
    assert [line.split(": ", 1)[1] for line in found.skipped] == ["not annotated yet", "skipped by its reader"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"tasks": []}, "found a JSON dict, expected Label Studio's array of tasks"),
        ([1], "task 1: found a JSON int, expected a task"),
        ([{"id": 1}], "task 1: found a JSON NoneType, expected a 'data' object"),
        ([task("a", reading(region(0, 1, "b", LB)))], "the text at 0:1 is 'a', and the file quotes 'b'"),
        ([task("a", reading(region(0, 1, "a", "payer")))], "unknown label 'payer'"),
        ([{"data": {"a": "x", "b": "y"}, "annotations": [reading()]}], "expected a string 'text'"),
    ],
)
def test_what_label_studio_never_exports_is_refused(tmp_path: Path, content: Any, reason: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RecordError, match=reason):
        read("label-studio", path)


def test_suggestions_for_label_studio_are_predictions_with_scores_and_no_answer(tmp_path: Path) -> None:
    scored = Example("a", "She pays.", (Span(0, 3, LB, "She", 0.9),))
    path = write("label-studio", [Annotation(scored, "model-1")], tmp_path, suggested=True)
    (written,) = json.loads(path.read_text(encoding="utf-8"))
    (prediction,) = written["predictions"]
    assert (written["annotations"], prediction["model_version"]) == ([], "model-1")
    assert prediction["result"][0]["value"] == {"start": 0, "end": 3, "text": "She", "labels": [LB]}
    assert prediction["result"][0]["score"] == 0.9
    assert annotation_format("label-studio").read(path, CODEBOOK, None).skipped == (
        f"{path}, task 1: not annotated yet",
    )


# doccano ------------------------------------------------------------------------------------------------------------


def lines(tmp_path: Path, *records: dict[str, Any]) -> Path:
    path = tmp_path / "all.jsonl"
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


def test_doccano_is_read_in_utf_16_from_all_its_shapes(tmp_path: Path) -> None:
    text = FIRE.replace("pay", "drive")
    entity = {"id": 1662, "label": LB, "start_offset": 22, "end_offset": 32}
    path = lines(
        tmp_path,
        {"id": 1, "text": text, "label": [[22, 32, LB]], "Comments": []},
        {"id": 2, "text": text, "labels": [[22, 32, LB]]},
        {"id": 3, "text": text, "entities": [entity], "relations": [], "Comments": []},
        {"id": 4, "text": text, "label": [], "example": "mine", "register": "blog"},
    )
    found = read("doccano", path)
    assert found[:3] == [gold(str(i), text, span(text, "firetrucks")) for i in (1, 2, 3)]
    assert found[3] == Example("mine", text, (), {"register": "blog"})


def test_doccano_is_read_in_code_points_if_told_so(tmp_path: Path) -> None:
    path = lines(tmp_path, {"id": 1, "text": "😀 pays", "label": [[2, 6, LB]]})
    assert read("doccano", path, "code-points") == [gold("1", "😀 pays", span("😀 pays", "pays"))]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"id": 1, "label": []}, "line 1: found the fields id, label, expected a string 'text'"),
        ({"text": "ab", "label": ["LOC"]}, r"found the span 'LOC', expected \[start, end, label\]"),
        (
            {"text": "a😀", "label": [[1, 2, LB]]},
            "found the offsets 1:2, expected 0 <= start < end <= 3, counting utf-16",
        ),
        ({"text": "ab", "label": [[0, 1, "LOC"]]}, "unknown label 'LOC'"),
    ],
)
def test_what_doccano_never_exports_is_refused(tmp_path: Path, record: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        read("doccano", lines(tmp_path, record))


# Prodigy ------------------------------------------------------------------------------------------------------------


def test_prodigy_answers_are_read_and_others_named(tmp_path: Path) -> None:
    accepted = {
        "text": "Hi 😀. She pays",
        "_input_hash": 1333440749,
        "_task_hash": 39342451,
        "tokens": [{"text": "Hi", "start": 0, "end": 2, "id": 0, "ws": True}],
        "_view_id": "spans_manual",
        "spans": [
            {"start": 6, "end": 9, "token_start": 3, "token_end": 3, "label": LB},
            {"text": "She pays", "start": 6, "end": 14, "token_start": 3, "token_end": 4, "label": CS},
        ],
        "answer": "accept",
        "_timestamp": 1658923692,
        "_annotator_id": "db-ann",
        "_session_id": "db-ann",
    }
    path = lines(tmp_path, accepted, {"text": "Two", "answer": "reject"}, {"text": "Three", "answer": "ignore"})
    found = annotation_format("prodigy").read(path, CODEBOOK, None)
    text = accepted["text"]
    assert found.items == (Annotation(gold("1", text, span(text, "She"), span(text, "She pays", CS)), "db-ann"),)
    assert found.skipped == (f"{path}, line 2: the answer is 'reject'", f"{path}, line 3: the answer is 'ignore'")


def test_prodigy_gets_tokens_that_its_spans_fit_and_that_make_up_the_text(tmp_path: Path) -> None:
    text = "She  pays half.\nOK"
    path = write("prodigy", [Annotation(gold("a", text, Span(4, 7, LB, " pa")))], tmp_path)
    (record,) = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [token["text"] for token in record["tokens"]] == ["She", " ", "pa", "ys", "half", ".", "\n", "OK"]
    assert "".join(token["text"] + " " * token["ws"] for token in record["tokens"]) == text
    assert [token["id"] for token in record["tokens"]] == list(range(len(record["tokens"])))
    (found,) = record["spans"]
    assert record["tokens"][found["token_start"]]["start"] == 4
    assert record["tokens"][found["token_end"]]["end"] == 7


# Web Annotation -----------------------------------------------------------------------------------------------------


def collection(tmp_path: Path, content: Any, **texts: str) -> Path:
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "annotations.jsonld").write_text(json.dumps(content), encoding="utf-8")
    for name, text in texts.items():
        (folder / f"{name}.txt").write_bytes(text.encode())
    return folder


def target(*selectors: dict[str, Any], source: Any = "http://example.org/texts/a.txt#top") -> dict[str, Any]:
    return {"source": source, "selector": list(selectors)}


def position(start: int, end: int) -> dict[str, Any]:
    return {"type": "TextPositionSelector", "start": start, "end": end}


def quoted(exact: str, prefix: str = "", suffix: str = "") -> dict[str, Any]:
    return {"type": "TextQuoteSelector", "exact": exact, "prefix": prefix, "suffix": suffix}


WEB = "😀 She pays, we paid."


@pytest.mark.parametrize(
    "selectors",
    [
        [position(6, 10)],
        [position(6, 10), quoted("pays")],
        [quoted("pays", suffix="."), position(7, 11)],
        [quoted("pays", "She ", ", we")],
        [quoted("pays", "She ", ", we"), position(900, 904)],
        [quoted("pays, we", "changed since", "changed too")],
    ],
    ids=["position", "both", "both in UTF-16", "quote", "quote, position lost", "quote, surroundings lost"],
)
def test_web_annotations_are_found_by_position_or_by_quote(tmp_path: Path, selectors: list[Any]) -> None:
    item = {"type": "Annotation", "body": {"type": "TextualBody", "value": LB}, "target": target(*selectors)}
    words = next((s["exact"] for s in selectors if "exact" in s), "pays")
    assert read("web-annotation", collection(tmp_path, [item], a=WEB)) == [gold("a", WEB, span(WEB, words))]


def test_web_annotations_give_creators_tags_and_targets_as_the_model_allows_them(tmp_path: Path) -> None:
    tags = [
        {"type": "TextualBody", "value": "a remark", "purpose": "commenting"},
        LB,
        {"value": CS, "purpose": "tagging"},
    ]
    ann = {"body": tags, "creator": {"type": "Person", "name": "Ann"}}
    items = [
        {**ann, "target": [target(position(2, 5)), target(position(12, 14), source={"id": "texts/a%20b.txt"})]},
        {"body": EB, "creator": "http://example.org/bob", "target": target(position(2, 5), source="a b.txt")},
        {"body": {"type": "TextualBody", "value": "why?", "purpose": "questioning"}, "target": "a b.txt"},
        {"body": LB, "target": {"source": "a b.txt", "selector": {"type": "XPathSelector", "value": "/p[1]"}}},
    ]
    content = {"@context": "http://www.w3.org/ns/anno.jsonld", "type": "AnnotationPage", "items": items}
    found = annotation_format("web-annotation").read(
        collection(tmp_path, content, **{"a": WEB, "a b": WEB, "untouched": ""}), CODEBOOK, None
    )
    she, we = span(WEB, "She"), span(WEB, "we")
    assert sorted((item.annotator, item.example.id) for item in found.items) == [
        ("", "untouched"),
        ("Ann", "a"),
        ("Ann", "a b"),
        ("http://example.org/bob", "a b"),
    ]
    by_name = {(item.annotator, item.example.id): item.example.spans for item in found.items}
    assert by_name["Ann", "a"] == (span(WEB, "She", CS), she)
    assert by_name["Ann", "a b"] == (span(WEB, "we", CS), we)
    assert [line.split(": ", 1)[1] for line in found.skipped] == ["no tag in its body", "no text selector"]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (3, "annotation 1: found a JSON int, expected an annotation"),
        ({"body": LB, "target": target(position(0, 1), source="b.txt")}, "the source 'b.txt' is no text of the folder"),
        ({"body": LB, "target": {"selector": []}}, "found the source None, expected the address of a text"),
        ({"body": LB, "target": target(position(0, 900))}, "the position 0:900 is outside the text"),
        ({"body": LB, "target": target(quoted("pa"))}, "the quote 'pa' is not in the text, or not only once"),
        ({"body": LB, "target": target(quoted(""))}, "the quote '' is no text"),
        ({"body": "payer", "target": target(position(0, 1))}, "unknown label 'payer'"),
    ],
)
def test_a_web_annotation_that_points_nowhere_is_refused(tmp_path: Path, item: Any, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        read("web-annotation", collection(tmp_path, [item], a=WEB))


def test_a_written_web_annotation_is_what_the_model_says(tmp_path: Path) -> None:
    path = write("web-annotation", [Annotation(gold("a/ü", WEB, span(WEB, "we paid")), "Ann")], tmp_path)
    content = json.loads((path / "annotations.jsonld").read_text(encoding="utf-8"))
    assert (content["@context"], content["type"], content["total"]) == (
        "http://www.w3.org/ns/anno.jsonld",
        "AnnotationCollection",
        1,
    )
    (item,) = content["first"]["items"]
    assert (item["type"], item["motivation"], item["creator"]["name"]) == ("Annotation", "tagging", "Ann")
    assert item["body"] == {"type": "TextualBody", "value": LB, "purpose": "tagging"}
    assert item["target"]["selector"] == [position(12, 19), quoted("we paid", "😀 She pays, ", ".")]
    assert item["target"]["source"] == "a%252F%25C3%25BC.txt"
    assert read("web-annotation", path)[0].id == "a/ü"


# brat ---------------------------------------------------------------------------------------------------------------


def standoff(tmp_path: Path, text: str, notes: str | None) -> Path:
    (tmp_path / "doc-1.txt").write_bytes(text.encode())
    if notes is not None:
        (tmp_path / "doc-1.ann").write_bytes(notes.encode())
    return tmp_path


def test_brat_is_read_with_its_other_kinds_of_annotation_left_out(tmp_path: Path) -> None:
    text = "😀 Sony pays.\nShe does not."
    notes = (
        f"T1\temployer_bears 2 6\tSony\nT2\t{LE} 13 16\tShe\nE1\tPays:T1 By:T1\nR1\tOrigin Arg1:T1 Arg2:T2\n"
        "A1\tNegation E1\n*\tEquiv T1 T2\n#1\tAnnotatorNotes T1\tsure?\n\n"
    )
    assert read("brat", standoff(tmp_path, text, notes)) == [
        gold("doc-1", text, span(text, "Sony", EB), span(text, "She", LE))
    ]


def test_brat_fragments_around_a_line_break_are_one_span(tmp_path: Path) -> None:
    text = "Students\npay fees."
    folder = standoff(tmp_path, text, "T1\tlearner_bears 0 8;9 12\tStudents pay\n")
    assert read("brat", folder) == [gold("doc-1", text, span(text, "Students\npay"))]


def test_a_span_over_line_breaks_is_written_as_brat_writes_it(tmp_path: Path) -> None:
    text = "Students\n\npay\nfees."
    path = write("brat", [Annotation(gold("a", text, span(text, "Students\n\npay\nfees")))], tmp_path)
    assert (path / "a.ann").read_text(encoding="utf-8") == "T1\tlearner_bears 0 8;10 13;14 18\tStudents pay fees\n"
    assert "learner_bears\n" in (path / "annotation.conf").read_text(encoding="utf-8")


@pytest.mark.parametrize("start", [17, 18], ids=["a CRLF counted as one", "a CRLF counted as two"])
def test_brat_windows_line_breaks_are_counted_as_the_quotes_say(tmp_path: Path, start: int) -> None:
    text = "John loves Mary.\r\nHe pays."
    folder = standoff(tmp_path, text, f"T1\tlearner_bears 0 4\tJohn\r\nT2\tlearner_bears {start} {start + 2}\tHe\r\n")
    assert read("brat", folder) == [gold("doc-1", text, span(text, "John"), span(text, "He"))]


def test_a_text_without_brat_annotations_is_named_or_has_none(tmp_path: Path) -> None:
    assert read("brat", standoff(tmp_path, "A", "")) == [gold("doc-1", "A")]
    (tmp_path / "doc-1.ann").unlink()
    assert annotation_format("brat").read(tmp_path, CODEBOOK, None).skipped == (
        f"{tmp_path / 'doc-1.txt'}: no doc-1.ann beside it",
    )


@pytest.mark.parametrize(
    ("notes", "reason"),
    [
        ("T1 learner_bears 0 3 She\n", r"doc-1\.ann, line 1: found 'T1 learner_bears 0 3 She', expected 'T1<tab>"),
        ("\nT1\tlearner_bears 0 3;9 13\tShe half\n", r"the span \[\(0, 3\), \(9, 13\)\] is discontinuous"),
        ("T1\tlearner_bears 0 3\tHer\n", "the text at 0:3 is 'She', and the file quotes 'Her'"),
        ("T1\tlearner_bears 0 90\tShe\n", "found the offsets 0:90"),
        ("T1\tpayer 0 3\tShe\n", "unknown label 'payer'"),
    ],
)
def test_broken_brat_annotations_are_refused(tmp_path: Path, notes: str, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        read("brat", standoff(tmp_path, "She pays half.", notes))


# BIO ----------------------------------------------------------------------------------------------------------------


def test_bio_has_a_token_a_line_and_a_column_for_each_label(tmp_path: Path) -> None:
    text = " She\tpays.\n"
    item = Example("a", text, (Span(1, 9, LB, "She\tpays"), Span(4, 9, EB, "\tpays")), {"register": "blog"})
    content = write("bio", [Annotation(item)], tmp_path).read_text(encoding="utf-8").splitlines()
    assert content[:6] == [
        "# whopays-bio 1",
        "",
        '# id = "a"',
        '# register = "blog"',
        r"# before = \s",
        f"# columns = token start end after {' '.join(CODEBOOK.ids)}",
    ]
    assert [line.split("\t")[:7] for line in content[6:]] == [
        ["She", "1", "4", "_", "B", "O", "O"],
        [r"\t", "4", "5", "_", "I", "O", "B"],
        ["pays", "5", "9", "_", "I", "O", "I"],
        [".", "9", "10", r"\n", "O", "O", "O"],
    ]


def test_plain_conll_files_are_read_with_single_spaces(tmp_path: Path) -> None:
    path = tmp_path / "label-studio.conll"
    path.write_text(
        f"-DOCSTART- -X- O O\n\nStudents -X- _ B-{LB}\npay -X- _ I-{LB}\nfees -X- _ B-{LB}\n. -X- _ O\n\nNothing\tO\r\n\n\n",
        encoding="utf-8",
    )
    text = "Students pay fees ."
    assert [(item.text, item.spans) for item in read("bio", path)] == [
        (text, (span(text, "Students pay"), span(text, "fees"))),
        ("Nothing", ()),
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("She\t0\t3\t_\tB\n", "line 3: found 5 columns, expected 4"),
        ("# columns = token start end after payer\nShe\t0\t3\t_\tB\n", "unknown label 'payer'"),
        (f"# columns = token start end after {LB}\nShe\t0\t3\t_\tI\n", "found the tag 'I' for the token at 0"),
        (f"# columns = token start end after {LB}\nShe\t0\t3\t_\tX\n", "found the tag 'X' for the token at 0"),
        ("She\t0\t4\t_\n", "found the offsets 0:4, expected 0:3"),
        ("Sh\\e\t0\t3\t_\n", r"found '\\\\e', expected one of"),
        ("# id\n", "found '# id', expected '# key = value'"),
        ("# id = a\n", "found the value a, expected it in quotes"),
    ],
)
def test_broken_bio_is_refused_with_its_line(tmp_path: Path, body: str, reason: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f"# whopays-bio 1\n\n{body}", encoding="utf-8")
    with pytest.raises(RecordError, match=reason):
        read("bio", path)


# What no format can hold --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_what_a_format_cannot_hold_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    twice = [Annotation(Example("a", "x"), "ann"), Annotation(Example("a", "x"), "ann")]
    for items, error, reason in (
        ([Annotation(Example("a", "\ud83d"))], RecordError, "half of a surrogate pair"),
        ([Annotation(Example("a", "x", (Span(0, 1, "payer", "x"),)))], CodebookError, "unknown label 'payer'"),
        ([Annotation(Example("a", "x", (Span(0, 1, LB, "y"),)))], OffsetError, "does not quote its text"),
        ([Annotation(Example("a", "x")), Annotation(Example("a", "y"))], RecordError, "two different texts"),
        (twice, RecordError, "found readings by ann and ann, expected one"),
    ):
        with pytest.raises(error, match=reason):
            write(name, items, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in SEVERAL_READERS])
def test_two_readings_of_a_text_are_refused_where_the_format_holds_one(name: str, tmp_path: Path) -> None:
    two = [Annotation(Example("a", "x"), "ann"), Annotation(Example("a", "x"), "bob")]
    with pytest.raises(RecordError, match="found readings by ann and bob, expected one; choose one with --annotator"):
        write(name, two, tmp_path)


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_take_no_id_that_is_no_file_name_and_overwrite_nothing(name: str, tmp_path: Path) -> None:
    for identifiers, reason in ((["a" * 300], "shorten it"), (["Ab", "aB"], "differ only in case")):
        with pytest.raises(RecordError, match=reason):
            write(name, [Annotation(Example(identifier, "x")) for identifier in identifiers], tmp_path)
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="the folder holds files already"):
        write(name, [Annotation(Example("a", "x"))], tmp_path)


@pytest.mark.parametrize("name", FORMATS)
def test_a_path_that_does_not_exist_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No such file|there is no such folder"):
        read(name, tmp_path / "absent")
    with pytest.raises(UsageError, match=r"cannot write there|cannot make the folder"):
        annotation_format(name).write([], Path("/dev/null/x"), CODEBOOK)


@pytest.mark.parametrize("name", ["label-studio", "doccano", "prodigy"])
def test_tools_are_told_all_labels_of_the_codebook(name: str) -> None:
    setup = annotation_format(name).setup
    assert setup is not None
    told = setup(CODEBOOK)
    assert all(label in told for label in CODEBOOK.ids)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UsageError, match="found the format 'xml', expected one of corpus, label-studio, "):
        annotation_format("xml")
