"""spaCy as a peer: `textcat_multilabel` says which labels a sentence has, `span_finder` and `spancat` where they stand.

The text categorizer and the span pipeline are trained apart, each on its own tok2vec and with its own best step, since together
(in a trial on a part of the training text) the spans' loss kept the text categorizer from learning. The span pipeline is
trained on the sentences that have labels: as with whopays' own evidence, its question is where, not whether. Its
candidates come from `span_finder`, which its documentation advises for long spans: in the same trial it learnt twice as well
as with all n-grams, in a fraction of the time. Models are the components' own defaults (the ensemble of bag of words,
here with 2-grams too, and tok2vec), without the word vectors of a downloaded pipeline. Trained by spaCy's own loop with
its default batches, dropout and optimizer, which keeps the step that is best on a sample of the calibration part and stops
when that is not bettered for ``patience`` steps. On the whole part, judging the steps takes several times as long as training.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.corpus.sentences import labelled_sentences
from whopays.segmenting import is_heading, segment
from whopays.text import Span
from whopays.training.build import in_calibration
from whopays.training.fitting import best_thresholds

Array = npt.NDArray[Any]
KEY, CANDIDATES = "sc", "candidates"
# Shares of the training spans that are shorter, or not longer, than any candidate.
TAILS = (0.01, 0.99)
BATCH = 64


@dataclass(frozen=True)
class SpacyOptions:
    """Training steps at most, of 100 rising to 1,000 words each, and those after which training stops without gain.

    Spans are found only after many steps, so the patience for them is longer than spaCy's default of 1,600. Every ``evaluate``
    steps the model is judged on ``judged_by`` sentences of the calibration part, drawn once.
    """

    category_steps: int = 6000
    category_patience: int = 1600
    span_steps: int = 6000
    span_patience: int = 3000
    evaluate: int = 200
    judged_by: int = 3000


COMMON = """
[paths]
train = null
dev = null

[system]
seed = 0

[nlp]
lang = "en"
pipeline = [{pipeline}]

[components]

{component}

[corpora]

[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${{paths.train}}

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${{paths.dev}}

[training]
annotating_components = [{annotating}]
dropout = 0.1
patience = {patience}
max_steps = {steps}
eval_frequency = {evaluate}

[training.optimizer]
@optimizers = "Adam.v1"

[training.batcher]
@batchers = "spacy.batch_by_words.v1"
discard_oversize = false
tolerance = 0.2

[training.batcher.size]
@schedules = "compounding.v1"
start = 100
stop = 1000
compound = 1.001

[training.logger]
@loggers = "spacy.ConsoleLogger.v1"
progress_bar = false

[training.score_weights]
{score} = 1.0
"""
CATEGORIES = """
[components.textcat_multilabel]
factory = "textcat_multilabel"

[components.textcat_multilabel.model]
@architectures = "spacy.TextCatEnsemble.v2"
nO = null

[components.textcat_multilabel.model.tok2vec]
@architectures = "spacy.Tok2Vec.v2"

[components.textcat_multilabel.model.tok2vec.embed]
@architectures = "spacy.MultiHashEmbed.v2"
width = 64
rows = [2000, 2000, 500, 1000, 500]
attrs = ["NORM", "LOWER", "PREFIX", "SUFFIX", "SHAPE"]
include_static_vectors = false

[components.textcat_multilabel.model.tok2vec.encode]
@architectures = "spacy.MaxoutWindowEncoder.v2"
width = 64
window_size = 1
maxout_pieces = 3
depth = 2

[components.textcat_multilabel.model.linear_model]
@architectures = "spacy.TextCatBOW.v3"
exclusive_classes = false
length = 262144
ngram_size = 2
no_output_layer = false
"""
# The finder's threshold is low: what it does not find, the categorizer cannot choose.
SPANS = """
[components.span_finder]
factory = "span_finder"
spans_key = "candidates"
threshold = 0.1
min_length = {shortest}
max_length = {longest}

[components.spancat]
factory = "spancat"
spans_key = "sc"
threshold = 0.5

[components.spancat.suggester]
@misc = "spacy.preset_spans_suggester.v1"
spans_key = "candidates"
"""


class SpacyPeer:
    """A spaCy pipeline for sentences; see the module."""

    name = "spacy"
    evidence = "stretches"

    def __init__(self, options: SpacyOptions | None = None) -> None:
        self.title = "spaCy textcat_multilabel + spancat"
        self.options = options or SpacyOptions()

    def settings(self) -> Mapping[str, Any]:
        """The configuration and the options."""
        return {"configs": [COMMON, CATEGORIES, SPANS], **asdict(self.options), "tails": TAILS, "version": 2}

    def fit(self, train: Sequence[Example], codebook: Codebook, folder: Path, threads: int) -> str:  # noqa: ARG002
        """Train both, then choose the thresholds on the calibration part."""
        import spacy

        blank, options = spacy.blank("en"), self.options
        parts: dict[bool, list[Any]] = {False: [], True: []}
        for example in train:
            parts[in_calibration(example)] += _docs(example, codebook, blank)
        lengths = [len(span) for doc in parts[False] for span in doc.spans[KEY]]
        shortest, longest = (int(np.quantile(lengths, tail)) for tail in TAILS)
        categories = {"component": CATEGORIES, "score": "cats_score", "annotating": ""}
        categories["pipeline"] = '"textcat_multilabel"'
        categories |= {"patience": str(options.category_patience), "steps": str(options.category_steps)}
        spans = {"component": SPANS.format(shortest=shortest, longest=longest), "score": "spans_sc_f"}
        spans |= {"pipeline": '"span_finder","spancat"', "annotating": '"span_finder"'}
        spans |= {"patience": str(options.span_patience), "steps": str(options.span_steps)}
        said = []
        for name, settings in (("textcat_multilabel", categories), ("spancat", spans)):
            config = COMMON.format(evaluate=options.evaluate, **settings)
            docs, dev = ([doc for doc in parts[kept] if name != "spancat" or doc.spans[KEY]] for kept in (False, True))
            order = np.random.default_rng(0).permutation(len(dev))[: options.judged_by]
            best = _train(config, docs, [dev[row] for row in order], folder / name).get(settings["score"], 0.0)
            judged = f"{settings['score']} {best:.2f} on {len(order)} sentences of the calibration part"
            said.append(f"{name} of at most {settings['steps']} steps ({judged})")
        self._read(folder, codebook)
        gold = np.array([[doc.cats[label] > 0 for label in codebook.ids] for doc in parts[True]])
        thresholds, _ = best_thresholds(self._categories(parts[True]), gold, np.asarray(gold.any(axis=0)))
        (folder / "thresholds.json").write_text(json.dumps(thresholds.tolist()), encoding="utf-8")
        return ", ".join([*said, f"spans of {shortest} to {longest} tokens"])

    def load(self, folder: Path, codebook: Codebook, threads: int) -> None:  # noqa: ARG002
        """Read both pipelines and the thresholds."""
        self._read(folder, codebook)
        self._thresholds = np.array(json.loads((folder / "thresholds.json").read_text(encoding="utf-8")))

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        """The claims of each text; the evidence of a label is the suggested spans that reach 0.5, at least the best one."""
        parts = [[part for part in segment(text) if not is_heading(part.text)] for text in texts]
        flat = [(number, part) for number, found in enumerate(parts) for part in found]
        result: list[list[Span]] = [[] for _ in texts]
        for first in range(0, len(flat), BATCH):
            batch = flat[first : first + BATCH]
            docs = [self._nlp.make_doc(part.text) for _, part in batch]
            given = self._categories(docs) >= self._thresholds
            claims = np.flatnonzero(given.any(axis=1))
            for row, (places, scores) in zip(claims, self._suggested([docs[row] for row in claims]), strict=True):
                number, part = batch[row]
                for label in np.flatnonzero(given[row]):
                    for start, end in _evidence(docs[row], places, scores[:, label]):
                        begin, behind = part.start + start, part.start + end
                        quote = texts[number][begin:behind]
                        result[number].append(Span(begin, behind, self._codebook.ids[label], quote))
        return result

    def _read(self, folder: Path, codebook: Codebook) -> None:
        import spacy

        self._codebook = codebook
        pipelines = {name: spacy.load(folder / name) for name in ("textcat_multilabel", "spancat")}
        self._nlp = pipelines["textcat_multilabel"]
        self._cats, self._spans = (cast(Any, nlp.get_pipe(name)) for name, nlp in pipelines.items())
        self._finder = cast(Any, pipelines["spancat"].get_pipe("span_finder"))

    def _categories(self, docs: Sequence[Any]) -> Array:
        """The text categorizer's scores, (docs, labels)."""
        order = [self._cats.labels.index(label) for label in self._codebook.ids]
        batches = [docs[first : first + BATCH] for first in range(0, len(docs), BATCH)]
        return np.concatenate([np.asarray(self._cats.predict(batch)) for batch in batches])[:, order]

    def _suggested(self, docs: list[Any]) -> list[tuple[Array, Array]]:
        """For each doc its suggested spans, tokens (n, 2), and their scores (n, labels)."""
        if not docs:
            return []
        self._finder.set_annotations(docs, self._finder.predict(docs))
        indices, scores = self._spans.predict(docs)
        size, names = len(indices.dataXd), list(self._spans.labels)
        known = [names.index(label) if label in names else -1 for label in self._codebook.ids]
        # A label without any training span has the column of zeros.
        table = np.column_stack([np.asarray(scores).reshape(size, len(names)), np.zeros(size)])[:, known]
        ends = np.cumsum(indices.lengths)
        return [
            (np.asarray(indices.dataXd[end - count : end]).reshape(-1, 2), table[end - count : end])
            for end, count in zip(ends, indices.lengths, strict=True)
        ]


def _train(config: str, train: list[Any], dev: list[Any], output: Path) -> dict[str, float]:
    """Train a pipeline by spaCy's loop and keep its best; returns what that scores on ``dev``."""
    from spacy.tokens import DocBin
    from spacy.training.initialize import init_nlp
    from spacy.training.loop import train as run
    from spacy.util import load_model_from_config
    from thinc.api import Config, fix_random_seed

    with tempfile.TemporaryDirectory() as work:
        overrides = {}
        for name, docs in (("train", train), ("dev", dev)):
            DocBin(docs=docs, store_user_data=True).to_disk(Path(work) / f"{name}.spacy")
            overrides[f"paths.{name}"] = str(Path(work) / f"{name}.spacy")
        fix_random_seed(0)
        # The rest is filled with spaCy's defaults, as `spacy init fill-config` does it.
        parsed = Config().from_str(config, overrides=overrides)
        filled = load_model_from_config(parsed, auto_fill=True, validate=False).config
        (Path(work) / "model").mkdir()
        run(init_nlp(filled, use_gpu=-1), Path(work) / "model", use_gpu=-1, stdout=sys.stderr, stderr=sys.stderr)
        shutil.copytree(Path(work) / "model" / "model-best", output)
    performance: dict[str, float] = json.loads((output / "meta.json").read_text(encoding="utf-8"))["performance"]
    return performance


def _docs(example: Example, codebook: Codebook, blank: Any) -> list[Any]:
    """One doc for each sentence of an example, with its labels and with the spans that it holds."""
    docs = []
    for part, labels in labelled_sentences(example.text, example.spans):
        doc = blank.make_doc(part.text)
        doc.cats = {label: float(label in labels) for label in codebook.ids}
        spans = []
        for span in example.spans:
            start, end = max(span.start, part.start), min(span.end, part.end)
            if 2 * (end - start) >= span.end - span.start:
                place = doc.char_span(start - part.start, end - part.start, span.label, alignment_mode="expand")
                spans += [place] if place is not None else []
        doc.spans[KEY] = spans
        places = sorted({(span.start, span.end) for span in spans})
        doc.spans[CANDIDATES] = [doc[start:end] for start, end in places]
        docs.append(doc)
    return docs


def _evidence(doc: Any, places: Array, scores: Array) -> list[tuple[int, int]]:
    """Character offsets of the best spans that do not overlap: those that reach 0.5, or else the one best.

    A sentence too short for any suggested span is its own evidence.
    """
    if not len(places):
        return [(0, len(doc.text))]
    kept: list[tuple[int, int]] = []
    for index in np.argsort(-scores, kind="stable"):
        start, end = int(places[index][0]), int(places[index][1])
        if kept and scores[index] < 0.5:
            break
        if all(end <= first or start >= behind for first, behind in kept):
            kept.append((start, end))
    return [(doc[start].idx, doc[end - 1].idx + len(doc[end - 1])) for start, end in sorted(kept)]
