"""What more training text buys: one fixed simple model, fitted on growing parts of the training split.

The model is deliberately plain, so that the curve shows the text and not the modelling: frozen sentence embeddings of
all-mpnet-base-v2, logistic regression for each label (C = 2) on sentences, a text's score the maximum of its sentences', one
threshold per label chosen by 5-fold cross-validation on the training text itself. Nothing is chosen on the scored texts.

    python benchmarks/learning_curve.py --base FOLDER [--extra gold.jsonl ...] [--output results.json]

``--base`` is a sentence-transformers folder of all-mpnet-base-v2; ``--extra`` names further gold files that stay outside the
project. Prints micro-F1 by size, and for the largest size F1 by label and by register. Needs the `benchmark` extra.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from peer_models import embed, load_encoder
from whopays.codebook import Codebook
from whopays.corpus.checking import is_document, load_corpus
from whopays.corpus.markup import Example
from whopays.corpus.records import load_examples
from whopays.corpus.sentences import labelled_sentences
from whopays.evaluation.metrics import label_counts, scores
from whopays.model.encoder import default_threads
from whopays.training.fitting import FitOptions, best_thresholds, folds

Array = npt.NDArray[np.float64]
Sentences = tuple[Array, npt.NDArray[np.bool_], npt.NDArray[np.int64]]
CORPUS = Path(__file__).parents[1] / "corpus"
SIZES = (250, 500, 1000, 2000, 3000)
STRENGTH = 2.0


def main() -> None:
    """Print the curve and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--extra", type=Path, nargs="*", default=[])
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    codebook = Codebook.load(CORPUS / "codebook.toml")
    splits = load_corpus(CORPUS, codebook)
    order = np.random.default_rng(0).permutation(len(splits["train"]))
    train = [splits["train"][index] for index in order]
    tests = {"held-out passages": [e for e in splits["heldout"] if not is_document(e)]}
    tests |= {path.stem: load_examples(path, codebook) for path in options.extra}
    everything = [train, *tests.values()]
    embedded = _embed(everything, codebook, options.base)
    result: dict[str, Any] = {"sizes": {}}
    print("| passages | " + " | ".join(f"{name}: micro F1 (95 %)" for name in tests) + " |")
    print("|---" * (len(tests) + 1) + "|")
    for size in [size for size in SIZES if size < len(train)] + [len(train)]:
        weights, thresholds = _fit(train[:size], _first(embedded[0], size), codebook)
        row: dict[str, Any] = {}
        for (name, gold), data in zip(tests.items(), embedded[1:], strict=True):
            predicted = _predict(weights, thresholds, data, len(gold), codebook)
            row[name] = _scores(gold, predicted, codebook)
        result["sizes"][size] = row
        cells = (f"{r['micro']['f1']:.3f} ({r['micro']['low']:.2f} to {r['micro']['high']:.2f})" for r in row.values())
        print(f"| {size} | " + " | ".join(cells) + " |", flush=True)
    for name, table in row.items():
        print(f"\n{name}, {len(train)} passages:")
        print("  " + ", ".join(f"{label} {score['f1']:.2f}" for label, score in table.items() if label != "registers"))
        print("  registers, worst first: " + ", ".join(f"{k} {v:.2f}" for k, v in table["registers"].items()))
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _embed(groups: Sequence[Sequence[Example]], codebook: Codebook, base: Path) -> list[Sentences]:
    """For each group of examples: sentence vectors, sentence labels, and the index of each sentence's example."""
    encoder = load_encoder(base, default_threads())
    result = []
    for examples in groups:
        rows = [(index, row) for index, e in enumerate(examples) for row in labelled_sentences(e.text, e.spans)]
        vectors = embed(encoder, [part.text for _, (part, _) in rows])
        labels = np.array([[label in found for label in codebook.ids] for _, (_, found) in rows])
        result.append((np.asarray(vectors, dtype=np.float64), labels, np.array([index for index, _ in rows])))
    return result


def _first(data: Sentences, size: int) -> Sentences:
    kept = data[2] < size
    return data[0][kept], data[1][kept], data[2][kept]


def _fit(train: Sequence[Example], data: Sentences, codebook: Codebook) -> tuple[tuple[Array, Array], Array]:
    x, y, owners = data
    out = np.zeros((len(train), y.shape[1]))
    for fold in folds(train, FitOptions()):
        held_out = np.isin(owners, fold)
        np.maximum.at(out, owners[held_out], _probability(_linear(x[~held_out], y[~held_out]), x[held_out]))
    gold = np.array([[label in e.labels for label in codebook.ids] for e in train])
    thresholds, _ = best_thresholds(out, gold, np.asarray(gold.any(axis=0)))
    return _linear(x, y), thresholds


def _linear(x: Array, y: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    from sklearn.linear_model import LogisticRegression

    fitted = [LogisticRegression(C=STRENGTH, max_iter=1000).fit(x, column) for column in y.T]
    return np.stack([f.coef_[0] for f in fitted]), np.array([f.intercept_[0] for f in fitted])


def _probability(weights: tuple[Array, Array], x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-(x @ weights[0].T + weights[1]))))


def _predict(
    weights: tuple[Array, Array], thresholds: Array, data: Sentences, size: int, codebook: Codebook
) -> list[frozenset[str]]:
    best = np.zeros((size, len(codebook.ids)))
    np.maximum.at(best, data[2], _probability(weights, data[0]))
    return [
        frozenset(name for name, given in zip(codebook.ids, row, strict=True) if given) for row in best >= thresholds
    ]


def _scores(gold: Sequence[Example], predicted: Sequence[frozenset[str]], codebook: Codebook) -> dict[str, Any]:
    rows = np.stack([label_counts(e.labels, p, codebook.ids) for e, p in zip(gold, predicted, strict=True)])
    table = scores(rows, codebook.ids)
    kept = ("precision", "recall", "f1", "low", "high", "support")
    result: dict[str, Any] = {k: {f: round(getattr(v, f), 4) for f in kept} for k, v in table.items()}
    registers = [e.attributes.get("register", "(none)") for e in gold]
    by_register = {
        name: float(scores(rows[[r == name for r in registers]], codebook.ids, samples=1)["micro"].f1)
        for name in sorted(set(registers))
    }
    result["registers"] = dict(sorted(by_register.items(), key=lambda item: item[1]))
    return result


if __name__ == "__main__":
    main()
