"""A transformer encoder on ONNX Runtime: a document's segments -> one vector per token.

Segments are read in windows of neighbours, so that "they" and "it" are seen beside what they refer to. One unpadded window
at a time, on one thread: the same document then gets the same numbers whatever its batch, its neighbours or the number of
threads. Speed comes from running several windows at once, each on its own thread (`map_ordered`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from whopays.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Floats = npt.NDArray[np.float32]
T = TypeVar("T")
R = TypeVar("R")
#: The encoder's file in a model folder.
GRAPH = "encoder.onnx"
_NO_IDS = np.zeros(0, dtype=np.int64)
_SURROGATE = re.compile("[\ud800-\udfff]")

# ONNX Runtime's joint node for adding and normalising takes six times as long as the two nodes that it replaces.
_SLOW = "SkipLayerNormFusion"
# Content tokens in one window. The base encoders were published with a context of 256 to 512 word pieces; short windows
# are quicker, and a claim rarely needs more than a paragraph around it.
WINDOW = 192
# Tokens before a window that are read again as its context, so that no sentence is scored without what precedes it.
CONTEXT = 48


@dataclass(frozen=True, slots=True)
class Tokens:
    """One segment's word pieces: ``ids``, and ``starts``/``ends``, code-point offsets into the segment; all (tokens,)."""

    ids: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Encoding:
    """One segment's tokens: ``states`` (tokens, width), and ``starts``/``ends`` (tokens,), code-point offsets into it."""

    states: Floats
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


class Encoder:
    """Runs ``encoder.onnx`` with ``tokenizer.json`` of one folder.

    The graph takes ``input_ids`` and ``attention_mask`` of shape (1, tokens) and gives ``states`` of shape
    (1, tokens, width). Raises `ModelError` if the files are missing or do not fit.
    """

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / GRAPH),
                session_options(),
                providers=["CPUExecutionProvider"],
                disabled_optimizers=[_SLOW],
            )
        except Exception as error:  # onnxruntime raises its own, undocumented types
            raise _unusable(folder, error) from None
        self.width = int(self._session.get_outputs()[0].shape[-1])
        self._read_tokenizer(folder)

    def _read_tokenizer(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises plain Exception
            raise _unusable(folder, error) from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        special = self._tokenizer.encode("", add_special_tokens=True).ids
        if len(special) != 2:
            raise ModelError(
                f"{folder}: the tokenizer adds {len(special)} special tokens, expected a first and a last one."
            )
        self._first, self._last = special
        self.vocabulary = self._tokenizer.get_vocab_size()

    def tokenize(self, segment: str) -> Tokens:
        """The word pieces of one segment, without special tokens."""
        encoded = self._tokenizer.encode(_tokenizable(segment), add_special_tokens=False)
        offsets = np.array(encoded.offsets, dtype=np.int64).reshape(-1, 2)
        return Tokens(np.array(encoded.ids, dtype=np.int64), offsets[:, 0], offsets[:, 1])

    def encode_all(
        self,
        documents: Sequence[Sequence[Tokens]],
        threads: int = 1,
        wanted: Sequence[npt.NDArray[np.bool_]] | None = None,
    ) -> Iterator[list[Encoding]]:
        """The encodings of each document's segments, given tokenized in reading order; documents in order, one at a time.

        A segment longer than a window is read in several, never cut short. ``threads`` windows are run at once.
        ``wanted``: for each document which segments (segments,) are asked for; windows without any are not run, and the
        vectors of other segments may be zeros. What is asked for gets the same numbers as if everything were.
        """
        plans = [_windows([len(tokens.ids) for tokens in document]) for document in documents]
        flat = [np.concatenate([tokens.ids for tokens in document] or [_NO_IDS]) for document in documents]
        asked = [
            np.ones(len(ids), dtype=np.bool_) if wanted is None else _by_token(document, wanted[index])
            for index, (document, ids) in enumerate(zip(documents, flat, strict=True))
        ]
        work = [
            (index, window)
            for index, plan in enumerate(plans)
            for window in plan
            if asked[index][window[1] : window[2]].any()
        ]
        vectors = [np.zeros((len(ids), self.width), dtype=np.float32) for ids in flat]
        remaining = [0] * len(documents)
        for index, _ in work:
            remaining[index] += 1

        def run(item: tuple[int, tuple[int, int, int]]) -> tuple[int, int, int, Floats]:
            index, (begin, keep, end) = item
            return index, keep, end, self._run(flat[index][begin:end])[keep - begin :]

        done = 0
        for index, keep, end, states in map_ordered(run, work, threads):
            vectors[index][keep:end] = states
            remaining[index] -= 1
            while done < len(documents) and remaining[done] == 0:
                yield _split(vectors[done], documents[done])
                done += 1
        while done < len(documents):
            yield _split(vectors[done], documents[done])
            done += 1

    def _run(self, ids: npt.NDArray[np.int64]) -> Floats:
        return self._states(self.sequence(ids))[0, 1:-1]

    def sequence(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Word pieces (tokens,) -> what the model reads, (1, tokens + 2): the same between the first and the last token."""
        return np.concatenate([[self._first], ids, [self._last]])[None]

    def _states(self, sequence: npt.NDArray[np.int64]) -> Floats:
        """Token ids (1, tokens), special ones included -> vectors (1, tokens, width): what another runtime overrides."""
        output = self._session.run(["states"], {"input_ids": sequence, "attention_mask": np.ones_like(sequence)})[0]
        return np.asarray(output, dtype=np.float32)


def _unusable(folder: Path, error: Exception) -> ModelError:
    reason = " ".join(str(error).split())
    return ModelError(f"{folder}: cannot load the encoder ({reason}); build or install the model again.")


def session_options() -> Any:
    """The settings of ONNX Runtime: one thread, and 8-bit products that are exact on every processor.

    On x86 processors without VNNI, ONNX Runtime's usual product of unsigned and signed bytes adds pairs in 16 bits, where
    they saturate: the large encoder's vectors were noise there. The setting makes it take an exact one.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def _tokenizable(text: str) -> str:
    """The tokenizer takes no lone surrogates; one replacement character for each keeps the offsets."""
    return _SURROGATE.sub("\ufffd", text)


def _by_token(document: Sequence[Tokens], wanted: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.repeat(wanted, [len(tokens.ids) for tokens in document])


def _split(vectors: Floats, document: Sequence[Tokens]) -> list[Encoding]:
    edges = np.cumsum([0, *(len(tokens.ids) for tokens in document)])
    return [
        Encoding(vectors[start:end], tokens.starts, tokens.ends)
        for start, end, tokens in zip(edges[:-1], edges[1:], document, strict=True)
    ]


def _windows(lengths: Sequence[int]) -> list[tuple[int, int, int]]:
    """Segment lengths in tokens -> windows (begin, keep, end) of the document: read begin:end, keep the vectors of keep:end.

    The kept parts tile the document. A window ends between segments wherever one fits into it, and begins with up to
    `CONTEXT` tokens of what precedes it.
    """
    edges = np.cumsum([0, *lengths])
    total = int(edges[-1])
    windows = []
    keep = 0
    while keep < total:
        begin = max(0, keep - CONTEXT)
        limit = begin + WINDOW
        end = int(edges[np.searchsorted(edges, limit, side="right") - 1])
        if end <= keep:
            end = min(limit, total)
        windows.append((begin, keep, end))
        keep = end
    return windows


def default_threads() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def map_ordered(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """``map`` on several threads: results in order, and never more than a few items ahead of the consumer."""
    if threads <= 1:
        yield from map(function, items)
        return
    iterator = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        pending = [pool.submit(function, item) for item in islice(iterator, 4 * threads)]
        pending.reverse()
        while pending:
            result = pending.pop().result()
            for item in islice(iterator, 1):
                pending.insert(0, pool.submit(function, item))
            yield result
