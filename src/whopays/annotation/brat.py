r"""The standoff format of brat: a folder with ``ID.txt`` and ``ID.ann``, one text-bound annotation a line.

Offsets count code points. As brat does it, a span over a line break is written as fragments around the break, and
fragments with nothing but blanks between them are read as one span; other discontinuous spans are refused. ``\r\n``
counts as two; where the quotes only fit it counted as one, as in nlplab/brat, issue 853, it is read so. Labels are
written with ``_`` for ``:``, which brat's configuration does not take; both are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from whopays.annotation.annotations import (
    CODE_POINTS,
    Annotation,
    Annotations,
    checked,
    example_of,
    read_text,
    write_text,
)
from whopays.annotation.folders import id_of, new_folder, text_files, write_texts
from whopays.annotation.offsets import CRLF_AS_ONE, in_code_points
from whopays.codebook import Codebook
from whopays.errors import RecordError
from whopays.text import Span

_LINE = re.compile(r"(?P<id>T\S+)\t(?P<label>\S+) (?P<offsets>\d+ \d+(?:;\d+ \d+)*)\t?(?P<quote>.*)", re.DOTALL)


def read_brat(folder: Path, codebook: Codebook, unit: str | None = None) -> Annotations:
    """The texts of a folder with their spans; relations, events, attributes and notes are left out.

    Texts without an ``.ann`` file are named, not read. Raises `UsageError` if there is no such folder, `RecordError` for
    a broken line, a discontinuous span, a quote that is not in its place, or a label that the codebook does not have.
    """
    found: list[Annotation] = []
    skipped: list[str] = []
    for path, text in text_files(folder):
        notes = path.with_suffix(".ann")
        if not notes.is_file():
            skipped.append(f"{path}: no {notes.name} beside it")
            continue
        lines = [
            (f"{notes}, line {number}", line)
            for number, line in enumerate(read_text(notes).split("\n"), start=1)
            if line.startswith("T")
        ]
        read = [_place(line, where) for where, line in lines]
        units = (unit,) if unit else (CODE_POINTS, CRLF_AS_ONE)
        spans = _spans(text, read, units, str(notes))
        labels = [_label(label, codebook) for label, _, _ in read]
        places = [(label, *offset) for label, offset in zip(labels, spans, strict=True)]
        found.append(Annotation(example_of(id_of(path), text, places, {}, codebook, str(notes), path.stem)))
    return Annotations(tuple(found), tuple(skipped))


Fragments = list[tuple[int, int]]


def _place(line: str, where: str) -> tuple[str, Fragments, str]:
    match = _LINE.fullmatch(line)
    if not match:
        raise RecordError(f"{where}: found {line!r}, expected 'T1<tab>label start end<tab>text'.")
    offsets = [fragment.split(" ") for fragment in match["offsets"].split(";")]
    return match["label"], [(int(start), int(end)) for start, end in offsets], match["quote"]


def _spans(
    text: str, read: list[tuple[str, Fragments, str]], units: tuple[str, ...], where: str
) -> list[tuple[int, int]]:
    problem: RecordError | None = None
    for unit in units:
        try:
            return [_whole(text, fragments, quote, unit, where) for _, fragments, quote in read]
        except RecordError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _whole(text: str, fragments: Fragments, quote: str, unit: str, where: str) -> tuple[int, int]:
    offsets = in_code_points(text, [(start, end, None) for start, end in fragments], unit, where)
    start, end = offsets[0][0], offsets[-1][1]
    for (_, left), (right, _) in pairwise(offsets):
        if not left <= right or text[left:right].strip():
            raise RecordError(
                f"{where}: the span {fragments} is discontinuous, expected one stretch of text; divide it."
            )
    return in_code_points(text, [(start, end, quote)], CODE_POINTS, where)[0]


def _label(label: str, codebook: Codebook) -> str:
    return next((known for known in codebook.ids if label in (known, _type(known))), label)


def _type(label: str) -> str:
    """The name of a label in brat; ids hold no underscore, so it can be turned back."""
    return label.replace(":", "_")


def write_brat(
    annotations: Iterable[Annotation],
    folder: Path,
    codebook: Codebook,
    unit: str | None = None,  # noqa: ARG001  # brat has but one
    *,
    suggested: bool = False,  # noqa: ARG001  # to brat, a suggestion is an annotation like any other
) -> None:
    """Write a folder that brat opens as it is, configuration included. Attributes and annotators are not kept.

    Raises what `checked` raises, `UsageError` if the folder cannot be made or is not empty, and `RecordError` for an id
    that makes no file name.
    """
    items = checked(annotations, codebook, readers=False)
    names = write_texts((item.example for item in items), new_folder(folder))
    for item in items:
        lines = [
            f"T{number}\t{_type(span.label)} {_fragments(span)}\n"
            for number, span in enumerate(item.example.spans, start=1)
        ]
        write_text(folder / f"{names[item.example.id]}.ann", "".join(lines))
    types = "\n".join(_type(label) for label in codebook.ids)
    write_text(folder / "annotation.conf", f"[entities]\n{types}\n[relations]\n[events]\n[attributes]\n")
    shown = "\n".join(f"{_type(label.id)} | {label.id}" for label in codebook.labels)
    colors = "\n".join(f"{_type(label.id)}\tbgColor:{label.color}, fgColor:white" for label in codebook.labels)
    write_text(folder / "visual.conf", f"[labels]\n{shown}\n[drawing]\n{colors}\n")


def _fragments(span: Span) -> str:
    """Offsets of the stretches between line breaks, and their text; line breaks at the ends stay in, as spaces."""
    text = span.text
    inner = text.strip("\n")
    lead = len(text) - len(text.lstrip("\n")) if inner else 0
    cuts = [match.span() for match in re.finditer(r"\n+", inner)] if inner else []
    edges = [0, *(lead + edge for cut in cuts for edge in cut), len(text)]
    pairs = list(zip(edges[::2], edges[1::2], strict=True))
    offsets = ";".join(f"{span.start + start} {span.start + end}" for start, end in pairs)
    return offsets + "\t" + " ".join(text[start:end] for start, end in pairs).replace("\n", " ")
