"""Products of bytes instead of floats in an encoder's graph."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

onnx = pytest.importorskip("onnx")

import onnxruntime  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from whopays.training.float_export import _weights  # noqa: E402
from whopays.training.quantizing import quantize  # noqa: E402

WIDTH, WORDS, LARGE = 64, 50, 7
PROBE = [list(range(0, 50, 2)), list(range(1, 50, 3))]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two products that read the same vectors of tokens, one of whose channels is 50 times as large as the others."""
    rng = np.random.default_rng(0)
    scale = np.ones(WIDTH, np.float32)
    scale[LARGE] = 50
    constants = {
        "vectors": rng.normal(size=(WORDS, WIDTH)).astype(np.float32),
        "scale": scale,
        "first": rng.normal(size=(WIDTH, 32)).astype(np.float32),
        "second": rng.normal(size=(WIDTH, 32)).astype(np.float32),
        "bias": rng.normal(size=32).astype(np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["vectors", "input_ids"], ["v"], name="embed"),
        helper.make_node("Mul", ["v", "scale"], ["x"], name="enlarge"),
        helper.make_node("MatMul", ["x", "first"], ["a"], name="/encoder/one/MatMul"),
        helper.make_node("MatMul", ["x", "second"], ["b"], name="/encoder/two/MatMul"),
        helper.make_node("Add", ["bias", "b"], ["c"], name="/encoder/two/Add"),
        helper.make_node("Add", ["a", "c"], ["states"], name="both"),
    ]
    sides = [1, "tokens"]
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, sides) for n in ("input_ids", "attention_mask")]
    outputs = [helper.make_tensor_value_info("states", TensorProto.FLOAT, [*sides, 32])]
    stored = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, stored)
    path = tmp_path_factory.mktemp("graph") / "full.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


@pytest.fixture(scope="module")
def small(full: Path) -> Path:
    path = full.with_name("small.onnx")
    quantize(full, path, PROBE)
    return path


def states(path: Path, precise: bool = False) -> npt.NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    if precise:
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    ids = np.arange(WORDS)[None]
    return np.asarray(session.run(["states"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0])


@pytest.mark.filterwarnings("ignore")
def test_large_channels_leave_the_others_their_digits(full: Path, small: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    plain = full.with_name("plain.onnx")
    quantize_dynamic(full, plain, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)
    exact = states(full)
    error, usual = (np.abs(states(path) - exact).mean() for path in (small, plain))
    assert error < usual / 4
    assert error < 0.03 * exact.std()


@pytest.mark.filterwarnings("ignore")
def test_only_the_large_channel_is_set_apart_and_once_for_all_that_read_it(small: Path) -> None:
    graph = onnx.load(small).graph
    chosen = [numpy_helper.to_array(item).tolist() for item in graph.initializer if item.name.endswith("_channels")]
    assert chosen == [[LARGE]]
    operations = [node.op_type for node in graph.node]
    assert operations.count("DynamicQuantizeLinear") == 1
    assert operations.count("MatMulInteger") == 2


@pytest.mark.filterwarnings("ignore")
def test_a_bias_is_added_in_the_pass_that_turns_sums_of_bytes_into_floats(small: Path, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(str(small), options, providers=["CPUExecutionProvider"])
    graph = onnx.load(tmp_path / "optimized.onnx").graph
    products = [node for node in graph.node if node.op_type in ("MatMulIntegerToFloat", "DynamicQuantizeMatMul")]
    assert sorted("bias" in node.input for node in products) == [False, True]


@pytest.mark.filterwarnings("ignore")
def test_weights_take_seven_bits_so_that_no_processor_overflows(small: Path) -> None:
    graph = onnx.load(small).graph
    matrices = [numpy_helper.to_array(item) for item in graph.initializer if item.name.endswith("_quantized")]
    products = [matrix for matrix in matrices if matrix.dtype == np.int8]
    assert len(products) == 2
    assert max(np.abs(matrix.astype(int)).max() for matrix in products) <= 64
    assert np.array_equal(states(small), states(small, precise=True))


@pytest.mark.filterwarnings("ignore")
def test_the_same_graph_gives_the_same_bytes(full: Path, small: Path, tmp_path: Path) -> None:
    quantize(full, tmp_path / "again.onnx", PROBE)
    assert (tmp_path / "again.onnx").read_bytes() == small.read_bytes()


@pytest.mark.filterwarnings("ignore")
def test_advice_to_pre_process_the_graph_is_kept_from_users_while_it_is_quantised_alone(
    full: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quantize(full, tmp_path / "again.onnx", PROBE)
    assert not caplog.records
    logging.warning("Please consider to run pre-processing before quantization.")
    assert len(caplog.records) == 1


@pytest.mark.filterwarnings("ignore")
def test_the_weights_are_read_back_with_those_of_the_large_channel_exact(full: Path, small: Path) -> None:
    given = {item.name: numpy_helper.to_array(item) for item in onnx.load(full).graph.initializer}
    weights, rounding = _weights(onnx.load(small).graph)
    assert rounding == {"one": [LARGE], "two": [LARGE]}
    for module, name in (("one", "first"), ("two", "second")):
        found, matrix = weights[f"{module}.weight"].T, given[name]
        assert np.array_equal(found[LARGE], matrix[LARGE])
        assert np.abs(found - matrix).max() < np.abs(matrix).max() / 100
