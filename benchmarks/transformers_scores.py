"""How close the scores of the exported transformers folders are to whopays' own: the table in docs/how-to/transformers.md.

    python benchmarks/transformers_scores.py

Every seventh of the held-out passages, 60 in all; differences of calibrated document scores over passages and labels. Needs the
`train` extra.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from transformers import pipeline

import whopays.integrations.transformers  # noqa: F401  registers the pipeline
from whopays.corpus.checking import is_document
from whopays.corpus.records import load_examples
from whopays.tagger import MODELS, load
from whopays.training.float_export import export_transformers

HELD_OUT = Path(__file__).parents[1] / "corpus" / "data" / "heldout.jsonl"
STEP, COUNT = 7, 60


def main() -> None:
    """Print the figures."""
    print("| `activations=` | model | mean difference | largest | passages with other labels |\n|---|---|---|---|---|")
    for name in MODELS:
        tagger = load(name)
        passages = [e for e in load_examples(HELD_OUT, tagger.codebook) if not is_document(e)]
        texts = [example.text for example in passages[::STEP][:COUNT]]
        expected = [tagger.tag(text) for text in texts]
        with TemporaryDirectory() as folder:
            export_transformers(folder, name)
            for activations in ("8-bit", "float"):
                # Its type knows only the tasks that come with transformers.
                made: Any = pipeline
                found = made("claim-tagging", model=folder, activations=activations)(texts)
                pairs = list(zip(found, expected, strict=True))
                apart = np.abs([[f["scores"][label] - e.scores[label] for label in e.scores] for f, e in pairs])
                other = sum(f["labels"] != list(e.labels) for f, e in pairs)
                print(
                    f'| `"{activations}"` | {name} | {apart.mean():.3f} | {apart.max():.2f} | {other} of {len(texts)} |'
                )


if __name__ == "__main__":
    main()
