"""Labelled examples as JSON lines: ``{"id", "text", "spans": [{"label", "start", "end"}], ...attributes}``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.errors import RecordError, UsageError
from whopays.text import Span

# Every record of the corpus has these, so that `datasets` sees one schema; an absent value is an empty string.
ATTRIBUTES = ("title", "register", "country", "year", "level", "author", "kind", "negative", "pair", "change")


def load_examples(path: str | Path, codebook: Codebook) -> list[Example]:
    """Gold examples of a JSONL file, in order; ``labels`` are derived from the spans.

    Raises `UsageError` if the file is missing, `RecordError` (with the line number) for a broken line, an unknown label,
    an offset outside the text, or an id that occurs twice.
    """
    path = Path(path)
    examples = []
    seen: dict[str, int] = {}
    for number, record in json_lines(path):
        where = f"{path}, line {number}"
        example = parse_record(record, codebook, where, default_id=str(number))
        if example.id in seen:
            raise RecordError(f"{where}: the id {example.id!r} stands in line {seen[example.id]} too; make ids unique.")
        seen[example.id] = number
        examples.append(example)
    return examples


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file with their line numbers, counted from 1; blank lines are skipped.

    Raises `UsageError` if the file cannot be opened, `RecordError` for a line that is not a JSON object in UTF-8.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give the path of a JSON lines file.") from None
    with file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, json_record(line, number, path)


def json_record(line: bytes, number: int, path: Path) -> dict[str, Any]:
    """The JSON object in one line of a file. Raises `RecordError` if there is none, or it is not in UTF-8."""
    try:
        record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}, line {number}: not valid JSON ({error}); expected one object a line.") from None
    if not isinstance(record, dict):
        raise RecordError(f"{path}, line {number}: found a JSON {type(record).__name__}, expected an object.")
    return record


def parse_record(record: dict[str, Any], codebook: Codebook, where: str, default_id: str) -> Example:
    """One example from its JSON object; ``where`` goes in front of errors. Raises `RecordError` as `load_examples` does."""
    text = record.get("text")
    if not isinstance(text, str):
        found = "no 'text'" if text is None else f"a 'text' of type {type(text).__name__}"
        raise RecordError(f"{where}: found {found}, expected a string; the fields are {', '.join(record) or '(none)'}.")
    spans = record.get("spans")
    if not isinstance(spans, list):
        raise RecordError(
            f"{where}: expected 'spans', a list of {{label, start, end}} (empty for a text without claims)."
        )
    found_spans = tuple(sorted(_span(span, text, codebook, where) for span in spans))
    attributes = {key: str(value) for key, value in record.items() if key in ATTRIBUTES and value not in ("", None)}
    given = record.get("id")
    return Example(default_id if given in ("", None) else str(given), text, found_spans, attributes)


def _span(span: Any, text: str, codebook: Codebook, where: str) -> Span:
    try:
        label, start, end = span["label"], span["start"], span["end"]
    except (TypeError, KeyError):
        raise RecordError(f"{where}: found the span {span!r}, expected {{label, start, end}}.") from None
    if label not in codebook:
        raise RecordError(
            f"{where}: unknown label {label!r}; the codebook {codebook.name!r} has {', '.join(codebook.ids)}."
        )
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(text):
        raise RecordError(f"{where}: found the offsets {start}:{end}, expected 0 <= start < end <= {len(text)}.")
    return Span(start, end, label, text[start:end])


def to_record(example: Example, codebook: Codebook) -> dict[str, Any]:
    """An example as the corpus' JSON object, with ``labels`` in the codebook's order and all of `ATTRIBUTES`."""
    return {
        "id": example.id,
        "text": example.text,
        "spans": [{"label": span.label, "start": span.start, "end": span.end} for span in example.spans],
        "labels": list(codebook.order(example.labels)),
        **{key: example.attributes.get(key, "") for key in ATTRIBUTES},
    }


def save_examples(examples: Iterable[Example], path: str | Path, codebook: Codebook) -> None:
    """Write examples as JSON lines that `load_examples` reads back to the same examples.

    UTF-8; lone surrogates are written as JSON escapes.
    """
    with Path(path).open("wb") as file:
        file.writelines(_json_line(to_record(example, codebook)) for example in examples)


def _json_line(record: dict[str, Any]) -> bytes:
    try:
        return (json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8")
    except UnicodeEncodeError:
        return (json.dumps(record) + "\n").encode("ascii")
