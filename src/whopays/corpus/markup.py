r"""Inline mark-up for labelled passages, made to be written and reviewed by people.

A file holds passages of one register and author::

    %% register=statute author=a1
    == statute-001 country=GB year=1964
    The levy {EB CS|falls on every employer in the industry}, and {LE|the trainee pays nothing}.

``%%`` lines give attributes to all passages after them; a ``==`` line begins a passage with its id and its own attributes.
``{MARKS|text}`` marks a stretch with one or more labels, by the codebook's short marks; marks may nest and must not cross.
A backslash makes the next character literal: ``\{``, ``\}``, ``\\``, and ``\%%`` or ``\==`` at the start of a line.
A passage's text is everything up to the next header, without blank lines at its ends.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from whopays.codebook import Codebook
from whopays.errors import MarkupError, OffsetError
from whopays.text import Span

_OPEN = re.compile(r"\{([^{}|\\\n]*)\|")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HEADER_START = re.compile(r"(?m)^(?=\\*(%%|==))")


@dataclass(frozen=True)
class Example:
    """A labelled text: gold spans in order of start, end and label, with free attributes such as ``register``."""

    id: str
    text: str
    spans: tuple[Span, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> frozenset[str]:
        """The labels that have at least one span."""
        return frozenset(span.label for span in self.spans)


def parse_text(marked: str, codebook: Codebook, where: str = "") -> tuple[str, tuple[Span, ...]]:
    """Marked text -> plain text and its spans, sorted.

    Raises `MarkupError` for an unknown or repeated mark, an empty or unclosed mark, or a stray brace.
    """
    plain: list[str] = []
    length = 0
    open_marks: list[tuple[int, list[str], int]] = []
    found: list[tuple[int, int, str]] = []
    position = 0

    def fail(message: str) -> MarkupError:
        line = marked.count("\n", 0, position)
        prefix = f"{where}, line {line + 1} of the passage: " if where else f"line {line + 1}: "
        return MarkupError(prefix + message)

    while position < len(marked):
        character = marked[position]
        if character == "\\":
            if position + 1 == len(marked):
                raise fail("a backslash at the end of the text; write '\\\\' for a literal one.")
            plain.append(marked[position + 1])
            length += 1
            position += 2
        elif character == "{":
            opening = _OPEN.match(marked, position)
            if not opening:
                raise fail("found '{' without 'MARKS|' behind it; write '\\{' for a literal brace.")
            open_marks.append((length, _labels(opening[1], codebook, fail), position))
            position = opening.end()
        elif character == "}":
            if not open_marks:
                raise fail("found '}' without an open mark; write '\\}' for a literal brace.")
            start, labels, _ = open_marks.pop()
            if not "".join(plain)[start:].strip():
                raise fail(f"the mark {' '.join(labels)} holds no text.")
            found.extend((start, length, label) for label in labels)
            position += 1
        else:
            end = position + 1
            while end < len(marked) and marked[end] not in "\\{}":
                end += 1
            plain.append(marked[position:end])
            length += end - position
            position = end
    if open_marks:
        position = open_marks[-1][2]
        raise fail("a mark is opened here and never closed; add '}'.")
    text = "".join(plain)
    spans = tuple(sorted(Span(start, end, label, text[start:end]) for start, end, label in found))
    _refuse_overlap_of_one_label(spans, where)
    return text, spans


def _labels(marks: str, codebook: Codebook, fail: object) -> list[str]:
    names = marks.split()
    unknown = [mark for mark in names if mark not in codebook.marks]
    assert callable(fail)
    if unknown or not names:
        raise fail(f"found the mark {' '.join(unknown) or '(none)'!r}, expected some of {', '.join(codebook.marks)}.")
    if len(set(names)) != len(names):
        raise fail(f"the mark {marks!r} names a label twice.")
    return [codebook.marks[mark] for mark in names]


def _refuse_overlap_of_one_label(spans: Iterable[Span], where: str = "") -> None:
    ends: dict[str, Span] = {}
    for span in spans:
        earlier = ends.get(span.label)
        if earlier is not None and span.start < earlier.end:
            prefix = f"{where}: " if where else ""
            raise MarkupError(
                f"{prefix}two marks of {span.label!r} overlap: {earlier.text!r} and {span.text!r}; join them."
            )
        ends[span.label] = span


def format_text(text: str, spans: Iterable[Span], codebook: Codebook) -> str:
    """Plain text and spans -> marked text, such that `parse_text` gives both back.

    Raises `MarkupError` for crossing spans or overlapping spans of one label, `OffsetError` for spans outside the text.
    """
    extents: dict[tuple[int, int], list[str]] = {}
    ordered = sorted(spans)
    _refuse_overlap_of_one_label(ordered)
    for span in ordered:
        if text[span.start : span.end] != span.text:
            raise OffsetError(f"the span {span.start}:{span.end} does not quote its text ({span.text!r}).")
        if not span.text.strip():
            raise MarkupError(f"the span {span.start}:{span.end} holds no text.")
        extents.setdefault((span.start, span.end), []).append(codebook[span.label].id)
    inserts: dict[int, list[str]] = {}
    stack: list[int] = []
    closes: dict[int, int] = {}
    for start, end in sorted(extents, key=lambda extent: (extent[0], -extent[1])):
        while stack and stack[-1] <= start:
            stack.pop()
        if stack and end > stack[-1]:
            raise MarkupError(f"the spans ending at {stack[-1]} and {end} cross; mark-up can only nest.")
        stack.append(end)
        marks = " ".join(codebook[label].mark for label in codebook.order(extents[start, end]))
        inserts.setdefault(start, []).append("{" + marks + "|")
        closes[end] = closes.get(end, 0) + 1
    pieces: list[str] = []
    previous = 0
    for offset in sorted({*inserts, *closes}):
        pieces.append(_escape(text[previous:offset]))
        pieces.append("}" * closes.get(offset, 0) + "".join(inserts.get(offset, [])))
        previous = offset
    pieces.append(_escape(text[previous:]))
    return _HEADER_START.sub("\\\\", "".join(pieces))


def _escape(text: str) -> str:
    return re.sub(r"([\\{}])", r"\\\1", text)


def parse_file(content: str, codebook: Codebook, source: str) -> list[Example]:
    """All passages of a file, in order. Errors name ``source`` and the line; raises `MarkupError`."""
    examples: list[Example] = []
    shared: dict[str, str] = {}
    header: tuple[int, str, dict[str, str]] | None = None
    body: list[str] = []
    body_line = 1
    first_seen: dict[str, int] = {}

    def close() -> None:
        if header is None:
            for place, words in enumerate(body, start=body_line):
                if words.strip():
                    raise MarkupError(f"{source}, line {place}: text without a '== id' header before it; add one.")
            return
        line, identifier, attributes = header
        where = f"{source}, line {line} ({identifier})"
        marked = "\n".join(body).strip("\n")
        text, spans = parse_text(marked, codebook, where)
        if not text.strip():
            raise MarkupError(f"{where}: the passage is empty.")
        if text in first_seen:
            raise MarkupError(f"{where}: the same text stands in line {first_seen[text]}; remove one.")
        first_seen[text] = line
        examples.append(Example(identifier, text, spans, attributes))

    ids: dict[str, int] = {}
    for number, line in enumerate(content.split("\n"), start=1):
        if line.startswith(("%%", "==")):
            close()
            header, body, body_line = None, [], number + 1
            words = _words(line[2:], source, number)
            if line.startswith("%%"):
                shared = {**shared, **_attributes(words, source, number)}
                continue
            if not words or not _ID.fullmatch(words[0]):
                raise MarkupError(f"{source}, line {number}: found {line!r}, expected '== id key=value ...'.")
            if words[0] in ids:
                raise MarkupError(f"{source}, line {number}: the id {words[0]!r} stands in line {ids[words[0]]} too.")
            ids[words[0]] = number
            header = (number, words[0], {**shared, **_attributes(words[1:], source, number)})
        else:
            body.append(line)
    close()
    return examples


def _words(header: str, source: str, number: int) -> list[str]:
    try:
        return shlex.split(header)
    except ValueError as error:
        raise MarkupError(
            f"{source}, line {number}: cannot read the header ({error}); quote values with spaces."
        ) from None


def _attributes(words: Iterable[str], source: str, number: int) -> dict[str, str]:
    attributes = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise MarkupError(f"{source}, line {number}: found {word!r}, expected key=value.")
        attributes[key] = value
    return attributes


def format_file(examples: Iterable[Example], codebook: Codebook) -> str:
    """Examples -> a file that `parse_file` reads back to the same examples.

    Raises `MarkupError` for what mark-up cannot hold: crossing spans, a text that is blank or begins or ends in a line
    break, an id or attribute key with spaces.
    """
    pieces = []
    for example in examples:
        if example.text != example.text.strip("\n") or not example.text.strip():
            raise MarkupError(f"{example.id}: a passage must hold text and not begin or end in a line break.")
        if not _ID.fullmatch(example.id) or any(not key or re.search(r"[\s=]", key) for key in example.attributes):
            raise MarkupError(f"{example.id!r}: ids and attribute keys hold letters, digits, '.', '_' and '-'.")
        attributes = [shlex.quote(f"{key}={value}") for key, value in example.attributes.items()]
        if any("\n" in value for value in attributes):
            raise MarkupError(f"{example.id}: an attribute holds a line break.")
        pieces.append(
            " ".join(["==", example.id, *attributes]) + "\n" + format_text(example.text, example.spans, codebook) + "\n"
        )
    return "\n".join(pieces)
