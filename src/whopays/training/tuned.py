"""`whopays train --fine-tune`: the encoder is tuned on the user's own texts before heads are fitted. Needs the `train` extra."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.errors import UsageError
from whopays.model.heads import Heads
from whopays.tagger import folder_of
from whopays.training.crossvalidating import RememberingEncoder
from whopays.training.export import export_encoder
from whopays.training.finetuning import ATTENTION, TuneOptions, tune_encoder
from whopays.training.fitting import (
    FitOptions,
    encode_examples,
    evidence_attention,
    fit_sentence_heads,
    folds,
    pooled_anew,
)
from whopays.training.float_export import export_transformers
from whopays.training.training import load_texts, train

# One text in so many is kept from the encoder and the heads, for calibration, thresholds and scores.
_KEPT = 4
_NARROW = 384
# For a published encoder, and for one that comes with whopays, which has less of a way to go. Of each, the second is for
# encoders wider than the MiniLM: they forget what they know at its rate.
_NEW = TuneOptions(epochs=10, encoder_rate=1.5e-4), TuneOptions(epochs=10, encoder_rate=3e-5)
_FURTHER = (
    TuneOptions(epochs=3, encoder_rate=1e-4, join=0.15),
    TuneOptions(epochs=3, encoder_rate=5e-5, join=0.15, frozen=4),
)


@dataclass(frozen=True)
class OwnTuning:
    """How an encoder is tuned on some hundreds or thousands of texts.

    encoder: the name of a model that comes with whopays, or a model folder, whatever its codebook: its encoder is tuned on,
    beginning with heads that are fitted on it as it is. base: tune the published encoder in this folder instead.
    epochs: passes over the texts; None takes 3, with ``base`` 10. encoder_rate: the learning rate; None takes 1e-4, with ``base``
    1.5e-4, for encoders up to the MiniLM's width (384), and 5e-5 and 3e-5 for wider ones.
    """

    encoder: str | Path = "default"
    base: Path | None = None
    epochs: int | None = None
    encoder_rate: float | None = None
    seed: int = 0


def train_tuned(
    corpus: Sequence[str | Path],
    codebook_path: str | Path,
    output: str | Path,
    tuning: OwnTuning,
    name: str = "custom",
    options: FitOptions | None = None,
    cross_validation: bool = True,
    held_out: str | Path | None = None,
) -> str:
    """Tune the encoder, export it into ``output`` and fit heads on it; returns a report for people.

    A quarter of the texts, members of a pair together, is kept from tuning; calibration, thresholds and the scores of
    the report come from it (see `cross_validate`). Other arguments and errors as of `train`; `UsageError` too if the `train`
    extra or a file of the base encoder is missing, `ModelError` if the model folder is none.
    """
    _require_extra()
    codebook = Codebook.load(codebook_path)
    options = options or FitOptions()
    examples, _ = load_texts(corpus, held_out, codebook)
    kept = {int(index) for index in folds(examples, replace(options, folds=_KEPT))[0]}
    learnt = [example for index, example in enumerate(examples) if index not in kept]
    with tempfile.TemporaryDirectory() as scratch:
        tuned, start = Path(scratch) / "tuned", None
        if tuning.base is not None:
            base = tuning.base
        else:
            base = Path(scratch) / "untuned"
            export_transformers(base, tuning.encoder)
            start = _first_heads(learnt, codebook, tuning.encoder, options)
        chosen, origin = settings(tuning, _width(base)), Path(tuning.base or tuning.encoder).name
        tune_encoder(base, learnt, codebook, tuned, chosen, start)
        export_encoder(tuned, Path(output))
        return train(
            corpus,
            codebook_path,
            output,
            encoder=output,
            name=name,
            options=options,
            calibration_ids=[examples[index].id for index in kept],
            card=lambda text: f"{text}\nThe encoder ({origin}) was tuned on the texts that were not kept: {chosen}.\n",
            attention=tuned / ATTENTION,
            cross_validation=cross_validation,
            held_out=held_out,
        )


def settings(tuning: OwnTuning, width: int) -> TuneOptions:
    """How an encoder of this width is tuned: as ``tuning`` says, and what it leaves open as suits the encoder."""
    usual = (_FURTHER if tuning.base is None else _NEW)[width > _NARROW]
    rate = tuning.encoder_rate or usual.encoder_rate
    return replace(usual, epochs=tuning.epochs or usual.epochs, encoder_rate=rate, seed=tuning.seed)


def _require_extra() -> None:
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise UsageError(f"tuning an encoder needs {error.name}; install whopays with its `train` extra.") from None


def _first_heads(
    learnt: Sequence[Example], codebook: Codebook, encoder: str | Path, options: FitOptions
) -> Heads | None:
    """Heads on the encoder as it is, fitted on the texts that it will be tuned on; None if they are too few for any."""
    model = RememberingEncoder(folder_of(encoder))
    options = options.without_part(_KEPT)
    try:
        sentences = encode_examples(learnt, codebook, model)
        focus = evidence_attention(sentences, options)
        pooled = pooled_anew(sentences, model, focus)
        return fit_sentence_heads(learnt, pooled, codebook, options, attention=focus).heads
    except UsageError:
        return None


def _width(base: Path) -> int:
    """The width of the encoder in a folder; 0 if it cannot be read, of which whoever loads it has more to say."""
    try:
        return int(json.loads((base / "config.json").read_text(encoding="utf-8"))["hidden_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
