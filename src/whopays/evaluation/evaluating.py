"""Scores a tagger on gold examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import numpy as np

from whopays.corpus.markup import Example
from whopays.corpus.sentences import labelled_sentences
from whopays.errors import UsageError
from whopays.evaluation.metrics import Counts, Score, label_counts, matched_span_counts, scores, word_counts
from whopays.tagger import Tagger
from whopays.text import Document, Span


@dataclass(frozen=True)
class Evaluation:
    """Tables of scores by label, ``micro`` and ``macro``.

    ``documents``: labels of whole texts. ``sentences``: labels of their sentences. ``words``: words inside evidence.
    ``spans``: evidence spans matched one to one at IOU 0.5. ``false_alarms``: the share of texts without claims that
    got a label (None if there are none). ``size``: number of texts.
    """

    documents: dict[str, Score]
    sentences: dict[str, Score]
    words: dict[str, Score]
    spans: dict[str, Score]
    false_alarms: float | None
    size: int
    document_rows: Counts

    def to_dict(self) -> dict[str, Any]:
        """The tables as JSON."""
        tables = {
            name: {key: asdict(score) for key, score in getattr(self, name).items()}
            for name in ("documents", "sentences", "words", "spans")
        }
        return {**tables, "false_alarms": self.false_alarms, "size": self.size}

    def _repr_html_(self) -> str:
        """The scores of documents by label as a table, and micro and macro of the other levels, for a notebook."""
        levels = {"sentences": self.sentences, "evidence words": self.words, "evidence IOU 0.5": self.spans}
        rows = [*self.documents.items()]
        rows += [(f"{title}: {name}", table[name]) for title, table in levels.items() for name in ("micro", "macro")]
        titles = ("", "precision", "recall", "F1", "95 % interval", "support")
        head = "".join(f"<th>{title}</th>" for title in titles)
        body = "".join(
            f"<tr><th>{escape(name)}</th><td>{s.precision:.2f}</td><td>{s.recall:.2f}</td><td>{s.f1:.2f}</td>"
            f"<td>{s.low:.2f} to {s.high:.2f}</td><td>{s.support}</td></tr>"
            for name, s in rows
        )
        caption = f"<caption>{self.size} texts</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def evaluate(gold: Sequence[Example], tagger: Tagger, *, samples: int = 1000, seed: int = 0) -> Evaluation:
    """Tag the texts of ``gold`` and score labels and evidence, with 95 % bootstrap intervals over documents.

    Raises `UsageError` if there are no examples.
    """
    documents = [Document(example.text, id=example.id) for example in gold]
    predicted = [result.spans for result in tagger.tag_all(documents)]
    return evaluate_spans(gold, predicted, tagger.codebook.ids, samples=samples, seed=seed)


def evaluate_spans(
    gold: Sequence[Example],
    predicted: Sequence[Sequence[Span]],
    labels: Sequence[str],
    *,
    samples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Score predicted spans, one sequence for each gold example in order; a text has the labels of its spans."""
    if not gold or len(gold) != len(predicted):
        raise UsageError(
            f"found {len(gold)} gold texts and {len(predicted)} predictions, expected as many, at least one."
        )
    rows: dict[str, list[Counts]] = {"documents": [], "sentences": [], "words": [], "spans": []}
    for example, spans in zip(gold, predicted, strict=True):
        found = frozenset(span.label for span in spans)
        rows["documents"].append(label_counts(example.labels, found, labels))
        pairs = zip(
            labelled_sentences(example.text, example.spans), labelled_sentences(example.text, spans), strict=True
        )
        counts = [label_counts(a[1], b[1], labels) for a, b in pairs]
        rows["sentences"].append(np.sum(counts, axis=0) if counts else np.zeros((len(labels), 3)))
        rows["words"].append(word_counts(example.spans, spans, example.text, labels))
        rows["spans"].append(matched_span_counts(example.spans, spans, labels))
    empty = [bool(spans) for example, spans in zip(gold, predicted, strict=True) if not example.spans]
    tables = {name: scores(np.stack(table), labels, samples, seed) for name, table in rows.items()}
    return Evaluation(
        **tables,
        false_alarms=sum(empty) / len(empty) if empty else None,
        size=len(gold),
        document_rows=np.stack(rows["documents"]),
    )


def format_evaluation(evaluation: Evaluation) -> str:
    """The tables as text: documents by label, then micro and macro of every level."""
    lines = [
        f"{evaluation.size} texts",
        "",
        f"{'documents':<18}{'precision':>10}{'recall':>8}{'F1':>7}{'95 % interval':>16}{'support':>9}",
    ]
    lines += [_row(name, score) for name, score in evaluation.documents.items()]
    levels = {
        "sentences": evaluation.sentences,
        "evidence words": evaluation.words,
        "evidence IOU 0.5": evaluation.spans,
    }
    for title, table in levels.items():
        lines += ["", f"{title}"] + [_row(name, table[name]) for name in ("micro", "macro")]
    if evaluation.false_alarms is not None:
        lines += ["", f"texts without claims that got a label: {evaluation.false_alarms:.1%}"]
    return "\n".join(lines) + "\n"


def _row(name: str, score: Score) -> str:
    interval = f"{score.low:.3f} - {score.high:.3f}"
    return f"{name:<18}{score.precision:>10.3f}{score.recall:>8.3f}{score.f1:>7.3f}{interval:>16}{score.support:>9}"
