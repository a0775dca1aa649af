"""W3C Web Annotation: a folder with the texts and ``annotations.jsonld``, an AnnotationCollection in JSON-LD.

Each span is an Annotation that tags a place in a text file by two selectors: a TextPositionSelector, which by the model
counts code points, and a TextQuoteSelector with some text around. Programs that count otherwise, or annotated another
version of the text, are read by the quote. A reader who found nothing in a text leaves an Annotation without a body,
motivated by ``assessing``, on the whole of it. https://www.w3.org/TR/annotation-model/
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from whopays.annotation.annotations import (
    CODE_POINTS,
    UTF_16,
    Annotation,
    Annotations,
    checked,
    example_of,
    mapping,
    read_json,
    write_text,
)
from whopays.annotation.folders import id_of, new_folder, text_files, write_texts
from whopays.annotation.offsets import Offsets
from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.errors import RecordError
from whopays.text import Span

COLLECTION = "annotations.jsonld"
_CONTEXT = "http://www.w3.org/ns/anno.jsonld"
_AROUND = 32


def read_web_annotations(folder: Path, codebook: Codebook, unit: str | None = None) -> Annotations:
    """The texts of a folder with the spans that ``annotations.jsonld`` gives them; a text without any has none.

    The collection may also be a bare array of annotations. Annotations without a tag or without a text selector are
    named, not read. Raises `UsageError` if there is no such folder, `RecordError` for anything that is no annotation, a
    target that is no text of the folder, a place that cannot be found, or a label that the codebook does not have.
    """
    texts = {path.name: (id_of(path), text) for path, text in text_files(folder)}
    found: dict[tuple[str, str], list[tuple[Any, Any, Any]]] = {}
    skipped: list[str] = []
    for number, item in enumerate(_items(folder / COLLECTION), start=1):
        where = f"{folder / COLLECTION}, annotation {number}"
        item = mapping(item, where, "an annotation")
        tags = [tag for body in _many(item.get("body")) if (tag := _tag(body)) is not None]
        if not tags and item.get("motivation") != "assessing":
            skipped.append(f"{where}: no tag in its body")
            continue
        for target in _many(item.get("target")):
            target = target if isinstance(target, dict) else {"source": target}
            name = _file_name(target.get("source"), where)
            if name not in texts:
                raise RecordError(f"{where}: the source {name!r} is no text of the folder; put it there.")
            place = _place(texts[name][1], _many(target.get("selector")), unit, where)
            if tags and place is None:
                skipped.append(f"{where}: no text selector")
                continue
            found.setdefault((name, _creator(item)), []).extend((tag, *(place or ())) for tag in tags)
    read = {name for name, _ in found}
    keys = [*found, *((name, "") for name in texts if name not in read)]
    order = {name: number for number, name in enumerate(texts)}
    return Annotations(
        tuple(
            Annotation(example_of(*texts[name], found.get((name, by), []), {}, codebook, f"{folder / name}", name), by)
            for name, by in sorted(keys, key=lambda key: (order[key[0]], key[1]))
        ),
        tuple(skipped),
    )


def _items(path: Path) -> list[Any]:
    content = read_json(path)
    if isinstance(content, dict):
        page = content.get("first", content)
        content = page.get("items") if isinstance(page, dict) else None
    if not isinstance(content, list):
        raise RecordError(f"{path}: expected an AnnotationCollection with its items, or an array of annotations.")
    return content


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _tag(body: Any) -> str | None:
    if isinstance(body, str):
        return body
    if isinstance(body, dict) and body.get("purpose", "tagging") in ("tagging", "classifying", "identifying"):
        value = body.get("value", body.get("label"))
        return value if isinstance(value, str) else None
    return None


def _creator(item: dict[str, Any]) -> str:
    creator = item.get("creator")
    if isinstance(creator, dict):
        creator = creator.get("nickname") or creator.get("name") or creator.get("id")
    return creator if isinstance(creator, str) else ""


def _file_name(source: Any, where: str) -> str:
    if isinstance(source, dict):
        source = source.get("id")
    if not isinstance(source, str):
        raise RecordError(f"{where}: found the source {source!r}, expected the address of a text.")
    return unquote(source.split("#")[0].split("?")[0].rpartition("/")[2])


def _place(text: str, selectors: list[Any], unit: str | None, where: str) -> tuple[int, int] | None:
    """Where the selectors point: the position if the quote agrees with it, else the only place of the quote."""
    by_type = {selector.get("type"): selector for selector in selectors if isinstance(selector, dict)}
    position, quoted = by_type.get("TextPositionSelector"), by_type.get("TextQuoteSelector")
    exact = quoted.get("exact") if quoted else None
    if position:
        for candidate in (unit,) if unit else (CODE_POINTS, UTF_16):
            offsets = Offsets(text, candidate)
            start, end = (offsets.to_points(position.get(key)) for key in ("start", "end"))
            if start is not None and end is not None and start < end and exact in (None, text[start:end]):
                return start, end
    if not quoted:
        if position:
            raise RecordError(
                f"{where}: the position {position.get('start')}:{position.get('end')} is outside the text."
            )
        return None
    if not isinstance(exact, str) or not exact:
        raise RecordError(f"{where}: the quote {exact!r} is no text; annotate it again.")
    prefix, suffix = (str(quoted.get(key) or "") for key in ("prefix", "suffix"))
    for before, behind in ((prefix, suffix), ("", "")):
        places = list(_occurrences(text, before + exact + behind))
        if len(places) == 1:
            start = places[0] + len(before)
            return start, start + len(exact)
    raise RecordError(f"{where}: the quote {exact!r} is not in the text, or not only once; annotate it again.")


def _occurrences(text: str, words: str) -> Iterator[int]:
    place = text.find(words)
    while place >= 0:
        yield place
        place = text.find(words, place + 1)


def write_web_annotations(
    annotations: Iterable[Annotation],
    folder: Path,
    codebook: Codebook,
    unit: str | None = None,
    *,
    suggested: bool = False,
) -> None:
    """Write the texts and one Annotation for each span; ``suggested`` names a program as its creator. No attributes.

    Raises what `checked` raises, `UsageError` if the folder cannot be made or is not empty, and `RecordError` for an
    id that makes no file name.
    """
    items = checked(annotations, codebook, readers=True)
    names = write_texts({item.example.id: item.example for item in items}.values(), new_folder(folder))
    page = [
        _annotation(f"{quote(names[item.example.id])}.txt", item.example, span, item.annotator, unit, suggested)
        for item in items
        for span in item.example.spans or (() if suggested else (None,))
    ]
    collection = {
        "@context": _CONTEXT,
        "id": COLLECTION,
        "type": "AnnotationCollection",
        "total": len(page),
        "first": {"id": f"{COLLECTION}#page", "type": "AnnotationPage", "startIndex": 0, "items": page},
    }
    write_text(folder / COLLECTION, json.dumps(collection, ensure_ascii=False, indent=1) + "\n")


def _annotation(
    source: str, example: Example, span: Span | None, annotator: str, unit: str | None, suggested: bool
) -> dict[str, Any]:
    text, offsets = example.text, Offsets(example.text, unit or CODE_POINTS)
    name = f"{source} {span and (span.start, span.end, span.label)} {annotator}"
    kind = "Software" if suggested else "Person"
    head = {
        "@context": _CONTEXT,
        "id": uuid.uuid5(uuid.NAMESPACE_URL, name).urn,
        "type": "Annotation",
        "motivation": "tagging" if span else "assessing",
        **({"creator": {"type": kind, "name": annotator}} if annotator else {}),
    }
    if span is None:
        return {**head, "target": source}
    position = {"start": offsets.to_units(span.start), "end": offsets.to_units(span.end)}
    around = {"prefix": text[max(0, span.start - _AROUND) : span.start], "suffix": text[span.end : span.end + _AROUND]}
    selectors = [
        {"type": "TextPositionSelector", **position},
        {"type": "TextQuoteSelector", "exact": span.text, **around},
    ]
    return {
        **head,
        "body": {"type": "TextualBody", "value": span.label, "purpose": "tagging"},
        "target": {"source": source, "selector": selectors},
    }
