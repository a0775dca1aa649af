"""Leave one document out on the twelve seed documents, beside two rivals fitted on the same data.

For each seed document every system is fitted on the corpus' training text and the other eleven seeds; no sentence of the
left-out document is in training, nor in the choice of calibration or thresholds. The encoder has seen no seed at all. A further
row has the library without any seed. Scores are for whole documents: micro and macro F1 over the nine labels, with 95 %
bootstrap intervals over documents, and the paired bootstrap difference to whopays.

    python benchmarks/seed_lodo.py --model default
    python benchmarks/seed_lodo.py --model default --skip-setfit --work benchmarks/results/lodo    # prints what was predicted

Rivals (`peer_models`, here on whole texts): TF-IDF (word 1- and 2-grams, sublinear) with logistic regression; SetFit on
MiniLM (needs the `benchmark` extra), its contrastive stage on 64 passages per label as its documentation samples them, its
logistic head fitted on all of the fold's passages. Their C and thresholds are chosen once, by cross-validation judged on the
written passages. A seed counts `SEED_WEIGHT` times beside a written passage for whopays, as in the shipped model; for the
rivals it counts as often as suits them best on the scored documents themselves.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from peer_heads import HeadOptions, choose, few_shot, fit_at
from peer_models import SetFitOptions, embed, load_encoder, tune_by_contrast, word_vectorizer
from peer_tables import lead
from whopays.codebook import Codebook
from whopays.corpus.checking import load_corpus
from whopays.corpus.markup import Example
from whopays.evaluation.metrics import f1, label_counts, scores
from whopays.model.encoder import default_threads
from whopays.model.folder import Model, load_model
from whopays.model.heads import Heads
from whopays.tagger import MODELS, model_folder
from whopays.training.bases import minilm_folder
from whopays.training.build import (
    FITTING,
    PLAIN_WEIGHT,
    RETOLD_WEIGHT,
    SEED_WEIGHT,
    TUNED_ON,
    in_calibration,
    text_weights,
)
from whopays.training.fitting import (
    FitOptions,
    LabelledSentence,
    encode_examples,
    fit_sentence_heads,
    folds,
)

CORPUS = Path(__file__).parents[1] / "corpus"
# How often a seed may count in a rival's fit beside a written passage.
WEIGHTS = (1.0, 5.0, 20.0)
# From which their C is chosen.
TFIDF_C, SETFIT_C = (10.0, 100.0), (1.0, 10.0)


def main() -> None:
    """Run the comparison and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--skip-setfit", action="store_true", help="leave out the slow rival")
    parser.add_argument("--setfit-steps", type=int, default=400, help="contrastive steps of 16 pairs")
    parser.add_argument(
        "--work", type=Path, default=Path("build/lodo"), help="keeps what each system predicted on a corpus"
    )
    options = parser.parse_args()
    codebook = Codebook.load(CORPUS / "codebook.toml")
    splits = load_corpus(CORPUS, codebook)
    seeds, pool = splits["seed"], [example for name in TUNED_ON for example in splits[name]]
    model = load_model(model_folder(options.model) if options.model in MODELS else Path(options.model))
    gold = [example.labels for example in seeds]

    systems: dict[str, list[frozenset[str]]] = {}
    start = time.perf_counter()
    systems["whopays"], systems["whopays, no seed at all"] = _kept(
        options.work,
        model.id,
        (FITTING, SEED_WEIGHT, PLAIN_WEIGHT, RETOLD_WEIGHT),
        lambda: whopays(seeds, pool, text_weights(splits), codebook, model),
    )
    for name, run in systems.items():
        print(f"{name}: {_micro(run, gold, codebook):.3f}", flush=True)
    print(f"whopays: {time.perf_counter() - start:.0f} s", flush=True)
    start = time.perf_counter()
    runs = _kept(options.work, "tfidf", (WEIGHTS, TFIDF_C), lambda: tfidf(seeds, pool, codebook))
    systems["TF-IDF + LR"] = _best(runs, gold, codebook)
    print(f"TF-IDF: {time.perf_counter() - start:.0f} s", flush=True)
    if not options.skip_setfit:
        start = time.perf_counter()
        name = f"setfit-{options.setfit_steps}"
        runs = _kept(
            options.work, name, (WEIGHTS, SETFIT_C), lambda: setfit(seeds, pool, codebook, options.setfit_steps)
        )
        systems["SetFit (MiniLM)"] = _best(runs, gold, codebook)
        print(f"SetFit: {time.perf_counter() - start:.0f} s", flush=True)

    rows = {
        name: np.stack([label_counts(g, p, codebook.ids) for g, p in zip(gold, predicted, strict=True)])
        for name, predicted in systems.items()
    }
    print(f"\n{len(seeds)} seed documents, {len(pool)} passages and {len(seeds) - 1} seeds in training\n")
    print("| system | precision | recall | micro F1 (95 %) | macro F1 | whopays' lead in micro F1 (95 %) |")
    print("|---|---|---|---|---|---|")
    for name, table in rows.items():
        result = scores(table, codebook.ids)
        micro = result["micro"]
        ahead = "" if name == "whopays" else lead(rows["whopays"], table)
        print(
            f"| {name} | {micro.precision:.2f} | {micro.recall:.2f} | {micro.f1:.2f} ({micro.low:.2f} to {micro.high:.2f}) "
            f"| {result['macro'].f1:.2f} | {ahead} |"
        )
    print("\n| document | gold | missed | wrongly given |\n|---|---|---|---|")
    for example, labels, predicted in zip(seeds, gold, systems["whopays"], strict=True):
        cells = [", ".join(codebook.order(part)) for part in (labels, labels - predicted, predicted - labels)]
        print(f"| {example.attributes.get('title', example.id)} | {' | '.join(cells)} |")


def _kept(
    work: Path, name: str, settings: object, fit: Callable[[], Sequence[list[frozenset[str]]]]
) -> list[list[frozenset[str]]]:
    """A system's runs, from ``work`` if it was fitted on the same corpus with the same settings: what is long is done once."""
    files = [CORPUS / "data" / f"{split}.jsonl" for split in (*TUNED_ON, "seed")]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files) + repr(settings).encode())
    path = work / f"{name}-{digest.hexdigest()[:16]}.json"
    if path.is_file():
        print(f"{name}: read from {path}", flush=True)
    else:
        found = [[sorted(labels) for labels in run] for run in fit()]
        work.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found), encoding="utf-8")
    return [[frozenset(labels) for labels in run] for run in json.loads(path.read_text(encoding="utf-8"))]


def whopays(
    seeds: Sequence[Example], pool: Sequence[Example], counts: Mapping[str, float], codebook: Codebook, model: Model
) -> tuple[list[frozenset[str]], list[frozenset[str]]]:
    """The library's own fit: once for each left-out seed, the others counting `SEED_WEIGHT` times; and once without any seed.

    ``counts``: how often texts of the pool count, by id (`text_weights`).
    """
    examples = [*pool, *seeds]
    attention = model.heads.attention
    sentences = encode_examples(examples, codebook, model.encoder, attention)
    places = range(len(pool), len(examples))

    def given(heads: Heads, seed: int) -> frozenset[str]:
        scores = [np.round(heads.pooled_scores(s.pooled), 4) for s in sentences if s.example == seed]
        reached = np.max(scores, axis=0) >= heads.threshold
        return frozenset(label for label, is_given in zip(codebook.ids, reached, strict=True) if is_given)

    def fit(out: set[int], weight: float) -> Heads:
        return _fit_without(out, examples, sentences, codebook, attention, counts, weight)

    without = fit(set(places), 0)
    return [given(fit({seed}, SEED_WEIGHT), seed) for seed in places], [given(without, seed) for seed in places]


def _fit_without(
    left_out: set[int],
    examples: Sequence[Example],
    sentences: Sequence[LabelledSentence],
    codebook: Codebook,
    attention: npt.NDArray[np.float64],
    counts: Mapping[str, float],
    weight: float,
) -> Heads:
    chosen = [index for index in range(len(examples)) if index not in left_out]
    position = {index: new for new, index in enumerate(chosen)}
    kept = [replace(s, example=position[s.example]) for s in sentences if s.example not in left_out]
    used = [examples[index] for index in chosen]
    is_seed = [not example.attributes.get("register") for example in used]
    calibration = [i for i, example in enumerate(used) if in_calibration(example) and not is_seed[i]]
    weights = {i: weight if seed else counts.get(used[i].id, 1.0) for i, seed in enumerate(is_seed)}
    return fit_sentence_heads(used, kept, codebook, FITTING, calibration, weights, attention).heads


def _best(
    runs: Sequence[list[frozenset[str]]], gold: Sequence[frozenset[str]], codebook: Codebook
) -> list[frozenset[str]]:
    """A rival's run with the seed weight that suits it best on the scored documents themselves: a choice in its favour."""
    totals = [_micro(run, gold, codebook) for run in runs]
    print("  " + ", ".join(f"weight {w:g}: {t:.3f}" for w, t in zip(WEIGHTS, totals, strict=True)), flush=True)
    return runs[int(np.argmax(totals))]


def _micro(run: Sequence[frozenset[str]], gold: Sequence[frozenset[str]], codebook: Codebook) -> float:
    counts = [label_counts(g, p, codebook.ids) for g, p in zip(gold, run, strict=True)]
    return float(f1(np.sum(counts, axis=(0, 1))))


def tfidf(seeds: Sequence[Example], pool: Sequence[Example], codebook: Codebook) -> list[list[frozenset[str]]]:
    """TF-IDF with logistic regression on whole passages, one run for each of `WEIGHTS`."""
    x = word_vectorizer().fit_transform([e.text for e in [*pool, *seeds]])
    return [_leave_out(x, pool, seeds, codebook, TFIDF_C, weight) for weight in WEIGHTS]


def setfit(
    seeds: Sequence[Example], pool: Sequence[Example], codebook: Codebook, steps: int
) -> list[list[frozenset[str]]]:
    """SetFit, one run for each of `WEIGHTS`: the encoder tuned by contrast on labelled passages, then a logistic head.

    No seed is in the contrastive stage.
    """
    options, threads = SetFitOptions(steps=steps, shots=64), default_threads()
    labels = np.array([[label in e.labels for label in codebook.ids] for e in pool])
    few = few_shot(labels, options.shots)
    contrasted = np.column_stack([labels[few], ~labels[few].any(axis=1)])
    examples = [*pool, *seeds]
    with tempfile.TemporaryDirectory() as folder:
        tuned = Path(folder) / "encoder"
        tune_by_contrast(minilm_folder(), [pool[row].text for row in few], contrasted, tuned, options, threads)
        everything = embed(load_encoder(tuned, threads), [e.text for e in examples])
    return [_leave_out(everything, pool, seeds, codebook, SETFIT_C, weight) for weight in WEIGHTS]


def _leave_out(
    x: Any,
    pool: Sequence[Example],
    seeds: Sequence[Example],
    codebook: Codebook,
    strengths: tuple[float, ...],
    weight: float,
) -> list[frozenset[str]]:
    """What logistic regressions say of each seed, fitted on everything else.

    ``x``: features of the pool and then the seeds. C and thresholds are chosen once, by cross-validation, as suits the pool's
    texts: the seed is among the texts then, one in tens of thousands, and its labels are not judged.
    """
    examples, threads, options = [*pool, *seeds], default_threads(), HeadOptions(strengths, "liblinear")
    labels = np.array([[label in example.labels for label in codebook.ids] for example in examples])
    is_seed = np.arange(len(examples)) >= len(pool)
    counts = np.where(is_seed, weight, 1.0)
    parts = folds(examples, FitOptions())
    strength, threshold = choose(x, labels, parts, options, counts=counts, judged=~is_seed, threads=threads)
    predicted = []
    for left_out in np.flatnonzero(is_seed):
        rest = np.flatnonzero(np.arange(len(examples)) != left_out)
        head = fit_at(x[rest], labels[rest], strength, threshold, options, counts=counts[rest], threads=threads)
        given = head.given(x[[left_out]])[0]
        predicted.append(frozenset(name for name, is_given in zip(codebook.ids, given, strict=True) if is_given))
    return predicted


if __name__ == "__main__":
    main()
