"""`whopays train`: labelled texts and an encoder -> a model folder."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.corpus.records import load_examples
from whopays.errors import UsageError
from whopays.evaluation.evaluating import evaluate, format_evaluation
from whopays.model.encoder import Encoder
from whopays.model.folder import ENCODER_FILES, OPTIONAL_FILES, Parts, load_model, save_model
from whopays.tagger import MODELS, Tagger, folder_of
from whopays.training.crossvalidating import RememberingEncoder, cross_validate
from whopays.training.fitting import FitOptions, encode_examples, evidence_attention, fit_heads, pooled_anew
from whopays.training.gating import fit_gate
from whopays.training.reporting import (
    fit_table,
    held_out_section,
    model_card,
    scores_record,
    unseen_table,
    validation_section,
)


def train(
    corpus: Sequence[str | Path],
    codebook_path: str | Path,
    output: str | Path,
    encoder: str | Path | None = None,
    name: str = "custom",
    options: FitOptions | None = None,
    calibration_ids: Collection[str] = (),
    weights: Mapping[str, float] = MappingProxyType({}),
    card: Callable[[str], str] = str,
    attention: Path | None = None,
    cross_validation: bool = False,
    held_out: str | Path | None = None,
    tuned_on: Mapping[str, Any] | None = None,
) -> str:
    """Fit heads on a frozen encoder and write a model folder; returns a report for people.

    ``encoder``: the name of a model that comes with whopays, whose encoder is taken, or a folder with encoder.onnx and
    tokenizer.json (default: the default model's). ``calibration_ids``: see `fit_heads`; needed where the encoder was tuned on
    the corpus. ``weights``: how often an example counts, by id (default 1). ``card`` completes the model card's text.
    ``attention``: the file that `tune_encoder` left beside the encoder (default: learnt from the evidence, `evidence_attention`).
    ``cross_validation``: also score the fit on texts that it has not seen (`cross_validate`), in five times the time; the
    scores go into the report, the card and the manifest. ``held_out``: a file of labelled texts that the finished model is
    scored on, likewise. ``tuned_on``: what manifest and card are to say of an encoder that was tuned on: ``from``, a model's id,
    ``share``, how far from that one's encoder to the tuned one, ``texts``, how many it was shown, and, if it is known,
    ``known``, how many of these its corpus of then had.
    The same input gives the same bytes. Raises `UsageError` if the corpus is empty or too small or a held-out text is in it,
    `RecordError` for a broken line, `CodebookError` and `ModelError` for the files they name.
    """
    options = options or FitOptions()
    codebook = Codebook.load(codebook_path)
    examples, tests = load_texts(corpus, held_out, codebook)
    output = Path(output)
    _place_encoder(encoder, output)
    model = Encoder(output) if attention and not cross_validation else RememberingEncoder(output)
    given = None if attention is None else load_file(attention)["attention"].astype(np.float64)
    sentences = encode_examples(examples, codebook, model, given)
    calibration = {index for index, example in enumerate(examples) if example.id in set(calibration_ids)}
    if given is None:
        focus = evidence_attention([s for s in sentences if s.example not in calibration], options)
        sentences = pooled_anew(sentences, model, focus)
    else:
        focus = given
    counts = {index: weights[example.id] for index, example in enumerate(examples) if example.id in weights}
    fit = fit_heads(examples, sentences, codebook, options, calibration, counts, focus)
    gate, gate_report = fit_gate(examples, sentences, model.vocabulary, options, fit.found, calibration)
    data = {str(Path(path).name): hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16] for path in corpus}
    settings = {"data": data, "texts": len(examples), "sentences": len(sentences), "folds": options.folds}
    settings |= {
        "gate": gate_report,
        "calibration_texts": len(calibration),
        "sentence_c": options.sentence_c,
        "token_c": options.token_c,
        "seed": options.seed,
    }
    if tuned_on is not None:
        settings["tuned_on"] = dict(tuned_on)
    unseen = None
    if cross_validation:
        unseen = cross_validate(examples, sentences, codebook, model, options, calibration, counts, given)
        settings["cross_validation"] = scores_record(unseen)
    text = Path(codebook_path).read_text(encoding="utf-8")
    parts = Parts(fit.heads, gate, fit.curves)
    frame = model_card(name, codebook, examples, fit, settings)
    if unseen is not None:
        frame += validation_section(unseen, settings)
    identifier = save_model(output, name, text, parts, settings, card(frame))
    tested = None
    if held_out is not None:
        # By what was written, as it will be loaded; then written again with its scores.
        tested = evaluate(tests, Tagger(load_model(output)))
        settings["held_out"] = {"file": Path(held_out).name, **scores_record(tested)}
        frame += held_out_section(tested, Path(held_out).name)
        identifier = save_model(output, name, text, parts, settings, card(frame))
    head = f"{identifier}: {len(examples)} texts, {len(sentences)} sentences, written to {output}\n\n"
    if unseen is None:
        head += fit_table(fit.report, options)
    else:
        head += unseen_table(fit.report, unseen, examples, options, settings)
    if tested is not None:
        head += f"\nheld out, {Path(held_out or '').name}: " + format_evaluation(tested)
    return head


def load_texts(
    corpus: Sequence[str | Path], held_out: str | Path | None, codebook: Codebook
) -> tuple[list[Example], list[Example]]:
    """The texts to learn from and those to be scored on.

    Raises `UsageError` if there are none, if ids occur in two files, or if a text is in both; `RecordError` for a broken line.
    """
    examples = [example for path in corpus for example in load_examples(path, codebook)]
    if not examples:
        raise UsageError(f"{', '.join(map(str, corpus))}: found no examples, expected labelled texts.")
    if repeated := [id for id, count in Counter(example.id for example in examples).items() if count > 1]:
        raise UsageError(f"{', '.join(map(str, corpus))}: found the id {repeated[0]!r} in two files; make ids unique.")
    tests = [] if held_out is None else load_examples(held_out, codebook)
    if held_out is not None and not tests:
        raise UsageError(f"{held_out}: found no examples, expected labelled texts.")
    known = {" ".join(example.text.split()) for example in examples}
    if shared := [example.id for example in tests if " ".join(example.text.split()) in known]:
        raise UsageError(
            f"{held_out}: {len(shared)} held-out texts ({', '.join(shared[:3])}{', ...' if shared[3:] else ''}) are in the "
            "corpus too, and would be scored by a model that has seen them; take them out of one of the two."
        )
    return examples, tests


def _place_encoder(encoder: str | Path | None, output: Path) -> None:
    """Copy the encoder's files into the model folder, unless they are there already."""
    name = "default" if encoder is None else encoder
    source = folder_of(name)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{output}: cannot make this folder ({error.strerror}); give another --output.") from None
    if source.resolve() == output.resolve():
        return
    for file in ENCODER_FILES:
        if (source / file).is_file():
            shutil.copyfile(source / file, output / file)
        elif file not in OPTIONAL_FILES:
            raise UsageError(
                f"{source}: {file} is missing; give the folder of an exported encoder or of a model, or one of the names "
                f"{', '.join(MODELS)}."
            )
        else:
            # Another encoder's, from an earlier run.
            (output / file).unlink(missing_ok=True)
