"""Build a model that comes with whopays from the corpus: tune its base encoder, blend it, export it, fit the heads.

    python -m whopays.training.build default
    python -m whopays.training.build small

Needs the `train` extra. The same corpus, machine type, precision (see `half_precision_is_fast`) and number of threads
give the same bytes. An interrupted run goes on from its last finished epoch (``--work``). For text that came in since a model
was built: ``--tune-on`` starts from the encoder in the model folder instead of from the base, and shows it the retold text and
a third of the rest, in less than half the time. Of a split of which an earlier file is given (``--known FILE``), it is shown what
is not in that, and of what is, a half if it is retold and a third if not, or every Nth text (``--again N``);
``--heads-only`` keeps that encoder and fits the rest, in minutes and without the extra. ``--card-only`` fits nothing: it puts
what was measured since the fit (``models/MODEL.scores.md``) into the model's card.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from whopays.codebook import Codebook
from whopays.corpus.checking import load_corpus
from whopays.corpus.compiling import corpus_codebook
from whopays.corpus.markup import Example
from whopays.corpus.records import load_examples
from whopays.errors import UsageError
from whopays.model.folder import load_model, read_manifest
from whopays.training.bases import minilm_folder, mpnet_folder
from whopays.training.blending import WEIGHTS, blend_encoder
from whopays.training.export import export_encoder
from whopays.training.finetuning import ATTENTION, TuneOptions, tune_encoder
from whopays.training.fitting import FitOptions
from whopays.training.float_export import export_transformers
from whopays.training.training import train


class Start(Enum):
    """Where a build begins.

    BASE: the published base encoder is tuned. ENCODER: the encoder that lies in the output folder is tuned on. HEADS: it is left
    as it is, and heads and gate are fitted on it.
    """

    BASE = "base"
    ENCODER = "encoder"
    HEADS = "heads"


@dataclass(frozen=True)
class Recipe:
    """What a model is made from.

    base: gives the folder of its base encoder, unpacked into the given one if need be. share: how far the encoder goes from
    the base to the tuned one (`blend_encoder`). further: how a tuned encoder is tuned on, from where it is; further_share: how
    far it then goes from there to the one tuned on.
    """

    name: str
    base: Callable[[Path], Path]
    tuning: TuneOptions
    share: float = 1.0
    further: TuneOptions = field(default_factory=TuneOptions)
    further_share: float = 1.0


_FURTHER = TuneOptions(epochs=1, encoder_rate=5e-5, frozen=4, join=0.15)
_FURTHER_SMALL = TuneOptions(epochs=2, encoder_rate=1e-4, join=0.15)
RECIPES = {
    "default": Recipe("mpnet", mpnet_folder, TuneOptions(epochs=3, encoder_rate=3e-5, frozen=3), 0.75, _FURTHER),
    "small": Recipe(
        "minilm", lambda _: minilm_folder(), TuneOptions(epochs=2, encoder_rate=1.5e-4), further=_FURTHER_SMALL
    ),
}
# Splits that the encoder is tuned on. The seeds are left out, so that leave-one-out on them is honest for the encoder too.
TUNED_ON = ("train", "statements", "contrast", "retold")
_CALIBRATION_SHARE = 6
# Of the splits that a tuned encoder knows, every third text is shown to it again where it is tuned on, lest it forgets them;
# of retold text that it knows, the nearest to what people will tag, every second.
_SHOWN_AGAIN = 3
_RETOLD_AGAIN = 2
# How often a seed counts in the fit of the heads beside a written passage: the seeds are the texts that the library grew
# from, and the only ones whose gold three readings agreed on. A compromise: leaving one seed out, 20 scores higher still
# (models/EXPERIMENTS.md), at the price of labels that the seeds seldom carry.
SEED_WEIGHT = 5.0
# The same for statements and minimal pairs: short texts that show what a negation, another party or another cost changes.
PLAIN_WEIGHT = 4.0
# The same for retold passages: half as many as the other texts, and the nearest to what people will tag. More would cost more
# on plain statements than it gains (models/EXPERIMENTS.md).
RETOLD_WEIGHT = 2.0
# The evidence's offset is the best of -1.5, -0.75, -0.25, 0.25 and 0.75 on 500 calibration texts, tagged as users do: word F1
# 0.65, 0.68, 0.69, 0.69, 0.67; span F1 0.58, 0.62, 0.64, 0.64, 0.62.
FITTING = FitOptions(sentence_c=0.003, token_offset=-0.25)


def in_calibration(example: Example) -> bool:
    """Whether a training text is kept from the encoder and the heads, for calibration: one in six, by hash of its pair or id."""
    return _number(example) % _CALIBRATION_SHARE == 0


def shown_further(example: Example, split: str, known: Collection[str] = (), again: int | None = None) -> bool:
    """Whether a text is shown to an encoder that is tuned on: new ones; of those known a half if retold, a third of the others.

    ``known``: pairs and single texts (`known_units`) of this split that the encoder was tuned on before; where there are none,
    all retold texts count as new and all others as known. ``again``: of those known every so many are shown instead.
    """
    if _is_new(example, split, known):
        return True
    every = again or (_RETOLD_AGAIN if split == "retold" else _SHOWN_AGAIN)
    return _number(example) // _CALIBRATION_SHARE % every == 0


def _is_new(example: Example, split: str, known: Collection[str]) -> bool:
    return _unit(example) not in known and (bool(known) or split == "retold")


def known_units(examples: Sequence[Example], seen: Collection[str]) -> set[str]:
    """The pairs and single texts of ``examples`` of which the ids of all members are in ``seen``."""
    return {_unit(e) for e in examples} - {_unit(e) for e in examples if e.id not in seen}


def _unit(example: Example) -> str:
    return example.attributes.get("pair") or example.id


def _number(example: Example) -> int:
    return int(hashlib.sha256(_unit(example).encode()).hexdigest(), 16)


def text_weights(splits: Mapping[str, Sequence[Example]]) -> dict[str, float]:
    """How often texts count in the fit of the heads, by id, where that is not once: plain ones and retold ones."""
    pool = (example for name in TUNED_ON for example in splits[name])
    plain = (e for e in pool if e.attributes.get("kind") == "statement" or e.attributes.get("change"))
    weights = {example.id: PLAIN_WEIGHT for example in plain}
    return weights | {example.id: RETOLD_WEIGHT for example in splits["retold"]}


def build(
    corpus: Path,
    output: Path,
    work: Path,
    card: Path | None,
    recipe: Recipe,
    fitting: FitOptions,
    start: Start = Start.BASE,
    seen: Collection[str] = (),
    again: int | None = None,
) -> str:
    """Tune, blend, export and fit; returns the report of the fit. Raises as the functions for these steps.

    ``seen``: for a start from the encoder, the ids of texts that were in the corpus when it was tuned before; ``again``: see
    `shown_further`.
    ``card``: a model card in which ``{fit}`` stands for what the fit has to tell, ``{tuning}`` and ``{further}`` for the
    settings, and ``{scores}`` for what was measured later and lies beside it as ``*.scores.md``.
    Raises `UsageError` if the corpus lacks a split or holds no text of ``seen``.
    """
    codebook = corpus_codebook(corpus)
    splits = load_corpus(corpus, codebook)
    missing = [name for name in (*TUNED_ON, "seed") if name not in splits]
    if missing:
        raise UsageError(f"{corpus}: the split {', '.join(missing)} is missing; compile the corpus first.")
    pool = [example for name in TUNED_ON for example in splits[name]]
    calibration = [example.id for example in pool if in_calibration(example)]
    blended = work / "blended"
    tuned_on: dict[str, Any] | None = None
    if start is Start.HEADS:
        _keep_attention(output, blended)
        tuned_on = load_model(output).settings.get("tuned_on")
    elif start is Start.BASE:
        base, tuned = recipe.base(work / "base"), work / "tuned"
        if not (tuned / WEIGHTS).is_file():
            kept = [example for example in pool if not in_calibration(example)]
            tune_encoder(base, kept, codebook, tuned, recipe.tuning)
        blend_encoder(base, tuned, recipe.share, blended)
        export_encoder(blended, output)
    else:
        known = {name: known_units(splits[name], seen) for name in TUNED_ON}
        if seen and not any(known.values()):
            raise UsageError(f"{corpus}: found none of the {len(seen)} known texts; give files of an earlier version.")
        shown = [
            e
            for name in TUNED_ON
            for e in splits[name]
            if shown_further(e, name, known[name], again) and not in_calibration(e)
        ]
        # The manifest alone: after an interrupted fit, the new encoder lies beside the old one's checksum.
        tuned_on = {"from": read_manifest(output)["id"], "share": recipe.further_share, "texts": len(shown)}
        if seen:
            new = {e.id for name in TUNED_ON for e in splits[name] if _is_new(e, name, known[name])}
            tuned_on["known"] = sum(example.id not in new for example in shown)
        before, tuned = _tune_on(output, shown, codebook, work, recipe.further)
        blend_encoder(before, tuned, recipe.further_share, blended)
        export_encoder(blended, output)
    files = [corpus / "data" / f"{name}.jsonl" for name in (*TUNED_ON, "seed")]
    weights = {example.id: SEED_WEIGHT for example in splits["seed"]} | text_weights(splits)
    return train(
        files,
        corpus / "codebook.toml",
        output,
        encoder=output,
        name=recipe.name,
        options=fitting,
        calibration_ids=calibration,
        weights=weights,
        card=lambda fit: completed(card, fit, recipe),
        attention=blended / ATTENTION,
        tuned_on=tuned_on,
    )


def completed(card: Path | None, fit: str, recipe: Recipe) -> str:
    """The text of a model card from its frame, see `build`; the fit's part alone without one."""
    if card is None:
        return fit
    measured = card.with_suffix(".scores.md")
    scores = measured.read_text(encoding="utf-8").strip() if measured.is_file() else "Not measured yet."
    frame = card.read_text(encoding="utf-8")
    tuning = f"{recipe.tuning}, share={recipe.share}"
    further = f"{recipe.further}, share={recipe.further_share}"
    for name, text in {"fit": fit.rstrip(), "tuning": tuning, "further": further, "scores": scores}.items():
        frame = frame.replace(f"{{{name}}}", text)
    return frame


def renew_card(model: Path, card: Path, recipe: Recipe) -> None:
    """Complete the card of a fitted model anew, with what its fit told. Raises `UsageError` if its card does not hold that."""
    readme = model / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    start = text.find(f"# {recipe.name}\n\nA tagger for the codebook")
    behind = card.read_text(encoding="utf-8").partition("{fit}")[2].strip()
    if start < 0 or not text.rstrip().endswith(behind):
        raise UsageError(f"{readme}: found no card that a build from {card} wrote; build the model first.")
    fit = text[start : len(text.rstrip()) - len(behind)]
    readme.write_text(completed(card, fit, recipe), encoding="utf-8", newline="\n")


def _tune_on(
    model: Path, shown: Sequence[Example], codebook: Codebook, work: Path, options: TuneOptions
) -> tuple[Path, Path]:
    """Tune the encoder of a model folder on, from what its heads say; returns the folders of the one before and the one after.

    Their place in ``work`` has the model's id in its name, and a hash of texts, marks and options: an interrupted run finds it
    again, one on other texts, or from the model that was made with it, does not. Raises `ModelError` if there is no model.
    """
    told = repr((options, [(example.id, example.text, example.spans) for example in shown]))
    folder = work / f"from-{read_manifest(model)['id']}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"
    shipped, tuned = folder / "shipped", folder / "tuned"
    if not (tuned / WEIGHTS).is_file():
        # The attention is written last.
        if not (shipped / ATTENTION).is_file():
            export_transformers(shipped, model)
            _keep_attention(model, shipped)
        tune_encoder(shipped, shown, codebook, tuned, options, load_model(model).heads)
    return shipped, tuned


def _keep_attention(model: Path, folder: Path) -> None:
    """Write the attention of a model's heads to ``folder``, as `tune_encoder` does. Raises `ModelError` if there is no model."""
    from safetensors.numpy import save_file

    attention = load_model(model).heads.attention
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"attention": np.ascontiguousarray(attention, dtype=np.float32)}, folder / ATTENTION)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=sorted(RECIPES))
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    parser.add_argument("--output", type=Path, help="the model folder (default: models/MODEL)")
    parser.add_argument("--work", type=Path, help="intermediate files (default: build/MODEL); delete to start afresh")
    parser.add_argument("--card", type=Path, help="the card's frame (default: models/MODEL.md)")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--tune-on", action="store_true", help="tune the encoder of the model folder on, not the base")
    parser.add_argument(
        "--known",
        type=Path,
        action="append",
        default=[],
        help="with --tune-on: a file of the corpus that the encoder was tuned on before (texts are known by their id)",
    )
    parser.add_argument(
        "--again",
        type=int,
        metavar="N",
        help="with --known: show every Nth of those texts (default: 2nd of retold ones, 3rd of others)",
    )
    part.add_argument("--heads-only", action="store_true", help="keep the encoder of the model folder as it is")
    part.add_argument("--card-only", action="store_true", help="fit nothing, put the measured scores into the card")
    options = parser.parse_args()
    output = options.output or Path("models") / options.model
    work = options.work or Path("build") / options.model
    card = options.card or Path("models") / f"{options.model}.md"
    recipe = RECIPES[options.model]
    if options.known and not options.tune_on:
        parser.error("--known goes with --tune-on")
    if options.again is not None and (not options.known or options.again < 1):
        parser.error("--again takes a whole number from 1, and goes with --known")
    if options.card_only:
        renew_card(output, card, recipe)
        return
    start = Start.HEADS if options.heads_only else Start.ENCODER if options.tune_on else Start.BASE
    codebook = corpus_codebook(options.corpus)
    seen = {example.id for file in options.known for example in load_examples(file, codebook)}
    print(build(options.corpus, output, work, card, recipe, FITTING, start, seen, options.again))


if __name__ == "__main__":
    main()
