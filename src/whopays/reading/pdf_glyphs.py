"""Glyphs of a PDF page -> stretches of text on one line, with their place on the page as it is read."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, NamedTuple

_QUARTER = math.pi / 2
_ANGLE_SAMPLES = 200
# In units of a glyph's height: a gap wider than this parts two stretches, be they cells, columns or loose words.
_GAP = 0.75
_HYPHEN = 0x02  # PDFium's mark for a hyphen at the end of a line
_SMALL, _RAISED = 0.87, 0.15  # the height of a raised number at most, and its rise at least, in heights of the text
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Cell(NamedTuple):
    """A part of a line that a wide gap divides from the next, with its place in points."""

    text: str
    left: float
    right: float


@dataclass(frozen=True, slots=True)
class Line:
    """A stretch of text on one line. Places are in points, x to the right and y down, as the page is read.

    ``size`` is the height of its glyphs' boxes in points. Small raised digits, which call notes, are superscript ones.
    """

    text: str
    page: int
    left: float
    right: float
    top: float
    bottom: float
    size: float
    cells: tuple[Cell, ...] = ()

    @property
    def middle(self) -> float:
        """The y half way between top and bottom."""
        return (self.top + self.bottom) / 2

    @property
    def width(self) -> float:
        """From left to right, in points."""
        return self.right - self.left


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its upright stretches in no certain order, and the text that runs in another direction."""

    index: int
    lines: tuple[Line, ...]
    sideways: tuple[str, ...]

    @property
    def has_text(self) -> bool:
        """Whether there is any text, in whatever direction."""
        return bool(self.lines or self.sideways)


def page_text(glyphs: Any, index: int) -> Page:
    """The text of a pypdfium2 text page. Upright is the direction that most of the page's glyphs have."""
    from pypdfium2 import raw

    count = raw.FPDFText_CountChars(glyphs)
    step = max(1, count // _ANGLE_SAMPLES)
    samples = Counter(
        _direction(raw.FPDFText_GetCharAngle(glyphs, i))
        for i in range(0, count, step)
        if not raw.FPDFText_IsGenerated(glyphs, i)
    )
    upright = next((direction for direction, _ in samples.most_common() if direction is not None), 0)
    box = raw.FS_RECTF()
    stretch = _Stretch(index)
    lines: list[Line] = []
    sideways: list[str] = []
    turned = ""
    high = 0
    for i in range(count):
        code = raw.FPDFText_GetUnicode(glyphs, i)
        if 0xD800 <= code < 0xDC00:  # half of a pair: PDFium gives UTF-16
            high = code
            continue
        if 0xDC00 <= code < 0xE000 and high:
            code = 0x10000 + ((high - 0xD800) << 10) + code - 0xDC00
        high = 0
        if code in (0x0A, 0x0D):
            lines += stretch.close()
            turned += "\n" if turned and not turned.endswith("\n") else ""
            continue
        character = "-" if code == _HYPHEN else _character(code)
        if not character:
            continue
        if character.isspace():
            stretch.space(character)
            turned += character if turned else ""
            continue
        raw.FPDFText_GetLooseCharBox(glyphs, i, box)
        left, right, top, bottom = _turn(upright, box.left, box.right, box.top, box.bottom)
        if stretch.parts_from(left, top, bottom):
            lines += stretch.close()
            if _direction(raw.FPDFText_GetCharAngle(glyphs, i)) != upright:
                turned += character
                continue
        if turned:
            sideways.append(turned)
            turned = ""
        stretch.add(character, left, right, top, bottom)
    lines += stretch.close()
    return Page(index, tuple(lines), tuple(text for text in map(str.strip, [*sideways, turned]) if text))


def _character(code: int) -> str:
    """The character for a code point of PDFium; "" for control characters, half pairs and the like."""
    if code in (0x09, 0x2028, 0x2029):  # lines end where the geometry says
        return " "
    if code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000 or code in (0xFFFE, 0xFFFF) or code > 0x10FFFF:
        return ""
    return chr(code)


def _direction(angle: float) -> int | None:
    """Quarter turns clockwise; None for anything askew."""
    quarters = round(angle / _QUARTER)
    return quarters % 4 if abs(angle - quarters * _QUARTER) < 0.15 else None


def _turn(direction: int, left: float, right: float, top: float, bottom: float) -> tuple[float, float, float, float]:
    """(left, right, top, bottom) as read, y down, of a box in the PDF's space, where y points up."""
    if direction == 0:
        return left, right, -top, -bottom
    if direction == 1:
        return -top, -bottom, -right, -left
    if direction == 2:
        return -right, -left, bottom, top
    return bottom, top, left, right


def raised(number: Line, beside: Line) -> Line:
    """``number`` in superscript digits if it is one that stands small and raised beside other text."""
    small = number.size < _SMALL * beside.size and number.bottom < beside.bottom - _RAISED * beside.size
    if not small or not re.fullmatch(r"[\d,–-]+", number.text):
        return number
    return replace(number, text=number.text.translate(_SUPERSCRIPT))


def rows(lines: Iterable[Line]) -> list[list[Line]]:
    """Stretches gathered by line, from the top down and from left to right."""
    gathered: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: (line.middle, line.left)):
        for row in reversed(gathered[-3:]):
            tallest = max(row, key=lambda part: part.bottom - part.top)
            overlap = min(line.bottom, tallest.bottom) - max(line.top, tallest.top)
            if overlap > 0.5 * min(line.bottom - line.top, tallest.bottom - tallest.top):
                row.append(line)
                break
        else:
            gathered.append([line])
    return [sorted(row, key=lambda line: line.left) for row in gathered]


class _Stretch:
    """Glyphs gathered one after another while they follow each other on a line."""

    def __init__(self, page: int) -> None:
        self._page = page
        self._clear()

    def _clear(self) -> None:
        self._text: list[str] = []
        self._pending = ""
        self._heights: list[float] = []
        self._bottoms: list[float] = []
        self._left = self._right = self._top = self._bottom = 0.0

    def space(self, character: str) -> None:
        if self._text and not self._pending:
            self._pending = character

    def parts_from(self, left: float, top: float, bottom: float) -> bool:
        """Whether a glyph at this place begins a new stretch."""
        if not self._text:
            return True
        height = max(bottom - top, self._bottom - self._top)
        middle, own = (top + bottom) / 2, (self._top + self._bottom) / 2
        if not (self._top <= middle <= self._bottom or top <= own <= bottom):
            return True
        return left - self._right > _GAP * height or left < self._right - height

    def add(self, character: str, left: float, right: float, top: float, bottom: float) -> None:
        if not self._text:
            self._left, self._right, self._top, self._bottom = left, right, top, bottom
        elif bottom - top >= self._bottom - self._top:
            self._top, self._bottom = top, bottom
        self._text += (self._pending, character)
        self._pending = ""
        self._right = max(self._right, right)
        self._heights.append(bottom - top)
        self._bottoms.append(bottom)

    def close(self) -> Iterable[Line]:
        """The stretch gathered, if any; a new one begins."""
        if not self._text:
            return ()
        size = max(median(self._heights), 1.0)
        if min(self._heights) < _SMALL * size:
            self._raise_numbers(size, median(self._bottoms))
        top, bottom = self._top, max(self._bottom, self._top + 1.0)
        line = Line("".join(self._text), self._page, self._left, self._right, top, bottom, size)
        self._clear()
        return (line,)

    def _raise_numbers(self, size: float, base: float) -> None:
        for index, (height, bottom) in enumerate(zip(self._heights, self._bottoms, strict=True)):
            if height < _SMALL * size and bottom < base - _RAISED * size:
                self._text[2 * index + 1] = self._text[2 * index + 1].translate(_SUPERSCRIPT)
