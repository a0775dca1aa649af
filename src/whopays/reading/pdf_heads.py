"""Running heads and feet and page numbers of PDF pages, which would stand in the middle of sentences."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from statistics import median

from whopays.reading.pdf_glyphs import Line, Page, rows

_PAGE_NUMBER = re.compile(r"\W*(?:(?:page|pg|p)\b\W*)?(?P<number>\d{1,4})(?:\s*(?:/|of|\|)\s*\d{1,4})?\W*")
_ROMAN = re.compile(r"\W*[ivxlc]{1,7}\W*")
_NUMBER_FIRST = re.compile(r"(?P<number>\d{1,4})\W+\S+\s.*")
_NUMBER_LAST = re.compile(r"\S+\s.*?\W(?P<number>\d{1,4})")
_EDGE_ROWS = 3
_Edges = tuple[list[list[Line]], list[list[Line]]]
_DRIFT = 6.0  # points by which a running head may move from page to page


def without_running_heads(pages: Sequence[Page]) -> list[Page]:
    """The pages without page numbers, and without the heads and feet that recur at the same place.

    A head recurs if its words stand on 3 pages (on 2 of 2 or 3): heads change with the chapter, and from left to right
    pages. A number is the page's if it keeps the same distance from the page's position on two pages in five.
    """
    written = [page for page in pages if page.has_text]
    enough = 2 if len(written) < 4 else 3
    edges = {page.index: _edges(page) for page in written}
    heights = _recurring(edges, enough)
    numbering = _numbering(edges)
    sideways = Counter(text for page in written for text in set(page.sideways))
    kept = []
    for page in written:
        dropped: set[Line] = set()
        for edge in edges[page.index]:
            for row in edge:  # from the edge inwards, so that a heading inside the page is safe
                height = heights.get(_words(row))
                recurs = height is not None and abs(row[0].middle - height) <= _DRIFT
                if not recurs and _numbered(row, page.index) not in numbering:
                    break
                dropped.update(row)
        lines = tuple(line for line in page.lines if line not in dropped)
        kept.append(replace(page, lines=lines, sideways=tuple(t for t in page.sideways if sideways[t] < enough)))
    # Pages that hold nothing else are forms, slides or tests, not a book with running heads.
    return kept if sum(page.has_text for page in kept) > len(written) / 2 else written


def _edges(page: Page) -> _Edges:
    """The outermost rows at the head and at the foot, the outermost first."""
    gathered = rows(page.lines)
    return gathered[:_EDGE_ROWS], gathered[: -_EDGE_ROWS - 1 : -1]


def _recurring(edges: dict[int, _Edges], enough: int) -> dict[str, float]:
    """The words of rows that recur at a place, and that place."""
    places: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for index, edge in edges.items():
        for row in chain(*edge):
            places[_words(row)].append((index, row[0].middle))
    recurring = {}
    for words, found in places.items():
        height = median(place for _, place in found)
        if len({index for index, place in found if abs(place - height) <= _DRIFT}) >= enough:
            recurring[words] = height
    return recurring


def _words(row: list[Line]) -> str:
    words = " ".join(" ".join(line.text for line in row).casefold().split())
    return "(roman number)" if _ROMAN.fullmatch(words) else words


def _numbered(row: list[Line], index: int) -> tuple[bool, int] | None:
    """Whether words stand beside a row's number, and how far the number is from the page's position in the file."""
    words = _words(row)
    if match := _PAGE_NUMBER.fullmatch(words):
        return False, int(match["number"]) - index
    if match := _NUMBER_FIRST.fullmatch(words) or _NUMBER_LAST.fullmatch(words):
        return True, int(match["number"]) - index
    return None


def _numbering(edges: dict[int, _Edges]) -> set[tuple[bool, int]]:
    """The distances, see `_numbered`, that recur on two pages in five.

    Only where most numbers have words beside them can a heading such as '3 Methods' be told from page 3.
    """
    beside: Counter[int] = Counter()
    either: Counter[int] = Counter()
    for index, edge in edges.items():
        found = {numbered for row in chain(*edge) if (numbered := _numbered(row, index))}
        beside.update({offset for words, offset in found if words})
        either.update({offset for _, offset in found})
    enough = max(2, 0.4 * len(edges))
    return {(True, offset) for offset, count in beside.items() if count >= enough} | {
        (False, offset) for offset, count in either.items() if count >= enough
    }
