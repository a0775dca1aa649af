"""doccano's JSONL for sequence labelling: ``{"text", "label": [[start, end, label]], ...}``, other keys as metadata.

Offsets: doccano stores what its JavaScript editor counts, UTF-16 code units (doccano/doccano, issue 2290), and quotes no
text; so the unit has to be known. In a project set to "Count grapheme clusters as one character" it counts something
else again, which this reader does not: leave that option off.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from whopays.annotation.annotations import (
    UTF_16,
    Annotation,
    Annotations,
    attributes_of,
    checked,
    example_of,
    mapping,
    sequence,
    write_json_lines,
)
from whopays.annotation.offsets import Offsets, in_code_points
from whopays.codebook import Codebook
from whopays.corpus.records import json_lines
from whopays.errors import RecordError

# doccano gives every text a number of its own as `id`, so ours travels as metadata.
_ID = "example"


def read_doccano(path: Path, codebook: Codebook, unit: str | None = None) -> Annotations:
    """The texts of an export in JSONL, or in JSONL with relations. Older exports call the spans ``labels``.

    ``unit``: what offsets count (default: UTF-16 code units). Raises `RecordError` for anything that is not such an
    export, and for a label that the codebook does not have.
    """
    found = []
    for number, record in json_lines(path):
        where = f"{path}, line {number}"
        text = record.get("text", record.get("data"))
        if not isinstance(text, str):
            raise RecordError(f"{where}: found the fields {', '.join(record) or '(none)'}, expected a string 'text'.")
        places = list(_places(record, where))
        offsets = in_code_points(text, [(start, end, None) for start, end, _ in places], unit or UTF_16, where)
        spans = [(place[2], *offset) for place, offset in zip(places, offsets, strict=True)]
        identifier = record.get(_ID, record.get("id"))
        example = example_of(identifier, text, spans, record, codebook, where, str(number))
        found.append(Annotation(example, str(record.get("username", ""))))
    return Annotations(tuple(found))


def _places(record: dict[str, Any], where: str) -> Iterator[tuple[Any, Any, Any]]:
    if "entities" in record:
        for entity in sequence(record["entities"], where, "a list of 'entities'"):
            fields = mapping(entity, where, "an entity")
            yield fields.get("start_offset"), fields.get("end_offset"), fields.get("label")
        return
    for span in sequence(record.get("label", record.get("labels", [])), where, "a list of spans under 'label'"):
        if not isinstance(span, list) or len(span) != 3:
            raise RecordError(f"{where}: found the span {span!r}, expected [start, end, label].")
        yield span[0], span[1], span[2]


def write_doccano(
    annotations: Iterable[Annotation],
    path: Path,
    codebook: Codebook,
    unit: str | None = None,
    *,
    suggested: bool = False,  # noqa: ARG001  # to doccano, a suggestion is a label like any other
) -> None:
    """Write texts to import, spans included; the id and attributes become metadata.

    Raises what `checked` raises, and `UsageError` if the file cannot be written.
    """
    records = []
    for annotation in checked(annotations, codebook, readers=False):
        example = annotation.example
        offsets = Offsets(example.text, unit or UTF_16)
        label = [[offsets.to_units(span.start), offsets.to_units(span.end), span.label] for span in example.spans]
        by = {"username": annotation.annotator} if annotation.annotator else {}
        records.append({_ID: example.id, "text": example.text, "label": label, **by, **attributes_of(example)})
    write_json_lines(path, records)


def doccano_setup(codebook: Codebook) -> str:
    """The labels with their colors, to be imported under Labels, Import Labels; allow overlapping spans in the project."""
    labels = [
        {"text": label.id, "suffix_key": None, "background_color": label.color, "text_color": "#ffffff"}
        for label in codebook.labels
    ]
    return json.dumps(labels, ensure_ascii=False, indent=1) + "\n"
