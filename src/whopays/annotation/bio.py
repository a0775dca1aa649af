r"""CoNLL-style BIO, made so that the text comes back exactly: one token a line, one column of tags for each label.

Labels overlap, so each has its own column; a label that overlaps itself gets a further one. A file begins with
``# whopays-bio 1``, and each text is a block ended by an empty line::

    # id = levy-01
    # before = _
    # columns = token start end after learner:bears employer:bears
    The     0   3   \s  O   B
    levy    4   8   _   O   I

``start`` and ``end`` are code-point offsets, ``after`` the blanks behind the token (``_`` if there are none), and
``before`` those in front of the first. Blanks and control characters are written as ``\s``, ``\t``, ``\n``, ``\r`` or
``\uXXXX``, a backslash as ``\\``, and a ``#`` that begins a line as ``\#``. Blanks at which a span begins or ends are
tokens themselves. So every span is exact, and the tokens with their blanks joined are the text.

Files without the first line are read as plain CoNLL, as in CoNLL-2003 and Label Studio's export: the first column is
the token, the last the tag, a blank line ends a text, and tokens are joined by single spaces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from whopays.annotation.annotations import (
    Annotation,
    Annotations,
    attributes_of,
    checked,
    example_of,
    read_text,
    write_text,
)
from whopays.annotation.tokens import tokens
from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.errors import RecordError
from whopays.text import Span

_HEADER = "# whopays-bio 1"
_FIXED = ("token", "start", "end", "after")
_NAMED = {" ": "\\s", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\"}
_MEANING = {"s": " ", "t": "\t", "n": "\n", "r": "\r", "\\": "\\", "#": "#"}
_ESCAPE = re.compile(r"\\(?:u([0-9a-f]{4})|(.))", re.DOTALL)


def write_bio(
    annotations: Iterable[Annotation],
    path: Path,
    codebook: Codebook,
    unit: str | None = None,  # noqa: ARG001  # the format has but one
    *,
    suggested: bool = False,  # noqa: ARG001  # BIO knows tags, not who gave them
) -> None:
    """Write the texts as described in this module. Attributes are kept, annotators are not.

    Raises what `checked` raises, and `UsageError` if the file cannot be written.
    """
    items = checked(annotations, codebook, readers=False)
    blocks = ["\n".join(_block(item.example, codebook)) + "\n" for item in items]
    write_text(path, "\n".join([_HEADER + "\n", *blocks]))


def _block(example: Example, codebook: Codebook) -> Iterator[str]:
    text = example.text
    columns = _columns(example.spans, codebook)
    pieces = tokens(text, example.spans)
    first = pieces.pop(0) if pieces and pieces[0].silent else None
    yield f"# id = {json.dumps(example.id, ensure_ascii=True)}"
    for key, value in attributes_of(example).items():
        yield f"# {key} = {json.dumps(value, ensure_ascii=True)}"
    yield f"# before = {_cell(text[first.start : first.end]) if first else '_'}"
    yield "# columns = " + " ".join([*_FIXED, *(label for label, _ in columns)])
    for number, piece in enumerate(pieces):
        if piece.silent:
            continue
        behind = pieces[number + 1] if number + 1 < len(pieces) else None
        after = _cell(text[behind.start : behind.end]) if behind and behind.silent else "_"
        token = _cell(text[piece.start : piece.end])
        tags = [_tag_at(spans, piece.start) for _, spans in columns]
        yield "\t".join(
            [f"\\{token}" if token.startswith("#") else token, str(piece.start), str(piece.end), after, *tags]
        )


def _columns(spans: Iterable[Span], codebook: Codebook) -> list[tuple[str, list[Span]]]:
    """The label's columns, in the codebook's order; spans of one label that overlap go to different ones."""
    columns: dict[str, list[list[Span]]] = {label: [[]] for label in codebook.ids}
    for span in sorted(spans):
        own = columns[span.label]
        fitting = next((column for column in own if not column or column[-1].end <= span.start), None)
        if fitting is None:
            own.append(fitting := [])
        fitting.append(span)
    return [(label, column) for label, several in columns.items() for column in several]


def _tag_at(spans: Sequence[Span], start: int) -> str:
    inside = next((span for span in spans if span.start <= start < span.end), None)
    return "O" if inside is None else "B" if inside.start == start else "I"


def _cell(text: str) -> str:
    return "".join(_NAMED.get(c) or (f"\\u{ord(c):04x}" if c.isspace() or c < " " else c) for c in text)


def _uncell(cell: str, where: str) -> str:
    def meaning(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        if match[2] not in _MEANING:
            raise RecordError(f"{where}: found {match[0]!r}, expected one of \\s \\t \\n \\r \\\\ \\# \\uXXXX.")
        return _MEANING[match[2]]

    return _ESCAPE.sub(meaning, cell)


def read_bio(path: Path, codebook: Codebook, unit: str | None = None) -> Annotations:  # noqa: ARG001
    """The texts of a file in this module's format, or of a plain CoNLL file.

    Raises `RecordError` for a broken line, tokens that do not follow each other, an ``I`` without its ``B``, or a label
    that the codebook does not have; `UsageError` if the file cannot be opened.
    """
    content = read_text(path).removeprefix("\ufeff")
    lines = [line.removesuffix("\r") for line in content.split("\n")]
    if lines[0] == _HEADER:
        read = [_example(path, block, codebook) for block in _blocks(lines[1:], 2) if block]
    else:
        rows = [block for block in _blocks(lines, 1) if block and not block[0][1].startswith("-DOCSTART-")]
        read = [_plain(path, block, codebook) for block in rows]
    return Annotations(tuple(Annotation(example) for example in read))


Lines = list[tuple[int, str]]


def _blocks(lines: Iterable[str], first: int) -> Iterator[Lines]:
    block: Lines = []
    for number, line in enumerate(lines, start=first):
        if line:
            block.append((number, line))
        else:
            yield block
            block = []
    yield block


def _example(path: Path, block: Lines, codebook: Codebook) -> Example:
    values: dict[str, str] = {}
    text = ""
    rows: list[tuple[int, int, list[str]]] = []
    labels: list[str] = []
    for number, line in block:
        where = f"{path}, line {number}"
        if line.startswith("# "):
            key, equals, value = line[2:].partition(" = ")
            if not equals:
                raise RecordError(f"{where}: found {line!r}, expected '# key = value'.")
            values[key] = value
            if key == "before":
                text = "" if value == "_" else _uncell(value, where)
            if key == "columns":
                labels = value.split()[len(_FIXED) :]
            continue
        cells = line.split("\t")
        if len(cells) != len(_FIXED) + len(labels):
            raise RecordError(
                f"{where}: found {len(cells)} columns, expected {len(_FIXED) + len(labels)}, tabs between."
            )
        token = _uncell(cells[0], where)
        if cells[1:3] != [str(len(text)), str(len(text) + len(token))]:
            raise RecordError(
                f"{where}: found the offsets {cells[1]}:{cells[2]}, expected {len(text)}:{len(text) + len(token)}; "
                "tokens and their blanks must make up the text."
            )
        rows.append((len(text), len(text) + len(token), cells[len(_FIXED) :]))
        text += token + ("" if cells[3] == "_" else _uncell(cells[3], where))
    where = f"{path}, line {block[0][0]}"
    places = [
        (label, start, end)
        for column, label in enumerate(labels)
        for _, start, end in _runs([(start, end, tags[column]) for start, end, tags in rows], where)
    ]
    known = {key: _json(value, where) for key, value in values.items() if key not in ("before", "columns")}
    return example_of(known.get("id"), text, places, known, codebook, where, str(block[0][0]))


def _json(value: str, where: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        raise RecordError(f"{where}: found the value {value}, expected it in quotes, as in JSON.") from None


def _runs(rows: Iterable[tuple[int, int, str]], where: str) -> list[tuple[str, int, int]]:
    """The spans that BIO tags make: (label after the dash, start, end)."""
    spans: list[tuple[str, int, int]] = []
    previous = "O"
    for start, end, tag in rows:
        prefix, _, label = tag.partition("-")
        if prefix not in ("B", "I", "O") or (prefix == "I" and (previous == "O" or spans[-1][0] != label)):
            expected = "B, I behind its B, or O"
            raise RecordError(f"{where}: found the tag {tag!r} for the token at {start}, expected {expected}.")
        if prefix == "B":
            spans.append((label, start, end))
        elif prefix == "I":
            spans[-1] = (label, spans[-1][1], end)
        previous = prefix
    return spans


def _plain(path: Path, block: Lines, codebook: Codebook) -> Example:
    rows: list[tuple[int, int, str]] = []
    words: list[str] = []
    length = 0
    for number, line in block:
        cells = line.split()
        if len(cells) < 2:
            raise RecordError(f"{path}, line {number}: found {line!r}, expected a token, blanks and its tag.")
        words.append(cells[0])
        rows.append((length, length + len(cells[0]), cells[-1]))
        length += len(cells[0]) + 1
    where = f"{path}, line {block[0][0]}"
    places = _runs(rows, where)
    return example_of(None, " ".join(words), places, {}, codebook, where, str(block[0][0]))
