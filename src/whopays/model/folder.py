"""A model folder: what it holds, with checksums, and nothing that is unpickled.

model.json           name, format, codebook hash, calibration, settings, and the SHA-256 of every other file
codebook.toml        the label scheme
encoder.onnx         token ids -> token vectors
embeddings.bin       a part of encoder.onnx's weights, where it would be too large for one file
tokenizer.json       text -> token ids with offsets
heads.safetensors    sentence, token and gate weights
README.md            the model card
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from whopays.codebook import Codebook
from whopays.errors import CodebookError, ModelError
from whopays.model.encoder import GRAPH, Encoder
from whopays.model.gate import Gate
from whopays.model.heads import Heads
from whopays.model.operating import Curves

FORMAT = "whopays-model/2"
ENCODER_FILES = (GRAPH, "embeddings.bin", "tokenizer.json")
#: The same of a model that was exported for transformers, which is read by `whopays.integrations.transformers`. Its folder may
#: hold the graph too: then both read it.
TRANSFORMERS_FILES = ("config.json", "model.safetensors", "tokenizer.json")
OPTIONAL_FILES = ("embeddings.bin",)
_WEIGHTS = ("attention", "sentence_weights", "sentence_bias", "token_weights", "token_bias")
_MATRICES = ("attention", "sentence_weights", "token_weights")
_NUMBERS = re.compile(r"\[[\s\d.,e+-]+\]")
_GATE = {"gate_own": "own", "gate_near": "near"}


@dataclass(frozen=True)
class Parts:
    """What is fitted on an encoder: heads, the gate in front of it, and what thresholds do on unseen texts."""

    heads: Heads
    gate: Gate
    curves: Curves


@dataclass(frozen=True)
class Model:
    """A loaded model folder. ``id`` names the model and the hash of its files, so that equal ids mean equal scores."""

    id: str
    codebook: Codebook
    encoder: Encoder
    heads: Heads
    gate: Gate
    curves: Curves
    settings: dict[str, Any]


def load_model(
    folder: str | Path,
    codebook: Codebook | None = None,
    files: Sequence[str] = ENCODER_FILES,
    encoder: Callable[[Path], Encoder] = Encoder,
) -> Model:
    """Load and verify a model folder; ``files`` are those that ``encoder`` reads, where they are another runtime's.

    Raises `ModelError` if a file is missing or its checksum is wrong, if the folder has another format, or if it was
    made for another codebook than the one given.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelError(f"{folder}: there is no such model folder; check the path, or give a model's name.")
    manifest = read_manifest(folder)
    if GRAPH in files and GRAPH not in manifest["files"] and set(TRANSFORMERS_FILES) <= set(manifest["files"]):
        raise ModelError(
            f"{folder}: was exported for transformers without {GRAPH}; export its model again, with --onnx, or use "
            "pipeline('claim-tagging')."
        )
    for name in _checked(files):
        expected = manifest["files"].get(name)
        if expected is None and name in OPTIONAL_FILES:
            continue
        found = file_sha256(folder / name)
        if found != expected:
            raise ModelError(
                f"{folder / name}: checksum {found[:12]}… differs from {str(expected)[:12]}… in model.json; "
                "the file was changed or damaged, install or build the model again."
            )
    own = _codebook(folder)
    if own.hash != manifest["codebook"]:
        raise ModelError(
            f"{folder}: codebook.toml has hash {own.hash}, but the model was fitted for {manifest['codebook']}."
        )
    if codebook is not None and codebook.hash != own.hash:
        raise ModelError(
            f"{folder}: made for the codebook {own.name!r} ({own.hash}), expected {codebook.name!r} ({codebook.hash}); "
            "load it without a codebook, or train a model for yours with `whopays train`."
        )
    runtime = encoder(folder)
    parts = _parts(folder, manifest, own, runtime)
    return Model(manifest["id"], own, runtime, parts.heads, parts.gate, parts.curves, manifest.get("settings", {}))


def save_model(
    folder: str | Path,
    name: str,
    codebook_text: str,
    parts: Parts,
    settings: dict[str, Any],
    card: str,
    encoder_files: Sequence[str] = ENCODER_FILES,
) -> str:
    """Write fitted parts, codebook, card and manifest beside the encoder already in ``folder``; returns the model's id.

    The same input gives the same bytes. Raises `ModelError` if the encoder's files are not there.
    """
    from safetensors.numpy import save

    folder = Path(folder)
    (folder / "codebook.toml").write_text(codebook_text, encoding="utf-8", newline="\n")
    arrays = {key: getattr(parts.heads, key) for key in _WEIGHTS}
    arrays |= {key: getattr(parts.gate, name) for key, name in _GATE.items()}
    weights = {key: np.ascontiguousarray(array, dtype=np.float32) for key, array in arrays.items()}
    (folder / "heads.safetensors").write_bytes(save(weights))
    present = [file for file in _checked(encoder_files) if file not in OPTIONAL_FILES or (folder / file).is_file()]
    files = {file: file_sha256(folder / file) for file in present}
    codebook = Codebook.parse(codebook_text)
    # Rounded, because the last digits of an iterative fit depend on the machine, and nobody reads them.
    vectors = {
        key: [round(float(x), 6) for x in value] for key, value in asdict(parts.heads).items() if key not in _WEIGHTS
    }
    manifest = {
        "format": FORMAT,
        "name": name,
        "codebook": codebook.hash,
        "labels": list(codebook.ids),
        "heads": vectors,
        # JSON knows no infinity: null stands for the open gate's.
        "gate": {"bias": parts.gate.bias, "threshold": parts.gate.threshold if len(parts.gate.own) else None},
        "curves": {key: value.tolist() for key, value in asdict(parts.curves).items()},
    }
    manifest |= {"settings": settings, "files": files}
    manifest = {"id": _identifier(manifest), **manifest}
    # A list of numbers on a line of its own, not each number.
    text = _NUMBERS.sub(lambda numbers: " ".join(numbers[0].split()), json.dumps(manifest, indent=1))
    (folder / "model.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    (folder / "README.md").write_text(card, encoding="utf-8", newline="\n")
    return str(manifest["id"])


def _checked(encoder_files: Sequence[str]) -> tuple[str, ...]:
    """The files whose checksums the manifest holds."""
    return ("codebook.toml", *encoder_files, "heads.safetensors")


def _identifier(manifest: dict[str, Any]) -> str:
    """Name and hash of a manifest; the hash covers everything in it but the id itself."""
    content = {key: value for key, value in manifest.items() if key != "id"}
    return f"{manifest['name']}-{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]}"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex. Raises `ModelError` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ModelError(
            f"{path}: {reason}; a model folder holds model.json and {', '.join(_checked(ENCODER_FILES))}."
        ) from None


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a model folder, whose other files are not looked at. Raises `ModelError` if it is missing or damaged."""
    path = folder / "model.json"
    file_sha256(path)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        found = manifest["format"]
        if found != FORMAT:
            raise ModelError(f"{path}: found format {found!r}, expected {FORMAT!r}; get a model made for this version.")
        expected = {"id": str, "name": str, "files": dict, "codebook": str, "heads": dict, "gate": dict, "curves": dict}
        for key, kind in expected.items():
            if not isinstance(manifest[key], kind):
                raise TypeError(f"{key} is {type(manifest[key]).__name__}, expected {kind.__name__}")
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: not a model manifest ({error}); get or build the model again.") from None
    own = _identifier(manifest)
    if manifest["id"] != own:
        raise ModelError(
            f"{path}: the content has the id {own}, found {manifest['id']}; "
            "the file was changed or damaged, install or build the model again."
        )
    return dict(manifest)


def _codebook(folder: Path) -> Codebook:
    try:
        return Codebook.load(folder / "codebook.toml")
    except CodebookError as error:
        raise ModelError(f"{folder}: {error}") from None


def _parts(folder: Path, manifest: dict[str, Any], codebook: Codebook, encoder: Encoder) -> Parts:
    from safetensors.numpy import load_file

    weights = load_file(folder / "heads.safetensors")
    try:
        arrays = {
            field.name: np.asarray(
                weights[field.name] if field.name in _WEIGHTS else manifest["heads"][field.name], float
            )
            for field in fields(Heads)
        }
        threshold = manifest["gate"]["threshold"]
        gate = Gate(
            **{name: weights[key].astype(np.float64) for key, name in _GATE.items()},
            bias=float(manifest["gate"]["bias"]),
            threshold=-np.inf if threshold is None else float(threshold),
        )
        curves = Curves(**{field.name: np.asarray(manifest["curves"][field.name], float) for field in fields(Curves)})
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{folder}: the heads lack {error}; get or build the model again.") from None
    count = len(codebook.labels)
    row, matrix = (count,), (count, encoder.width)
    wrong = [name for name, array in arrays.items() if array.shape != (matrix if name in _MATRICES else row)]
    steps = (count, curves.thresholds.size)
    shapes = {"given": steps, "true": steps, "positives": row}
    wrong += [f"curves' {name}" for name, shape in shapes.items() if getattr(curves, name).shape != shape]
    if threshold is not None and not gate.own.shape == gate.near.shape == (encoder.vocabulary,):
        wrong.append("gate")
    if wrong:
        raise ModelError(
            f"{folder}: {', '.join(wrong)} do not fit {count} labels and vectors of {encoder.width} numbers; "
            "get or build the model again."
        )
    return Parts(Heads(**arrays), gate, curves)
