"""The evaluation report in one HTML file: scores with intervals, curves, calibration, and the worst mistakes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import IO

import numpy as np

from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.evaluation.calibration import Bools, Floats, expected_calibration_error, reliability
from whopays.evaluation.curves import RiskCoverage, confidence, precision_recall, risk_coverage
from whopays.evaluation.evaluating import Evaluation
from whopays.evaluation.metrics import Score
from whopays.excerpts import excerpts
from whopays.result import Result
from whopays.text import Segment, Span
from whopays.writers.charts import interval_chart, precision_recall_chart, reliability_chart, risk_coverage_chart
from whopays.writers.page import asset, encode, head

#: How many mistakes are shown, and of how long a text the whole, in code points.
MISTAKES, WHOLE = 30, 900
LEVELS = {
    "documents": "labels of texts",
    "sentences": "labels of sentences",
    "words": "evidence, words",
    "spans": "evidence, spans (IOU 0.5)",
}


@dataclass(frozen=True)
class Judged:
    """Gold texts with their results, in the same order, and what they come to."""

    gold: Sequence[Example]
    results: Sequence[Result]
    evaluation: Evaluation


def write_evaluation(judged: Judged, codebook: Codebook, stream: IO[bytes]) -> None:
    """Write the report. The page is static but for the choice of theme; everything in it is escaped."""
    ids = codebook.ids
    scores = np.array([[result.scores[label] for label in ids] for result in judged.results])
    gold = np.array([[label in example.labels for label in ids] for example in judged.gold])
    given = np.array([[label in result.labels for label in ids] for result in judged.results])
    thresholds = np.array([judged.results[0].thresholds.get(label, 0.5) for label in ids])
    style = asset("base.css", "evaluation.css") + _colors(codebook)
    script = asset("theme.js")
    title = f"Evaluation: {codebook.title}"
    risk = risk_coverage(confidence(scores, thresholds), (gold != given).any(axis=1))
    body = "".join(
        [
            _header(title, judged.evaluation),
            "<main>",
            _table(judged.evaluation, codebook, scores, gold),
            _curves(judged.evaluation, codebook, scores, gold),
            f'<div class="pair">{_reliability(scores, gold)}{_risk(risk)}</div>',
            _mistakes(judged, codebook, scores, thresholds),
            f'</main><footer><p class="facts">Made by whopays {escape(judged.results[0].version)} · model '
            f"{escape(judged.results[0].model)} · codebook {escape(f'{codebook.name} {codebook.version}')} "
            f"({codebook.hash})</p></footer>",
        ]
    )
    stream.write(encode(f"{head(title, style, [script])}<body>{body}<script>{script}</script></body></html>\n"))


def _colors(codebook: Codebook) -> str:
    """A class for each label; that a color is six hex digits is the codebook's promise."""
    return "".join(
        f".label-{number} {{ --color: light-dark({label.color}, color-mix(in oklab, {label.color} 62%, white)); }}\n"
        for number, label in enumerate(codebook.labels)
    )


def _header(title: str, evaluation: Evaluation) -> str:
    micro, macro = evaluation.documents["micro"], evaluation.documents["macro"]
    tiles = [
        (f"{evaluation.size:,}", "texts"),
        (f"{micro.f1:.2f}", f"micro-F1 ({micro.low:.2f} to {micro.high:.2f})"),
        (f"{macro.f1:.2f}", f"macro-F1 ({macro.low:.2f} to {macro.high:.2f})"),
    ]
    if evaluation.false_alarms is not None:
        tiles.append((f"{evaluation.false_alarms:.0%}", "of texts without claims got a label"))
    shown = "".join(
        f'<div class="tile"><strong>{escape(number)}</strong><span>{escape(name)}</span></div>'
        for number, name in tiles
    )
    return (
        f'<header class="top"><div class="title"><h1>{escape(title)}</h1>'
        f'<button type="button" id="theme">Theme</button></div><div class="tiles">{shown}</div></header>'
    )


def _chip(codebook: Codebook, label: str) -> str:
    return f'<span class="chip label-{codebook.ids.index(label)}">{escape(label)}</span>'


def _table(evaluation: Evaluation, codebook: Codebook, scores: Floats, gold: Bools) -> str:
    rows = ""
    for number, label in enumerate(codebook.ids):
        error = expected_calibration_error(scores[:, number], gold[:, number])
        rows += _row(_chip(codebook, label), label, evaluation.documents[label], f"label-{number}", f"{error:.3f}")
    for name in ("micro", "macro"):
        rows += _row(name, name, evaluation.documents[name], "sum", "")
    titles = ["label", "precision", "recall", "F1", "95 % interval", "support", "calibration error"]
    levels = "".join(
        f'<tr><th scope="row">{escape(title)}</th>'
        + "".join(
            f'<td class="number">{s.f1:.2f} <span class="soft">({s.low:.2f} to {s.high:.2f})</span></td>'
            for s in (getattr(evaluation, name)[kind] for kind in ("micro", "macro"))
        )
        + "</tr>"
        for name, title in LEVELS.items()
    )
    return (
        '<section class="card"><h2>Labels of texts</h2><p class="note">A text has a label if it holds evidence of it. '
        "Intervals are bootstrapped over texts; calibration error is the mean distance between score and share of "
        f'texts that have the label.</p><div class="scroll" role="region" aria-label="Scores" tabindex="0">'
        f'<table class="scores"><thead>{_head(titles)}</thead><tbody>{rows}</tbody></table></div>'
        f'<h3>Every level</h3><table class="levels"><thead>{_head(["", "micro-F1", "macro-F1"])}</thead>'
        f"<tbody>{levels}</tbody></table></section>"
    )


def _head(titles: Sequence[str]) -> str:
    cells = (f'<th scope="col">{escape(title)}</th>' if title else "<td></td>" for title in titles)
    return f"<tr>{''.join(cells)}</tr>"


def _row(shown: str, name: str, score: Score, kind: str, error: str) -> str:
    interval = f"{score.low:.2f} to {score.high:.2f}"
    chart = interval_chart(f"F1 of {name}: {score.f1:.2f}, {interval}", score.f1, score.low, score.high)
    numbers = "".join(f'<td class="number">{v:.2f}</td>' for v in (score.precision, score.recall, score.f1))
    return (
        f'<tr class="{kind}"><th scope="row">{shown}</th>{numbers}<td>{chart} <span class="soft">{interval}</span></td>'
        f'<td class="number">{score.support:,}</td><td class="number">{error}</td></tr>'
    )


def _curves(evaluation: Evaluation, codebook: Codebook, scores: Floats, gold: Bools) -> str:
    figures = ""
    for number, label in enumerate(codebook.ids):
        curve = precision_recall(scores[:, number], gold[:, number])
        if curve is None:
            figures += f"<figure><figcaption>{_chip(codebook, label)} no text has it</figcaption></figure>"
            continue
        score = evaluation.documents[label]
        point = (score.recall, score.precision) if score.precision or score.recall else None
        name = f"Precision over recall of {label}: average precision {curve.average:.2f}"
        figures += (
            f'<figure class="label-{number}"><figcaption>{_chip(codebook, label)} '
            f'<span class="soft">AP {curve.average:.2f}</span></figcaption>'
            f"{precision_recall_chart(name, curve.precision, curve.recall, point)}</figure>"
        )
    return (
        '<section><h2>Precision against recall</h2><p class="note">Each label of texts, over all thresholds; the dot '
        f'is the threshold in use, AP the average precision.</p><div class="grid-of-charts">{figures}</div></section>'
    )


def _reliability(scores: Floats, gold: Bools) -> str:
    bins = reliability(scores.ravel(), gold.ravel())
    error = expected_calibration_error(scores.ravel(), gold.ravel())
    rows = "".join(
        f'<tr><td class="number">{b.score:.2f}</td><td class="number">{b.share:.2f}</td>'
        f'<td class="number">{b.size:,}</td></tr>'
        for b in bins
    )
    return (
        '<section class="card"><h2>Can scores be taken for probabilities?</h2><p class="note">All labels of all texts, '
        f"in ten groups by score: on the diagonal they can. Calibration error {error:.3f}; whiskers are 95 % "
        f"intervals, a dot's area grows with its group.</p>"
        f"{reliability_chart(f'Share over score, calibration error {error:.3f}', bins)}"
        f"<details><summary>The same as a table</summary><table><thead>{_head(['score', 'share', 'number'])}</thead>"
        f"<tbody>{rows}</tbody></table></details></section>"
    )


def _risk(curve: RiskCoverage) -> str:
    """The curve, and its risk at a few coverages."""
    kept = [(share, float(np.interp(share, curve.coverage, curve.risk))) for share in (0.25, 0.5, 0.75, 1.0)]
    rows = "".join(
        f'<tr><td class="number">{share:.0%}</td><td class="number">{risk:.0%}</td></tr>' for share, risk in kept
    )
    return (
        '<section class="card"><h2>What a person should read first</h2><p class="note">Texts in the order of how sure '
        "their tags are: the distance, in log-odds, of the label closest to its threshold. If the least sure are left to "
        f"a person, this share of the others has a wrong or a missing label (mean {curve.area:.2f}). The dashed line is "
        f"what it is for all.</p>"
        f"{risk_coverage_chart(f'Risk over coverage, mean risk {curve.area:.2f}', curve.coverage, curve.risk)}"
        f"<details><summary>The same as a table</summary><table><thead>{_head(['texts kept', 'with a wrong label'])}"
        f"</thead><tbody>{rows}</tbody></table></details></section>"
    )


@dataclass(frozen=True, slots=True)
class _Mistake:
    """A label that a text got without having it (``spans`` are its supposed evidence), or the other way round."""

    size: float
    place: int
    label: str
    given: bool
    spans: tuple[Span, ...]


def _found(judged: Judged, codebook: Codebook, scores: Floats, thresholds: Floats) -> Iterator[_Mistake]:
    for place, (example, result) in enumerate(zip(judged.gold, judged.results, strict=True)):
        for number, label in enumerate(codebook.ids):
            given = label in result.labels
            if given != (label in example.labels):
                spans = result.evidence(label) if given else tuple(s for s in example.spans if s.label == label)
                size = confidence(scores[place : place + 1, [number]], thresholds[[number]])[0]
                yield _Mistake(float(size), place, label, given, spans)


def _mistakes(judged: Judged, codebook: Codebook, scores: Floats, thresholds: Floats) -> str:
    found = sorted(_found(judged, codebook, scores, thresholds), key=lambda m: (-m.size, m.place))
    items = "".join(_mistake(m, judged, codebook) for m in found[:MISTAKES])
    note = (
        f"{len(found):,} labels of texts are wrong or missing; here are the {min(MISTAKES, len(found))} on which the model "
        "was surest. Marked is the evidence: the model's of a wrong label, the gold of a missing one."
        if found
        else "No label of a text is wrong or missing."
    )
    return f'<section><h2>The worst mistakes</h2><p class="note">{note}</p><ol class="mistakes">{items}</ol></section>'


def _mistake(mistake: _Mistake, judged: Judged, codebook: Codebook) -> str:
    example, result = judged.gold[mistake.place], judged.results[mistake.place]
    number = codebook.ids.index(mistake.label)
    verdict = "tagged, but not in the gold" if mistake.given else "in the gold, but missed"
    score, threshold = result.scores[mistake.label], result.thresholds.get(mistake.label)
    against = "" if threshold is None else f", threshold {threshold:.2f}"
    texts = "".join(
        f'<blockquote class="label-{number}">{_marked(passage, mistake)}</blockquote>'
        for passage in excerpts(example.text, mistake.spans, whole=WHOLE, reach=WHOLE // 3)
    )
    gold = ", ".join(codebook.order(example.labels)) or "none"
    return (
        f'<li class="card {"wrong" if mistake.given else "missed"}"><p class="verdict">{_chip(codebook, mistake.label)} '
        f'<strong>{verdict}</strong> <span class="soft">score {score:.2f}{against}</span></p>{texts}'
        f'<p class="facts">{escape(example.id)} · gold: {escape(gold)} · tagged: '
        f"{escape(', '.join(result.labels) or 'none')}</p></li>"
    )


def _marked(passage: Segment, mistake: _Mistake) -> str:
    """A passage with its evidence marked; spans of one label that overlap are marked as one."""
    pieces = ["… " if passage.start else ""]
    at = passage.start
    for span in sorted(mistake.spans):
        if span.start >= passage.start and at < span.end <= passage.end:
            start = max(at, span.start)
            before, inside = (
                passage.text[a - passage.start : b - passage.start] for a, b in ((at, start), (start, span.end))
            )
            pieces += [escape(before), f"<mark>{escape(inside)}</mark>"]
            at = span.end
    return "".join([*pieces, escape(passage.text[at - passage.start :])])
