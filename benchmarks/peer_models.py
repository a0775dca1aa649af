"""What whopays is compared with: each peer is fitted on labelled texts, saved to a folder, loaded, and tags texts.

All peers but spaCy (`peer_spacy`) are here. All work on sentences, cut by whopays' own segmenter, so that each can also say where
a claim stands: a peer that finds no evidence by itself gives the whole sentence. A text has the labels of its sentences.
Thresholds are chosen for sentences by `whopays.training.fitting.best_thresholds`, as whopays' own, on scores of texts that the
scored model had not seen: out of fold, or, where an encoder was tuned, out of fold on the texts that the tuning did not see.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

import lexicon
from peer_heads import Bools, HeadOptions, LinearHead, Sentences, few_shot, fit_head, sentence_parts, sentence_spans
from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.corpus.sentences import labelled_sentences
from whopays.evaluation.metrics import f1, label_counts
from whopays.text import Span
from whopays.training.finetuning import half_precision_is_fast

HEAD_FILE = "head.npz"
# An encoder for which any two texts are as near as this on average has lost what it knew.
COLLAPSED = 0.95


class Peer(Protocol):
    """A rival. ``evidence``: what its spans are; ``settings`` decide, with the training text, what is fitted."""

    name: str
    title: str
    evidence: str

    def settings(self) -> Mapping[str, Any]:
        """Everything that the result depends on besides the training text, as JSON."""

    def fit(self, train: Sequence[Example], codebook: Codebook, folder: Path, threads: int) -> str:
        """Fit and write to ``folder``; returns what was chosen, for people."""

    def load(self, folder: Path, codebook: Codebook, threads: int) -> None:
        """Read what `fit` wrote."""

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        """The claims of each text."""


# The peers ---------------------------------------------------------------------------------------------------------------


class Lexicon:
    """`lexicon`: the training text decides only which labels are given by the loose rule too (the better sentence F1)."""

    name = "lexicon"
    evidence = "stretches"

    def __init__(self) -> None:
        self.title = "keyword lexicon"
        self._loose: tuple[str, ...] = ()

    def settings(self) -> Mapping[str, Any]:
        """The lexicon's own source."""
        return {"source": Path(lexicon.__file__).read_text(encoding="utf-8")}

    def fit(self, train: Sequence[Example], codebook: Codebook, folder: Path, threads: int) -> str:  # noqa: ARG002
        """Choose the labels that the loose rule helps."""
        totals = []
        for loose in ((), tuple(lexicon.LOOSE)):
            counts = np.zeros((len(codebook.ids), 3))
            for example in train:
                gold = labelled_sentences(example.text, example.spans)
                found = labelled_sentences(example.text, lexicon.tag(example.text, loose))
                for (_, a), (_, b) in zip(gold, found, strict=True):
                    counts += label_counts(a, b, codebook.ids)
            totals.append(f1(counts))
        self._loose = tuple(label for i, label in enumerate(codebook.ids) if totals[1][i] > totals[0][i])
        (folder / "loose.txt").write_text("\n".join(self._loose), encoding="utf-8")
        shutil.copyfile(lexicon.__file__, folder / "lexicon.py")
        return f"loose rules for {', '.join(self._loose) or 'no label'}"

    def load(self, folder: Path, codebook: Codebook, threads: int) -> None:  # noqa: ARG002
        """Read the choice."""
        self._loose = tuple((folder / "loose.txt").read_text(encoding="utf-8").split())

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        """The claims of each text."""
        return [lexicon.tag(text, self._loose) for text in texts]


class TfIdf:
    """TF-IDF of words (1- and 2-grams) and of characters inside words (2- to 5-grams), logistic regression."""

    name = "tfidf"
    evidence = "sentences"
    head = HeadOptions((1.0, 3.0, 10.0, 30.0), "liblinear")

    def __init__(self) -> None:
        self.title = "TF-IDF + LR"

    def settings(self) -> Mapping[str, Any]:
        """Grid of C, and a number that rises with the code."""
        return {"head": asdict(self.head), "version": 1}

    def fit(self, train: Sequence[Example], codebook: Codebook, folder: Path, threads: int) -> str:
        """Fit on all sentences."""
        import joblib
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import FeatureUnion

        sentences = Sentences.of(train, codebook)
        vectorizer = FeatureUnion(
            [
                ("words", word_vectorizer()),
                ("characters", TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=4, sublinear_tf=True)),
            ]
        )
        features = vectorizer.fit_transform(sentences.texts).tocsr().astype(np.float32)
        parts = sentence_parts(train, sentences.owners)
        head = fit_head(features, sentences.labels, parts, self.head, threads=threads)
        head.save(folder / HEAD_FILE)
        joblib.dump(vectorizer, folder / "vectorizer.joblib", compress=3)
        return f"{features.shape[1]} features, C = {head.strength:g} of {self.head.strengths}"

    def load(self, folder: Path, codebook: Codebook, threads: int) -> None:  # noqa: ARG002
        """Read vectorizer and head."""
        import joblib

        self._codebook = codebook
        self._vectorizer = joblib.load(folder / "vectorizer.joblib")
        self._head = LinearHead.load(folder / HEAD_FILE)

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        """The claims of each text."""
        return sentence_spans(
            texts, self._codebook, lambda parts: self._head.given(self._vectorizer.transform(parts).tocsr())
        )


def word_vectorizer() -> Any:
    """TF-IDF of words, 1- and 2-grams, sublinear."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)


class Frozen:
    """Sentence embeddings of a published encoder as it is, logistic regression on them."""

    evidence = "sentences"
    head = HeadOptions((1.0, 3.0, 10.0, 30.0))

    def __init__(self, name: str, title: str, base: Path) -> None:
        self.name = name
        self.title = title
        self.base = base

    def settings(self) -> Mapping[str, Any]:
        """Grid of C, the base, and a number that rises with the code."""
        return {"head": asdict(self.head), "base": file_facts(self.base), "version": 1}

    def fit(self, train: Sequence[Example], codebook: Codebook, folder: Path, threads: int) -> str:
        """Embed all sentences and fit the head."""
        self._tune(train, codebook, folder, threads)
        sentences = Sentences.of(train, codebook)
        vectors = embed(load_encoder(folder / "encoder", threads), sentences.texts)
        parts = sentence_parts(train, sentences.owners)
        judged = ~np.isin(sentences.owners, sorted(self._seen(train)))
        head = fit_head(vectors, sentences.labels, parts, self.head, judged=judged, threads=threads)
        head.save(folder / HEAD_FILE)
        return f"C = {head.strength:g} of {self.head.strengths}{self._said}"

    # What tuning, if any, has to tell, and the examples that it saw.
    _said = ""

    def _seen(self, train: Sequence[Example]) -> set[int]:  # noqa: ARG002
        return set()

    def _tune(self, train: Sequence[Example], codebook: Codebook, folder: Path, threads: int) -> None:  # noqa: ARG002
        shutil.copytree(self.base, folder / "encoder", dirs_exist_ok=True)

    def load(self, folder: Path, codebook: Codebook, threads: int) -> None:
        """Read encoder and head."""
        self._codebook = codebook
        self._encoder = load_encoder(folder / "encoder", threads)
        self._head = LinearHead.load(folder / HEAD_FILE)

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        """The claims of each text."""
        return sentence_spans(texts, self._codebook, lambda parts: self._head.given(embed(self._encoder, parts)))


@dataclass(frozen=True)
class SetFitOptions:
    """``steps`` contrastive steps of ``batch`` pairs, drawn from ``shots`` sentences for each label and for none."""

    steps: int = 1500
    shots: int = 128
    batch: int = 16


class SetFit(Frozen):
    """SetFit: the encoder tuned by contrast on pairs of sentences, then its head, logistic regression one-vs-rest.

    The contrastive stage sees so many sentences for each label, as SetFit's documentation samples them, and in equal number
    such without any: those form a class of their own there, since SetFit would push any two of them apart. The head is
    fitted on all sentences; its C and thresholds are chosen on the texts that the contrastive stage did not see.
    """

    def __init__(self, name: str, title: str, base: Path, options: SetFitOptions) -> None:
        super().__init__(name, title, base)
        self.options = options
        self._seen_ids: set[str] = set()

    def settings(self) -> Mapping[str, Any]:
        """As for frozen embeddings, and the options."""
        return {**super().settings(), "setfit": asdict(self.options), "precision": "single"}

    def _seen(self, train: Sequence[Example]) -> set[int]:
        return {index for index, example in enumerate(train) if example.id in self._seen_ids}

    def _tune(self, train: Sequence[Example], codebook: Codebook, folder: Path, threads: int) -> None:
        sentences = Sentences.of(train, codebook)
        chosen = few_shot(sentences.labels, self.options.shots)
        self._seen_ids = {train[int(sentences.owners[row])].id for row in chosen}
        labels = sentences.labels[chosen]
        labels = np.column_stack([labels, ~labels.any(axis=1)])
        texts = [sentences.texts[row] for row in chosen]
        steps = tune_by_contrast(self.base, texts, labels, folder / "encoder", self.options, threads)
        if (alike := mean_cosine(embed(load_encoder(folder / "encoder", threads), texts[:200]))) > COLLAPSED:
            raise RuntimeError(f"{self.title}: the tuned encoder takes all texts for alike (mean cosine {alike:.2f}).")
        self._said = f", {steps} contrastive steps of {self.options.batch} pairs from {len(chosen)} sentences"


def tune_by_contrast(
    base: Path, texts: list[str], labels: Bools, output: Path, options: SetFitOptions, threads: int
) -> int:
    """SetFit's first stage; writes a sentence-transformers folder and returns the number of steps."""
    import tempfile

    import torch

    # The hub is not needed: the base is a folder.
    os.environ["HF_HUB_OFFLINE"] = "1"
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    torch.set_num_threads(threads)
    names = [str(column) for column in range(labels.shape[1])]
    model = SetFitModel.from_pretrained(str(base), multi_target_strategy="one-vs-rest", labels=names, device="cpu")
    data = Dataset.from_dict({"text": texts, "label": labels.astype(int).tolist()})
    with tempfile.TemporaryDirectory() as checkpoints:
        arguments = TrainingArguments(
            output_dir=checkpoints,
            batch_size=options.batch,
            max_steps=options.steps,
            sampling_strategy="oversampling",
            save_strategy="no",
            report_to="none",
            seed=0,
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=data)
        # In single precision: under bfloat16 autocast mpnet collapsed to one vector within 600 steps.
        trainer.train()
        steps = int(trainer.st_trainer.state.global_step)
    model.model_body.save(str(output))
    return steps


def load_encoder(folder: Path, threads: int) -> Any:
    """A sentence-transformers folder as an encoder, in half precision where that is faster.

    With AMX bfloat16 is several times as fast, and moves vectors by less than the labels do.
    """
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    kind = {"dtype": "bfloat16" if half_precision_is_fast() else "float32"}
    return SentenceTransformer(str(folder), device="cpu", model_kwargs=kind, local_files_only=True)


def embed(encoder: Any, texts: list[str]) -> npt.NDArray[np.float32]:
    """Unit vectors (texts, width)."""
    vectors = encoder.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(vectors, dtype=np.float32)


def mean_cosine(vectors: npt.NDArray[np.float32]) -> float:
    """The mean cosine of any two of some unit vectors (vectors, width); at least two."""
    count = len(vectors)
    return float((np.square(vectors.astype(np.float64).sum(axis=0)).sum() - count) / (count * (count - 1)))


def file_facts(folder: Path) -> dict[str, int]:
    """Names and sizes of a model folder's files: enough to tell one published encoder from another."""
    return {str(f.relative_to(folder)): f.stat().st_size for f in sorted(folder.rglob("*")) if f.is_file()}


def available(mpnet: Path | None, setfit: SetFitOptions) -> dict[str, Callable[[], Peer]]:
    """The peers by name, each made when it is asked for; those on mpnet only where its folder is given."""
    from whopays.training.bases import minilm_folder

    peers: dict[str, Callable[[], Peer]] = {"lexicon": Lexicon, "tfidf": TfIdf}
    bases = [("minilm", "MiniLM", minilm_folder())]
    if mpnet is not None:
        bases.append(("mpnet", "mpnet", mpnet))
    for name, title, base in bases:
        peers[f"frozen-{name}"] = partial(Frozen, f"frozen-{name}", f"frozen {title} + LR", base)
        peers[f"setfit-{name}"] = partial(SetFit, f"setfit-{name}", f"SetFit ({title})", base, setfit)
    return peers
