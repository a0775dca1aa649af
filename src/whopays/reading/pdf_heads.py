"""Running heads and feet and page numbers of PDF pages, which would stand in the middle of sentences."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from statistics import median

from whopays.reading.pdf_glyphs import Line, Page, rows

_PAGE_NUMBER = re.compile(
    r"\W*(?:(?:page|pg|p)\b\W*)?(?:(?:[a-z]|\d{1,2})[-–])?(\d{1,4})(?:\s*(?:/|of|\|)\s*\d{1,4})?\W*"
)
_ROMAN = re.compile(r"\W*[ivxlc]{1,7}\W*")
_NUMBER = re.compile(r"\d{1,4}")
_NUMBERS = 9  # in a head, of which one may be the page's
_OUTER_NUMBERS = re.compile(r"^(?:(?:page|pg|p)\W*)?(\d{1,4}) \D|[^\d.] (\d{1,4})$")
_PAGE = re.compile(r"\bp(?:age|g)?\W*#")
_WORD = re.compile(r"[^\W\d_]{2}")
_ANY_WORDS = "any words #"
_EDGE_ROWS = 3
_DRIFT = 6.0  # points by which a running head may move from page to page
_APART = 1.6  # heights of a line between its middle and the next one's

_Row = tuple[Line, ...]


def without_running_heads(pages: Sequence[Page]) -> list[Page]:
    """The pages without page numbers, and without the heads and feet that recur at the same place.

    A head has the same words, but for the page's number, on most of the pages of a chapter, or on most of the odd or
    the even ones. Other words beside a page's number are dropped only where they stand apart from the text. Whatever
    may as well be text stays.
    """
    written = [page for page in pages if page.has_text]
    edges = {page.index: _edges(page) for page in written}
    recurring = _recurring(edges)
    sideways = Counter(text for page in written for text in set(page.sideways))
    enough = 2 if len(written) < 4 else 3
    kept = []
    for page in written:
        dropped: set[Line] = set()
        for edge in edges[page.index]:
            for row in edge:  # from the edge inwards, so that a heading inside the page is safe
                if row not in recurring:
                    break
                dropped.update(row)
        lines = tuple(line for line in page.lines if line not in dropped)
        kept.append(replace(page, lines=lines, sideways=tuple(t for t in page.sideways if sideways[t] < enough)))
    # Pages that hold nothing else are forms, slides or tests, not a book with running heads.
    return kept if sum(page.has_text for page in kept) > len(written) / 2 else written


def _edges(page: Page) -> tuple[list[_Row], list[_Row]]:
    """The outermost rows at the head and at the foot, the outermost first."""
    gathered = [tuple(row) for row in rows(page.lines)]
    return gathered[:_EDGE_ROWS], gathered[: -_EDGE_ROWS - 1 : -1]


def _recurring(edges: dict[int, tuple[list[_Row], list[_Row]]]) -> set[_Row]:
    """The rows at the edges of pages that are page numbers or running heads or feet."""
    places: defaultdict[str, set[_Row]] = defaultdict(set)
    set_apart: set[_Row] = set()
    for page, (head, foot) in edges.items():
        usual = median([line.size for row in (*head, *foot) for line in row] or [0.0])
        for edge in (head, foot):
            for row, inner in zip(edge, [*edge[1:], None], strict=True):
                for key in _keys(" ".join(line.text for line in row), page):
                    places[key].add(row)
                apart = inner is None or abs(inner[0].middle - row[0].middle) > _APART * row[0].size
                if row[0].size < (1.1 if apart else 0.95) * usual:
                    set_apart.add(row)
    written = sorted(edges)
    recurring: set[_Row] = set()
    numbered: set[int] = set()  # pages that have their number alone
    for key, found in sorted(places.items(), key=lambda place: bool(_WORD.search(place[0]))):
        words = _WORD.search(key)
        if words:
            height = median(row[0].middle for row in found)
            found = {row for row in found if abs(row[0].middle - height) <= _DRIFT}
        if "#" in key or len(found) < 3:
            found &= set_apart
        on = sorted({row[0].page for row in found})
        # 'Question 2' on page 2 is a heading if the page has its number elsewhere.
        title = "#" in key and not _PAGE.search(key) and 2 * len(numbered.intersection(on)) > len(on)
        if _on_most(on, written) and not title:
            recurring |= found
            numbered.update(() if words else on)
            if key.startswith(_ANY_WORDS):  # on the first page of a chapter the number may stand alone
                recurring |= places[key.removeprefix(_ANY_WORDS)]
    return recurring


def _keys(text: str, page: int) -> Iterator[str]:
    """What a row has in common with the same head on other pages: its words, with the page's number masked."""
    text = " ".join(text.casefold().split())
    if number := _PAGE_NUMBER.fullmatch(text):
        yield f"{int(number[1]) - page}"
    elif _ROMAN.fullmatch(text):
        yield "i"
    elif _WORD.search(text):
        yield text
        for number in islice(_NUMBER.finditer(text), _NUMBERS):
            yield f"{text[: number.start()]}#{int(number[0]) - page}{text[number.end() :]}"
        for number in _OUTER_NUMBERS.finditer(text):
            yield f"{_ANY_WORDS}{int(number[1] or number[2]) - page}"


def _on_most(found: list[int], written: list[int]) -> bool:
    """Whether these pages are most of all written ones, or of the odd or the even ones, over the stretch they span."""
    if len(found) < 2:
        return False
    peers = written
    if len({page % 2 for page in found}) == 1:
        peers = [page for page in written if page % 2 == found[0] % 2]
    if len(found) > 2:  # of two pages, a stretch proves nothing
        peers = [page for page in peers if found[0] <= page <= found[-1]]
    return 2 * len(found) > len(peers)
