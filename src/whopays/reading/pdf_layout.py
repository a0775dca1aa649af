"""Stretches of text on PDF pages -> lines in reading order: running heads dropped, columns and footnotes told apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from whopays.reading.pdf_glyphs import Cell, Line, Page, raised, rows
from whopays.reading.pdf_heads import without_running_heads

ENUMERATOR = re.compile(
    r"(?:\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]|\d{1,2}(?:\.\d{1,2}){1,3}\.?|\([a-zA-Z0-9]{1,4}\))(?=\s|$)"
)
BULLET = re.compile(r"[•‣▪▫◦●○■□·➢➤►✓\uf000-\uf0ff](?=\s|$|\w)|[-–—*§o](?=\s|$)")
NOTE_MARK = re.compile(r"(?:\[?(\d{1,3})\]?|[*†‡§¶]+|[¹²³⁰⁴-⁹]+)[.)]?\s*(?=[^\W\d]|[\"“‘'(])")
_CELL_GAP = 1.2  # in heights of a line
_NOTE_SIZE = 0.93  # of the body's size
_MIN_ROWS = 3  # of a column
_TOP_ROWS = 4  # in which a last column begins that has fewer rows
_MAX_COLUMNS = 4
_MAX_STRETCHES = 4000  # on a page: with more it is a map or a drawing


@dataclass(frozen=True, slots=True)
class Column:
    """Lines under each other. ``left`` and ``right`` are the margins that most lines keep, in points."""

    lines: tuple[Line, ...]
    left: float
    right: float


@dataclass(frozen=True, slots=True)
class Layout:
    """A page in reading order: columns of body text, columns of footnotes, and text that runs in another direction."""

    index: int
    body: tuple[Column, ...]
    notes: tuple[Column, ...]
    sideways: tuple[str, ...]


def lay_out(pages: Sequence[Page]) -> tuple[list[Layout], float]:
    """The pages' layouts and the size of body text in points (the height of its glyphs)."""
    pages = without_running_heads(pages)
    sizes: Counter[float] = Counter()
    for page in pages:
        for line in page.lines:
            sizes[round(line.size * 4) / 4] += len(line.text)
    body_size = sizes.most_common(1)[0][0] if sizes else 1.0
    return [_layout(page, body_size) for page in pages], body_size


def _layout(page: Page, body_size: float) -> Layout:
    body: list[Column] = []
    notes: list[Column] = []
    large = [line for line in page.lines if line.size > _NOTE_SIZE * body_size]
    for lines, following in pairwise([*_columns(page.lines), []]):
        cut = _notes_begin(lines, body_size)
        if cut < len(lines) and not _is_foot(lines[cut:], following, large):
            cut = len(lines)
        body += [_column(lines[:cut])] if cut else []
        notes += [_column(lines[cut:])] if cut < len(lines) else []
    return Layout(page.index, tuple(body), tuple(notes), page.sideways)


def _is_foot(lines: Sequence[Line], following: Sequence[Line], large: Sequence[Line]) -> bool:
    """Whether small type is the foot of a page: no body type, of which ``large`` are the lines, goes on below it.

    Nor does small type go on in the column that follows, as in a list of works cited.
    """
    notes = _column(lines)
    below = sum(line.top >= lines[0].bottom and line.left < notes.right and notes.left < line.right for line in large)
    runs_on = following and following[0] not in large and following[0].top < lines[0].top
    return bool(large) and below < 2 and (not runs_on or bool(NOTE_MARK.match(lines[0].text)))


def _column(lines: Sequence[Line]) -> Column:
    rights = sorted(line.right for line in lines)
    # The widest line of all may be an outlier that hangs over the margin; that of a short column is not.
    right = rights[-1 - len(rights) // 20]
    return Column(tuple(lines), min(line.left for line in lines), right)


def _merged(row: list[Line]) -> Line:
    """The line that a row's stretches make up."""
    main = max(row, key=lambda part: len(part.text))
    parts = [raised(part, main) for part in row]
    cells = [Cell(parts[0].text, parts[0].left, parts[0].right)]
    for before, part in pairwise(parts):
        size = max(before.size, part.size)
        gap = part.left - before.right
        listed = before is parts[0] and (BULLET.fullmatch(before.text) or ENUMERATOR.fullmatch(before.text))
        if gap > _CELL_GAP * size and not listed:
            cells.append(Cell(part.text, part.left, part.right))
        else:
            text = f"{cells[-1].text}{'' if gap < 0.08 * size else ' '}{part.text}"
            cells[-1] = Cell(text, cells[-1].left, part.right)
    text, right = " ".join(cell.text for cell in cells), max(part.right for part in row)
    return replace(main, text=text, left=row[0].left, right=right, cells=tuple(cells))


def _columns(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines column by column; what spans the columns above or below them comes before or after all of them."""
    if not lines:
        return []
    gutter = _gutter(lines)
    if gutter is None:
        return [[_merged(row) for row in rows(lines)]]
    x, top, bottom = gutter
    parts: tuple[list[Line], ...] = ([], [], [], [])
    for line in lines:
        part = 0 if line.middle < top else 3 if line.middle > bottom else 1 if line.left < x else 2
        parts[part].append(line)
    return [column for part in parts for column in _columns(part)]


def _gutter(lines: Sequence[Line], columns: int = _MAX_COLUMNS) -> tuple[float, float, float] | None:
    """The left edge of a column to the right of another, and the first and last y where no line crosses it.

    At most ``columns`` are looked for side by side.
    """
    if len(lines) > _MAX_STRETCHES or columns < 2:
        return None
    gathered = rows(lines)
    starts = Counter(round(line.left / 3) for line in lines)
    # A last column may have a line or two, at the top.
    tops = {round(line.left / 3) for row in gathered[:_TOP_ROWS] for line in row[1:]}
    best: tuple[int, float, float, float] | None = None
    for start in sorted(starts):
        if sum(starts[start + near] for near in (-1, 0, 1)) < _MIN_ROWS and start not in tops:
            continue
        x = (start - 1) * 3.0
        run: list[Line] = []
        for row, across in zip([*gathered, []], [*_across(gathered, x), True], strict=True):
            if not across:
                run += row
                continue
            if (best is None or len(run) > best[0]) and _are_columns(run, x, columns):
                middles = [line.middle for line in run]
                best = (len(run), x, min(middles), max(middles))
            run = []
    return None if best is None else best[1:]


def _across(gathered: Sequence[list[Line]], x: float) -> list[bool]:
    """For each row whether a line of it crosses ``x``, or it belongs to a table that does."""
    left, right = min(row[0].left for row in gathered), max(line.right for row in gathered for line in row)
    filled = Counter(
        round(line.left) for row in gathered for line in row if line.left >= x and line.width > 0.6 * (right - x)
    )
    edge = filled.most_common(1)[0][0] if filled else x

    def are_cells(row: list[Line]) -> bool:
        """Whether no part fills a column, as prose would, nor begins where the right column does."""
        parts = [line for line in row if not (BULLET.fullmatch(line.text) or ENUMERATOR.fullmatch(line.text))]
        after = [line for line in parts if line.left >= x]
        return (
            0 < len(after) < len(parts) > 2
            and abs(after[0].left - edge) > 1.5 * after[0].size
            and all(line.width < 0.6 * (right - x if line.left >= x else x - left) for line in parts)
        )

    cells = [False, *map(are_cells, gathered), False]
    return [
        any(line.left < x < line.right for line in row) or (cells[i] and (cells[i - 1] or cells[i + 1]))
        for i, row in enumerate(gathered, start=1)
    ]


def _are_columns(run: Sequence[Line], x: float, columns: int) -> bool:
    left = [line for line in run if line.left < x]
    right = [line for line in run if line.left >= x]
    if not right or len(left) < _MIN_ROWS or not _is_prose(left):
        return False
    if len(right) < _MIN_ROWS:
        beside = right[0].top - left[0].top < right[0].size and len(left) > 2 * _TOP_ROWS
        return beside and len(right[0].text) >= 15 and sum(map(str.isalpha, right[0].text)) > 0.6 * len(right[0].text)
    if not _is_prose(right) and _gutter(right, columns - 1) is None:
        return False
    top = max(left[0].top, right[0].top)
    bottom = min(left[-1].bottom, right[-1].bottom)
    shorter = min(left[-1].bottom - left[0].top, right[-1].bottom - right[0].top)
    # An indented block under a paragraph of short lines is no column: the two do not stand side by side.
    return bottom - top > 0.5 * shorter


def _is_prose(lines: Sequence[Line]) -> bool:
    """Whether lines fill a column with words, unlike the cells of a table."""
    width = max(line.right for line in lines) - min(line.left for line in lines)
    gathered = rows(lines)
    if len(gathered) < _MIN_ROWS:
        return False
    filled = median(row[-1].right - row[0].left for row in gathered) / width
    characters = median(sum(len(line.text) for line in row) for row in gathered)
    text = "".join("".join(line.text.split()) for line in lines)
    letters = sum(map(str.isalpha, text)) / len(text)
    return filled > 0.6 and letters > 0.6 and characters >= (15 if len(gathered) > 5 else 25)


def _notes_begin(lines: Sequence[Line], body_size: float) -> int:
    """The index of the first footnote among a column's lines; their number if there is none."""
    first = len(lines)
    while first and lines[first - 1].size <= _NOTE_SIZE * body_size:
        first -= 1
    if 0 < first < len(lines) and lines[first].top - lines[first - 1].bottom > 0.6 * lines[first].size:
        return first
    marked = (index for index in range(first, len(lines)) if NOTE_MARK.match(lines[index].text))
    return next(marked if first else (index for index in marked if not index), len(lines))
