"""`whopays train`: labelled texts and an encoder -> a model folder."""

from __future__ import annotations

import hashlib
import shutil
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
from whopays.model.encoder import Encoder
from whopays.model.folder import ENCODER_FILES, OPTIONAL_FILES, Parts, save_model
from whopays.tagger import model_folder
from whopays.training.fitting import Fit, FitOptions, encode_examples, fit_heads
from whopays.training.gating import fit_gate


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
) -> str:
    """Fit heads on a frozen encoder and write a model folder; returns a report for people.

    ``encoder``: a folder with encoder.onnx and tokenizer.json (default: the encoder of the model that comes with
    whopays). ``calibration_ids``: see `fit_heads`; needed where the encoder was tuned on the corpus. ``weights``: how often
    an example counts, by id (default 1). ``card`` completes the model card's text. ``attention``: the file that
    `tune_encoder` left beside the encoder (default: all tokens of a sentence count alike). The same input gives the same
    bytes. Raises `UsageError` if the corpus is empty or too small, `RecordError` for a broken line, `CodebookError` and
    `ModelError` for the files they name.
    """
    options = options or FitOptions()
    codebook = Codebook.load(codebook_path)
    examples = [example for path in corpus for example in load_examples(path, codebook)]
    if not examples:
        raise UsageError(f"{', '.join(map(str, corpus))}: found no examples, expected labelled texts.")
    source = Path(encoder) if encoder is not None else model_folder("default")
    output = Path(output)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{output}: cannot make this folder ({error.strerror}); give another --output.") from None
    if source.resolve() != output.resolve():
        for file in ENCODER_FILES:
            if (source / file).is_file():
                shutil.copyfile(source / file, output / file)
            elif file not in OPTIONAL_FILES:
                raise UsageError(f"{source}: {file} is missing; give the folder of an exported encoder or of a model.")
    model = Encoder(output)
    focus = None if attention is None else load_file(attention)["attention"].astype(np.float64)
    sentences = encode_examples(examples, codebook, model, focus)
    calibration = {index for index, example in enumerate(examples) if example.id in set(calibration_ids)}
    counts = {index: weights[example.id] for index, example in enumerate(examples) if example.id in weights}
    fit = fit_heads(examples, sentences, codebook, options, calibration, counts, focus)
    gate, gate_report = fit_gate(examples, sentences, model.vocabulary, options, calibration)
    data = {str(Path(path).name): hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16] for path in corpus}
    settings = {"data": data, "texts": len(examples), "sentences": len(sentences), "folds": options.folds}
    settings |= {
        "gate": gate_report,
        "calibration_texts": len(calibration),
        "sentence_c": options.sentence_c,
        "token_c": options.token_c,
        "seed": options.seed,
    }
    text = Path(codebook_path).read_text(encoding="utf-8")
    identifier = save_model(
        output,
        name,
        text,
        Parts(fit.heads, gate, fit.curves),
        settings,
        card(_card(name, codebook, examples, fit, settings)),
    )
    lines = [f"{identifier}: {len(examples)} texts, {len(sentences)} sentences, written to {output}", ""]
    lines.append(_report_table(fit.report, options))
    return "\n".join(lines) + "\n"


def _report_table(report: dict[str, Any], options: FitOptions) -> str:
    rows = [f"{'label':<18}{'positive sentences':>19}{'threshold':>11}{'F1, unseen':>16}"]
    for label, row in report.items():
        few = "  too few examples: never given" if row["positive_sentences"] < max(options.min_positive, 2) else ""
        rows.append(f"{label:<18}{row['positive_sentences']:>19}{row['threshold']:>11.2f}{row['f1']:>16.3f}{few}")
    return "\n".join(rows)


def _card(name: str, codebook: Codebook, examples: Sequence[Example], fit: Fit, settings: dict[str, Any]) -> str:
    free = sum(not example.spans for example in examples)
    points = fit.curves.at(fit.heads.threshold)
    rows = "\n".join(
        f"| {label} | {row['positive_sentences']:.0f} | {row['threshold']:.2f} | {point.precision:.2f} | {point.recall:.2f} "
        f"| {row['f1']:.2f} |"
        for (label, row), point in zip(fit.report.items(), points, strict=True)
    )
    data = "\n".join(f"- `{file}`, SHA-256 {digest}…" for file, digest in settings["data"].items())
    parts = settings["calibration_texts"]
    unseen = f"{parts} texts kept from the fit" if parts else f"{settings['folds']}-fold out-of-fold scores"
    gate = settings["gate"]
    told = (
        f"lets {gate['passed']:.0%} of their sentences pass, and {gate['recall']:.1%} of those with a label"
        if gate
        else "is open: too few sentences with a label to fit one"
    )
    return f"""# {name}

A tagger for the codebook *{codebook.title}* ({codebook.name} {codebook.version}, {codebook.hash}). Fitted by `whopays train`.

Data: {len(examples)} texts, {free} of them without any claim, {settings["sentences"]} sentences.

{data}

Settings: logistic regression on sentence vectors (C = {settings["sentence_c"]}) and on token vectors inside labelled
sentences (C = {settings["token_c"]}), Platt scaling and thresholds on {unseen}, seed {settings["seed"]}. The gate {told}.

The figures below are for sentences of the same unseen texts, on which the thresholds were chosen: an upper bound, not a test.

| label | positive sentences | threshold | precision | recall | F1 |
|---|---|---|---|---|---|
{rows}
"""
