"""`whopays train --fine-tune`: the encoder is tuned on the user's own texts before heads are fitted. Needs the `train` extra."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from whopays.codebook import Codebook
from whopays.training.bases import minilm_folder
from whopays.training.export import export_encoder
from whopays.training.finetuning import ATTENTION, TuneOptions, tune_encoder
from whopays.training.fitting import FitOptions, folds
from whopays.training.training import load_texts, train

# One text in so many is kept from the encoder and the heads, for calibration, thresholds and scores.
_KEPT = 4
_NARROW, _RATE, _RATE_WIDE = 384, 1.5e-4, 3e-5


@dataclass(frozen=True)
class OwnTuning:
    """How an encoder is tuned on a few hundred texts.

    base: its folder (default: the MiniLM of the `train` extra). encoder_rate: the learning rate; None takes 1.5e-4 for encoders
    up to the MiniLM's width (384), and for wider ones 3e-5, which they need to stay what they are.
    """

    base: Path | None = None
    epochs: int = 10
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
    extra or a file of the base encoder is missing.
    """
    codebook = Codebook.load(codebook_path)
    options = options or FitOptions()
    examples, _ = load_texts(corpus, held_out, codebook)
    kept = {int(index) for index in folds(examples, replace(options, folds=_KEPT))[0]}
    learnt = [example for index, example in enumerate(examples) if index not in kept]
    base = minilm_folder() if tuning.base is None else tuning.base
    rate = tuning.encoder_rate or (_RATE if _width(base) <= _NARROW else _RATE_WIDE)
    settings = TuneOptions(epochs=tuning.epochs, encoder_rate=rate, seed=tuning.seed)
    with tempfile.TemporaryDirectory() as scratch:
        tuned = Path(scratch) / "tuned"
        tune_encoder(base, learnt, codebook, tuned, settings)
        export_encoder(tuned, Path(output))
        return train(
            corpus,
            codebook_path,
            output,
            encoder=output,
            name=name,
            options=options,
            calibration_ids=[examples[index].id for index in kept],
            card=lambda text: f"{text}\nThe encoder was tuned on the texts that were not kept: {settings}.\n",
            attention=tuned / ATTENTION,
            cross_validation=cross_validation,
            held_out=held_out,
        )


def _width(base: Path) -> int:
    """The width of the encoder in a folder; 0 if it cannot be read, of which whoever loads it has more to say."""
    try:
        return int(json.loads((base / "config.json").read_text(encoding="utf-8"))["hidden_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
