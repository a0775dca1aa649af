"""Paragraphs -> one text: sentences joined over columns and pages, broken words mended."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from whopays.reading.pdf_glyphs import Line
from whopays.reading.pdf_hyphens import Vocabulary, joint
from whopays.reading.pdf_layout import Layout
from whopays.reading.pdf_paragraphs import CLOSE, Paragraph, fits, is_broken, listed, paragraphs, same_size, usual_pitch

_COMPLETE = re.compile(rf"[.!?…:]{CLOSE}$")
_SENTENCE_END = re.compile(rf"[^\W\d_]{{4}}[.!?]{CLOSE}\s+(?=[\"'“‘(\[]?[A-Z])")
_CAPTION = re.compile(r"(?:Figure|Fig\.|Table|Chart|Box|Panel|Exhibit|Source|Note)s?\s?[\d.:]", re.IGNORECASE)
_FLOATS = 3  # figures or tables at the top of a page that a sentence may be carried past


def compose(layouts: tuple[Sequence[Layout], float], pages: int) -> tuple[str, tuple[int, ...]]:
    """The text of a document and the offset at which each of its pages begins.

    Paragraphs are parted by blank lines. Footnotes follow the body of their page; where a sentence runs on to the next
    page, they stand before that sentence, so that it stays whole.
    """
    laid_out, body_size = layouts
    pitch = usual_pitch(column for layout in laid_out for column in (*layout.body, *layout.notes))
    flow: list[Paragraph] = []
    waiting: list[Paragraph] = []
    for layout in laid_out:
        body: list[Paragraph] = []
        for column in layout.body:
            _append(body, [], paragraphs(column, pitch), body_size)
        if body:
            _append(flow, waiting, body, body_size)
            waiting = []
        for column in layout.notes:
            waiting += paragraphs(column, pitch, notes=True)
        waiting += [_sideways(text, layout.index) for text in layout.sideways]
    return _text([*flow, *waiting], pages)


def _sideways(text: str, page: int) -> Paragraph:
    return Paragraph((Line(text, page, 0, 0, 0, 0, 1),), 0, apart=True)


def _append(flow: list[Paragraph], notes: list[Paragraph], following: list[Paragraph], body_size: float) -> None:
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


def _continuation(last: Paragraph, following: list[Paragraph], body_size: float) -> int | None:
    """The index of the paragraph that continues ``last`` over a break; None if that is complete."""
    before = last.lines[-1]
    if last.apart or before.size > 1.15 * body_size or _COMPLETE.search(before.text):
        return None
    for index, paragraph in enumerate(following[: _FLOATS + 1]):
        line = paragraph.lines[0]
        if paragraph.apart or _CAPTION.match(line.text):
            continue
        if not same_size(before, line) or listed(line.text):
            return None
        full = is_broken(before.text) or not fits(line, before, last.right)
        if line.text[0].islower():
            return index if full or index == 0 else None
        long = len(last.lines) > 1 or len(before.text) > 40
        return index if full and long and index == 0 and not before.text.endswith(";") else None
    return None


def _split_at_sentence(paragraph: Paragraph) -> tuple[Paragraph | None, Paragraph | None]:
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
        if index and _ends_with_sentence(lines[index - 1].text, line.text):
            return _parted(paragraph, lines[:index], lines[index:])
    return None, paragraph


def _ends_with_sentence(line: str, following: str) -> bool:
    ends = _SENTENCE_END.finditer(f"{line} {following[:2]}")
    return any(end.end() == len(line) + 1 for end in ends)


def _parted(paragraph: Paragraph, *parts: tuple[Line, ...]) -> tuple[Paragraph, Paragraph]:
    return replace(paragraph, lines=parts[0]), replace(paragraph, lines=parts[1])


def _text(flow: Sequence[Paragraph], pages: int) -> tuple[str, tuple[int, ...]]:
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
