"""Builds the PDF and DOCX files of ``examples/documents`` from the plain text in ``example_sources``.

Run ``python scripts/make_example_documents.py [--output FOLDER]``; it needs reportlab and python-docx. The same sources
and the same versions of these two give the same bytes. A source opens with ``key: value`` lines and ``---``; after
that blank lines separate headings (``# ``), list items (``- ``), tables (a caption, ``|`` rows, a note), boxed
questions (``> ``), notes (``[^1]: ``, called by ``[^1]``) and paragraphs.
"""

from __future__ import annotations

import argparse
import io
import re
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any, Literal

from docx import Document
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.shared import Mm, Pt
from reportlab.lib.colors import HexColor, black  # type: ignore[import-untyped]
from reportlab.lib.enums import TA_CENTER, TA_JUSTIFY, TA_LEFT, TA_RIGHT  # type: ignore[import-untyped]
from reportlab.lib.pagesizes import A4, B5  # type: ignore[import-untyped]
from reportlab.lib.styles import ParagraphStyle  # type: ignore[import-untyped]
from reportlab.lib.units import mm  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]
from reportlab.platypus import Paragraph, Table  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "scripts" / "example_sources"

# ---------------------------------------------------------------- sources

BlockKind = Literal["heading", "item", "table", "box", "paragraph"]


@dataclass(frozen=True)
class Block:
    """One heading, paragraph, list item, boxed question or table of a source."""

    kind: BlockKind
    text: str
    rows: tuple[tuple[str, ...], ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Source:
    """A parsed source: its opening ``key: value`` lines, its blocks in order, its notes by number."""

    meta: dict[str, str]
    blocks: list[Block]
    notes: dict[str, str]


def parse(path: Path) -> Source:
    """The blocks of a source file."""
    head, body = path.read_text(encoding="utf-8").split("---\n", 1)
    meta = {key: value.strip() for key, value in (line.split(":", 1) for line in head.splitlines())}
    blocks: list[Block] = []
    notes: dict[str, str] = {}
    for chunk in re.split(r"\n\s*\n", body.strip()):
        lines = chunk.split("\n")
        flat = " ".join(line.strip() for line in lines)
        if note := re.match(r"\[\^(\d+)\]: ", flat):
            notes[note[1]] = flat[note.end() :]
        elif len(lines) > 1 and lines[1].startswith("|"):
            rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line[0] == "|"]
            blocks.append(Block("table", lines[0], tuple(rows), lines[-1] if lines[-1][0] != "|" else ""))
        elif flat.startswith("# "):
            blocks.append(Block("heading", flat[2:]))
        elif flat.startswith("> "):
            blocks.append(Block("box", flat[2:]))
        elif flat.startswith("- "):
            items = re.sub(r"\n +", " ", chunk).split("\n")
            blocks.extend(Block("item", item[2:]) for item in items)
        else:
            blocks.append(Block("paragraph", flat))
    return Source(meta, blocks, notes)


# ---------------------------------------------------------------- PDF


@dataclass
class Piece:
    """Flowables drawn one under another: text may be split between columns, a table may wait for the next column."""

    parts: list[Any]
    space: float = 0.0
    kind: Literal["text", "heading", "table", "solid"] = "text"


@dataclass(frozen=True)
class Column:
    """The rectangle that one column fills, in points from the lower left corner of the page."""

    left: float
    bottom: float
    width: float
    height: float


@dataclass
class Flow:
    """What is still to be set: pieces in order, tables that found no room, and footnotes by number."""

    pieces: deque[Piece]
    notes: dict[str, Any] = field(default_factory=dict)
    waiting: deque[Piece] = field(default_factory=deque)

    def fill(self, canvas: Canvas, column: Column) -> None:
        """Draw as much as the column holds, with the footnotes that are called in it at its foot."""
        y, floor, feet = column.bottom + column.height, column.bottom, list[Any]()
        opening = True
        while self.pieces or (opening and self.waiting):
            queue = self.waiting if opening and self.waiting else self.pieces
            piece = queue[0]
            space = 0.0 if opening else piece.space
            room = y - space - floor
            if piece.kind == "text":
                parts, called = self._split(piece.parts[0], column.width, room, first=not feet)
                if not parts:
                    break
                queue.popleft()
                if len(parts) > 1:
                    queue.appendleft(Piece([parts[1]]))
                for foot in called:
                    floor += foot.wrap(column.width, room)[1] + (0 if feet else _RULE)
                    feet.append(foot)
                piece = Piece([parts[0]])
            elif (
                sum(part.wrap(column.width, room)[1] for part in piece.parts) + (40 if piece.kind == "heading" else 0)
                <= room
            ):
                queue.popleft()
            elif piece.kind == "table" and queue is self.pieces:
                self.waiting.append(queue.popleft())
                continue
            else:
                break
            y -= space
            for part in piece.parts:
                y -= part.wrap(column.width, y)[1]
                part.drawOn(canvas, column.left, y)
            opening = False
        if opening and (self.pieces or self.waiting):
            raise ValueError("A piece is higher than a whole column.")
        if feet:
            canvas.setLineWidth(0.4)
            canvas.line(column.left, floor - _RULE / 2, column.left + column.width / 3, floor - _RULE / 2)
            y = floor - _RULE
            for foot in feet:
                y -= foot.wrap(column.width, column.height)[1]
                foot.drawOn(canvas, column.left, y)

    def _split(self, text: Any, width: float, room: float, *, first: bool) -> tuple[list[Any], list[Any]]:
        """The paragraph as it fits with the notes that it calls: what goes here, the rest if any, and those notes."""
        kept = 0.0
        while True:
            parts = text.split(width, room - kept)
            if not parts:
                return [], []
            height = parts[0].wrap(width, room)[1]
            lines = parts[0].blPara.lines if parts[0].blPara.kind else []
            raised = [word.text.strip() for line in lines for word in line.words if getattr(word, "rise", 0)]
            called = [self.notes[number] for number in raised if number]
            feet = sum(note.wrap(width, room)[1] for note in called) + (_RULE if called and first else 0)
            if height + feet <= room:
                return parts, called
            kept = max(feet, kept + 1)


_RULE = 10.0  # between the text of a column and its first footnote


def styled(name: str, font: str, size: float, leading: float, **options: Any) -> ParagraphStyle:
    """A paragraph style with no widows or orphans."""
    return ParagraphStyle(name, fontName=font, fontSize=size, leading=leading, allowWidows=0, allowOrphans=0, **options)


def marked(text: str) -> str:
    """The text in reportlab's mark-up, with raised note numbers."""
    return re.sub(r"\[\^(\d+)\]", r'<super rise="3.2" size="6.2">\1</super>', escape(text, quote=False))


def table(block: Block, widths: list[float], body: ParagraphStyle, numbers_from: int) -> Piece:
    """A ruled table with its caption above and its note below."""
    bold = ParagraphStyle("bold", body, fontName={"Times-Roman": "Times-Bold"}.get(body.fontName, "Helvetica-Bold"))
    cells = [
        [
            Paragraph(
                escape(text),
                ParagraphStyle("cell", body if row else bold, alignment=TA_LEFT if index < numbers_from else TA_RIGHT),
            )
            for index, text in enumerate(texts)
        ]
        for row, texts in enumerate(block.rows)
    ]
    grid = Table(
        cells,
        colWidths=widths,
        style=[
            ("LINEABOVE", (0, 0), (-1, 0), 0.8, black),
            ("LINEBELOW", (0, 0), (-1, 0), 0.4, black),
            ("LINEBELOW", (0, -1), (-1, -1), 0.8, black),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 2),
            ("RIGHTPADDING", (0, 0), (-1, -1), 2),
            ("TOPPADDING", (0, 0), (-1, -1), 1.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
        ],
    )
    grid.hAlign = "LEFT"
    caption = Paragraph(escape(block.text), bold)
    gap = Table([[""]], colWidths=[10], rowHeights=[4])
    note = Paragraph(escape(block.note), ParagraphStyle("note", body, fontSize=body.fontSize - 0.7))
    return Piece([caption, gap, grid, gap, note, gap], 12, "table")


def report(source: Source, target: Path) -> None:
    """A research report on B5: two justified columns, hyphenated, with footnotes and running heads."""
    breaks = [
        word
        for line in (SOURCES / "hyphens.txt").read_text(encoding="utf-8").splitlines()
        if line[:1] != "#"
        for word in line.split()
    ]
    soft = {word.replace("-", ""): word.replace("-", "\u00ad") for word in breaks}

    def hyphenated(text: str) -> str:
        def broken(match: re.Match[str]) -> str:
            word = soft.get(match[0].lower(), match[0])
            return match[0][0] + word[1:]

        return re.sub(r"[^\W\d_]{7,}", broken, text)

    width, height = B5
    outer, gutter, bottom = 17 * mm, 6 * mm, 19 * mm
    column = (width - 2 * outer - gutter) / 2
    full = width - 2 * outer
    body = styled("body", "Times-Roman", 10, 12.8, alignment=TA_JUSTIFY)
    indented = ParagraphStyle("indented", body, firstLineIndent=9)
    heading = styled("heading", "Helvetica-Bold", 9.8, 12.5, spaceAfter=0)
    foot = styled("foot", "Times-Roman", 7.6, 9.2, alignment=TA_JUSTIFY)
    entry = styled("entry", "Times-Roman", 8.6, 10.6, leftIndent=9, firstLineIndent=-9)
    cell = styled("cell", "Times-Roman", 8, 9.6)

    pieces: deque[Piece] = deque()
    abstract, before = "", ""
    for block in source.blocks:
        if block.text.startswith("[abstract] "):
            abstract = block.text.removeprefix("[abstract] ")
        elif block.kind == "heading":
            pieces.append(Piece([Paragraph(marked(block.text), heading)], 13, "heading"))
            before = block.text
        elif block.kind == "table":
            pieces.append(table(block, [column - 3 * 14.5 * mm, *[14.5 * mm] * 3], cell, 1))
        elif before == "References":
            pieces.append(Piece([Paragraph(marked(block.text), entry)], 2))
        else:
            opens = pieces[-1].kind == "heading" if pieces else True
            pieces.append(
                Piece([Paragraph(hyphenated(marked(block.text)), body if opens else indented)], 3 if opens else 0)
            )
    notes = {number: Paragraph(f"{number}&nbsp; {escape(text)}", foot) for number, text in source.notes.items()}
    flow = Flow(pieces, notes)

    meta = source.meta
    canvas = Canvas(str(target), pagesize=B5, invariant=1)
    canvas.setTitle(f"{meta['title']}: {meta['subtitle']}")
    canvas.setAuthor(meta["authors"])
    grey = HexColor("#555555")

    def opening() -> float:
        """Draw the title and the abstract across both columns; the height that they leave."""
        top = height - 22 * mm
        parts = [
            (f"{meta['series']} · {meta['number']}", styled("series", "Helvetica", 8.2, 11, textColor=grey), 20),
            (meta["title"], styled("title", "Helvetica-Bold", 19, 23), 4),
            (meta["subtitle"], styled("subtitle", "Helvetica", 11.5, 15), 9),
            (meta["authors"], styled("authors", "Times-Italic", 10.5, 13), 12),
            (
                hyphenated(abstract),
                styled("abstract", "Times-Roman", 9, 11.4, alignment=TA_JUSTIFY, leftIndent=14, rightIndent=14),
                10,
            ),
        ]
        for text, style, after in parts:
            paragraph = Paragraph(marked(text), style)
            top -= paragraph.wrap(full, top)[1]
            paragraph.drawOn(canvas, outer, top)
            top -= after
        canvas.setLineWidth(0.6)
        canvas.line(outer, top, outer + full, top)
        return float(top - 14)

    page = 0
    while flow.pieces or flow.waiting:
        page += 1
        top = height - 24 * mm
        if page == 1:
            top = opening()
        else:
            canvas.setFont("Helvetica", 7.6)
            canvas.setFillColor(grey)
            if page % 2:
                canvas.drawString(outer, height - 15 * mm, meta["title"])
            else:
                canvas.drawRightString(outer + full, height - 15 * mm, meta["authors"])
            canvas.setFillColor(black)
            canvas.setLineWidth(0.3)
            canvas.line(outer, height - 17 * mm, outer + full, height - 17 * mm)
        for index in range(2):
            flow.fill(canvas, Column(outer + index * (column + gutter), bottom, column, top - bottom))
        canvas.setFont("Helvetica", 8)
        canvas.drawCentredString(width / 2, 10 * mm, str(page))
        canvas.showPage()
    canvas.save()


def consultation(source: Source, target: Path) -> None:
    """A government consultation paper on A4: one column, numbered paragraphs, boxed questions."""
    width, height = A4
    side, bottom = 27 * mm, 24 * mm
    full = width - 2 * side
    body = styled(
        "body", "Helvetica", 10, 13.6, leftIndent=30, bulletIndent=0, bulletFontName="Helvetica", bulletFontSize=10
    )
    heading = styled("heading", "Helvetica-Bold", 12, 15)
    cell = styled("cell", "Helvetica", 8.8, 11)
    pieces: deque[Piece] = deque()
    for block in source.blocks:
        if block.kind == "heading":
            pieces.append(Piece([Paragraph(escape(block.text), heading)], 17, "heading"))
        elif block.kind == "table":
            widths = [27 * mm, full - 27 * mm - 3 * 21 * mm, 21 * mm, 21 * mm, 21 * mm]
            pieces.append(table(block, widths, cell, 2))
        elif block.kind == "box":
            box = Table(
                [[Paragraph(escape(block.text), styled("box", "Helvetica", 10, 13.6))]],
                colWidths=[full],
                style=[
                    ("BOX", (0, 0), (-1, -1), 0.7, black),
                    ("LEFTPADDING", (0, 0), (-1, -1), 8),
                    ("TOPPADDING", (0, 0), (-1, -1), 4),
                    ("BOTTOMPADDING", (0, 0), (-1, -1), 7),
                ],
            )
            pieces.append(Piece([box], 9, "solid"))
        else:
            number, text = block.text.split(" ", 1)
            pieces.append(Piece([Paragraph(escape(text, quote=False), body, bulletText=number)], 8))
    flow = Flow(pieces)

    meta = source.meta
    canvas = Canvas(str(target), pagesize=A4, invariant=1)
    canvas.setTitle(meta["title"])
    canvas.setAuthor(meta["department"])
    page = 0
    while flow.pieces or flow.waiting:
        page += 1
        top = height - 30 * mm
        if page == 1:
            top = height - 26 * mm
            lines = [
                (meta["government"].upper(), "Times-Bold", 13, 4),
                (meta["department"], "Times-Roman", 12, 22),
                (meta["number"], "Helvetica", 10, 12),
                (meta["title"], "Helvetica-Bold", 20, 8),
                (meta["subtitle"], "Helvetica", 11, 12),
                (meta["date"], "Helvetica", 10, 12),
            ]
            for text, font, size, after in lines:
                line = Paragraph(escape(text), styled("line", font, size, size * 1.25, alignment=TA_CENTER))
                top -= line.wrap(full, top)[1]
                line.drawOn(canvas, side, top)
                top -= after
            canvas.setLineWidth(1)
            canvas.line(side, top, width - side, top)
            top -= 20
        else:
            canvas.setFont("Helvetica", 8.5)
            canvas.drawString(side, height - 19 * mm, meta["title"])
            canvas.drawRightString(width - side, height - 19 * mm, meta["number"])
            canvas.setLineWidth(0.4)
            canvas.line(side, height - 21 * mm, width - side, height - 21 * mm)
        flow.fill(canvas, Column(side, bottom, full, top - bottom))
        canvas.setFont("Helvetica", 9)
        canvas.drawCentredString(width / 2, 13 * mm, f"– {page} –")
        canvas.showPage()
    canvas.save()


# ---------------------------------------------------------------- DOCX

_STAMP = (2018, 9, 21, 9, 0, 0)


def review(source: Source, target: Path) -> None:
    """A consultant's report for Word: headings, lists, a table, and a note at the end called by a raised number."""
    meta = source.meta
    document = Document()
    section = document.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    section.left_margin = section.right_margin = Mm(28)
    document.styles["Normal"].font.name = "Calibri"
    document.styles["Normal"].font.size = Pt(11)
    section.header.paragraphs[0].text = f"{meta['title']}: {meta['subtitle'].lower()}"
    section.footer.paragraphs[0].alignment = WD_ALIGN_PARAGRAPH.CENTER
    _page_number(section.footer.paragraphs[0])

    document.add_heading(meta["title"], level=0)
    document.add_paragraph(meta["subtitle"], style="Subtitle")
    document.add_paragraph(meta["authors"])
    document.add_paragraph(meta["date"])
    for block in source.blocks:
        if block.kind == "heading":
            document.add_heading(block.text, level=1)
        elif block.kind == "item":
            _runs(document.add_paragraph(style="List Bullet"), block.text)
        elif block.kind == "table":
            document.add_paragraph(block.text, style="Caption").paragraph_format.keep_with_next = True
            grid = document.add_table(rows=0, cols=len(block.rows[0]), style="Light Grid Accent 1")
            for row in block.rows:
                for cell, text in zip(grid.add_row().cells, row, strict=True):
                    cell.text = text
            document.add_paragraph(block.note)
        elif numbered := re.match(r"\d+\. ", block.text):
            _runs(document.add_paragraph(style="List Number"), block.text[numbered.end() :])
        else:
            _runs(document.add_paragraph(), block.text)
    document.add_paragraph("_" * 24).paragraph_format.space_after = Pt(0)
    for number, text in source.notes.items():
        note = document.add_paragraph()
        note.add_run(number).font.superscript = True
        note.add_run(f" {text}").font.size = Pt(9)

    core = document.core_properties
    core.title, core.subject, core.author = f"{meta['title']}: {meta['subtitle']}", "", "Harbour Row Consulting"
    core.last_modified_by, core.comments, core.keywords, core.revision = core.author, "", "", 1
    core.created = core.modified = core.last_printed = datetime(*_STAMP)
    buffer = io.BytesIO()
    document.save(buffer)
    with zipfile.ZipFile(buffer) as given, zipfile.ZipFile(target, "w") as fixed:
        for name in given.namelist():
            entry = zipfile.ZipInfo(name, _STAMP)
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 0, 0
            fixed.writestr(entry, given.read(name))


def _runs(paragraph: Any, text: str) -> None:
    """Add the text to a Word paragraph, note calls raised."""
    for index, part in enumerate(re.split(r"\[\^(\d+)\]", text)):
        paragraph.add_run(part).font.superscript = True if index % 2 else None


def _page_number(paragraph: Any) -> None:
    """Add Word's field for the number of the page."""
    run = paragraph.add_run()
    for kind, text in (("begin", ""), ("", "PAGE"), ("end", "")):
        element = OxmlElement("w:fldChar" if kind else "w:instrText")
        if kind:
            element.set(f"{{{element.nsmap['w']}}}fldCharType", kind)
        element.text = text or None
        run._r.append(element)


# ---------------------------------------------------------------- command

BUILDERS: dict[str, Callable[[Source, Path], None]] = {
    "kronvik_report.txt": report,
    "hollin_consultation.txt": consultation,
    "coastal_skills_review.txt": review,
}


def build(folder: Path) -> Iterator[Path]:
    """Write the documents into the folder, and give their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, builder in BUILDERS.items():
        source = parse(SOURCES / name)
        target = folder / source.meta["file"]
        builder(source, target)
        yield target


def main() -> None:
    """Build all of them."""
    parser = argparse.ArgumentParser(description="Build the PDF and DOCX example documents.")
    parser.add_argument("--output", type=Path, default=ROOT / "examples" / "documents", help="folder to write to")
    for path in build(parser.parse_args().output):
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
