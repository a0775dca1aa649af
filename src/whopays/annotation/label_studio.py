r"""Label Studio's JSON: an array of tasks, each with a text under ``data`` and the readings of one or more people.

Offsets: Label Studio's editor has counted code points since it began to convert JavaScript's own count
(HumanSignal/label-studio-frontend, pull request 308); before, it counted UTF-16 code units. Regions quote their text, so
each reading is read in the unit that fits its quotes. ``\r\n`` counts as two in both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from whopays.annotation.annotations import (
    CODE_POINTS,
    Annotation,
    Annotations,
    attributes_of,
    checked,
    example_of,
    mapping,
    read_json,
    sequence,
    write_text,
)
from whopays.annotation.offsets import Offsets, in_code_points
from whopays.codebook import Codebook
from whopays.errors import RecordError
from whopays.text import Span

_NAMES = {"from_name": "label", "to_name": "text", "type": "labels"}


def read_label_studio(path: Path, codebook: Codebook, unit: str | None = None) -> Annotations:
    """The readings of an export in "JSON". Tasks without a reading and readings that were skipped are named.

    ``unit``: what offsets count; None lets the quotes decide. Raises `RecordError` for anything that is not such an
    export, and for a label that the codebook does not have.
    """
    found: list[Annotation] = []
    skipped: list[str] = []
    for number, task in enumerate(sequence(read_json(path), str(path), "Label Studio's array of tasks"), start=1):
        where = f"{path}, task {number}"
        data = mapping(mapping(task, where, "a task").get("data"), where, "a 'data' object with the text in it")
        readings = sequence(task.get("annotations", task.get("completions", [])), where, "a list of 'annotations'")
        given = [reading for reading in readings if not mapping(reading, where, "a reading").get("was_cancelled")]
        if not given:
            skipped.append(f"{where}: {'skipped by its reader' if readings else 'not annotated yet'}")
        text = _text(data, where)
        for reading in given:
            places = list(_places(reading, where))
            offsets = in_code_points(text, [place[1:] for place in places], unit, where)
            spans = [(place[0], *offset) for place, offset in zip(places, offsets, strict=True)]
            identifier = data.get("id", task.get("id"))
            example = example_of(identifier, text, spans, data, codebook, where, str(number))
            found.append(Annotation(example, _annotator(reading)))
    return Annotations(tuple(found), tuple(skipped))


def _text(data: dict[str, Any], where: str) -> str:
    strings = [value for value in data.values() if isinstance(value, str)]
    text = data.get("text", strings[0] if len(strings) == 1 else None)
    if not isinstance(text, str):
        raise RecordError(
            f"{where}: found the fields {', '.join(data) or '(none)'}, expected a string 'text'; rename it."
        )
    return text


def _places(reading: dict[str, Any], where: str) -> Iterator[tuple[Any, Any, Any, Any]]:
    for region in sequence(reading.get("result", []), where, "a list of regions under 'result'"):
        if mapping(region, where, "a region").get("type") != "labels":
            continue
        value = mapping(region.get("value"), where, "a region's 'value'")
        for label in sequence(value.get("labels"), where, "a region's list of 'labels'"):
            yield label, value.get("start"), value.get("end"), value.get("text")


def _annotator(reading: dict[str, Any]) -> str:
    by = reading.get("completed_by")
    if isinstance(by, dict):
        by = by.get("email") or by.get("id")
    return "" if by is None else str(by)


def write_label_studio(
    annotations: Iterable[Annotation],
    path: Path,
    codebook: Codebook,
    unit: str | None = None,
    *,
    suggested: bool = False,
) -> None:
    """Write tasks to import; ``suggested`` puts the spans under ``predictions``, for a person to correct.

    An annotator becomes ``completed_by``: Label Studio takes only people that it knows.
    Raises what `checked` raises, and `UsageError` if the file cannot be written.
    """
    tasks: dict[str, dict[str, Any]] = {}
    for annotation in checked(annotations, codebook, readers=True):
        example = annotation.example
        data = {"id": example.id, "text": example.text, **attributes_of(example)}
        task = tasks.setdefault(example.id, {"data": data, "annotations": [], "predictions": []})
        offsets = Offsets(example.text, unit or CODE_POINTS)
        result = [_region(number, span, offsets) for number, span in enumerate(example.spans)]
        if suggested and not (example.spans or annotation.annotator):
            continue
        if suggested:
            task["predictions"].append({"model_version": annotation.annotator, "result": result})
        else:
            by = {"completed_by": annotation.annotator} if annotation.annotator else {}
            task["annotations"].append({**by, "result": result})
    write_text(path, json.dumps(list(tasks.values()), ensure_ascii=False, indent=1) + "\n")


def _region(number: int, span: Span, offsets: Offsets) -> dict[str, Any]:
    start, end = offsets.to_units(span.start), offsets.to_units(span.end)
    value: dict[str, Any] = {"start": start, "end": end, "text": span.text, "labels": [span.label]}
    score = {} if span.score is None else {"score": span.score}
    return {"id": f"r{number}", **_NAMES, "value": value, **score}


def label_studio_setup(codebook: Codebook) -> str:
    """The labelling interface, to be pasted under Settings, Labeling Interface, Code: labels in the codebook's colors."""
    labels = "\n".join(
        f"    <Label value={quoteattr(label.id)} background={quoteattr(label.color)} hint={quoteattr(label.definition)}/>"
        for label in codebook.labels
    )
    # Without pre-wrap the browser folds blanks, and what a person sees is not the text that is counted.
    return (
        "<View>\n  <Style>.htx-text { white-space: pre-wrap; }</Style>\n"
        f'  <Labels name="label" toName="text">\n{labels}\n  </Labels>\n'
        '  <Text name="text" value="$text" granularity="symbol"/>\n</View>\n'
    )
