"""What a model that is fitted on few examples will do on texts that it has not seen: cross-validation of the whole fit.

Nested (Varma and Simon 2006): the texts are divided into folds, members of a pair together. For each fold a model is
fitted on the other folds alone, with all that fitting chooses (heads, calibration, thresholds, gate) chosen there, from
inner folds of their own; it then tags the fold by the code that tags any text. Each text is so scored once, by a model that knows
nothing of it. Counts are summed over all texts.

Where the encoder was tuned on the texts, no fold of those is unseen. Then the folds are made of the calibration texts alone,
which neither the encoder nor any head has learnt from: calibration and thresholds for a fold are chosen on the other ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.errors import UsageError
from whopays.evaluation.evaluating import Evaluation, evaluate_spans
from whopays.model.encoder import Encoder, Encoding, Tokens
from whopays.model.folder import Model
from whopays.tagger import Tagger
from whopays.text import Document, Span
from whopays.training.fitting import (
    FitOptions,
    Floats,
    LabelledSentence,
    Singles,
    evidence_attention,
    fit_heads,
    folds,
    pooled_anew,
)
from whopays.training.gating import fit_gate

# Vectors that are kept so that no text is encoded twice; a corpus with more of them is.
_MOST_KEPT_BYTES = 1_000_000_000


class RememberingEncoder(Encoder):
    """An encoder that keeps the vectors of the documents that it has read in full, up to a limit of memory."""

    def __init__(self, folder: Path) -> None:
        """``folder`` and errors as of `Encoder`."""
        super().__init__(folder)
        self._kept: dict[tuple[bytes, ...], list[Singles]] = {}
        self._size = 0

    def encode_all(
        self,
        documents: Sequence[Sequence[Tokens]],
        threads: int = 1,
        wanted: Sequence[npt.NDArray[np.bool_]] | None = None,
    ) -> Iterator[list[Encoding]]:
        """As `Encoder.encode_all`; a document whose vectors are kept is not read again."""
        keys = [tuple(tokens.ids.tobytes() for tokens in document) for document in documents]
        missing = [index for index, key in enumerate(keys) if key not in self._kept]
        asked = None if wanted is None else [wanted[index] for index in missing]
        fresh = super().encode_all([documents[index] for index in missing], threads, asked)
        unread = set(missing)
        for index, (key, document) in enumerate(zip(keys, documents, strict=True)):
            if index not in unread:
                kept = zip(self._kept[key], document, strict=True)
                yield [Encoding(states, tokens.starts, tokens.ends) for states, tokens in kept]
                continue
            found = next(fresh)
            # Of a document that was asked for in part, the rest may be zeros.
            if wanted is None and key not in self._kept and self._size < _MOST_KEPT_BYTES:
                self._kept[key] = [encoding.states for encoding in found]
                self._size += sum(encoding.states.nbytes for encoding in found)
            yield found


def cross_validate(
    examples: Sequence[Example],
    sentences: Sequence[LabelledSentence],
    codebook: Codebook,
    encoder: Encoder,
    options: FitOptions,
    calibration: Collection[int] = (),
    weights: Mapping[int, float] = MappingProxyType({}),
    attention: Floats | None = None,
) -> Evaluation:
    """Scores on texts that the scoring model has not seen, as the module's text says; intervals are over texts.

    Arguments as in `fit_heads`, with the ``encoder`` that made ``sentences``. Without ``attention`` each fold learns its own
    from the evidence (`evidence_attention`). The calibration texts alone are scored where there are any, else all texts. A
    fold whose rest has too few examples of every label to be fitted gets no spans.
    """
    pool = sorted(calibration) if calibration else list(range(len(examples)))
    gold: list[Example] = []
    predicted: list[tuple[Span, ...]] = []
    for fold in folds([examples[index] for index in pool], options):
        held_out = [pool[position] for position in fold]
        if not held_out:
            continue
        seen = [index for index in range(len(examples)) if index not in set(held_out)]
        tagger = _fit_without(seen, examples, sentences, codebook, encoder, options, calibration, weights, attention)
        gold += [examples[index] for index in held_out]
        if tagger is None:
            predicted += [()] * len(held_out)
        else:
            results = tagger.tag_all([Document(examples[index].text) for index in held_out])
            predicted += [result.spans for result in results]
    return evaluate_spans(gold, predicted, codebook.ids)


def _fit_without(
    seen: Sequence[int],
    examples: Sequence[Example],
    sentences: Sequence[LabelledSentence],
    codebook: Codebook,
    encoder: Encoder,
    options: FitOptions,
    calibration: Collection[int],
    weights: Mapping[int, float],
    attention: Floats | None,
) -> Tagger | None:
    """A tagger fitted on the texts ``seen`` alone; None if no label has enough examples there."""
    place = {index: position for position, index in enumerate(seen)}
    texts = [examples[index] for index in seen]
    rows = [replace(row, example=place[row.example]) for row in sentences if row.example in place]
    kept = {place[index] for index in calibration if index in place}
    counts = {place[index]: weight for index, weight in weights.items() if index in place}
    options = options.without_part(options.folds)
    try:
        if attention is None:
            attention = evidence_attention([row for row in rows if row.example not in kept], options)
            rows = pooled_anew(rows, encoder, attention)
        fit = fit_heads(texts, rows, codebook, options, kept, counts, attention)
    except UsageError:
        return None
    gate, _ = fit_gate(texts, rows, encoder.vocabulary, options, fit.found, kept)
    return Tagger(Model("cross-validation", codebook, encoder, fit.heads, gate, fit.curves, {}))
