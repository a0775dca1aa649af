"""Text in, claims with evidence out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from whopays.codebook import Codebook
from whopays.errors import ModelError, UsageError
from whopays.model.decoding import evidence
from whopays.model.encoder import Encoding, default_threads
from whopays.model.folder import Model, load_model
from whopays.result import Result
from whopays.segmenting import is_heading, segment
from whopays.text import Document, Segment, Span

# Documents whose windows are scored together, so that many short texts keep all threads busy.
_GROUP = 32


@dataclass(frozen=True, slots=True)
class SentencePrediction:
    """One sentence of a document: its place, the score of each label, and the evidence of those that reach a threshold."""

    segment: Segment
    scores: npt.NDArray[np.float64]
    spans: tuple[Span, ...]


class Tagger:
    """Tags texts with one model. Made by `load`; safe to share between threads."""

    def __init__(self, model: Model, threads: int | None = None) -> None:
        """``threads``: windows scored at once (default: all cores of this process); results do not depend on it."""
        if threads is not None and threads < 1:
            raise UsageError(f"found threads={threads}, expected 1 or more.")
        self._model = model
        self._threads = threads or default_threads()
        self._given_threads = threads
        self._source: str | None = None
        self._version = version("whopays")

    @property
    def codebook(self) -> Codebook:
        """The label scheme that the model was fitted for."""
        return self._model.codebook

    @property
    def model_id(self) -> str:
        """Name and content hash of the model; equal ids give equal scores."""
        return self._model.id

    def tag(self, text: str | Document) -> Result:
        """The claims of one text, with evidence. An empty text has none.

        Raises `UsageError` if ``text`` is not a string or a `Document`.
        """
        return next(self._tag_group([_document(text)]))

    @overload
    def tag_all(self, texts: list[str] | list[Document]) -> list[Result]: ...  # type: ignore[overload-overlap]
    @overload
    def tag_all(self, texts: Iterable[str | Document]) -> Iterator[Result]: ...
    def tag_all(self, texts: Iterable[str | Document]) -> list[Result] | Iterator[Result]:
        """Tag many texts in order: a list gives a list, any other iterable is streamed and gives an iterator.

        Raises `UsageError` if an item is not a string or a `Document`, or if ``texts`` is itself a string.
        """
        if isinstance(texts, str | bytes | Document) or not isinstance(texts, Iterable):
            raise UsageError(
                f"tag_all() takes many texts, found one {type(texts).__name__}; use tag() for a single text."
            )
        stream = self._stream(texts)
        return list(stream) if isinstance(texts, list) else stream

    def tag_batch(self, batch: Mapping[str, Any], column: str = "text", prefix: str = "") -> dict[str, list[Any]]:
        """A batch of texts as columns -> columns of results: for ``Dataset.map(tagger.tag_batch, batched=True)``.

        The texts are in ``column``. The new columns are the readings (such as ``payers``), ``labels``, ``scores``,
        ``spans``, ``model`` and ``version``, each with ``prefix`` in front of its name. Equal taggers are pickled alike,
        so that ``map`` finds what it has computed before. Raises `UsageError` if there is no such column, if it holds
        anything but texts, or if a new column would replace one of the batch.
        """
        columns = list(batch)
        if column not in columns:
            raise UsageError(
                f"found the columns {', '.join(columns)}, expected {column!r}; name yours with column=...."
            )
        results = self.tag_all(list(batch[column]))
        names = [*self.codebook.fields, "labels", "scores", "spans", "model", "version"]
        if taken := [prefix + name for name in names if prefix + name in columns]:
            raise UsageError(f"the batch has the columns {', '.join(taken)} already; give prefix='predicted_', say.")
        rows = [result.to_dict() for result in results]
        return {prefix + name: [row[name] for row in rows] for name in names}

    def __reduce__(self) -> tuple[Callable[..., Tagger], tuple[Any, ...]]:
        if self._source is None:
            raise UsageError("only a tagger made by whopays.load() can be pickled: it is loaded again from its folder.")
        # The version makes no difference to loading, but to what a cache may take for the same.
        return _reload, (self._source, self.model_id, self._given_threads, self._version)

    def predict_sentences(self, text: str | Document) -> list[SentencePrediction]:
        """Every sentence of a text with its scores, in order; `tag` is the summary of this."""
        return next(self._predict_all([_document(text)]))

    def _stream(self, texts: Iterable[str | Document]) -> Iterator[Result]:
        group: list[Document] = []
        size = 0
        for text in texts:
            group.append(_document(text))
            size += len(group[-1].text)
            if len(group) == _GROUP or size > 200_000:
                yield from self._tag_group(group)
                group, size = [], 0
        yield from self._tag_group(group)

    def _tag_group(self, documents: list[Document]) -> Iterator[Result]:
        for document, found in zip(documents, self._predict_all(documents), strict=True):
            yield self._result(document, found)

    def _predict_all(self, documents: list[Document]) -> Iterator[list[SentencePrediction]]:
        parts = [segment(document) for document in documents]
        texts = [[part.text for part in segments] for segments in parts]
        encodings = self._model.encoder.encode_all(texts, self._threads)
        for document, segments, encoded in zip(documents, parts, encodings, strict=True):
            yield [self._predict(document, part, encoding) for part, encoding in zip(segments, encoded, strict=True)]

    def _predict(self, document: Document, part: Segment, encoding: Encoding) -> SentencePrediction:
        heads = self._model.heads
        if not len(encoding.states) or is_heading(part.text):
            return SentencePrediction(part, np.zeros(len(self.codebook.labels)), ())
        # Four digits: what is written is what was compared, so a label's score always reaches its threshold.
        scores = np.round(heads.sentence_scores(encoding), 4)
        given = np.flatnonzero(scores >= heads.threshold)
        if not len(given):
            return SentencePrediction(part, scores, ())
        tokens = heads.token_scores(encoding)
        spans = tuple(
            document.span(part.start + start, part.start + end, self.codebook.ids[label], float(scores[label]))
            for label in given
            for start, end in evidence(part.text, encoding, tokens[:, label])
        )
        return SentencePrediction(part, scores, spans)

    def _result(self, document: Document, found: list[SentencePrediction]) -> Result:
        codebook = self.codebook
        scores = np.max([p.scores for p in found], axis=0) if found else np.zeros(len(codebook.labels))
        order = {label: index for index, label in enumerate(codebook.ids)}
        spans = tuple(
            sorted(
                (span for p in found for span in p.spans), key=lambda span: (span.start, span.end, order[span.label])
            )
        )
        labels = codebook.order(span.label for span in spans)
        return Result(
            id=document.id,
            source=document.source,
            sha256=document.sha256,
            readings=codebook.readings(labels),
            labels=labels,
            scores={label: float(score) for label, score in zip(codebook.ids, scores, strict=True)},
            spans=spans,
            model=self._model.id,
            codebook=codebook.hash,
            version=self._version,
            coverage=_coverage(document, found),
            thresholds={label: float(t) for label, t in zip(codebook.ids, self._model.heads.threshold, strict=True)},
        )


def _coverage(document: Document, found: list[SentencePrediction]) -> float:
    visible = len("".join(document.text.split()))
    scored = sum(len("".join(prediction.segment.text.split())) for prediction in found)
    return scored / visible if visible else 1.0


def _document(text: object) -> Document:
    if isinstance(text, Document):
        return text
    if isinstance(text, str):
        return Document(text)
    raise UsageError(
        f"found {type(text).__name__}, expected a str or a whopays.Document; "
        "use tag_all() for a list of texts and whopays.read() for a file."
    )


def default_model_folder() -> Path:
    """The folder of the model that comes with the package."""
    inside = Path(__file__).parent / "models" / "default"
    checkout = Path(__file__).parents[2] / "models" / "default"
    return inside if inside.is_dir() else checkout


def load(model: str | Path | None = None, *, codebook: Codebook | None = None, threads: int | None = None) -> Tagger:
    """Load a tagger: the model that comes with the package, or the model folder given.

    ``codebook``: refuse a model that was made for another one. ``threads``: see `Tagger`.
    Raises `ModelError` if the folder is incomplete, was tampered with, or was made for another codebook.
    """
    tagger = Tagger(load_model(default_model_folder() if model is None else model, codebook), threads)
    tagger._source = "" if model is None else str(Path(model).resolve())
    return tagger


def _reload(source: str, model_id: str, threads: int | None, version: str) -> Tagger:  # noqa: ARG001
    """A tagger from its pickle. Raises `ModelError` if its folder now holds another model."""
    tagger = load(source or None, threads=threads)
    if tagger.model_id != model_id:
        raise ModelError(f"found the model {tagger.model_id} in {source or 'whopays'}, expected {model_id}; tag anew.")
    return tagger
