"""Going part of the way from a base encoder to a tuned one.

Tuning teaches an encoder the task and, with it, the manner of the texts that it was tuned on. Between the base's weights and the
tuned ones lie encoders that know the task nearly as well and read other texts better (WiSE-FT: Wortsman et al. 2022, "Robust
fine-tuning of zero-shot models").
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from whopays.errors import UsageError
from whopays.training.finetuning import ATTENTION

#: The file with the weights in the folders that `blend_encoder` and `tune_encoder` write.
WEIGHTS = "model.safetensors"


def blend_encoder(base: Path, tuned: Path, share: float, output: Path) -> None:
    """Write base + ``share`` * (tuned - base), for every weight, to ``output``: a folder as `tune_encoder` writes.

    ``share``: from 0 (the base) to 1 (the tuned encoder). The attention's weights, if the base lacks them, as a published one
    does, are taken to be zero there. Weights that the tuned encoder lacks stay the base's.
    Raises `UsageError` if the share is out of range, or if the base lacks a weight of the tuned one or has it in another shape.
    """
    from safetensors.numpy import load_file, save_file

    if not 0 <= share <= 1:
        raise UsageError(f"found the share {share}, expected a number from 0 (the base) to 1 (the tuned encoder).")
    weights, ends = load_file(base / WEIGHTS), load_file(tuned / WEIGHTS)
    prefix = _prefix(weights, ends)
    for name, values in ends.items():
        start = weights.get(prefix + name)
        if start is None:
            raise UsageError(
                f"{tuned}: found the weight {name}, which {base} lacks; expected an encoder tuned from that one."
            )
        if not np.issubdtype(start.dtype, np.floating):
            continue
        if start.shape != values.shape:
            raise UsageError(f"{tuned}: {name} has the shape {values.shape}, expected {start.shape} as in {base}.")
        weights[prefix + name] = (start + share * (values.astype(np.float64) - start)).astype(np.float32)
    output.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(base / name, output / name)
    attention = load_file(tuned / ATTENTION)["attention"]
    before = load_file(base / ATTENTION)["attention"] if (base / ATTENTION).is_file() else np.zeros_like(attention)
    save_file({"attention": np.asarray(before + share * (attention - before), dtype=np.float32)}, output / ATTENTION)
    save_file(weights, output / WEIGHTS, metadata={"format": "pt"})


def _prefix(base: Iterable[str], tuned: Collection[str]) -> str:
    """What stands before the encoder's names in ``base``: its type, if it was saved with a head, else nothing."""
    counts = Counter(name[: -len(end)] for name in base for end in _ends(name) if end in tuned)
    return counts.most_common(1)[0][0] if counts else ""


def _ends(name: str) -> tuple[str, str]:
    """A weight's name, and the same without its first part."""
    return name, name.partition(".")[2]
