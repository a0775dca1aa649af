"""How results look in a notebook: HTML with styles in the elements themselves, since a notebook keeps no style sheet."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from html import escape

from whopays.excerpts import excerpts
from whopays.text import Segment, Span

#: The longest text, in code points, that is shown whole; of a longer one there are passages around the evidence.
WHOLE = 6_000
# A result knows its labels and not their codebook: colors go by a label's place among all. Okabe and Ito 2008, so that they
# can be told apart by the color-blind, and one gray.
_COLORS = ("#d55e00", "#e69f00", "#0072b2", "#56b4e9", "#009e73", "#8fb339", "#cc79a7", "#a6761d", "#7f7f7f")
_CELL = "text-align:left;vertical-align:top;padding:.2em .8em .2em 0"


def show(spans: Sequence[Span], text: str, labels: Sequence[str], notices: Sequence[str] = ()) -> str:
    """A text with its evidence marked, where it is at hand, and a table of the evidence; all of it escaped.

    ``labels`` are all labels there are, in the codebook's order.
    """
    colors = {label: _COLORS[place % len(_COLORS)] for place, label in enumerate(labels)}
    notes = "".join(f"<p><em>{escape(notice)}</em></p>" for notice in notices)
    if not spans:
        return f"<div>{notes}<p>No claim found.</p></div>"
    marked = "".join(_passage(passage, spans, colors) for passage in excerpts(text, spans, whole=WHOLE)) if text else ""
    table = _table(spans, colors)
    if marked:
        table = f"<details><summary>{len(spans)} quotes as a table</summary>{table}</details>"
    return f"<div>{notes}{marked}{table}</div>"


def _passage(passage: Segment, spans: Sequence[Span], colors: Mapping[str, str]) -> str:
    inside = [span for span in spans if passage.start <= span.start and span.end <= passage.end]
    cuts = sorted({passage.start, passage.end, *(s.start for s in inside), *(s.end for s in inside)})
    pieces = ["… " if passage.start else ""]
    for start, end in itertools.pairwise(cuts):
        words = escape(passage.text[start - passage.start : end - passage.start])
        over = [span for span in inside if span.start <= start and end <= span.end]
        pieces.append(_mark(words, over, start, colors) if over else words)
    style = "white-space:pre-wrap;line-height:2.1;max-width:46em;margin:.3em 0"
    return f'<div style="{style}">{"".join(pieces)}</div>'


def _mark(words: str, over: Sequence[Span], start: int, colors: Mapping[str, str]) -> str:
    """A stretch under one or more spans: a line below it for each, the label where a span begins."""
    names = dict.fromkeys(span.label for span in over)
    lines = ",".join(f"0 {2 + 4 * row}px 0 -1px {colors[label]}" for row, label in enumerate(names, start=1))
    told = "; ".join(f"{span.label} {_score(span)}".strip() for span in over)
    begun = ", ".join(dict.fromkeys(span.label for span in over if span.start == start))
    tag = f'<sup style="font-size:.65em;opacity:.75">{escape(begun)} </sup>' if begun else ""
    style = f"background:{colors[over[0].label]}22;color:inherit;box-shadow:{lines};border-radius:2px"
    return f'<mark style="{style}" title="{escape(told)}">{tag}{words}</mark>'


def _score(span: Span) -> str:
    return "" if span.score is None else f"{span.score:.2f}"


def _table(spans: Sequence[Span], colors: Mapping[str, str]) -> str:
    pages = any(span.page is not None for span in spans)
    titles = ["label", "score", *(["page"] if pages else []), "characters", "evidence"]
    head = "".join(f'<th style="{_CELL}">{title}</th>' for title in titles)
    rows = ""
    for span in spans:
        cells = [
            f'<span style="border-left:4px solid {colors[span.label]};padding-left:.4em">{escape(span.label)}</span>'
        ]
        cells += [
            _score(span),
            *([str(span.page or "")] if pages else []),
            f"{span.start}–{span.end}",
            escape(span.text),
        ]
        rows += "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells) + "</tr>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
