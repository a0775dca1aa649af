"""Fits, tags and times the systems of `peers`, each in a process of its own, and keeps what is finished.

A fitted peer lies in ``<work>/<name>-<key>/``: ``model/``, ``fit.json``, and one file of predictions for each set of texts. The
key is a hash of the training text, the codebook and the peer's settings, so that nothing stale is ever read, and an
interrupted run goes on from what it has.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import statistics
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from peer_models import Peer, SetFitOptions, available
from peer_spacy import SpacyOptions, SpacyPeer
from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.segmenting import segment
from whopays.tagger import Tagger, load
from whopays.text import Span


@dataclass(frozen=True)
class Settings:
    """What the peers need besides the training text. ``models``: whopays' model folders by title."""

    codebook: Path
    models: Mapping[str, Path] = field(default_factory=dict)
    mpnet: Path | None = None
    setfit: SetFitOptions = field(default_factory=SetFitOptions)
    spacy: SpacyOptions = field(default_factory=SpacyOptions)
    threads: int = 1


@dataclass(frozen=True)
class Fit:
    """A finished fit: seconds, texts, what the peer says of it, and its key."""

    seconds: float
    texts: int
    said: str
    key: str


class _Tags(Protocol):
    def tag(self, texts: Sequence[str]) -> list[list[Span]]: ...


class _Whopays:
    def __init__(self, tagger: Tagger) -> None:
        self._tagger = tagger

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        return [list(result.spans) for result in self._tagger.tag_all(list(texts))]


def peers(settings: Settings) -> dict[str, Callable[[], Peer]]:
    """All peers by name, in the order of the table."""
    found = available(settings.mpnet, settings.setfit)
    rest = {name: make for name, make in found.items() if name not in ("lexicon", "tfidf")}
    return {
        "lexicon": found["lexicon"],
        "tfidf": found["tfidf"],
        "spacy": lambda: SpacyPeer(settings.spacy),
        **dict(sorted(rest.items())),
    }


# The store -----------------------------------------------------------------------------------------------------------------


def fit_key(settings: Mapping[str, Any], train: Sequence[Example], codebook: Codebook) -> str:
    """A hash of everything that a fit depends on."""
    digest = hashlib.sha256(json.dumps([settings, codebook.hash], sort_keys=True).encode())
    for example in train:
        spans = [(span.start, span.end, span.label) for span in example.spans]
        digest.update(json.dumps([example.id, example.text, spans]).encode())
    return digest.hexdigest()[:16]


class Store:
    """One fitted peer's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = folder / "model"

    def fit(self) -> Fit | None:
        """The finished fit, if there is one."""
        path = self.folder / "fit.json"
        return Fit(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None

    def save_fit(self, fit: Fit) -> None:
        """Written last: with it, the model is complete."""
        _write(self.folder / "fit.json", asdict(fit))

    def predictions(self, texts: Sequence[str]) -> list[list[Span]] | None:
        """The predictions for exactly these texts, if they were made."""
        path = self._predictions_path(texts)
        if not path.is_file():
            return None
        rows = json.loads(path.read_text(encoding="utf-8"))
        return [
            [Span(start, end, label, text[start:end]) for label, start, end in spans]
            for text, spans in zip(texts, rows, strict=True)
        ]

    def save_predictions(self, texts: Sequence[str], predicted: Sequence[Iterable[Span]]) -> None:
        """Keep them for these texts."""
        rows = [[(span.label, span.start, span.end) for span in spans] for spans in predicted]
        _write(self._predictions_path(texts), rows)

    def _predictions_path(self, texts: Sequence[str]) -> Path:
        digest = hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()[:16]
        return self.folder / f"predictions-{digest}.json"


def _write(path: Path, value: Any) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value), encoding="utf-8")
    partial.replace(path)


def fitted(
    name: str, settings: Settings, train: Sequence[Example], work: Path, say: Callable[[str], None]
) -> tuple[Store, Fit]:
    """The peer's folder, fitted now or before."""
    codebook = Codebook.load(settings.codebook)
    key = fit_key(peers(settings)[name]().settings(), train, codebook)
    store = Store(work / f"{name}-{key}")
    fit = store.fit()
    if fit is not None:
        say(f"{name}: fitted before ({fit.seconds:.0f} s)")
        return store, fit
    shutil.rmtree(store.folder, ignore_errors=True)
    store.model.mkdir(parents=True)
    say(f"{name}: fitting on {len(train)} texts ...")
    seconds, said = _in_process(settings, _fit, name, settings, list(train), store.model)
    fit = Fit(seconds, len(train), said, key)
    store.save_fit(fit)
    say(f"{name}: {seconds:.0f} s; {said}")
    return store, fit


def predicted(
    name: str, settings: Settings, store: Store, sets: Mapping[str, Sequence[str]], say: Callable[[str], None]
) -> dict[str, list[list[Span]]]:
    """The peer's predictions for each set of texts, made now or before."""
    found = {title: store.predictions(texts) for title, texts in sets.items()}
    missing = {title: list(sets[title]) for title, spans in found.items() if spans is None}
    if missing:
        say(f"{name}: tagging {', '.join(missing)} ...")
        for title, spans in _in_process(settings, _tag, name, settings, store.model, missing).items():
            store.save_predictions(sets[title], spans)
            found[title] = spans
    return {title: spans for title, spans in found.items() if spans is not None}


def tagged_by_whopays(title: str, settings: Settings, sets: Mapping[str, Sequence[str]]) -> dict[str, list[list[Span]]]:
    """What a model of whopays gives for each set of texts; never kept, since it is quick."""
    result: dict[str, list[list[Span]]] = _in_process(
        settings, _tag, title, settings, None, {name: list(texts) for name, texts in sets.items()}
    )
    return result


def size_on_disk(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


# Processes -----------------------------------------------------------------------------------------------------------------


def _in_process(settings: Settings, function: Callable[..., Any], *arguments: Any) -> Any:
    ours, process = start_process(settings.threads, _answer, function, arguments)
    try:
        return receive(ours)
    finally:
        process.join()


def start_process(threads: int, target: Callable[..., None], *arguments: Any) -> tuple[Connection, Any]:
    """A fresh interpreter for ``target(connection, *arguments)``: its memory and its ``threads`` are its own."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def receive(connection: Connection) -> Any:
    """What a process answered. Raises `RuntimeError` with its error."""
    try:
        error, value = connection.recv()
    except EOFError:
        raise RuntimeError("the process ended without an answer; it was killed, perhaps for want of memory") from None
    if error:
        raise RuntimeError(error)
    return value


def _answer(connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        connection.send((None, function(*arguments)))
    except Exception:
        connection.send((traceback.format_exc(), None))


def _fit(name: str, settings: Settings, train: list[Example], folder: Path) -> tuple[float, str]:
    start = time.perf_counter()
    said = peers(settings)[name]().fit(train, Codebook.load(settings.codebook), folder, settings.threads)
    return time.perf_counter() - start, said


def _tag(name: str, settings: Settings, folder: Path | None, sets: dict[str, list[str]]) -> dict[str, list[list[Span]]]:
    system = _loaded(name, settings, folder)
    return {title: [list(spans) for spans in system.tag(texts)] for title, texts in sets.items()}


def _loaded(name: str, settings: Settings, folder: Path | None) -> _Tags:
    if folder is None:
        return _Whopays(load(settings.models[name], threads=settings.threads))
    peer = peers(settings)[name]()
    peer.load(folder, Codebook.load(settings.codebook), settings.threads)
    return peer


# Speed ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Speed:
    """Sentences a second (median of rounds), whopays' speed over it in the same rounds (median), peak memory in bytes."""

    sentences: float
    ratio: float
    memory: int | None


def timed(name: str, settings: Settings, folder: Path | None, against: str, texts: Sequence[str], rounds: int) -> Speed:
    """Time a system beside the whopays model ``against``, in turns on the same texts, each warmed up by them once."""
    sentences = sum(len(segment(text)) for text in texts)
    workers = [
        start_process(settings.threads, _serve, system, settings, place, list(texts))
        for system, place in ((against, None), (name, folder))
    ]
    for connection, _ in workers:
        receive(connection)
    seconds: list[list[float]] = [[], []]
    for _ in range(rounds):
        for (connection, _), measured in zip(workers, seconds, strict=True):
            connection.send(True)
            measured.append(receive(connection))
    memory = None
    for connection, process in workers:
        connection.send(False)
        memory = receive(connection)
        process.join()
    ratios = [theirs / ours for ours, theirs in zip(*seconds, strict=True)]
    return Speed(sentences / statistics.median(seconds[1]), statistics.median(ratios), memory)


def _serve(connection: Connection, name: str, settings: Settings, folder: Path | None, texts: list[str]) -> None:
    try:
        system = _loaded(name, settings, folder)
        system.tag(texts)
        connection.send((None, None))
        while connection.recv():
            start = time.perf_counter()
            system.tag(texts)
            connection.send((None, time.perf_counter() - start))
        connection.send((None, peak_memory()))
    except Exception:
        connection.send((traceback.format_exc(), None))


def peak_memory() -> int | None:
    """Peak resident memory of this process in bytes; None where /proc does not tell it.

    The peak that `getrusage` gives is not asked: a child inherits its parent's.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
