"""A report in one HTML file: a table of documents, and each with its evidence. No address outside the file."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from typing import IO

from whopays.codebook import Codebook
from whopays.result import Result
from whopays.text import Document, Span

_HELD = 4_000_000  # bytes
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .3rem .6rem; vertical-align: top;
border-bottom: 1px solid #8884; } caption { text-align: left; font-weight: 600; padding: .5rem 0; }
.tag { border-left: .4rem solid; padding-left: .4rem; white-space: nowrap; } blockquote { margin: .2rem 0; }
.place { opacity: .7; font-size: .85em; } section { margin-top: 2.5rem; } h2 { overflow-wrap: anywhere; }
@media print { section { break-inside: avoid; } }
"""


def write_html(results: Iterable[tuple[Document, Result]], codebook: Codebook, stream: IO[bytes]) -> None:
    """Write the report; every text in it is escaped, and its policy forbids scripts and requests.

    What has to wait for the number of documents waits on disk, so that a report may be larger than memory.
    """
    number = 0
    with SpooledTemporaryFile(_HELD) as rows, SpooledTemporaryFile(_HELD) as sections:
        for number, (document, result) in enumerate(results, start=1):
            name = escape(document.title or result.source or result.id or f"text {number}")
            cells = "".join(f"<td>{escape(', '.join(result.readings[field]))}</td>" for field in codebook.fields)
            rows.write(_encode(f'<tr><td><a href="#d{number}">{name}</a></td>{cells}</tr>'))
            sections.write(_encode(_section(number, name, result, codebook)))
        titles = [group.titles[stance] for group in codebook.groups for stance in group.fields]
        head = "".join(f"<th scope=col>{escape(title)}</th>" for title in ["document", *titles])
        start = (
            f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{escape(codebook.title)}</title>"
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            f'<meta name=viewport content="width=device-width"><style>{_STYLE}</style></head><body>'
            f"<h1>{escape(codebook.title)}</h1>"
            f"<table><caption>{number} documents</caption><thead><tr>{head}</tr></thead><tbody>"
        )
        stream.write(_encode(start))
        rows.seek(0)
        copyfileobj(rows, stream)
        stream.write(b"</tbody></table>")
        sections.seek(0)
        copyfileobj(sections, stream)
        stream.write(b"</body></html>\n")


def _encode(page: str) -> bytes:
    return page.encode("utf-8", "replace")


def _section(number: int, name: str, result: Result, codebook: Codebook) -> str:
    rows = "".join(_row(span, codebook) for span in result.spans)
    head = "<thead><tr><th scope=col>label<th scope=col>score<th scope=col>evidence</tr></thead>"
    body = f"<table>{head}<tbody>{rows}</tbody></table>" if rows else "<p>No claim found.</p>"
    source = f"<p class=place>{escape(result.source)} · model {escape(result.model)}</p>"
    return f'<section id="d{number}"><h2>{name}</h2>{source}{body}</section>'


def _row(span: Span, codebook: Codebook) -> str:
    color = escape(codebook[span.label].color)
    page = f", page {span.page}" if span.page is not None else ""
    return (
        f'<tr><td><span class=tag style="border-color:{color}">{escape(span.label)}</span></td>'
        f"<td>{span.score or 0:.2f}</td><td><blockquote>{escape(span.text)}</blockquote>"
        f"<span class=place>characters {span.start} to {span.end}{page}</span></td></tr>"
    )
