"""Offsets that other programs count otherwise, turned into code points and back.

Python counts code points. JavaScript counts UTF-16 code units, so a character beyond U+FFFF, as most emoji are, counts
twice. A tool may count either way, and the same tool has changed its way between versions; where a file quotes the text
of its spans, the quotes tell which it was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from whopays.annotation.annotations import CODE_POINTS, UTF_16
from whopays.errors import RecordError, UsageError

_CRLF = re.compile("\r\n")
#: A CRLF counted as one character, as some versions of brat do.
CRLF_AS_ONE = "crlf-as-one"

Place = tuple[Any, Any, Any]


class Offsets:
    """Converts between code points of one text and the units that ``unit`` names."""

    def __init__(self, text: str, unit: str) -> None:
        """Raises `UsageError` for an unknown unit."""
        if unit == CODE_POINTS or (unit == UTF_16 and text.isascii()):
            widths: list[int] | None = None
        elif unit == UTF_16:
            widths = [1 + (character > "\uffff") for character in text]
        elif unit == CRLF_AS_ONE:
            widths = [1] * len(text)
            for match in _CRLF.finditer(text):
                widths[match.end() - 1] = 0
        else:
            raise UsageError(f"found the unit {unit!r}, expected {CODE_POINTS} or {UTF_16}.")
        self._length = len(text)
        self._units = None if widths is None else list(accumulate(widths, initial=0))
        self._points = None if self._units is None else {units: i for i, units in enumerate(self._units)}

    def to_units(self, offset: int) -> int:
        """The offset in the tool's units of the code point ``offset``, which lies in the text or at its end."""
        return offset if self._units is None else self._units[offset]

    def to_points(self, offset: Any) -> int | None:
        """The code point at ``offset`` units; None outside the text, inside a character, or for what is no integer."""
        if type(offset) is not int or offset < 0:
            return None
        if self._points is None:
            return offset if offset <= self._length else None
        return self._points.get(offset)


def in_code_points(text: str, places: Sequence[Place], unit: str | None, where: str) -> list[tuple[int, int]]:
    """The code-point offsets of places given as (start, end, quote or None).

    With ``unit`` None the quotes decide: code points if all agree with them, else UTF-16 if all agree with that.
    Quotes are compared without blanks, which tools show and copy in their own ways.
    Raises `RecordError` if an offset lies outside the text or inside a character, or if no unit fits the quotes.
    """
    units = (unit,) if unit else (CODE_POINTS, UTF_16)
    for candidate in units:
        found = _read(text, places, Offsets(text, candidate))
        if isinstance(found, list):
            return found
    first = _read(text, places, Offsets(text, units[0]))
    assert isinstance(first, str)
    raise RecordError(f"{where}: {first}, counting {' or '.join(units)}; export the file again, or name the unit.")


def _read(text: str, places: Sequence[Place], offsets: Offsets) -> list[tuple[int, int]] | str:
    """Offsets in code points, or what is wrong with them."""
    found = []
    for start, end, quote in places:
        first, behind = offsets.to_points(start), offsets.to_points(end)
        if first is None or behind is None or first >= behind:
            return f"found the offsets {start}:{end}, expected 0 <= start < end <= {offsets.to_units(len(text))}"
        if quote is not None and not same_words(quote, text[first:behind]):
            return f"the text at {start}:{end} is {text[first:behind]!r}, and the file quotes {quote!r}"
        found.append((first, behind))
    return found


def same_words(one: Any, other: str) -> bool:
    """Whether two quotes are the same but for blanks and line breaks."""
    return isinstance(one, str) and "".join(one.split()) == "".join(other.split())
