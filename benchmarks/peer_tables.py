"""Scores of several systems on the same texts, and their Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from whopays.corpus.markup import Example
from whopays.corpus.sentences import labelled_sentences
from whopays.evaluation.evaluating import Evaluation, evaluate_spans
from whopays.evaluation.metrics import Counts, Score, bootstrap, f1, macro_f1
from whopays.text import Span


@dataclass(frozen=True)
class Scored:
    """One system on one set of texts. ``wrong``: tags on ``free_sentences``, sentences without claims."""

    evaluation: Evaluation
    wrong: int
    free_sentences: int


@dataclass(frozen=True)
class Lead:
    """A difference of two systems' F1 on the same texts with its 95 % paired bootstrap interval."""

    difference: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.difference:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


@dataclass(frozen=True)
class Cost:
    """What a system takes: sentences a second, whopays' speed over it, bytes on disk and in memory, seconds to fit."""

    sentences: float
    ratio: float
    disk: int
    memory: int | None
    fit: float | None


def score(gold: Sequence[Example], predicted: Sequence[Sequence[Span]], labels: Sequence[str]) -> Scored:
    """Score one system's spans, one sequence for each gold text in order."""
    wrong = free = 0
    for example, spans in zip(gold, predicted, strict=True):
        pairs = zip(
            labelled_sentences(example.text, example.spans), labelled_sentences(example.text, spans), strict=True
        )
        found = [given for (_, labelled), (_, given) in pairs if not labelled]
        free += len(found)
        wrong += sum(map(len, found))
    return Scored(evaluate_spans(gold, predicted, labels), wrong, free)


def lead(ours: Counts, theirs: Counts, *, macro: bool = False, samples: int = 1000, seed: int = 0) -> Lead:
    """``ours`` minus ``theirs``, counts (documents, labels, 3) of the same documents; resampled together."""

    def value(counts: Counts) -> Counts:
        return macro_f1(counts) if macro else f1(counts.sum(axis=-2))

    difference = float(value(ours.sum(axis=0)) - value(theirs.sum(axis=0)))
    resampled = value(bootstrap(ours, samples, seed)) - value(bootstrap(theirs, samples, seed))
    low, high = (float(bound) for bound in np.percentile(resampled, [2.5, 97.5]))
    return Lead(difference, low, high)


def best_peer(scored: Mapping[str, Scored], ours: Sequence[str], level: str) -> str | None:
    """The system outside ``ours`` with the highest F1; ``level``: micro or macro. None if there is none."""
    peers = {name: found.evaluation.documents[level].f1 for name, found in scored.items() if name not in ours}
    return max(peers, key=lambda name: peers[name]) if peers else None


def quality_table(scored: Mapping[str, Scored], ours: Sequence[str], evidence: Mapping[str, str]) -> str:
    """One set of texts, a row for each system; leads are the first of ``ours`` over the others."""
    rows = [
        [
            "system",
            "micro F1 (95 %)",
            "macro F1 (95 %)",
            "precision / recall",
            "labels of sentences",
            "evidence, words",
            "evidence, IOU 0.5",
            "claim-free texts tagged",
            "wrong tags in 1,000 claim-free sentences",
            f"lead of {ours[0]} in micro F1 (95 %)",
        ]
    ]
    for name, found in scored.items():
        tables = found.evaluation
        micro = tables.documents["micro"]
        mark = " ¹" if evidence.get(name) == "sentences" else ""
        alarms = "" if tables.false_alarms is None else f"{tables.false_alarms:.0%}"
        rows.append(
            [
                name,
                _interval(micro),
                _interval(tables.documents["macro"]),
                f"{micro.precision:.2f} / {micro.recall:.2f}",
                f"{tables.sentences['micro'].f1:.2f}",
                f"{tables.words['micro'].f1:.2f}{mark}",
                f"{tables.spans['micro'].f1:.2f}{mark}",
                alarms,
                f"{1000 * found.wrong / found.free_sentences:.0f}" if found.free_sentences else "",
                "" if name == ours[0] else str(lead(scored[ours[0]].evaluation.document_rows, tables.document_rows)),
            ]
        )
    return table(rows)


def lead_table(sets: Mapping[str, Mapping[str, Scored]], ours: Sequence[str]) -> str:
    """Each of ``ours`` against the best peer of each set, in micro and in macro F1; empty if there are no peers."""
    rows = [["texts", "system", "best peer, micro F1", "lead (95 %)", "best peer, macro F1", "lead (95 %)"]]
    for title, scored in sets.items():
        for name in ours:
            row = [title, name]
            for level in ("micro", "macro"):
                best = best_peer(scored, ours, level)
                if best is None:
                    return ""
                pair = (scored[name].evaluation.document_rows, scored[best].evaluation.document_rows)
                row += [best, str(lead(*pair, macro=level == "macro"))]
            rows.append(row)
    return table(rows)


def cost_table(costs: Mapping[str, Cost], first: str) -> str:
    """What every system takes."""
    rows = [["system", "sentences/s", f"speed of {first} over it", "model on disk", "peak memory", "time to fit"]]
    for name, cost in costs.items():
        memory = "" if cost.memory is None else f"{cost.memory / 1e6:,.0f} MB"
        rows.append(
            [
                name,
                f"{cost.sentences:,.0f}",
                "" if name == first else f"{cost.ratio:.2f}",
                f"{cost.disk / 1e6:,.1f} MB",
                memory,
                "" if cost.fit is None else duration(cost.fit),
            ]
        )
    return table(rows)


def duration(seconds: float) -> str:
    """Seconds for people."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its head."""
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def _interval(score: Score) -> str:
    return f"{score.f1:.2f} ({score.low:.2f} to {score.high:.2f})"
