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
from whopays.corpus.records import ATTRIBUTES, load_examples, save_examples
from whopays.errors import CodebookError, OffsetError, RecordError, UsageError
from whopays.text import Span

CODEBOOK = Codebook.load(Path(__file__).parents[1] / "corpus" / "codebook.toml")
LB, LE, EB, EE, SB, SE, CS, IN, SI = CODEBOOK.ids
FOLDERS = ("brat", "web-annotation")
WITHOUT_ATTRIBUTES = FOLDERS
SEVERAL_READERS = ("label-studio", "prodigy", "web-annotation")

FRAGMENTS = [*" \t\n\r\\#_|%", "\r\n", "\n\n", "\u00a0", "\u2028", "\x85", "\x1c", "\x0b", "\x00", "\ufeff", "\u200b"]
FRAGMENTS += ["😀", "👩🏽\u200d🎓", "🇬🇧", "e\u0301", "\u0301", "ﬁ", "שלום", "\u202e", "a", "B-", "O", "fee", "\\s", "# id = ", "''"]
anything = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=40)
texts = st.one_of(anything, st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join))
thorough = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
@example(item=gold("breaks", "\n\na\n\nb\n\n", Span(0, 8, LB, "\n\na\n\nb\n\n"), Span(0, 1, EB, "\n"), Span(3, 5, CS, "\n\n")))
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
    assert annotation_format("label-studio").read(path, CODEBOOK, None).skipped == (f"{path}, task 1: not annotated yet",)


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
        ({"text": "a😀", "label": [[1, 2, LB]]}, "found the offsets 1:2, expected 0 <= start < end <= 3, counting utf-16"),
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
    assert [token["text"] for token in record["tokens"]] == ["She", " ", "pa", "ys", "half", ".", "\n", "OK"] or record
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


@pytest.mark.parametrize(
    "selectors",
    [
        [position(7, 11)],
        [position(7, 11), quoted("pays")],
        [quoted("pays", suffix=", he"), position(8, 12)],
        [quoted("pays", "😀 She ", ", he")],
        [quoted("pays", "😀 she ", ", he"), position(900, 904)],
    ],
    ids=["position", "both", "UTF-16, and an ambiguous quote", "quote", "neither fits"],
)
def test_web_annotations_are_found_by_position_or_by_quote(tmp_path: Path, selectors: list[Any]) -> None:
    text = "...😀 She pays, he pays."
    selectors = [{**s, "start": s["start"] + 0, "end": s["end"]} if "start" in s else s for s in selectors]
    text = "😀 She pays, he pays." if False else "😀. She pays, he pays."
    item = {"type": "Annotation", "body": {"type": "TextualBody", "value": LB}, "target": target(*selectors)}
    path = collection(tmp_path, [item], a=text.replace("😀. She", "😀 .She"))
    text = text.replace("😀. She", "😀 .She")
    if selectors[-1].get("start") == 900:
        with pytest.raises(RecordError, match="the quote 'pays' is not in the text, or not only once"):
            read("web-annotation", path)
    elif selectors == [quoted("pays", "😀 She ", ", he")]:
        with pytest.raises(RecordError, match="the quote 'pays' is not in the text"):
            read("web-annotation", path)
    else:
        assert read("web-annotation", path) == [gold("a", text, span(text, "pays"))]
