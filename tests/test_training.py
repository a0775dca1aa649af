"""Tuning, exporting and fitting on a tiny encoder made in the test: the whole way from passages to a model folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whopays.codebook import Codebook
from whopays.corpus.records import load_examples
from whopays.errors import UsageError
from whopays.model.folder import file_sha256
from whopays.tagger import load
from whopays.training.build import TUNED_ON, build, in_calibration
from whopays.training.finetuning import TuneOptions
from whopays.training.fitting import FitOptions, best_thresholds, folds

ROOT = Path(__file__).parents[1]
CODEBOOK = Codebook.load(ROOT / "corpus" / "codebook.toml")
FILES = ("encoder.onnx", "tokenizer.json", "heads.safetensors", "codebook.toml", "model.json", "README.md")


@pytest.fixture(scope="module")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
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


@pytest.fixture(scope="module")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "data").mkdir()
    (folder / "codebook.toml").write_bytes((ROOT / "corpus" / "codebook.toml").read_bytes())
    for split, size in (("train", 80), ("contrast", 40), ("seed", 12)):
        lines = (ROOT / "corpus" / "data" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        (folder / "data" / f"{split}.jsonl").write_text("\n".join(lines[:size]) + "\n", encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_building_a_model_twice_gives_the_same_bytes_and_a_folder_that_tags(tiny_base, small_corpus, tmp_path):
    options = TuneOptions(epochs=1, batch=8)
    for name in ("first", "second"):
        build(small_corpus, tiny_base, tmp_path / name, tmp_path / f"work-{name}", None, options, FitOptions(folds=2))
    first, second = ([file_sha256(tmp_path / name / file) for file in FILES] for name in ("first", "second"))
    assert first == second
    result = load(tmp_path / "first").tag("The state pays for the course.")
    assert set(result.scores) == set(CODEBOOK.ids)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_interrupted_build_goes_on_from_the_tuned_encoder(tiny_base, small_corpus, tmp_path, capsys):
    options = TuneOptions(epochs=1, batch=8)
    for name in ("first", "second"):
        build(small_corpus, tiny_base, tmp_path / name, tmp_path / "work", None, options, FitOptions(folds=2))
    assert capsys.readouterr().out.count("epoch 1 of 1") == 1


def test_no_held_out_text_and_no_seed_reaches_the_encoder():
    assert TUNED_ON == ("train", "contrast")


def test_members_of_a_pair_share_their_fold_and_their_calibration_part():
    examples = load_examples(ROOT / "corpus" / "data" / "contrast.jsonl", CODEBOOK)
    pair_of = [example.attributes["pair"] for example in examples]
    for fold in folds(examples, FitOptions()):
        inside = {pair_of[index] for index in fold}
        assert all(index in fold for index, pair in enumerate(pair_of) if pair in inside)
    parts = {pair: {in_calibration(e) for e in examples if e.attributes["pair"] == pair} for pair in set(pair_of)}
    assert all(len(part) == 1 for part in parts.values())


def test_folds_hold_every_example_once():
    examples = load_examples(ROOT / "corpus" / "data" / "seed.jsonl", CODEBOOK)
    indices = np.concatenate(folds(examples, FitOptions(folds=5)))
    assert sorted(indices) == list(range(len(examples)))


def test_threshold_separates_where_scores_do():
    scores = np.array([[0.1], [0.15], [0.2], [0.7], [0.8]])
    gold = np.array([[False], [False], [False], [True], [True]])
    thresholds, f1 = best_thresholds(scores, gold, np.array([True]))
    assert 0.2 < thresholds[0] <= 0.7
    assert f1 == [1.0]


def test_a_label_without_enough_examples_gets_a_threshold_that_is_never_reached():
    thresholds, _ = best_thresholds(np.array([[0.99]]), np.array([[True]]), np.array([False]))
    assert thresholds[0] > 1


def test_building_without_a_compiled_corpus_says_what_is_missing(tmp_path):
    (tmp_path / "codebook.toml").write_bytes((ROOT / "corpus" / "codebook.toml").read_bytes())
    with pytest.raises(UsageError, match="compile the corpus first"):
        build(tmp_path, tmp_path, tmp_path, tmp_path, None, TuneOptions(), FitOptions())
