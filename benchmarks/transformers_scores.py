"""How close the scores of the exported transformers folders are to whopays' own: the table in docs/how-to/transformers.md.

    python benchmarks/transformers_scores.py

Every seventh of the held-out passages, 60 in all; differences of calibrated document scores over passages and labels: between
the pipeline and the model that comes with whopays, and, in the last row of each model, between the pipeline and the same exported
folder in `whopays.load`. Needs the `train` extra.
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
from whopays.result import Result
from whopays.tagger import MODELS, load
from whopays.training.float_export import export_transformers

HELD_OUT = Path(__file__).parents[1] / "corpus" / "data" / "heldout.jsonl"
STEP, COUNT = 7, 60


def main() -> None:
    """Print the figures."""
    print(
        "| `activations=` | `whopays.load` of | mean difference | largest | passages with other labels |\n|---|---|---|---|---|"
    )
    for name in MODELS:
        shipped = load(name)
        passages = [e for e in load_examples(HELD_OUT, shipped.codebook) if not is_document(e)]
        texts = [example.text for example in passages[::STEP][:COUNT]]
        with TemporaryDirectory() as folder:
            export_transformers(folder, name, graph=True)
            expected = [shipped.tag(text) for text in texts]
            exact = load(folder)
            exported = [exact.tag(text) for text in texts]
            found = {how: _pipeline(folder, how)(texts) for how in ("8-bit", "float")}
            _print("8-bit", f"`{name}`", found["8-bit"], expected)
            _print("float", f"`{name}`", found["float"], expected)
            _print("float", f"`{name}`, exported with `--onnx`", found["float"], exported)


def _pipeline(folder: str, activations: str) -> Any:
    # Its type knows only the tasks that come with transformers.
    made: Any = pipeline
    return made("claim-tagging", model=folder, activations=activations)


def _print(activations: str, model: str, found: list[dict[str, Any]], expected: list[Result]) -> None:
    pairs = list(zip(found, expected, strict=True))
    apart = np.abs([[f["scores"][label] - e.scores[label] for label in e.scores] for f, e in pairs])
    other = sum(f["labels"] != list(e.labels) for f, e in pairs)
    print(f'| `"{activations}"` | {model} | {apart.mean():.4f} | {apart.max():.4f} | {other} of {len(pairs)} |')


if __name__ == "__main__":
    main()
