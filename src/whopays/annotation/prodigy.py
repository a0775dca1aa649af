"""Prodigy's JSONL for spans: a text, the tokens it is shown in, and spans by characters and by tokens.

Offsets: Prodigy's tokens are made in Python, so it counts code points.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from whopays.annotation.annotations import (
    Annotation,
    Annotations,
    attributes_of,
    checked,
    example_of,
    mapping,
    sequence,
    write_json_lines,
)
from whopays.annotation.offsets import in_code_points
from whopays.annotation.tokens import tokens
from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.corpus.records import json_lines


def read_prodigy(path: Path, codebook: Codebook, unit: str | None = None) -> Annotations:
    """The answers of a `db-out` export of ``spans.manual`` or ``ner.manual``; those not accepted are named.

    Raises `RecordError` for anything that is not such an export, and for a label that the codebook does not have.
    """
    found: list[Annotation] = []
    skipped: list[str] = []
    for number, record in json_lines(path):
        where = f"{path}, line {number}"
        answer = record.get("answer", "accept")
        if answer != "accept":
            skipped.append(f"{where}: the answer is {answer!r}")
            continue
        text = record.get("text", "")
        spans = [mapping(s, where, "a span") for s in sequence(record.get("spans", []), where, "a list of 'spans'")]
        places = [(span.get("start"), span.get("end"), span.get("text")) for span in spans]
        offsets = in_code_points(text, places, unit, where) if isinstance(text, str) else []
        meta = mapping(record.get("meta", {}), where, "an object under 'meta'")
        labelled = [(span.get("label"), *offset) for span, offset in zip(spans, offsets, strict=False)]
        identifier = meta.get("id", record.get("id"))
        example = example_of(identifier, record.get("text"), labelled, meta, codebook, where, str(number))
        annotator = record.get("_annotator_id") or record.get("_session_id") or ""
        found.append(Annotation(example, str(annotator)))
    return Annotations(tuple(found), tuple(skipped))


def write_prodigy(
    annotations: Iterable[Annotation],
    path: Path,
    codebook: Codebook,
    unit: str | None = None,  # noqa: ARG001  # Prodigy has but one
    *,
    suggested: bool = False,
) -> None:
    """Write tasks for ``spans.manual``; tokens are cut where spans begin and end, so that every span fits them.

    ``suggested`` leaves the answer open. Raises what `checked` raises, and `UsageError` if the file cannot be written.
    """
    records = []
    for annotation in checked(annotations, codebook, readers=True):
        example = annotation.example
        record: dict[str, Any] = {"text": example.text, "meta": {"id": example.id, **attributes_of(example)}}
        record |= _tokens_and_spans(example)
        if not suggested:
            record["answer"] = "accept"
        if annotation.annotator:
            record["_annotator_id"] = annotation.annotator
        records.append(record)
    write_json_lines(path, records)


def _tokens_and_spans(example: Example) -> dict[str, Any]:
    text = example.text
    listed: list[dict[str, Any]] = []
    for token in tokens(text, example.spans):
        if token.silent and text[token.start : token.end] == " " and listed:
            listed[-1]["ws"] = True
            continue
        words = {"text": text[token.start : token.end], "start": token.start, "end": token.end}
        listed.append({**words, "id": len(listed), "ws": False})
    first = {token["start"]: token["id"] for token in listed}
    last = {token["end"]: token["id"] for token in listed}
    spans = [
        {
            "start": span.start,
            "end": span.end,
            "token_start": first[span.start],
            "token_end": last[span.end],
            "label": span.label,
        }
        for span in example.spans
    ]
    return {"tokens": listed, "spans": spans}


def prodigy_setup(codebook: Codebook) -> str:
    """The command that opens the tasks in Prodigy; the tokens in the tasks are where spans can begin and end."""
    labels = ",".join(codebook.ids)
    return f"prodigy spans.manual DATASET blank:{codebook.language} TASKS.jsonl --label {labels}\n"
