"""A spaCy component: ``nlp.add_pipe("whopays")``.

It sets ``doc.spans["whopays"]``, whose ``attrs["scores"]`` holds a score for each span as spaCy's own span categorizer
does, ``doc.cats`` with the scores of the whole text, and ``doc._.whopays``, the `Result` with exact character offsets.
spaCy's spans are made of tokens, so evidence is widened to whole tokens there.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import warnings
import weakref
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from whopays.codebook import Codebook
from whopays.errors import ModelError, UsageError
from whopays.result import Result
from whopays.segmenting import import_spacy
from whopays.tagger import MODELS, Tagger, load
from whopays.text import Span

import_spacy()  # before anything else does, so that it stays without torch
from spacy import displacy  # noqa: E402
from spacy.language import Language  # noqa: E402
from spacy.pipeline import Pipe  # noqa: E402
from spacy.tokens import Doc, SpanGroup  # noqa: E402
from spacy.tokens import Span as DocSpan  # noqa: E402
from spacy.util import from_bytes, minibatch, to_bytes  # noqa: E402

KEY = "whopays"


@Language.factory(
    KEY, assigns=["doc.spans", "doc.cats", "doc._.whopays"], default_config={"model": "default", "spans_key": KEY}
)
def make_component(
    nlp: Language,  # noqa: ARG001
    name: str,
    model: str,
    spans_key: str,
) -> WhopaysComponent:
    """The component that ``nlp.add_pipe("whopays", config={...})`` adds.

    ``model``: a model that comes with whopays, by name, or a model folder. ``spans_key``: the key in ``doc.spans``.
    """
    return WhopaysComponent(name, model, spans_key)


class WhopaysComponent(Pipe):
    """Tags docs. The model is loaded when the first doc comes, so that a saved pipeline can bring its own."""

    def __init__(self, name: str = KEY, model: str = "default", spans_key: str = KEY) -> None:
        """``model`` and ``spans_key`` as in `make_component`."""
        self.name = name
        self.spans_key = spans_key
        self._model = model
        self._tagger: Tagger | None = None

    @property
    def tagger(self) -> Tagger:
        """The tagger at work. Raises `ModelError` if the model folder cannot be used."""
        if self._tagger is None:
            self._tagger = load(self._model)
        return self._tagger

    @property
    def labels(self) -> tuple[str, ...]:
        """The codebook's labels, in its order; none while the model cannot be loaded."""
        # spaCy asks while it loads a pipeline, before `from_disk` has brought the model along.
        with contextlib.suppress(ModelError):
            return self.tagger.codebook.ids
        return ()

    def __call__(self, doc: Doc) -> Doc:
        """Tag one doc."""
        self._annotate(doc, self.tagger.tag(doc.text))
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Tag many docs, ``batch_size`` at a time, which keeps all threads busy; the order and the results stay."""
        for docs in minibatch(stream, batch_size):  # type: ignore[no-untyped-call]
            try:
                results = self.tagger.tag_all([doc.text for doc in docs])
            except Exception as error:
                self.get_error_handler()(self.name, self, docs, error)
                continue
            for doc, result in zip(docs, results, strict=True):
                self._annotate(doc, result)
            yield from docs

    def _annotate(self, doc: Doc, result: Result) -> None:
        spans: dict[tuple[int, int, str], float] = {}
        starts = [token.idx for token in doc]
        for span in result.spans:
            place = (*_tokens(doc, starts, span), span.label)
            spans[place] = max(span.score or 0.0, spans.get(place, 0.0))
        placed = [DocSpan(doc, start, end, label=label) for start, end, label in spans]
        group = SpanGroup(doc, name=self.spans_key, spans=placed)
        group.attrs["scores"] = np.array(list(spans.values()), dtype="float32")
        doc.spans[self.spans_key] = group
        doc.cats.update(result.scores)
        doc.user_data[KEY] = {**result.to_dict(), "thresholds": dict(result.thresholds)}

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:  # noqa: ARG002
        """Save what `from_disk` needs: the model folder if it is not the one that comes with whopays, and its id."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cfg").write_text(json.dumps(self._cfg()), encoding="utf-8")
        for name, content in self._files().items():
            (folder / "model").mkdir(exist_ok=True)
            (folder / "model" / name).write_bytes(content)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> WhopaysComponent:  # noqa: ARG002
        """Load what `to_disk` saved. Raises `ModelError` if it was made with a model for another codebook."""
        folder = Path(path)
        model = folder / "model"
        return self._restore(
            json.loads((folder / "cfg").read_text(encoding="utf-8")), model if model.is_dir() else None
        )

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """The same as `to_disk`, as bytes."""
        parts: dict[str, Callable[[], Any]] = {"cfg": self._cfg, "files": self._files}
        return to_bytes(parts, list(exclude))

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> WhopaysComponent:
        """Load what `to_bytes` gave. Raises `ModelError` if it was made with a model for another codebook."""
        cfg: dict[str, Any] = {}
        files: dict[str, bytes] = {}
        setters: dict[str, Callable[[Any], Any]] = {"cfg": cfg.update, "files": files.update}
        from_bytes(data, setters, list(exclude))
        if not files:
            return self._restore(cfg, None)
        unpacked = tempfile.mkdtemp(prefix="whopays-")
        weakref.finalize(self, shutil.rmtree, unpacked, ignore_errors=True)
        for name, content in files.items():
            (Path(unpacked) / name).write_bytes(content)
        return self._restore(cfg, Path(unpacked))

    def _cfg(self) -> dict[str, Any]:
        tagger = self.tagger
        own = self._model if self._model in MODELS else ""
        return {"spans_key": self.spans_key, "name": own, "model": tagger.model_id, "codebook": tagger.codebook.hash}

    def _files(self) -> dict[str, bytes]:
        if self._model in MODELS:
            return {}
        return {file.name: file.read_bytes() for file in sorted(Path(self._model).iterdir()) if file.is_file()}

    def _restore(self, cfg: dict[str, Any], folder: Path | None) -> WhopaysComponent:
        self._model = cfg["name"] if folder is None else str(folder)
        self._tagger = None
        self.spans_key = cfg["spans_key"]
        if self.tagger.codebook.hash != cfg["codebook"]:
            raise ModelError(
                f"the pipeline was saved with the codebook {cfg['codebook']}, and the model here is for "
                f"{self.tagger.codebook.hash}; install the version of whopays that it was saved with."
            )
        if self.tagger.model_id != cfg["model"]:
            warnings.warn(
                f"the pipeline was saved with the model {cfg['model']}, and tags with {self.tagger.model_id} here.",
                stacklevel=3,
            )
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.name, self._model, self.spans_key, self._tagger)


def _rebuild(name: str, model: str, spans_key: str, tagger: Tagger | None) -> WhopaysComponent:
    component = WhopaysComponent(name, model, spans_key)
    component._tagger = tagger
    return component


def _tokens(doc: Doc, starts: list[int], span: Span) -> tuple[int, int]:
    """The tokens that a span touches, as a half-open range; never empty in a doc with tokens."""
    first = max(bisect_right(starts, span.start) - 1, 0)
    behind = bisect_left(starts, span.end)
    if first + 1 < behind and doc[first].idx + len(doc[first]) <= span.start:
        first += 1
    return first, max(behind, first + 1)


def _result(doc: Doc) -> Result | None:
    """What whopays found in a doc; None if it was not tagged."""
    data = doc.user_data.get(KEY)
    return None if data is None else Result.from_dict(data)


Doc.set_extension(KEY, getter=_result, force=True)


def displacy_options(codebook: Codebook, spans_key: str = KEY) -> dict[str, Any]:
    """Options for ``displacy.render(doc, style="span", options=...)``: the key and the codebook's colors."""
    return {"spans_key": spans_key, "colors": {label.id: label.color for label in codebook.labels}}


def render(doc: Doc, codebook: Codebook, spans_key: str = KEY, *, page: bool = False) -> str:
    """The doc as HTML with its evidence underlined in the codebook's colors, overlaps under each other.

    ``page``: a whole HTML page. Raises `UsageError` if the doc was not tagged.
    """
    if spans_key not in doc.spans:
        raise UsageError(f'the doc has no spans under {spans_key!r}; add the component with nlp.add_pipe("whopays").')
    options = displacy_options(codebook, spans_key)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # displaCy warns of docs without spans; here these are docs without claims
        return displacy.render(doc, style="span", options=options, page=page, jupyter=False)
