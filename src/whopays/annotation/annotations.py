"""What people and models marked in texts, as annotation tools exchange it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.corpus.records import ATTRIBUTES, parse_record
from whopays.errors import OffsetError, RecordError, UsageError

#: Units in which tools count offsets: Python's, and JavaScript's.
CODE_POINTS, UTF_16 = "code-points", "utf-16"


@dataclass(frozen=True)
class Annotation:
    """One reading of one text: the example with its spans, and who read it (empty where the format does not say)."""

    example: Example
    annotator: str = ""


@dataclass(frozen=True)
class Annotations:
    """What a file held: the readings in order, and a sentence for each item that holds none, such as a skipped task."""

    items: tuple[Annotation, ...]
    skipped: tuple[str, ...] = ()

    @property
    def examples(self) -> list[Example]:
        """The readings without their readers."""
        return [annotation.example for annotation in self.items]


def example_of(
    identifier: Any,
    text: Any,
    places: Iterable[tuple[Any, Any, Any]],
    attributes: Mapping[str, Any],
    codebook: Codebook,
    where: str,
    default_id: str,
) -> Example:
    """An example from what a file says: ``places`` are (label, start, end) in code points.

    Raises `RecordError`, with ``where`` in front, for a text that is none, an unknown label or offsets outside the text.
    """
    spans = [{"label": label, "start": start, "end": end} for label, start, end in places]
    record = {**attributes, "id": identifier, "text": text, "spans": spans}
    return parse_record(record, codebook, where, default_id)


def attributes_of(example: Example) -> dict[str, str]:
    """The corpus attributes of an example that are set, in the corpus' order."""
    return {key: example.attributes[key] for key in ATTRIBUTES if example.attributes.get(key)}


def checked(annotations: Iterable[Annotation], codebook: Codebook, *, readers: bool) -> list[Annotation]:
    """The annotations as a list, after checking that a file can hold them.

    ``readers``: whether the format can hold several readings of a text. Raises `RecordError` for two readings of one
    text where it cannot, for two texts with one id, and for a text with half of a surrogate pair; `CodebookError` for an
    unknown label; `OffsetError` for a span that does not quote its text.
    """
    items = list(annotations)
    seen: dict[str, Annotation] = {}
    for item in items:
        example = item.example
        earlier = seen.setdefault(example.id, item)
        if earlier is not item and earlier.example.text != example.text:
            raise RecordError(f"{example.id}: two different texts have this id; make ids unique.")
        if earlier is not item and (not readers or earlier.annotator == item.annotator):
            names = f"{earlier.annotator or '(nobody)'} and {item.annotator or '(nobody)'}"
            raise RecordError(f"{example.id}: found readings by {names}, expected one; choose one with --annotator.")
        try:
            example.text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise RecordError(
                f"{example.id}: the character at {error.start} is half of a surrogate pair, which no tool keeps; replace it."
            ) from None
        codebook.order(example.labels)
        for span in example.spans:
            if example.text[span.start : span.end] != span.text:
                raise OffsetError(f"{example.id}: the span {span.start}:{span.end} does not quote its text.")
    return items


def read_text(path: Path) -> str:
    """A file's text with every character kept, line breaks and byte-order marks too.

    Raises `UsageError` if it cannot be opened, `RecordError` if it is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give the path of an annotation file.") from None
    except UnicodeDecodeError as error:
        raise RecordError(f"{path}: byte {error.start} is not UTF-8; convert the file to UTF-8.") from None


def read_json(path: Path) -> Any:
    """The value that a JSON file holds. Raises `UsageError` if it cannot be opened, `RecordError` if it is no JSON."""
    content = read_text(path).removeprefix("\ufeff")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not valid JSON ({error}); export the file again.") from None


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8, line breaks as they are. Raises `UsageError` if that is impossible."""
    try:
        path.write_bytes(text.encode("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot write there ({error.strerror}); give another path.") from None


def write_json_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line. Raises `UsageError` if that is impossible."""
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def mapping(value: Any, where: str, expected: str) -> dict[str, Any]:
    """``value``, if it is a JSON object; else raises `RecordError` that says what was expected."""
    if not isinstance(value, dict):
        raise RecordError(f"{where}: found a JSON {type(value).__name__}, expected {expected}.")
    return value


def sequence(value: Any, where: str, expected: str) -> list[Any]:
    """``value``, if it is a JSON array; else raises `RecordError` that says what was expected."""
    if not isinstance(value, list):
        raise RecordError(f"{where}: found a JSON {type(value).__name__}, expected {expected}.")
    return value
