"""Lines in reading order -> paragraphs -> one text: wraps, hyphens and page breaks undone."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from whopays.reading.pdf_glyphs import Line
from whopays.reading.pdf_hyphens import Vocabulary, joint
from whopays.reading.pdf_layout import BULLET, ENUMERATOR, NOTE_MARK, Column, Layout

_ENDED = re.compile(r"[.!?:;…][\"'”’»)\]]*(?:\[?\d{1,3}\]?|[*†‡¹²³⁰⁴-⁹]+)?$")
_SENTENCE_END = re.compile(r"[^\W\d_]{4}[.!?][\"'”’)\]]*(?:\d{1,3})?\s+(?=[\"'“‘(\[]?[A-Z])")
_LEADER = re.compile(r"(?:\.\s?){4,}\s*\w{1,5}$")
_SURE_BULLET = re.compile(r"[•‣▪▫◦●○■□➢➤►✓\uf000-\uf0ff]")
_LOOSE = 1.3  # the pitch, in usual ones, from which a line is another paragraph's
_CAPTION = re.compile(r"(?:Figure|Fig\.|Table|Chart|Box|Panel|Exhibit|Source|Note)s?\s?[\d.:]", re.IGNORECASE)
_ALIGNED = 3.0  # points
_FLOATS = 3  # figures or tables at the top of a page that a sentence may be carried past


@dataclass(frozen=True)
class _Paragraph:
    lines: tuple[Line, ...]
    right: float  # the margin that its last line keeps, in points
    apart: bool = False  # a table row or an entry of a list of contents: never joined to another


def compose(layouts: tuple[Sequence[Layout], float], pages: int) -> tuple[str, tuple[int, ...]]:
    """The text of a document and the offset at which each of its pages begins.

    Paragraphs are parted by blank lines. Footnotes follow the body of their page; where a sentence runs on to the next
    page, they stand before that sentence, so that it stays whole.
    """
    laid_out, body_size = layouts
    pitch = _usual_pitch(column for layout in laid_out for column in (*layout.body, *layout.notes))
    flow: list[_Paragraph] = []
    waiting: list[_Paragraph] = []
    for layout in laid_out:
        body: list[_Paragraph] = []
        for column in layout.body:
            _append(body, [], _paragraphs(column, pitch), body_size)
        if body:
            _append(flow, waiting, body, body_size)
            waiting = []
        for column in layout.notes:
            waiting += _paragraphs(column, pitch, notes=True)
        waiting += [_sideways(text, layout.index) for text in layout.sideways]
    return _text([*flow, *waiting], pages)


def _sideways(text: str, page: int) -> _Paragraph:
    return _Paragraph((Line(text, page, 0, 0, 0, 0, 1),), 0, apart=True)


def _usual_pitch(columns: Iterable[Column]) -> float:
    """The distance from line to line inside paragraphs, in heights of a line."""
    pitches = [
        (below.bottom - above.bottom) / above.size
        for column in columns
        for above, below in pairwise(column.lines)
        if below.size == above.size
    ]
    return median(pitches) if pitches else 1.2


def _paragraphs(column: Column, usual_pitch: float, notes: bool = False) -> list[_Paragraph]:
    lines = column.lines
    pitches = [below.bottom - above.bottom for above, below in pairwise(lines)]
    # Double-spaced text has a pitch of its own.
    own_pitch = median(pitches) if len(pitches) >= 8 else None
    tabular = [_is_table_row(lines, index) for index in range(len(lines))]
    margins = _margins(column, pitches, own_pitch or usual_pitch * median(line.size for line in lines))
    paragraphs: list[_Paragraph] = []
    for index, line in enumerate(lines):
        apart = tabular[index] or bool(_LEADER.search(line.text))
        if paragraphs and not apart and not paragraphs[-1].apart:
            note = notes and NOTE_MARK.match(line.text) and line.left <= column.left + line.size
            if not note and _goes_on(paragraphs[-1], line, column.left, own_pitch or usual_pitch * line.size):
                paragraphs[-1] = _Paragraph((*paragraphs[-1].lines, line), margins[index])
                continue
        paragraphs.append(_Paragraph((line,), margins[index], apart))
    return paragraphs


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


def _is_table_row(lines: Sequence[Line], index: int) -> bool:
    """Whether a line's parts stand under or over those of a neighbour, which loose words never do."""
    cells = lines[index].cells[1:]
    if not cells or _is_stretched(lines[index]):
        return False
    return any(
        _aligned(cell, other)
        for near in (index - 1, index + 1)
        if 0 <= near < len(lines)
        for other in lines[near].cells[1:]
        for cell in cells
    )


def _is_stretched(line: Line) -> bool:
    """Whether the gaps are those of a justified line with few words: equal, and between all words."""
    gaps = [right[0] - left[1] for left, right in pairwise(line.cells)]
    return len(line.cells) == len(line.text.split()) and max(gaps) - min(gaps) < 0.1 * max(gaps) and len(gaps) > 1


def _aligned(cell: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two cells have the same left edge, right edge or middle."""
    left, right = cell[0] - other[0], cell[1] - other[1]
    return min(abs(left), abs(right), abs(left + right) / 2) < _ALIGNED


def _goes_on(paragraph: _Paragraph, line: Line, left: float, usual: float) -> bool:
    """Whether ``line``, the next below in its column, belongs to the paragraph."""
    before = paragraph.lines[-1]
    if not _same_size(before, line) or _SURE_BULLET.match(line.text):
        return False
    ended = bool(_ENDED.search(before.text))
    full = _is_broken(before.text) or not _fits(line, before, paragraph.right)
    runs_on = full and not ended and line.text[0].islower()
    pitch = line.bottom - before.bottom
    if pitch > _LOOSE * usual and not (runs_on and pitch < 2.5 * usual):
        return False
    listed = bool(_listed(line.text))
    if listed and (ended or not full or pitch > 1.15 * usual or _listed(paragraph.lines[0].text)):
        return False
    if not full:
        # A line that leaves room for the next word is a paragraph's last, but small letters go on round a picture.
        return line.text[0].islower() and paragraph.right - before.right < 0.4 * (paragraph.right - left)
    indent = line.left - before.left
    if indent > 0.8 * line.size:
        hanging = len(paragraph.lines) == 1 and bool(_listed(before.text))
        return hanging or not ended
    if indent < -0.8 * line.size:
        first = len(paragraph.lines) == 1 and not _listed(before.text)
        return first or not ended
    return True


def _listed(text: str) -> re.Match[str] | None:
    return BULLET.match(text) or ENUMERATOR.match(text)


def _same_size(one: Line, other: Line) -> bool:
    return 0.87 < one.size / other.size < 1.15


def _fits(line: Line, before: Line, right: float) -> bool:
    """Whether the first word of ``line`` had fitted into the line before with room to spare."""
    word = len(line.text.split(maxsplit=1)[0]) + 1
    return before.right + 1.2 * word * line.width / len(line.text) + 0.2 * line.size < right


def _append(flow: list[_Paragraph], notes: list[_Paragraph], following: list[_Paragraph], body_size: float) -> None:
    """Add a column's or page's paragraphs, joining a sentence that runs over the break; ``notes`` go before it."""
    found = _continuation(flow[-1], following, body_size) if flow else None
    if found is not None:
        start, rest = _split_at_sentence(flow[-1]) if notes else (None, flow[-1])
        if rest is not None:
            after = following[found]
            flow[-1:] = [start] if start else []
            flow += notes
            flow.append(replace(after, lines=rest.lines + after.lines))
            flow += following[:found] + following[found + 1 :]
            return
    flow += notes
    flow += following


def _continuation(last: _Paragraph, following: list[_Paragraph], body_size: float) -> int | None:
    """The index of the paragraph that continues ``last`` over a break; None if that is complete."""
    before = last.lines[-1]
    if last.apart or before.size > 1.15 * body_size or re.search(r"[.!?…:][\"'”’»)\]]*\d{0,3}$", before.text):
        return None
    for index, paragraph in enumerate(following[: _FLOATS + 1]):
        line = paragraph.lines[0]
        if paragraph.apart or _CAPTION.match(line.text):
            continue
        if not _same_size(before, line) or _listed(line.text):
            return None
        full = _is_broken(before.text) or not _fits(line, before, last.right)
        if line.text[0].islower():
            return index if full or index == 0 else None
        long = len(last.lines) > 1 or len(before.text) > 40
        return index if full and long and index == 0 and not before.text.endswith(";") else None
    return None


def _is_broken(text: str) -> bool:
    """Whether a word goes on in the next line."""
    return len(text) > 1 and text[-1] in "-\u2010\u00ad" and text[-2].isalpha()


def _split_at_sentence(paragraph: _Paragraph) -> tuple[_Paragraph | None, _Paragraph | None]:
    """The paragraph up to its last sentence, which runs over the page break, and the rest.

    The first is None if the last sentence is all of it, the second if that sentence began on an earlier page.
    """
    lines, page = paragraph.lines, paragraph.lines[-1].page
    for index in range(len(lines) - 1, -1, -1):
        line = lines[index]
        if line.page != page:
            return None, None
        ends = list(_SENTENCE_END.finditer(line.text))
        if ends:
            cut = ends[-1].end()
            start = replace(line, text=line.text[:cut].rstrip())
            rest = replace(line, text=line.text[cut:])
            return _parted(paragraph, (*lines[:index], start), (rest, *lines[index + 1 :]))
        if index and _SENTENCE_END.search(f"{lines[index - 1].text} {line.text[:2]}"):
            return _parted(paragraph, lines[:index], lines[index:])
    return None, paragraph


def _parted(paragraph: _Paragraph, *parts: tuple[Line, ...]) -> tuple[_Paragraph, _Paragraph]:
    return replace(paragraph, lines=parts[0]), replace(paragraph, lines=parts[1])


def _text(flow: Sequence[_Paragraph], pages: int) -> tuple[str, tuple[int, ...]]:
    vocabulary = Vocabulary(line.text for paragraph in flow for line in paragraph.lines)
    starts: dict[int, int] = {}
    parts: list[str] = []
    length = 0

    def write(text: str) -> None:
        nonlocal length
        parts.append(text)
        length += len(text)

    for number, paragraph in enumerate(flow):
        if number:
            write("\n\n")
        for line, following in zip(paragraph.lines, (*paragraph.lines[1:], None), strict=True):
            starts.setdefault(line.page, length)
            text, separator = joint(line.text, following.text, vocabulary) if following else (line.text, "")
            write(text + separator)
    page_starts = []
    following_start = length
    for page in range(pages - 1, -1, -1):
        following_start = min(starts.get(page, following_start), following_start)
        page_starts.append(following_start)
    page_starts.reverse()
    return "".join(parts), (0, *page_starts[1:])
