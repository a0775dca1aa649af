"""What the tests share: the model that comes with the package, loaded once, and cheap copies of its folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from whopays.codebook import Codebook
from whopays.tagger import Tagger, load, model_folder


@pytest.fixture(scope="session")
def tagger() -> Tagger:
    """The quick model, for what holds with any."""
    return load("small", threads=2)


@pytest.fixture(scope="session")
def best_tagger() -> Tagger:
    return load(threads=2)


@pytest.fixture(scope="session")
def codebook(tagger: Tagger) -> Codebook:
    return tagger.codebook


@pytest.fixture
def model_copy(tmp_path: Path) -> Path:
    """The small model's folder, to be tampered with; the large encoder is a link, so replace it and never write to it."""
    source, copy = model_folder("small"), tmp_path / "model"
    copy.mkdir()
    for file in source.iterdir():
        if file.name == "encoder.onnx":
            (copy / file.name).symlink_to(file.resolve())
        else:
            shutil.copyfile(file, copy / file.name)
    return copy
