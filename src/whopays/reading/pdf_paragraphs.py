"""Lines of a column -> paragraphs, list items and rows of tables."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from whopays.reading.pdf_glyphs import Cell, Line
from whopays.reading.pdf_hyphens import Vocabulary, joint
from whopays.reading.pdf_layout import BULLET, ENUMERATOR, NOTE_MARK, Column

# What may cling to the end of a sentence: quotation marks and brackets, and the numbers of notes.
CLOSE = r"[\"'”’»)\]]*(?:\[?\d{1,3}\]?|[*†‡¹²³⁰⁴-⁹][*†‡¹²³⁰⁴-⁹,–-]*)?"
_ENDED = re.compile(rf"[.!?:;…]{CLOSE}$")
_LEADER = re.compile(r"(?:\.\s?){4,}\s*\w{1,5}$")
_SURE_BULLET = re.compile(r"[•‣▪▫◦●○■□➢➤►✓\uf000-\uf0ff]")
_LOOSE = 1.3  # the pitch, in usual ones, from which a line is another paragraph's
_INDENT = 0.45  # in heights of a line
_ALIGNED = 3.0  # points
_ROWS = 3  # lines up or down in which the next row of a table begins


@dataclass(frozen=True)
class Paragraph:
    """Lines that belong together. ``right`` is the margin that its last line keeps, in points.

    ``apart`` is a table row or an entry of a list of contents, which is never joined to another.
    """

    lines: tuple[Line, ...]
    right: float
    apart: bool = False


def usual_pitch(columns: Iterable[Column]) -> float:
    """The distance from line to line inside paragraphs, in heights of a line."""
    pitches = [
        (below.bottom - above.bottom) / above.size
        for column in columns
        for above, below in pairwise(column.lines)
        if below.size == above.size
    ]
    return median(pitches) if pitches else 1.2


def paragraphs(column: Column, pitch: float, notes: bool = False) -> list[Paragraph]:
    """The paragraphs of a column, where lines usually are ``pitch`` of their heights apart; footnotes if ``notes``."""
    lines = column.lines
    pitches = [below.bottom - above.bottom for above, below in pairwise(lines)]
    # Double-spaced text has a pitch of its own.
    own_pitch = median(pitches) if len(pitches) >= 8 else None
    tabular = [_is_table_row(lines, index) for index in range(len(lines))]
    margins = _margins(column, pitches, own_pitch or pitch * median(line.size for line in lines))
    hangs = _hangs(lines)
    found: list[Paragraph] = []
    above = math.inf  # the distance from the last row of a table to what stands above it
    for index, line in enumerate(lines):
        pitch_up, pitch_down = (math.inf, *pitches, math.inf)[index : index + 2]
        apart = tabular[index] or bool(_LEADER.search(line.text))
        last = found[-1] if found else None
        if last and last.apart and pitch_up < _LOOSE * line.size:
            row = _with_wrapped_cells(last.lines[0], line, pitch_up < 0.85 * min(above, pitch_down))
            if row:
                found[-1] = replace(last, lines=(row,))
                continue
        above = pitch_up
        if last and not apart and not last.apart:
            usual = own_pitch or pitch * line.size
            note = notes and NOTE_MARK.match(line.text) and line.left <= column.left + line.size
            if not note and _goes_on(last, line, column.left, usual, hangs):
                found[-1] = Paragraph((*last.lines, line), margins[index])
                continue
        found.append(Paragraph((line,), margins[index], apart))
    return found


def _margins(column: Column, pitches: Sequence[float], usual: float) -> list[float]:
    """For each line of a column the right margin that it keeps, which for indented quotations is not the column's."""
    margins: list[float] = []
    block: list[Line] = []
    for line, pitch in zip(column.lines, (*pitches, math.inf), strict=True):
        block.append(line)
        if pitch > _LOOSE * usual:
            margins += [_own_margin(block) or column.right] * len(block)
            block = []
    return margins


def _own_margin(block: Sequence[Line]) -> float | None:
    """The right margin of lines that stand close: where most of them end, or all but the last come near."""
    ends = sorted(line.right for line in block[:-1])
    if len(ends) < 3:
        return None
    justified = sum(ends[-1] - end < _ALIGNED for end in ends) >= max(3, len(ends) / 2)
    ragged = ends[-1] - ends[0] < 0.2 * (ends[-1] - min(line.left for line in block))
    return ends[-1] if justified or ragged else None


def _hangs(lines: Sequence[Line]) -> bool:
    """Whether first lines stand out to the left, as in a list of works cited, since sentences run into indented lines."""
    indented = [
        not _ENDED.search(above.text)
        for above, below in pairwise(lines)
        if below.left - above.left > _INDENT * below.size and same_size(above, below) and not listed(above.text)
    ]
    return sum(indented) > max(1, len(indented) / 2)


def _is_table_row(lines: Sequence[Line], index: int) -> bool:
    """Whether a line's parts stand under or over those of a row near it, which loose words never do."""
    cells = lines[index].cells[1:]
    if not cells or _is_stretched(lines[index]):
        return False
    before = (line for line in lines[max(0, index - _ROWS) : index][::-1] if line.cells[1:])
    after = (line for line in lines[index + 1 : index + 1 + _ROWS] if line.cells[1:])
    near = [line for line in (next(before, None), next(after, None)) if line]
    return any(_aligned(cell, other) for line in near for other in line.cells[1:] for cell in cells)


def _is_stretched(line: Line) -> bool:
    """Whether the gaps are those of a justified line with few words: equal, and between all words."""
    gaps = [right.left - left.right for left, right in pairwise(line.cells)]
    return len(line.cells) == len(line.text.split()) and max(gaps) - min(gaps) < 0.1 * max(gaps) and len(gaps) > 1


def _aligned(cell: Cell, other: Cell) -> bool:
    """Whether two cells have the same left edge, right edge or middle."""
    left, right = cell.left - other.left, cell.right - other.right
    return min(abs(left), abs(right), abs(left + right) / 2) < _ALIGNED


def _with_wrapped_cells(row: Line, line: Line, close: bool) -> Line | None:
    """A table's row with what ``line`` adds to its cells; None if that is no wrapped part of it.

    ``close`` tells that the two stand closer than rows do; else only words may have been wrapped.
    """
    if not 0 < len(line.cells) < len(row.cells) or not same_size(row, line):
        return None
    cells = list(row.cells)
    for part in line.cells:
        index = next((index for index, cell in enumerate(cells) if _aligned(part, cell)), None)
        if index is None or not (close or part.text[0].islower() or (index and part.text[0].isalpha())):
            return None
        text, separator = joint(cells[index].text, part.text, Vocabulary(()))
        cells[index] = cells[index]._replace(text=f"{text}{separator}{part.text}")
    return replace(row, text=" ".join(cell.text for cell in cells), bottom=line.bottom, cells=tuple(cells))


def _goes_on(paragraph: Paragraph, line: Line, left: float, usual: float, hangs: bool) -> bool:
    """Whether ``line``, the next below in its column, belongs to the paragraph; see `_hangs`."""
    before = paragraph.lines[-1]
    if not same_size(before, line) or _SURE_BULLET.match(line.text):
        return False
    ended = bool(_ENDED.search(before.text))
    full = is_broken(before.text) or not fits(line, before, paragraph.right)
    runs_on = full and not ended and line.text[0].islower()
    pitch = line.bottom - before.bottom
    if pitch > _LOOSE * usual and not (runs_on and pitch < 2.5 * usual):
        return False
    item = bool(listed(line.text))
    if item and (ended or not full or pitch > 1.15 * usual or listed(paragraph.lines[0].text)):
        return False
    opens = len(paragraph.lines) == 1
    indent = line.left - before.left
    close = paragraph.right - before.right < 0.4 * (paragraph.right - left)
    if indent > _INDENT * line.size and opens and hangs:
        return full or close
    if not full:
        # A line that leaves room for the next word is a paragraph's last, but small letters go on round a picture.
        return line.text[0].islower() and close
    if indent > _INDENT * line.size:
        return (opens and bool(listed(before.text))) or not ended
    if indent < -_INDENT * line.size:
        return (opens and not listed(before.text)) or not ended
    return True


def listed(text: str) -> re.Match[str] | None:
    """The mark of a list item or the number of a paragraph, where the text begins with one."""
    return BULLET.match(text) or ENUMERATOR.match(text)


def same_size(one: Line, other: Line) -> bool:
    """Whether two lines are set in the same type."""
    return 0.87 < one.size / other.size < 1.15


def fits(line: Line, before: Line, right: float) -> bool:
    """Whether the first word of ``line`` had fitted into the line before with room to spare."""
    word = len(line.text.split(maxsplit=1)[0]) + 1
    return before.right + 1.2 * word * line.width / len(line.text) + 0.2 * line.size < right


def is_broken(text: str) -> bool:
    """Whether a word goes on in the next line."""
    return len(text) > 1 and text[-1] in "-\u2010\u00ad" and text[-2].isalpha()
