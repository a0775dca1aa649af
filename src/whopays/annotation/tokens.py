"""Tokens for formats that are made of tokens: words, marks and blanks, cut also where a span begins or ends."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from whopays.text import Span

_WORD, _BLANK, _MARK = range(3)


@dataclass(frozen=True, slots=True)
class Token:
    """A stretch of a text. ``silent``: blanks at which no span begins or ends, so that a format may leave them out."""

    start: int
    end: int
    silent: bool = False


def tokens(text: str, spans: Iterable[Span]) -> list[Token]:
    """The tokens of a text, in order and without gaps: joined, they are the text.

    Every span begins where a token begins and ends where one ends, and neither of these tokens is silent.
    """
    starts, ends = {span.start for span in spans}, {span.end for span in spans}
    cuts = sorted({*_cuts(text), *starts, *ends, 0, len(text)})
    return [
        Token(start, end, text[start:end].isspace() and start not in starts and end not in ends)
        for start, end in pairwise(cuts)
    ]


def _cuts(text: str) -> Iterator[int]:
    """Where tokens end by themselves: between words, marks and blanks, never before what joins the character in front."""
    previous = _BLANK
    for place, character in enumerate(text):
        if previous != _BLANK and unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf"):
            continue
        kind = _BLANK if character.isspace() else _WORD if character.isalnum() or character == "_" else _MARK
        joined = kind == previous != _MARK or text[place - 1 : place] == "\u200d"
        if place and not joined:
            yield place
        previous = kind
