"""The `whopays evaluate` command: gold texts in; tables, JSON or a report out."""

from __future__ import annotations

import json
from pathlib import Path

from whopays.corpus.records import load_examples
from whopays.errors import UsageError
from whopays.evaluation.evaluating import evaluate_spans, format_evaluation
from whopays.tagger import load
from whopays.tagging import output_stream
from whopays.text import Document

FORMATS = ("text", "json", "html")


def run(gold: str, output: str | None, format: str | None, model: str, precision: float | None) -> int:
    """Score a model on labelled texts; returns 0. ``model`` and ``precision``: see `whopays.load`.

    Raises `UsageError` for wrong usage, `RecordError` for a broken line of the gold.
    """
    if format is None:
        format = {".html": "html", ".json": "json"}.get(Path(output or "").suffix.lower(), "text")
    tagger = load(model, precision=precision)
    examples = load_examples(gold, tagger.codebook)
    if not examples:
        raise UsageError(f"{gold}: found no gold texts, expected at least one.")
    results = tagger.tag_all([Document(example.text, id=example.id) for example in examples])
    evaluation = evaluate_spans(examples, [result.spans for result in results], tagger.codebook.ids)
    with output_stream(output) as stream:
        if format == "html":
            from whopays.writers.evaluation_html import Judged, write_evaluation

            write_evaluation(Judged(examples, results, evaluation), tagger.codebook, stream)
        else:
            table = json.dumps(evaluation.to_dict()) + "\n" if format == "json" else format_evaluation(evaluation)
            stream.write(table.encode())
    return 0
