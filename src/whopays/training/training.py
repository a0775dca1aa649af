"""`whopays train`: labelled texts and an encoder -> a model folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.corpus.records import load_examples
from whopays.errors import UsageError
from whopays.model.encoder import Encoder
from whopays.model.folder import save_model
from whopays.tagger import default_model_folder
from whopays.training.fitting import FitOptions, encode_examples, fit_heads

_ENCODER_FILES = ("encoder.onnx", "tokenizer.json")


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
) -> str:
    """Fit heads on a frozen encoder and write a model folder; returns a report for people.

    ``encoder``: a folder with encoder.onnx and tokenizer.json (default: the encoder of the model that comes with
    whopays). ``calibration_ids``: see `fit_heads`; needed where the encoder was tuned on the corpus. ``weights``: how often
    an example counts, by id (default 1). ``card`` completes the
    model card's text. The same input gives the same bytes. Raises `UsageError` if the corpus is empty or too small,
    `RecordError` for a broken line, `CodebookError` and `ModelError` for the files they name.
    """
    options = options or FitOptions()
    codebook = Codebook.load(codebook_path)
    examples = [example for path in corpus for example in load_examples(path, codebook)]
    if not examples:
        raise UsageError(f"{', '.join(map(str, corpus))}: found no examples, expected labelled texts.")
    source = Path(encoder) if encoder is not None else default_model_folder()
    output = Path(output)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{output}: cannot make this folder ({error.strerror}); give another --output.") from None
    if source.resolve() != output.resolve():
        for file in _ENCODER_FILES:
            if not (source / file).is_file():
                raise UsageError(f"{source}: {file} is missing; give the folder of an exported encoder or of a model.")
            shutil.copyfile(source / file, output / file)
    sentences = encode_examples(examples, codebook, Encoder(output))
    calibration = {index for index, example in enumerate(examples) if example.id in set(calibration_ids)}
    counts = {index: weights[example.id] for index, example in enumerate(examples) if example.id in weights}
    heads, report = fit_heads(examples, sentences, codebook, options, calibration, counts)
    data = {str(Path(path).name): hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16] for path in corpus}
    settings = {"data": data, "texts": len(examples), "sentences": len(sentences), "folds": options.folds}
    settings |= {
        "calibration_texts": len(calibration),
        "sentence_c": options.sentence_c,
        "token_c": options.token_c,
        "seed": options.seed,
    }
    text = Path(codebook_path).read_text(encoding="utf-8")
    identifier = save_model(
        output, name, text, heads, settings, card(_card(name, codebook, examples, report, settings))
    )
    lines = [f"{identifier}: {len(examples)} texts, {len(sentences)} sentences, written to {output}", ""]
    lines.append(_report_table(report, options))
    return "\n".join(lines) + "\n"


def _report_table(report: dict[str, Any], options: FitOptions) -> str:
    rows = [f"{'label':<18}{'positive sentences':>19}{'threshold':>11}{'out-of-fold F1':>16}"]
    for label, row in report.items():
        few = "  too few examples: never given" if row["positive_sentences"] < max(options.min_positive, 2) else ""
        rows.append(f"{label:<18}{row['positive_sentences']:>19}{row['threshold']:>11.2f}{row['f1']:>16.3f}{few}")
    return "\n".join(rows)


def _card(
    name: str, codebook: Codebook, examples: Sequence[Example], report: dict[str, Any], settings: dict[str, Any]
) -> str:
    free = sum(not example.spans for example in examples)
    rows = "\n".join(
        f"| {label} | {r['positive_sentences']} | {r['threshold']:.2f} | {r['f1']:.3f} |" for label, r in report.items()
    )
    data = "\n".join(f"- `{file}`, SHA-256 {digest}…" for file, digest in settings["data"].items())
    return f"""# {name}

A tagger for the codebook *{codebook.title}* ({codebook.name} {codebook.version}, {codebook.hash}). Fitted by `whopays train`.

Data: {len(examples)} texts, {free} of them without any claim, {settings["sentences"]} sentences.

{data}

Settings: logistic regression on frozen sentence vectors (C = {settings["sentence_c"]}) and on token vectors inside labelled
sentences (C = {settings["token_c"]}), Platt scaling and thresholds on {settings["folds"]}-fold out-of-fold scores, seed
{settings["seed"]}.

F1 below is out of fold on the training texts, at thresholds chosen on the same scores: an upper bound, not a test.

| label | positive sentences | threshold | out-of-fold F1 |
|---|---|---|---|
{rows}
"""
