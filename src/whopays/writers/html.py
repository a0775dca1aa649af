"""The report in one HTML file: all documents in a table, who pays by which mechanism, each text with its evidence.

The page holds results as JSON: an index, which the table needs, and a block for each document, which is read when it is
opened. Scripts build everything with `textContent`; no text of a document is ever parsed as HTML.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from whopays.codebook import Codebook
from whopays.excerpts import excerpts, quotes
from whopays.result import Result
from whopays.text import Document, Segment
from whopays.writers.flows import as_rows, flowing, flows
from whopays.writers.page import asset, data, encode, head

_HELD = 4_000_000  # bytes
#: How much text a report holds, in bytes of its JSON, before a document gets its whole text, passages, quotes no more.
WHOLE_UNTIL, PASSAGES_UNTIL, QUOTES_UNTIL = 16_000_000, 32_000_000, 48_000_000
#: The longest text, in code points, that is shown whole.
LONGEST = 1_000_000
# What a block holds of its document; the numbers stand in the page's data.
WHOLE, PASSAGES, QUOTES, NOTHING = range(4)
_STYLES = ("base.css", "report.css")
_SCRIPTS = ("theme.js", "state.js", "table.js", "matrix.js", "flow.js", "evidence.js", "document.js", "start.js")


@dataclass(frozen=True)
class Shown:
    """What the report shows of a document: its result, and the passages of its text that are at hand, in order.

    ``length`` is that of the whole text in code points; ``page_starts`` as in `Document`.
    """

    result: Result
    title: str
    passages: tuple[Segment, ...]
    length: int
    page_starts: tuple[int, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the passages are the whole text."""
        return sum(len(passage.text) for passage in self.passages) == self.length


def write_html(results: Iterable[tuple[Document, Result]], codebook: Codebook, stream: IO[bytes]) -> None:
    """Write the report of documents whose texts are at hand."""
    write_report((_shown(document, result) for document, result in results), codebook, stream)


def _shown(document: Document, result: Result) -> Shown:
    passages = excerpts(document.text, result.spans, whole=LONGEST)
    return Shown(result, document.title, passages, len(document.text), document.page_starts)


def write_report(documents: Iterable[Shown], codebook: Codebook, stream: IO[bytes]) -> None:
    """Write the report; the same documents give the same bytes.

    All documents are in its table. Texts get shorter, and at last are left out, when the page has as many as a browser
    opens at once; the report says so. What has to wait for the number of documents waits on disk, so that a report may be
    larger than memory.
    """
    order = {label: number for number, label in enumerate(codebook.ids)}
    contents: Counter[int] = Counter()
    models: dict[str, None] = {}
    with SpooledTemporaryFile(_HELD) as rows, SpooledTemporaryFile(_HELD) as blocks:
        size = number = 0
        for number, shown in enumerate(documents, start=1):
            models[shown.result.model] = None
            content, block = _block(shown, order, size)
            contents[content] += 1
            size += len(block)
            rows.write(encode((",\n" if number > 1 else "") + data(_row(shown, codebook, order, content))))
            if block:
                blocks.write(b'<script type="application/json" id="t%d">%s</script>\n' % (number, block))
        style, script = asset(*_STYLES), asset(*_SCRIPTS)
        about = {
            **_scheme(codebook),
            "documents": number,
            "contents": [contents[kind] for kind in range(4)],
            "models": list(models),
            "version": version("whopays"),
        }
        stream.write(encode(head(codebook.title, style, [script]) + "<body>" + _BODY.format(escape(codebook.title))))
        stream.write(encode(f'<script type="application/json" id="about">{data(about)}</script>\n'))
        stream.write(b'<script type="application/json" id="index">[')
        rows.seek(0)
        copyfileobj(rows, stream)
        stream.write(b"]</script>\n")
        blocks.seek(0)
        copyfileobj(blocks, stream)
        stream.write(encode(f"<script>{script}</script></body></html>\n"))


# All that is not data; `start.js` fills it.
_BODY = """<noscript><p>This report needs JavaScript, which is turned off. The same results are to be had as tables, with
<code>--format csv</code> or <code>--format jsonl</code>, or in the other files of the run.</p></noscript>
<div id="app"><h1>{}</h1></div>
<svg id="drawing" hidden></svg>
"""


def _scheme(codebook: Codebook) -> dict[str, Any]:
    group = flowing(codebook)
    return {
        "title": codebook.title,
        "codebook": f"{codebook.name} {codebook.version} ({codebook.hash})",
        "groups": [
            {
                "id": group.id,
                "title": group.title,
                "question": group.question,
                "fields": [
                    {"stance": stance, "name": name, "title": group.titles[stance]}
                    for stance, name in group.fields.items()
                ],
            }
            for group in codebook.groups
        ],
        "labels": [
            {
                "id": label.id,
                "mark": label.mark,
                "group": label.group,
                "value": label.value,
                "stance": label.stance,
                "color": label.color,
                "definition": label.definition,
            }
            for label in codebook.labels
        ],
        "flow": None if group is None or group.flow is None else {"group": group.id, "stances": list(group.flow)},
    }


def _row(shown: Shown, codebook: Codebook, order: dict[str, int], content: int) -> list[Any]:
    """A document in the index: title, source, id, labels, their scores, number of quotes, flows, content, notices."""
    result = shown.result
    return [
        shown.title,
        result.source,
        result.id,
        [order[label] for label in result.labels],
        [round(result.scores[label], 4) for label in result.labels],
        len(result.spans),
        as_rows(flows(result.spans, shown.passages, codebook), order),
        content,
        list(result.notices),
    ]


def _block(shown: Shown, order: dict[str, int], size: int) -> tuple[int, bytes]:
    """What the page holds of a document, and its bytes, where ``size`` bytes are in the page already."""
    for content, passages in _contents(shown, size):
        block = encode(data(_details(shown, passages, order)))
        limit = (WHOLE_UNTIL, PASSAGES_UNTIL, QUOTES_UNTIL)[content]
        if size + len(block) <= limit:
            return content, block
    return NOTHING, b""


def _contents(shown: Shown, size: int) -> Iterator[tuple[int, tuple[Segment, ...]]]:
    """What a block may hold, the most first."""
    spans = shown.result.spans
    if shown.whole and size < WHOLE_UNTIL:
        yield WHOLE, shown.passages
    if size < PASSAGES_UNTIL and (shown.passages or not shown.length):
        cut = shown.whole and len(shown.passages) == 1
        yield PASSAGES, excerpts(shown.passages[0].text, spans, whole=0) if cut else shown.passages
    if size < QUOTES_UNTIL:
        yield QUOTES, quotes(spans)


def _details(shown: Shown, passages: Sequence[Segment], order: dict[str, int]) -> dict[str, Any]:
    result = shown.result
    return {
        "passages": [[passage.start, passage.text] for passage in passages],
        "spans": [[order[span.label], span.start, span.end, span.score, span.page] for span in result.spans],
        "scores": [result.scores[label] for label in order],
        "pages": list(shown.page_starts),
        "length": shown.length,
        "language": result.language,
        "sha256": result.sha256,
    }
