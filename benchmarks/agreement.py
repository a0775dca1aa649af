"""How far the authors of the corpus and its blind second reader agree, before their differences were ruled.

    python benchmarks/agreement.py

``corpus/readings.jsonl`` holds both readings of every text that was read twice, as they were before the ruling.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.corpus.records import json_lines
from whopays.evaluation.agreement import agreement
from whopays.text import Span

CORPUS = Path(__file__).parents[1] / "corpus"


def main() -> None:
    """Print alpha by label, and F1 of one reader against the other."""
    codebook = Codebook.load(CORPUS / "codebook.toml")
    records = [record for _, record in json_lines(CORPUS / "readings.jsonl")]
    parts = {
        "training and contrast": [record for record in records if not record["id"].startswith("h")],
        "held-out": [record for record in records if record["id"].startswith("h")],
    }
    tables = {
        name: agreement(_reading(part, "first"), _reading(part, "second"), codebook.ids) for name, part in parts.items()
    }
    print("| | " + " | ".join(f"{name} ({table.size} texts)" for name, table in tables.items()) + " |")
    print("|---" * (len(tables) + 1) + "|")
    for label in codebook.ids:
        print(f"| alpha, {label} | " + " | ".join(f"{table.alpha[label]:.2f}" for table in tables.values()) + " |")
    for title, name in (
        ("labels of texts", "micro_f1"),
        ("words inside evidence", "word_f1"),
        ("spans, IOU 0.5", "span_f1"),
    ):
        print(f"| F1, {title} | " + " | ".join(f"{getattr(table, name):.2f}" for table in tables.values()) + " |")


def _reading(records: list[dict[str, Any]], name: str) -> list[Example]:
    return [
        Example(
            record["id"],
            record["text"],
            tuple(
                sorted(
                    Span(s["start"], s["end"], s["label"], record["text"][s["start"] : s["end"]]) for s in record[name]
                )
            ),
        )
        for record in records
    ]


if __name__ == "__main__":
    main()
