"""The export to transformers, loaded by the stock classes, and the registered pipeline. The small model's float weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

import whopays.integrations.transformers
from whopays.cli import main
from whopays.corpus.records import load_examples
from whopays.errors import ModelError, UsageError
from whopays.integrations.transformers import ClaimTaggingPipeline, _rounded
from whopays.model.encoder import Encoder
from whopays.result import Result
from whopays.tagger import Tagger, model_folder
from whopays.training.float_export import OUTSIDE, _weights, export_transformers

pytestmark = pytest.mark.slow

HELD_OUT = Path(__file__).parents[1] / "corpus" / "data" / "heldout.jsonl"

TEXTS = [
    "😀 Students now pay $5,500 a year.\r\n\r\nFirms pass the cost on to work\u00aders, e\u0301tudiants too.",
    "The museum opens at nine.",
    "",
    "The state cut its grants, and employers no longer fund apprentices. The oﬃce’s fee rose.",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("transformers") / "small"
    assert main(["export-transformers", str(path), "--model", "small"]) == 0
    return path


@pytest.fixture(scope="module")
def tag(folder: Path) -> ClaimTaggingPipeline:
    made = pipeline("claim-tagging", model=str(folder), activations="float")
    assert isinstance(made, ClaimTaggingPipeline)
    return made


def float_encoder(folder: Path) -> Encoder:
    """The small model's own graph in ONNX Runtime, with its 8-bit products replaced by products of floats."""
    model = onnx.load(model_folder("small") / "encoder.onnx")
    graph = model.graph
    weights, _ = _weights(graph)
    source = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "DynamicQuantizeLinear"}
    source |= {node.output[0]: node.input[0] for node in graph.node if node.name.endswith("_mask")}
    gone = {"DynamicQuantizeLinear", "MatMulInteger"}
    nodes = []
    for node in graph.node:
        place = node.name.strip("/").split("/")
        if node.op_type == "MatMulInteger":
            matrix = np.ascontiguousarray(weights[f"{'.'.join(place[1:-1])}.weight"].T)
            graph.initializer.append(numpy_helper.from_array(matrix, f"{node.name}_float"))
            output = node.output[0].removesuffix("_output_quantized")
            given = source[node.input[0]]
            nodes.append(helper.make_node("MatMul", [source.get(given, given), f"{node.name}_float"], [output]))
        elif node.name.endswith("_sum"):
            # What was set apart is in the product already.
            nodes.append(helper.make_node("Identity", [node.input[0]], list(node.output)))
        elif node.name.endswith(("_mask", "_gather", "_apart")):
            continue
        elif node.op_type not in gone and "MatMul_quant" not in node.name and "_output_quantized_cast" not in node.name:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, folder / "encoder.onnx")
    shutil.copyfile(model_folder("small") / "tokenizer.json", folder / "tokenizer.json")
    return Encoder(folder)


def test_scores_are_those_of_the_same_weights_in_onnx_runtime(
    tag: ClaimTaggingPipeline, tagger: Tagger, tmp_path: Path
) -> None:
    floats = Tagger(replace(tagger._model, encoder=float_encoder(tmp_path)))
    for text, found in zip(TEXTS, tag(TEXTS), strict=True):
        expected = floats.tag(text)
        assert found["labels"] == list(expected.labels)
        assert found["scores"] == pytest.approx(expected.scores, abs=1e-3)
        assert [(s["label"], s["start"], s["end"]) for s in found["spans"]] == [
            (s.label, s.start, s.end) for s in expected.spans
        ]


def test_an_export_with_a_graph_gives_the_same_scores_in_both_runtimes(tmp_path: Path) -> None:
    both = tmp_path / "both"
    assert main(["export-transformers", str(both), "--model", "small", "--onnx"]) == 0
    tagger = whopays.load(both)
    passages = [example.text for example in load_examples(HELD_OUT, tagger.codebook) if len(example.text) < 2000]
    texts = [*TEXTS, *passages[::40]]
    results = [Result.from_dict(found) for found in pipeline("claim-tagging", model=str(both))(texts)]
    assert sum(len(result.labels) for result in results) > 5
    for found, expected in zip(results, tagger.tag_all(texts), strict=True):
        assert found.scores == pytest.approx(expected.scores, abs=2e-4)
        assert (found.labels, found.spans) == (expected.labels, expected.spans)
        assert found.model == expected.model

    assert "reads this folder too" in (both / "README.md").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="is an export itself, of minilm-"):
        export_transformers(tmp_path / "again", both)
    export_transformers(both, "small")
    with pytest.raises(
        ModelError, match=r"for transformers without encoder\.onnx; export its model again, with --onnx"
    ):
        whopays.load(both)
    assert "reads this folder too" not in (both / "README.md").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="is an export itself, of minilm-"):
        export_transformers(tmp_path / "again", both)


def test_an_encoder_in_floats_is_no_source_and_another_model_is_not_overwritten(tmp_path: Path) -> None:
    float_encoder(tmp_path)
    with pytest.raises(UsageError, match="The model's encoder is in floats; give a model with an 8-bit encoder"):
        _weights(onnx.load(tmp_path / "encoder.onnx").graph)
    before = (tmp_path / "encoder.onnx").stat().st_mtime_ns
    with pytest.raises(UsageError, match="holds an encoder that was not exported for transformers"):
        export_transformers(tmp_path, "small")
    assert (tmp_path / "encoder.onnx").stat().st_mtime_ns == before


def test_a_model_is_not_exported_onto_itself(tmp_path: Path) -> None:
    own = shutil.copytree(model_folder("small"), tmp_path / "own")
    before = {file.name: file.read_bytes() for file in own.iterdir()}
    with pytest.raises(UsageError, match="holds the model that is to be exported"):
        export_transformers(own, own)
    assert {file.name: file.read_bytes() for file in own.iterdir()} == before


def test_rounding_between_the_layers_comes_close_to_the_tagger(folder: Path, tagger: Tagger) -> None:
    rounded = pipeline("claim-tagging", model=str(folder))
    for text, found in zip(TEXTS, rounded(TEXTS), strict=True):
        expected = tagger.tag(text)
        assert found["scores"] == pytest.approx(expected.scores, abs=0.15)
        # Another score may fall on the other side of a threshold, but only where it was near.
        assert set(found["labels"]) ^ set(expected.labels) <= set(expected.uncertain)
        result = Result.from_dict(found)
        assert all(text[span.start : span.end] == span.text for span in result.spans)


def test_rounding_between_the_layers_gives_the_labels_of_a_plain_text(folder: Path, tagger: Tagger) -> None:
    text = "😀 Students now pay $5,500 a year. Ministry funds cover the course for nurses."
    expected = tagger.tag(text)
    assert (len(expected.labels), expected.uncertain) == (2, ())
    assert pipeline("claim-tagging", model=str(folder))(text)["labels"] == list(expected.labels)


def test_batches_and_single_texts_give_the_same(tag: ClaimTaggingPipeline) -> None:
    assert tag(TEXTS, batch_size=3) == [tag(text) for text in TEXTS]


def test_stock_classes_load_tokenizer_and_evidence_heads(
    folder: Path, tag: ClaimTaggingPipeline, tagger: Tagger
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    stock = AutoModelForTokenClassification.from_pretrained(folder, local_files_only=True)
    assert list(stock.config.id2label.values()) == [OUTSIDE, *tagger.codebook.ids]
    sentence = "The oﬃce’s naïve fee is £5,500 😀, and learners pay it."
    pieces = tokenizer(sentence, return_tensors="pt")
    assert pieces["input_ids"][0, 1:-1].tolist() == tagger._model.encoder.tokenize(sentence).ids.tolist()
    with torch.no_grad():
        logits = stock(**pieces).logits[0, 1:-1].numpy()
    (part,) = tag.tagger.predict_sentences(sentence)
    encoder, heads = tag.tagger._model.encoder, tag.tagger._model.heads
    ((encoding,),) = encoder.encode_all([[encoder.tokenize(part.segment.text)]])
    assert np.allclose(logits[:, 1:], heads.token_scores(encoding), atol=1e-3)
    assert not logits[:, 0].any()


def test_the_card_has_metadata_and_the_folder_no_pickle(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    front = card.split("---\n")[1]
    for line in ("license: apache-2.0", "language: [en]", "base_model: sentence-transformers/all-MiniLM-L6-v2"):
        assert line in front
    assert {file.suffix for file in folder.iterdir()} == {".json", ".safetensors", ".toml", ".md"}


def test_wrong_calls_and_folders_are_refused(tag: ClaimTaggingPipeline, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found int, expected a str"):
        tag([1])
    with pytest.raises(UsageError, match="found top_k, which claim-tagging does not take"):
        tag("a", top_k=1)
    with pytest.raises(UsageError, match="found activations='4-bit'"):
        pipeline("claim-tagging", model=str(folder), activations="4-bit")
    stock = AutoModelForTokenClassification.from_pretrained(folder)
    stock.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(folder / name, tmp_path / name)
    with pytest.raises(ModelError, match=r"model\.json is missing"):
        pipeline("claim-tagging", model=str(tmp_path))
    for name in ("model.json", "codebook.toml", "heads.safetensors"):
        shutil.copyfile(folder / name, tmp_path / name)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 0.1}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"config\.json: checksum"):
        pipeline("claim-tagging", model=str(tmp_path))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_rounding_moves_no_number_by_more_than_half_a_step(scale: float) -> None:
    values = torch.randn(1, 7, 256, generator=torch.manual_seed(0)) * scale
    step = (values.max() - values.min()) / 255
    assert (_rounded(values) - values).abs().max() <= step * 1.01
    values[..., 5] *= 40
    kept = _rounded(values, [5])
    assert (kept[..., 5] == values[..., 5]).all()
    assert (kept - values).abs().max() <= step * 1.01
    assert whopays.integrations.transformers.TASK == "claim-tagging"
