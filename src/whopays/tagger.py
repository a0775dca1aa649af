"""Text in, claims with evidence out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from whopays.codebook import Codebook
from whopays.errors import ModelError, UsageError
from whopays.language import foreign_languages
from whopays.model.decoding import evidence
from whopays.model.encoder import Encoding, Tokens, default_threads
from whopays.model.folder import Model, load_model
from whopays.model.gate import Gate
from whopays.model.operating import OperatingPoint
from whopays.result import Result
from whopays.segmenting import is_heading, segment
from whopays.text import Document, Segment, Span

# Documents whose windows are scored together, so that many short texts keep all threads busy.
_GROUP = 32
# A sentence with a label's score below this does not come near a claim.
_NEAR = 0.02
#: The models that come with the package, by name.
MODELS = ("default", "small")


@dataclass(frozen=True, slots=True)
class SentencePrediction:
    """One sentence of a document.

    segment: its place. scores: (labels,), calibrated; zeros for a sentence that is not tagged. spans: the evidence of the
    labels that reach their threshold. language: "" or the code of another language than the model's. passed: whether the
    gate holds it possible that the sentence carries a claim.
    """

    segment: Segment
    scores: npt.NDArray[np.float64]
    spans: tuple[Span, ...]
    language: str = ""
    passed: bool = True


@dataclass(frozen=True, slots=True)
class _Reading:
    """A document before it is encoded; all lists (sentences,)."""

    segments: list[Segment]
    tokens: list[Tokens]
    languages: list[str]
    passed: npt.NDArray[np.bool_]
    wanted: npt.NDArray[np.bool_]


class Tagger:
    """Tags texts with one model. Made by `load`; safe to share between threads."""

    def __init__(
        self, model: Model, threads: int | None = None, precision: float | None = None, gate: bool = True
    ) -> None:
        """``threads``: windows scored at once (default: all cores of this process); results do not depend on it.

        ``precision``: choose each label's threshold for this precision instead of the best F1. ``gate``: whether sentences
        without a word that a claim could be made of are left out before the encoder.
        """
        if threads is not None and threads < 1:
            raise UsageError(f"found threads={threads}, expected 1 or more.")
        if precision is not None and not 0 < precision <= 1:
            raise UsageError(f"found precision={precision}, expected a share above 0 and up to 1, such as 0.9.")
        if precision is not None:
            heads = replace(model.heads, threshold=model.curves.for_precision(precision))
            model = replace(model, heads=heads, id=f"{model.id}+precision={precision:g}")
        self._model = model if gate else replace(model, gate=Gate.open())
        self._threads = threads or default_threads()
        self._options = {"threads": threads, "precision": precision, "gate": gate}
        self._source: str | None = None
        self._version = version("whopays")

    @property
    def codebook(self) -> Codebook:
        """The label scheme that the model was fitted for."""
        return self._model.codebook

    @property
    def model_id(self) -> str:
        """Name and content hash of the model, and the precision asked for; equal ids give equal tags."""
        return self._model.id

    @property
    def operating_points(self) -> Mapping[str, OperatingPoint]:
        """Each label's threshold with the precision and the recall that it gave on the calibration texts' sentences.

        A label whose threshold lies above 1 is never given: the precision asked for was not reached.
        """
        points = self._model.curves.at(self._model.heads.threshold)
        return dict(zip(self.codebook.ids, points, strict=True))

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

        Give ``map`` also ``features=tagger.batch_features(dataset)``: it takes the types of new columns from the first batch,
        where a label's list may be empty in every row.

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
        self._refuse_taken(columns, names, prefix)
        rows = [result.to_dict() for result in results]
        return {prefix + name: [row[name] for row in rows] for name in names}

    def batch_features(self, dataset: Any, prefix: str = "") -> Any:
        """The `datasets.Features` of a dataset with the columns that `tag_batch` adds, for ``Dataset.map(features=...)``.

        ``dataset``: a `datasets.Dataset`, an `IterableDataset` that knows its features, or `Features`. ``prefix``: as for
        `tag_batch`. Raises `UsageError` if the dataset does not know its features or has one of the columns already.
        """
        from datasets import Features, List, Value

        own = dataset if isinstance(dataset, Features) else getattr(dataset, "features", None)
        if own is None:
            raise UsageError(
                f"found no features in a {type(dataset).__name__}, expected those of its columns; "
                "give datasets.Features, or leave features= out for a stream that does not know them."
            )
        words = List(Value("string"))
        place = {"label": Value("string"), "start": Value("int64"), "end": Value("int64"), "text": Value("string")}
        new = {
            **dict.fromkeys([*self.codebook.fields, "labels"], words),
            "scores": dict.fromkeys(self.codebook.ids, Value("float64")),
            "spans": List({**place, "score": Value("float64")}),
            "model": Value("string"),
            "version": Value("string"),
        }
        self._refuse_taken(own, new, prefix)
        return Features({**own, **{prefix + name: kind for name, kind in new.items()}})

    @staticmethod
    def _refuse_taken(columns: Iterable[str], names: Iterable[str], prefix: str) -> None:
        if taken := [prefix + name for name in names if prefix + name in columns]:
            raise UsageError(f"the batch has the columns {', '.join(taken)} already; give prefix='predicted_', say.")

    def __reduce__(self) -> tuple[Callable[..., Tagger], tuple[Any, ...]]:
        if self._source is None:
            raise UsageError("only a tagger made by whopays.load() can be pickled: it is loaded again from its folder.")
        # The version makes no difference to loading, but to what a cache may take for the same.
        return _reload, (self._source, self.model_id, self._options, self._version)

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
        readings = [self._read(document) for document in documents]
        tokens, wanted = [r.tokens for r in readings], [r.wanted for r in readings]
        encodings = self._model.encoder.encode_all(tokens, self._threads, wanted)
        for document, reading, encoded in zip(documents, readings, encodings, strict=True):
            parts = zip(
                reading.segments, encoded, reading.wanted, reading.languages, reading.passed.tolist(), strict=True
            )
            yield [
                replace(self._predict(document, part, encoding, bool(asked)), language=language, passed=passed)
                for part, encoding, asked, language, passed in parts
            ]

    def _read(self, document: Document) -> _Reading:
        segments = segment(document)
        tokens = [self._model.encoder.tokenize(part.text) for part in segments]
        languages = foreign_languages([part.text for part in segments], self.codebook.language)
        passed = self._model.gate.passes([part.ids for part in tokens])
        taggable = [
            not language and bool(len(part.ids)) and not is_heading(piece.text)
            for piece, part, language in zip(segments, tokens, languages, strict=True)
        ]
        return _Reading(segments, tokens, languages, passed, passed & np.array(taggable, dtype=np.bool_))

    def _predict(self, document: Document, part: Segment, encoding: Encoding, wanted: bool) -> SentencePrediction:
        heads = self._model.heads
        if not wanted:
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
            language=_language(found, codebook.language),
            in_scope=any(_is_near(p) for p in found),
            notices=tuple(_notices(found, codebook.language)),
            thresholds={label: float(t) for label, t in zip(codebook.ids, self._model.heads.threshold, strict=True)},
            text=document.text,
        )


def _coverage(document: Document, found: list[SentencePrediction]) -> float:
    visible = len("".join(document.text.split()))
    scored = sum(len("".join(prediction.segment.text.split())) for prediction in found)
    return scored / visible if visible else 1.0


def _is_near(prediction: SentencePrediction) -> bool:
    """Whether a sentence comes near a claim."""
    return bool(prediction.passed and not prediction.language and prediction.scores.max() >= _NEAR)


def _language(found: list[SentencePrediction], expected: str) -> str:
    """The language that most of the text's characters are in; "" for a text without sentences."""
    sizes: Counter[str] = Counter()
    for prediction in found:
        sizes[prediction.language or expected] += len(prediction.segment.text)
    return sizes.most_common(1)[0][0] if sizes else ""


def _notices(found: list[SentencePrediction], expected: str) -> Iterator[str]:
    total = sum(len(p.segment.text) for p in found)
    foreign = Counter[str]()
    for prediction in found:
        if prediction.language:
            foreign[prediction.language] += len(prediction.segment.text)
    if foreign:
        names = ", ".join(language for language, _ in foreign.most_common(3))
        share = foreign.total() / total
        yield f"{share:.0%} of the text is in another language ({names}) than the model's ({expected}) and was not tagged."
    if found and foreign.total() != total and not any(_is_near(p) for p in found):
        yield "Out of scope: no sentence comes near a claim that the codebook speaks of."


def _document(text: object) -> Document:
    if isinstance(text, Document):
        return text
    if isinstance(text, str):
        return Document(text)
    raise UsageError(
        f"found {type(text).__name__}, expected a str or a whopays.Document; "
        "use tag_all() for a list of texts and whopays.read() for a file."
    )


def model_folder(name: str) -> Path:
    """The folder of a model that comes with the package, one of `MODELS`. Raises `ModelError` for another name."""
    if name not in MODELS:
        raise ModelError(
            f"{name}: no model of this name comes with whopays; take one of {', '.join(MODELS)} or a folder."
        )
    inside = Path(__file__).parent / "models" / name
    checkout = Path(__file__).parents[2] / "models" / name
    return inside if inside.is_dir() else checkout


def folder_of(model: str | Path) -> Path:
    """The folder of a model given by name, if it comes with the package, or else by its folder, which need not be there."""
    return model_folder(str(model)) if model in MODELS else Path(model)


def load(
    model: str | Path = "default",
    *,
    precision: float | None = None,
    codebook: Codebook | None = None,
    threads: int | None = None,
    gate: bool = True,
) -> Tagger:
    """Load a tagger: a model that comes with the package, by name, or the model folder given.

    ``"default"`` is the best model, ``"small"`` a quicker and weaker one. ``precision``: give a label only where the
    calibration texts promise this precision; `Tagger.operating_points` says what recall that costs.
    ``codebook``: refuse a model that was made for another one. ``threads``, ``gate``: see `Tagger`.
    Raises `ModelError` if the folder is incomplete, was tampered with, or was made for another codebook.
    """
    folder = folder_of(model)
    tagger = Tagger(load_model(folder, codebook), threads, precision, gate)
    # A model of the package is found by name, wherever the package lies when the tagger is unpickled.
    tagger._source = str(model) if model in MODELS else str(folder.resolve())
    return tagger


def _reload(source: str, model_id: str, options: Mapping[str, Any], version: str) -> Tagger:  # noqa: ARG001
    """A tagger from its pickle. Raises `ModelError` if its folder now holds another model."""
    tagger = load(source, **options)
    if tagger.model_id != model_id:
        raise ModelError(f"found the model {tagger.model_id} in {source}, expected {model_id}; tag anew.")
    return tagger
