"""The model folder and what refuses it, windows, evidence decoding, and `whopays train`."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whopays.cli import main
from whopays.codebook import Codebook
from whopays.errors import CodebookError, ModelError, RecordError, UsageError
from whopays.model import decoding
from whopays.model.decoding import evidence, trim
from whopays.model.encoder import CONTEXT, WINDOW, Encoder, Encoding, _windows, map_ordered, session_options
from whopays.model.folder import FORMAT, Model, Parts, load_model, save_model
from whopays.model.gate import Gate, neighbourhoods
from whopays.model.heads import Heads, pool
from whopays.model.operating import NEVER, Curves
from whopays.tagger import Tagger, load, model_folder
from whopays.training.training import train

# The quicker model, for what any model must do.
SMALL = model_folder("small")
FILES = ["codebook.toml", "encoder.onnx", "heads.safetensors", "model.json", "tokenizer.json"]
OTHER_CODEBOOK = """
name = "fees"
version = "1"
title = "Fees and funders"
[groups.money]
title = "Money"
question = "What about money?"
field = "money"
[[labels]]
id = "fee"
mark = "F"
group = "money"
definition = "The learner pays a fee."
[[labels]]
id = "grant"
mark = "G"
group = "money"
definition = "The state gives a grant."
"""


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(SMALL)


@pytest.fixture(scope="module")
def encoder(model: Model) -> Encoder:
    return model.encoder


def parts(model: Model) -> Parts:
    return Parts(model.heads, model.gate, model.curves)


def sign(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change model.json as somebody would who also makes its id fit."""
    path = folder / "model.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest)
    manifest.pop("id", None)
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:12]
    path.write_text(json.dumps({"id": f"{manifest.get('name')}-{digest}", **manifest}), encoding="utf-8")


# -- the folder ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_folder_without_a_file_is_refused_by_the_files_name(model_copy: Path, name: str) -> None:
    (model_copy / name).unlink()
    with pytest.raises(ModelError) as caught:
        load_model(model_copy)
    assert str(caught.value).startswith(f"{model_copy / name}: ")


def test_a_misspelt_folder_is_said_not_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="modle: there is no such model folder"):
        load_model(tmp_path / "modle")


@pytest.mark.parametrize("name", [name for name in FILES if name != "model.json"])
def test_file_with_another_checksum_is_refused_by_name(model_copy: Path, name: str) -> None:
    content = (model_copy / name).read_bytes()
    (model_copy / name).unlink()
    (model_copy / name).write_bytes(content + b"\n")
    with pytest.raises(ModelError, match="checksum") as caught:
        load_model(model_copy)
    assert str(caught.value).startswith(f"{model_copy / name}: ")


def test_manifest_with_a_changed_threshold_is_refused(model_copy: Path) -> None:
    path = model_copy / "model.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["heads"]["threshold"][0] = 0.01
    path.write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ModelError, match="changed") as caught:
        load_model(model_copy)
    assert str(caught.value).startswith(f"{path}: ")


def test_manifest_in_another_layout_is_still_the_same_model(model_copy: Path, model: Model) -> None:
    path = model_copy / "model.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(manifest, indent=4, sort_keys=True), encoding="utf-8")
    assert load_model(model_copy).id == model.id


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'"model"', b"{}", b"\xff\xfe", b"null"],
    ids=["empty", "cut", "list", "string", "no-keys", "not-utf8", "null"],
)
def test_broken_manifest_is_refused_by_name(model_copy: Path, content: bytes) -> None:
    (model_copy / "model.json").write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load_model(model_copy)
    assert str(caught.value).startswith(f"{model_copy / 'model.json'}: ")


@pytest.mark.parametrize("key", ["id", "format", "codebook", "heads", "files"])
def test_manifest_without_a_key_is_refused_by_the_keys_name(model_copy: Path, key: str) -> None:
    path = model_copy / "model.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    del manifest[key]
    path.write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ModelError, match=f"'{key}'"):
        load_model(model_copy)


def test_another_format_is_refused_with_both_names(model_copy: Path) -> None:
    sign(model_copy, lambda manifest: manifest.update(format="whopays-model/99"))
    with pytest.raises(ModelError, match="whopays-model/99") as caught:
        load_model(model_copy)
    assert FORMAT in str(caught.value)


@pytest.mark.parametrize("field", ["slope", "threshold", "token_offset"])
@pytest.mark.parametrize("value", [[0.5], 0.5, "high", None], ids=["short", "scalar", "word", "null"])
def test_heads_that_do_not_fit_the_labels_are_refused(model_copy: Path, field: str, value: object) -> None:
    sign(model_copy, lambda manifest: manifest["heads"].update({field: value}))
    with pytest.raises(ModelError) as caught:
        load_model(model_copy)
    assert str(caught.value).startswith(f"{model_copy}: ")


def test_heads_of_another_width_are_refused(model_copy: Path, model: Model) -> None:
    text = (model_copy / "codebook.toml").read_text(encoding="utf-8")
    narrow = replace(model.heads, token_weights=model.heads.token_weights[:, :-1])
    save_model(model_copy, "narrow", text, replace(parts(model), heads=narrow), {}, "")
    with pytest.raises(ModelError, match="token_weights"):
        load_model(model_copy)


def test_model_of_another_codebook_is_refused_with_both_names(model: Model) -> None:
    other = Codebook.parse(OTHER_CODEBOOK)
    with pytest.raises(ModelError, match="made for the codebook 'who-pays'") as caught:
        load(codebook=other)
    assert "'fees'" in str(caught.value)
    assert other.hash in str(caught.value)
    assert load(codebook=model.codebook).codebook == model.codebook


def test_exchanged_codebook_file_is_refused_even_with_a_fitting_checksum(model_copy: Path) -> None:
    path = model_copy / "codebook.toml"
    path.write_text(OTHER_CODEBOOK, encoding="utf-8")
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    sign(model_copy, lambda manifest: manifest["files"].update({path.name: checksum}))
    with pytest.raises(ModelError, match="fitted for"):
        load_model(model_copy)


@pytest.mark.parametrize("name", ["missing", "file.txt"])
def test_a_path_that_is_no_model_folder_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").write_text("text", encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        load(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_every_file_of_the_folder_is_covered_by_a_checksum(model_copy: Path) -> None:
    manifest = json.loads((model_copy / "model.json").read_text(encoding="utf-8"))
    assert {file.name for file in model_copy.iterdir()} == {*manifest["files"], "model.json", "README.md"}


def test_saved_model_loads_to_the_same_scores(model_copy: Path, model: Model, tmp_path: Path) -> None:
    text = "Students now pay $5,500 a year, and the state has cut its grants. Firms reimburse nobody."
    codebook_text = (model_copy / "codebook.toml").read_text(encoding="utf-8")
    ids = [save_model(model_copy, "copy", codebook_text, parts(model), model.settings, "card") for _ in range(2)]
    loaded = load_model(model_copy)
    assert ids == [loaded.id, loaded.id]
    assert loaded.settings == model.settings
    before, after = Tagger(model).tag(text), Tagger(loaded).tag(text)
    assert (after.scores, after.spans, after.thresholds) == (before.scores, before.spans, before.thresholds)
    assert after.model.startswith("copy-")


def test_another_threshold_makes_another_id(model_copy: Path, model: Model) -> None:
    text = (model_copy / "codebook.toml").read_text(encoding="utf-8")
    first = save_model(model_copy, "m", text, parts(model), {}, "")
    moved = replace(model.heads, threshold=model.heads.threshold + 0.01)
    second = save_model(model_copy, "m", text, replace(parts(model), heads=moved), {}, "")
    assert first != second


def test_files_that_were_saved_may_be_read_by_whoever_may_read_new_files(model_copy: Path, model: Model) -> None:
    text = (model_copy / "codebook.toml").read_text(encoding="utf-8")
    for name in ("heads.safetensors", "model.json"):
        (model_copy / name).unlink()
    save_model(model_copy, "m", text, parts(model), {}, "")
    assert (model_copy / "heads.safetensors").stat().st_mode == (model_copy / "model.json").stat().st_mode


def test_saving_without_an_encoder_is_refused(tmp_path: Path, model: Model) -> None:
    text = (SMALL / "codebook.toml").read_text(encoding="utf-8")
    with pytest.raises(ModelError, match=r"encoder\.onnx"):
        save_model(tmp_path, "m", text, parts(model), {}, "")


def test_damaged_encoder_is_refused_by_folder(tmp_path: Path) -> None:
    (tmp_path / "encoder.onnx").write_bytes(b"no graph")
    shutil.copyfile(SMALL / "tokenizer.json", tmp_path / "tokenizer.json")
    with pytest.raises(ModelError) as caught:
        Encoder(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: ")


# -- windows ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3 * WINDOW), max_size=30))
def test_kept_parts_of_windows_tile_the_tokens_exactly(lengths: list[int]) -> None:
    windows = _windows(lengths)
    assert [index for _, keep, end in windows for index in range(keep, end)] == list(range(sum(lengths)))
    assert all(begin <= keep < end <= begin + WINDOW for begin, keep, end in windows)
    assert all(keep - begin == min(keep, CONTEXT) for begin, keep, _ in windows)


@given(st.lists(st.integers(0, 2 * WINDOW), max_size=30))
def test_windows_cut_a_segment_only_where_it_does_not_fit(lengths: list[int]) -> None:
    edges = {sum(lengths[:count]) for count in range(len(lengths) + 1)}
    for begin, keep, end in _windows(lengths):
        assert end in edges or not any(keep < edge <= begin + WINDOW for edge in edges)


def encode(encoder: Encoder, *segments: str) -> list[Encoding]:
    """The encodings of one document's segments."""
    (document,) = encoder.encode_all([[encoder.tokenize(text) for text in segments]])
    return document


@pytest.mark.parametrize("words", [1, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW, 3 * WINDOW + 7])
def test_segment_of_any_length_has_a_vector_for_every_token(encoder: Encoder, words: int) -> None:
    text = " ".join(["fees"] * words)
    for encoding, count in zip(encode(encoder, text, "fees", text), (words, 1, words), strict=True):
        assert encoding.states.shape == (count, encoder.width)
        assert np.abs(encoding.states).sum(axis=1).all()
        assert encoding.starts.tolist() == list(range(0, 5 * count, 5))
        assert encoding.ends.tolist() == list(range(4, 5 * count, 5))


def test_words_behind_the_first_window_change_the_scores(model: Model) -> None:
    filler = " ".join(["and the committee met again in the hall"] * 40)
    (plain,) = encode(model.encoder, filler)
    (with_claim,) = encode(model.encoder, filler + " where students pay the whole tuition" * 8)
    assert not np.allclose(model.heads.sentence_scores(plain), model.heads.sentence_scores(with_claim))


@pytest.mark.parametrize("text", ["\x00", "\u200b", "\ufeff"])
def test_segment_without_tokens_is_pooled_to_zeros(encoder: Encoder, text: str) -> None:
    attention = np.ones((3, encoder.width), dtype=np.float32)
    for encoding in (encode(encoder, text)[0], encode(encoder, "Fees rose.", text, "Fees fell.")[1]):
        assert encoding.states.shape == (0, encoder.width)
        assert not pool(encoding.states, attention).any()


def test_documents_without_segments_keep_their_place(encoder: Encoder) -> None:
    documents = [[], ["Fees rose."], [], ["\x00"], ["Fees fell.", "Who pays?"], []]
    tokens = [[encoder.tokenize(text) for text in document] for document in documents]
    encoded = list(encoder.encode_all(tokens, threads=2))
    assert [len(encodings) for encodings in encoded] == [0, 1, 0, 1, 2, 0]


ODD = ["\ud83d", "\ude00", "\ud83d\ude00", "\ude00\ud83d", "\U0001f600", "\x00", "\u0301", "\ufb01"]


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_token_offsets_index_the_text_that_was_given(encoder: Encoder, odd: str) -> None:
    text = f"{odd} students {odd}{odd} pay {odd}"
    (encoding,) = encode(encoder, text)
    found = {text[a:b] for a, b in zip(encoding.starts, encoding.ends, strict=True)}
    assert {"students", "pay"} <= found


def test_ordered_map_keeps_the_order_and_stays_close_to_its_consumer() -> None:
    taken = 0

    def numbers() -> Any:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    results = map_ordered(lambda number: -number, numbers(), 3)
    assert [next(results) for _ in range(5)] == [0, -1, -2, -3, -4]
    assert taken <= 5 + 4 * 3
    assert list(results) == [-number for number in range(5, 1000)]


# -- evidence --------------------------------------------------------------------------------------------------------

PIECES = [
    "pay",
    "fees",
    "Students",
    "(a)",
    "(",
    ")",
    "—",
    ".",
    "“",
    "”",
    "*",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\u00a0",
    "\u3000",
]
PIECES += ["\U0001f600", "e\u0301", "\u00ad", "!", "5,500", "$", "\x00", "\x1c", "\u200b"]
sentences = st.lists(st.sampled_from(PIECES), min_size=1, max_size=30).map("".join).filter(lambda text: text.strip())


@st.composite
def scored_sentences(draw: st.DrawFn) -> tuple[str, Encoding, np.ndarray[Any, np.dtype[np.float64]]]:
    """A sentence, tokens somewhere in it, and a score for each."""
    text = draw(sentences)
    starts = sorted(draw(st.sets(st.integers(0, len(text) - 1), max_size=20)))
    scores = draw(st.lists(st.floats(-9, 9), min_size=len(starts), max_size=len(starts)))
    offsets = np.array(starts, dtype=np.int64)
    encoding = Encoding(np.zeros((len(starts), 2), dtype=np.float32), offsets, offsets + 1)
    return text, encoding, np.array(scores, dtype=np.float64)


@settings(max_examples=400, deadline=None)
@given(scored_sentences())
def test_evidence_is_never_empty_lies_inside_and_is_trimmed_ordered_and_disjoint(
    case: tuple[str, Encoding, np.ndarray[Any, np.dtype[np.float64]]],
) -> None:
    text, encoding, scores = case
    spans = evidence(text, encoding, scores)
    assert 1 <= len(spans) <= 3
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
    for start, end in spans:
        piece = text[start:end]
        assert piece == piece.strip()
        if trim(text, 0, len(text)):
            assert trim(text, start, end) == (start, end)


@settings(deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=12))
def test_the_strongest_run_has_the_largest_sum_of_all_runs(values: list[int]) -> None:
    first, last, total = next(decoding._maximal_runs([float(value) for value in values]))
    shortest = min(3, len(values))
    sums = [sum(values[a:b]) for a in range(len(values)) for b in range(a + shortest, len(values) + 1)]
    assert total == sum(values[first : last + 1]) == max(sums)


def scored_words(text: str, *scores: float) -> list[str]:
    """The evidence in a sentence whose every word is one token."""
    starts = np.array([text.index(word) for word in text.split()])
    encoding = Encoding(np.zeros((len(starts), 1), dtype=np.float32), starts, starts + 1)
    return [text[a:b] for a, b in evidence(text, encoding, np.array(scores))]


def test_evidence_is_the_run_of_words_that_speaks_for_the_label() -> None:
    assert scored_words("Yes, students pay twice, we hear.", -1, 2, 3, 1, -1, -1) == ["students pay twice"]


@pytest.mark.parametrize(
    ("text", "scores", "kept"),
    [
        ("Employers pay in name: the cost falls", (2, 2, 1, 1, 0.5, 0.5, -3), "Employers pay in name"),
        ("see below; students pay every fee", (0.5, 0.5, 2, 2, 1, 1), "students pay every fee"),
        ("the firm pays (by law) for it", (1, 2, 2, 1, 1, 0.3, -3), "the firm pays (by law)"),
        ("we agreed — students pay every fee", (0.5, 0.3, 0, 2, 2, 1, 1), "students pay every fee"),
    ],
)
def test_a_few_weak_words_beyond_a_colon_or_the_like_are_left_off(
    text: str, scores: tuple[float, ...], kept: str
) -> None:
    assert scored_words(text, *scores) == [kept]


def test_words_beyond_a_colon_stay_where_they_are_strong_or_many_or_where_too_few_would_be_left() -> None:
    assert scored_words("Employers pay in name: others always settle", 1, 1, 1, 1, 1, 1, 1) == [
        "Employers pay in name: others always settle"
    ]
    six = "Learners pay all of it: one two three four five six"
    assert scored_words(six, *(9, 9, 9, 9, 9), *(1, 1, 1, 1, 1, 1)) == [six]
    assert scored_words("Fees: students pay", 0.1, 3, 3) == ["Fees: students pay"]


def test_a_second_stretch_counts_only_if_it_is_at_least_half_as_strong() -> None:
    assert scored_words("a b c d e f g", 2, 1, 1, -9, 1, 0.5, 0.5) == ["a b c", "e f g"]
    assert scored_words("a b c d e f g", 2, 1, 1, -9, 1, 0.5, 0.4) == ["a b c"]


def test_evidence_exists_even_where_every_word_speaks_against() -> None:
    assert scored_words("nobody here pays at all", -3, -1, -1, -1, -2) == ["here pays at"]


def test_where_the_best_word_is_mere_punctuation_the_trimmed_sentence_is_the_evidence() -> None:
    assert scored_words("“Students pay” —", -1, -1, 5) == ["Students pay"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("“Who pays?”", "Who pays"),
        ("the levy (of 1%)", "the levy (of 1%)"),
        ("the levy)", "the levy"),
        ("les frais\u00a0!", "les frais"),
        ("\u3000fees\u2028", "fees"),
        ("• fees", "fees"),
    ],
)
def test_punctuation_and_blanks_at_the_edges_are_left_off(text: str, kept: str) -> None:
    assert trim(text, 0, len(text)) == (text.index(kept), text.index(kept) + len(kept))


def test_nothing_is_left_of_mere_punctuation() -> None:
    assert trim("—… !", 0, 4) is None


# -- heads -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2))
def test_calibrated_scores_are_probabilities_and_rise_with_the_logit(logits: list[float]) -> None:
    one = np.ones(1)
    heads = Heads(one[None], one[None], one, one[None], one, one, 0 * one, one, one)
    low, high = heads.calibrate(np.array(sorted(logits)))
    assert 0 < low <= high <= 1


def states(*rows: list[float]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(rows, dtype=np.float32)


def test_attention_of_zeros_pools_to_the_mean() -> None:
    pooled = pool(states([1, 0], [0, 1], [0, 1]), np.zeros((1, 2), dtype=np.float32))
    assert pooled[0] == pytest.approx(np.array([1, 2]) / np.sqrt(5))


def test_attention_picks_the_tokens_that_a_label_looks_for() -> None:
    pooled = pool(states([9, 0], [0, 9], [0, 9]), np.array([[5, 0], [0, 5]], dtype=np.float32))
    assert pooled == pytest.approx(np.eye(2))


# -- the gate and thresholds for a wanted precision -------------------------------------------------------------------


def test_a_sentences_neighbours_are_two_on_each_side_and_not_itself() -> None:
    sentences = [np.array([number, 10]) for number in range(5)]
    near = [set(pieces.tolist()) for _, pieces in neighbourhoods(sentences)]
    assert near == [{1, 2, 10}, {0, 2, 3, 10}, {0, 1, 3, 4, 10}, {1, 2, 4, 10}, {2, 3, 10}]


def test_a_gate_adds_the_weights_of_each_piece_once_and_passes_from_its_threshold_on() -> None:
    gate = Gate(own=np.array([0.0, 1.0, 2.0]), near=np.array([0.0, 0.5, 0.0]), bias=-1.0, threshold=1.0)
    sentences = [np.array([2, 2]), np.array([1]), np.array([], dtype=np.int64)]
    assert gate.scores(sentences).tolist() == [1.5, 0.0, -0.5]
    assert gate.passes(sentences).tolist() == [True, False, False]
    assert Gate.open().passes(sentences).all()


def test_products_of_bytes_are_exact_on_this_processor() -> None:
    """Without VNNI they saturated in 16 bits, and the large model found nothing in any text."""
    import onnx
    import onnxruntime

    size, value, weight = 64, 255, 127
    weights = onnx.numpy_helper.from_array(np.full((size, 8), weight, dtype=np.int8), "weights")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMulInteger", ["values", "weights"], ["products"])],
        "product",
        [onnx.helper.make_tensor_value_info("values", onnx.TensorProto.UINT8, [1, size])],
        [onnx.helper.make_tensor_value_info("products", onnx.TensorProto.INT32, [1, 8])],
        [weights],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), session_options(), providers=["CPUExecutionProvider"]
    )
    products = session.run(None, {"values": np.full((1, size), value, dtype=np.uint8)})[0]
    assert products.tolist() == [[size * value * weight] * 8]


def test_sentences_that_were_asked_for_get_the_same_vectors_as_without_a_gate(encoder: Encoder) -> None:
    texts = [f"Sentence number {number} says that somebody paid a fee of {number} crowns." for number in range(60)]
    tokens = [encoder.tokenize(text) for text in texts]
    wanted = np.zeros(60, dtype=np.bool_)
    wanted[[0, 41, 59]] = True
    (everything,) = encoder.encode_all([tokens])
    (some,) = encoder.encode_all([tokens], wanted=[wanted])
    for index in np.flatnonzero(wanted):
        assert np.array_equal(everything[index].states, some[index].states)
    assert any(not encoding.states.any() for encoding in some)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=30, max_size=200), st.floats(0.05, 1))
def test_the_precision_asked_for_holds_where_it_was_measured(items: list[tuple[float, bool]], wanted: float) -> None:
    scores = np.array([[score] for score, _ in items])
    gold = np.array([[right] for _, right in items])
    curves = Curves.measure(scores, gold)
    (threshold,) = curves.for_precision(wanted)
    (point,) = curves.at([threshold])
    given = scores[:, 0] >= threshold - 1e-9
    if threshold == NEVER:
        assert point.recall == 0
    else:
        assert gold[given].mean() >= wanted
        assert point.precision == pytest.approx(gold[given].mean())
        assert point.recall == pytest.approx(gold[given].sum() / max(gold.sum(), 1))


# -- whopays train ---------------------------------------------------------------------------------------------------


def example(number: int, text: str, label: str = "", quote: str = "") -> dict[str, object]:
    start = text.index(quote)
    spans = [{"label": label, "start": start, "end": start + len(quote)}] if label else []
    return {"id": str(number), "text": text, "spans": spans}


def small_corpus() -> list[dict[str, object]]:
    items = ["nursing", "welding", "law", "cookery", "coding", "dance", "farming", "teaching"]
    texts = [(f"Students of {item} pay a fee of 300 dollars.", "fee", "pay a fee of 300 dollars") for item in items]
    texts += [
        (f"Each school of {item} gets a grant from the state.", "grant", "a grant from the state") for item in items
    ]
    texts += [(f"The museum of {item} opens at nine. It is closed on Mondays.", "", "") for item in items]
    return [example(number, *text) for number, text in enumerate(texts)]


def write_lines(path: Path, records: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.fixture
def codebook_file(tmp_path: Path) -> Path:
    path = tmp_path / "fees.toml"
    path.write_text(OTHER_CODEBOOK, encoding="utf-8")
    return path


def test_training_twice_gives_the_same_bytes_and_a_model_that_tags(
    tmp_path: Path, codebook_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = write_lines(tmp_path / "corpus.jsonl", small_corpus())
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        command = ["train", "--corpus", str(corpus), "--codebook", str(codebook_file), "--output", str(folder)]
        assert main([*command, "--name", "fees"]) == 0
    assert "24 texts, 32 sentences" in capsys.readouterr().out
    contents = [{file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders]
    assert sorted(contents[0]) == sorted([*FILES, "embeddings.bin", "README.md"])
    assert contents[0] == contents[1]

    tagger = load(folders[0], codebook=Codebook.load(codebook_file))
    assert tagger.model_id.startswith("fees-")
    result = tagger.tag("Students of music pay a fee of 200 dollars.")
    assert result.money == result.labels == ("fee",)
    assert "fee" in result.spans[0].text
    assert tagger.tag("The museum of music opens at ten.").labels == ()


def test_training_can_write_into_the_folder_of_its_encoder(
    model_copy: Path, tmp_path: Path, codebook_file: Path
) -> None:
    corpus = write_lines(tmp_path / "corpus.jsonl", small_corpus())
    train([corpus], codebook_file, model_copy, encoder=model_copy)
    assert load(model_copy).codebook.name == "fees"


def test_label_with_too_few_examples_is_reported_and_never_given(tmp_path: Path, codebook_file: Path) -> None:
    records = small_corpus()
    corpus = write_lines(tmp_path / "corpus.jsonl", records[:8] + records[8:11] + records[16:])
    report = train([corpus], codebook_file, tmp_path / "model")
    assert "never given" in next(line for line in report.splitlines() if line.startswith("grant"))
    result = load(tmp_path / "model").tag("Each school of law gets a grant from the state.")
    assert "grant" not in result.labels


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "no examples"),
        (small_corpus()[:3], "write more examples"),
        (small_corpus()[16:], "write more examples"),
        (small_corpus()[:8], "without"),
        ([{"id": "1", "text": " ", "spans": []}], "write more examples"),
    ],
    ids=["empty", "few", "unlabelled", "no-negatives", "blank"],
)
def test_corpus_that_cannot_teach_is_refused(
    tmp_path: Path, codebook_file: Path, records: list[dict[str, object]], message: str
) -> None:
    corpus = write_lines(tmp_path / "corpus.jsonl", records)
    with pytest.raises(UsageError, match=message):
        train([corpus], codebook_file, tmp_path / "model")


def test_training_names_the_file_that_is_wrong(tmp_path: Path, codebook_file: Path) -> None:
    corpus = write_lines(tmp_path / "corpus.jsonl", small_corpus())
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "a", "spans": []}\n{"text": \n', encoding="utf-8")
    occupied = tmp_path / "occupied"
    occupied.write_text("a file", encoding="utf-8")
    with pytest.raises(RecordError, match=r"broken\.jsonl, line 2"):
        train([broken], codebook_file, tmp_path / "model")
    with pytest.raises(UsageError, match=r"missing\.jsonl"):
        train([tmp_path / "missing.jsonl"], codebook_file, tmp_path / "model")
    with pytest.raises(CodebookError, match=r"missing\.toml"):
        train([corpus], tmp_path / "missing.toml", tmp_path / "model")
    with pytest.raises(UsageError, match="nowhere"):
        train([corpus], codebook_file, tmp_path / "model", encoder=tmp_path / "nowhere")
    with pytest.raises(UsageError, match="occupied"):
        train([corpus], codebook_file, occupied)
