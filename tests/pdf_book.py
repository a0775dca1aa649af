"""Builds small PDFs line by line, so that every wrap and gap is known."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from reportlab.lib.utils import simpleSplit
from reportlab.pdfgen.canvas import Canvas

from whopays.reading import read
from whopays.text import Document

FONT, SIZE, LEADING, TOP, LEFT, WIDTH = "Helvetica", 10, 12, 740, 72, 430

PROSE = (
    "The college asks learners for a registration fee, and the apprentice pays for the books, tools and travel that "
    "the course requires. Employers say that they carry the cost of training, yet the levy is returned to them in "
    "full. The state meets the cost of the first qualification only, and every later one is left to the learner."
)
OTHER = (
    "Certificates are demanded for work that was once learned in a week. A licence that nobody reads costs a month of "
    "wages, and the agency that issues it is financed by the people who must hold it. Nothing obliges the firm to pay."
)
THIRD = (
    "Where the employer leaves the sector, the debt stays with the worker, because the agreement was signed before the "
    "first day. Local authorities may forgive it, although none has done so since the scheme began some years ago."
)


class Page:
    """Draws blocks of text from the top of a page down."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.y: float = TOP

    def lines(self, lines: list[str], x: float = LEFT, size: float = SIZE, gap: float = LEADING) -> Page:
        self.canvas.setFont(FONT, size)
        for line in lines:
            self.canvas.drawString(x, self.y, line)
            self.y -= size * LEADING / SIZE
        self.y -= gap
        return self

    def prose(self, text: str, x: float = LEFT, width: float = WIDTH, size: float = SIZE, gap: float = LEADING) -> Page:
        return self.lines(simpleSplit(text, FONT, size, width), x, size, gap)

    def row(self, places: tuple[float, ...], cells: tuple[str, ...], gap: float = LEADING) -> Page:
        self.canvas.setFont(FONT, SIZE)
        for x, cell in zip(places, cells, strict=True):
            self.canvas.drawString(x, self.y, cell)
        self.y -= gap
        return self

    def marked(self, text: str, size: float = SIZE) -> Page:
        """A line in which ^1^ is raised and _1_ lowered, both in small type."""
        line = self.canvas.beginText(LEFT, self.y)
        rise = 0.0
        for part in re.split(r"([\^_])", text):
            if part in {"^", "_"}:
                rise = 0.0 if rise else size * (0.33 if part == "^" else -0.15)
                continue
            line.setFont(FONT, 0.62 * size if rise else size)
            line.setRise(rise)
            line.textOut(part)
        self.canvas.drawText(line)
        self.y -= size * LEADING / SIZE
        return self

    def at(self, y: float, x: float = LEFT) -> Page:
        self.y = y
        return self


class Book:
    def __init__(self, path: Path, **options: object) -> None:
        self.path, self.canvas, self._pages = path, Canvas(str(path), pageCompression=0, **options), 0

    def page(self) -> Page:
        if self._pages:
            self.canvas.showPage()
        self._pages += 1
        return Page(self.canvas)

    def read(self) -> Document:
        self.canvas.showPage()
        self.canvas.save()
        (document,) = read(self.path)
        assert_pages_fit(document)
        return document


def assert_pages_fit(document: Document) -> None:
    assert document.page_starts[0] == 0
    assert all(earlier <= later for earlier, later in pairwise(document.page_starts))


def page_beginnings(document: Document, length: int = 12) -> list[str]:
    return [document.text[start : start + length] for start in document.page_starts]


def paragraphs(document: Document) -> list[str]:
    return document.text.split("\n\n")
