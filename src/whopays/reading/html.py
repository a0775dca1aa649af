"""HTML pages: the main content as trafilatura finds it; the whole body where nothing surrounds a main content."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whopays.errors import CorruptDocumentError, EmptyDocumentError
from whopays.reading.contents import check_is_text, decode, load
from whopays.text import Document

_DECLARED = re.compile(rb"""<meta[^>]+charset=["']?\s*([\w.:-]+)|<\?xml[^>]+encoding=["']([\w.:-]+)""", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t\n\r\f]+")
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_SHORT = 1000  # characters, below which telling main content from the rest is a gamble
_SURROUNDINGS = frozenset({"nav", "header", "footer", "aside"})
_SURROUNDING_NAMES = re.compile(
    r"advert|banner|breadcrumb|comment|cookie|footer|header|menu|nav|related|share|sidebar|social|widget", re.IGNORECASE
)
_MAX_CELL_BLOCKS = 3  # a cell with more holds a part of the page, not a value
# Marks inside the flow of text that survive the folding of white space, and do not occur in HTML.
_LINE_BREAK, _BLOCK_END = "\v", "\x1e"
_MARKS = re.compile(r"[\v\x1e]")
_EMPTY_LINES = re.compile(r"\v\s*\v")
_AROUND_BREAKS = re.compile(r" *\v[ \v]*")
# HTML's names and trafilatura's, whose tree calls a heading 'head', a list item 'item' and a table row 'row'.
_ROWS = frozenset({"tr", "row"})
_CELLS = frozenset({"td", "th", "cell"})
_LINE_BREAKS = frozenset({"br", "lb"})
_BLOCKS = frozenset(
    """address article aside blockquote body caption center dd details div dl dt fieldset figcaption figure footer form
h1 h2 h3 h4 h5 h6 head header hr item legend li list main ol option p pre quote section summary table tbody tfoot thead
title tr row td th cell ul""".split()
)
_SKIPPED = frozenset("button datalist iframe nav noscript script select style svg template textarea".split())


def read_html(path: Path, source: str) -> Document:
    """The page's main text, one block of text per paragraph, heading, list item or table row, blank lines between them.

    Cells of a row are joined by ' | '. Raises `EmptyDocumentError` if the page shows no text, `MislabelledError` for
    binary content, `CorruptDocumentError` if it cannot be parsed, `ReadError` and `UsageError` as `contents.load` does.
    """
    data = load(path)
    found = _DECLARED.search(data[:4096])
    declared = "".join(group.decode("ascii") for group in found.groups() if group) if found else ""
    if declared.lower() in {"iso-8859-1", "latin-1", "latin1", "us-ascii", "ascii"}:
        declared = "cp1252"  # as the HTML standard has it: pages that say Latin-1 are Windows Western
    markup = decode(data, declared)
    check_is_text(path, data, markup, "an HTML page")
    if not markup.strip():
        raise EmptyDocumentError(f"{path}: the file holds only white space; expected an HTML page.")
    try:
        title, blocks = _extract(markup)
    except (ValueError, RecursionError, MemoryError, AssertionError, TypeError, AttributeError) as error:
        # What lxml and trafilatura raise for hopeless markup is not documented.
        raise CorruptDocumentError(f"{path}: the HTML cannot be parsed ({error}); save the page again.") from error
    if not blocks:
        raise EmptyDocumentError(f"{path}: the page shows no text; save it from a browser, after its scripts have run.")
    return Document("\n\n".join(blocks), id=path.name, source=source, title=title)


def _extract(markup: str) -> tuple[str, list[str]]:
    """The title and the blocks of text."""
    import lxml.html
    from lxml.etree import LxmlError
    from trafilatura import bare_extraction

    try:
        parser = lxml.html.HTMLParser(encoding="utf-8")
        tree = lxml.html.document_fromstring(markup.encode("utf-8", "replace"), parser=parser)
    except LxmlError:
        return "", []  # nothing but comments or declarations
    title = _BLANKS.sub(" ", tree.findtext(".//title") or "").strip()
    body = tree.find("body")
    everything = list(_blocks(tree if body is None else body))
    # trafilatura drops some lists, tables and headings of main contents, so it is used where there is a rest to drop.
    if sum(map(len, everything)) < _SHORT or not _has_surroundings(tree):
        return title, everything
    extracted: Any = bare_extraction(markup, include_comments=False, include_tables=True)
    main = None if extracted is None else extracted.body
    blocks = [] if main is None or _flattened(main) else list(_blocks(main))
    return title, blocks or everything


def _has_surroundings(tree: Any) -> bool:
    """Whether menus, footers and the like stand around the main content."""
    return any(
        element.tag in _SURROUNDINGS or _SURROUNDING_NAMES.search(f"{element.get('id', '')} {element.get('class', '')}")
        for element in tree.iter("*")
    )


def _flattened(main: Any) -> bool:
    """Whether trafilatura gave up on structure: it then returns one paragraph with the lines of all elements."""
    paragraphs = [main] if main.tag == "p" else list(main)
    return len(paragraphs) == 1 and paragraphs[0].tag == "p" and "\n" in (paragraphs[0].text or "").strip()


def _blocks(element: Any) -> Iterator[str]:
    """The blocks of text below an element, in document order."""
    for block in _EMPTY_LINES.sub(_BLOCK_END, "".join(_flow(element))).split(_BLOCK_END):
        text = _AROUND_BREAKS.sub("\n", _BLANKS.sub(" ", block).strip(" \v"))
        if text.strip():
            yield text


def _flow(element: Any) -> Iterator[str]:
    """The text below an element, with marks for ends of blocks and for line breaks."""
    if not isinstance(element.tag, str) or element.tag in _SKIPPED:
        return
    if element.tag in _LINE_BREAKS:
        yield _LINE_BREAK
    if element.tag in _ROWS:
        cells = [list(_blocks(cell)) for cell in element if cell.tag in _CELLS]
        if sum(map(bool, cells)) > 1 and max(map(len, cells)) <= _MAX_CELL_BLOCKS:
            line = " | ".join(" ".join(" ".join(blocks).split("\n")) for blocks in cells)
            yield f"{_BLOCK_END}{line}{_BLOCK_END}"
            return
    if element.tag == "pre":
        text = _MARKS.sub(" ", "".join(element.itertext()).replace("\r\n", "\n"))
        yield f"{_BLOCK_END}{_BLANK_LINES.sub(_BLOCK_END, text).replace(chr(10), _LINE_BREAK)}{_BLOCK_END}"
        return
    # Any other row is layout: what its cells hold are blocks.
    end = _BLOCK_END if element.tag in _BLOCKS else ""
    yield end + _MARKS.sub(" ", element.text or "")
    for child in element:
        yield from _flow(child)
        yield _MARKS.sub(" ", child.tail or "")
    yield end
