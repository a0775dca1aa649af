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


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained encoder of one layer that reads letters."""
    torch = pytest.importorskip("torch")
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import BertProcessing
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny")
    letters = [chr(c) for c in range(33, 127)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *("##" + letter for letter in letters)]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder
