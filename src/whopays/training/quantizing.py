"""An encoder's ONNX graph with floats -> one that multiplies bytes.

ONNX Runtime's dynamic quantisation scales all numbers that enter a product alike. A few channels of a transformer carry
numbers ten to fifty times as large as the others, always the same ones whatever the text ("outlier features": Dettmers et
al. 2022, "LLM.int8()"), and would leave the others no digits. These channels go into a product of floats of their own, which
costs next to nothing. Weights take 7 of 8 bits: on x86 processors without VNNI, sums of two products of unsigned and signed
bytes are held in 16 bits, where larger weights overflow; with 7 bits, every processor gives the same numbers.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

#: Texts that show which channels are the large ones: prose of the kind that is read, some of it plain, some crowded.
PROBE = (
    "Under Sec. 134(c)(3), the Department shall reimburse eligible providers for not more than 75 per cent of tuition, fees "
    "and examination costs; the remainder is borne by the participant or, where an agreement so provides, by the employer.",
    "The committee met at 10 a.m. in Room 4. Present: Ms Osei (chair), Mr Lindqvist, Dr Rao. Apologies were received from two "
    "members. The minutes of the previous meeting were approved without change.",
    "Who pays? We do. My last three certificates came out of my own pocket, $2,400 in all, and the firm that asked for them "
    "has not raised anyone's wage since 2019.",
    "Table 3. Expenditure by source (EUR million): national budget 41.2; regional budgets 18.7; European Social Fund 63.0; "
    "enterprises 9.4; households 27.9. Figures do not add up owing to rounding.",
    "Vacancies that asked for a school-leaving certificate a decade ago now ask for a degree, although the work is the same; "
    "recruiters admit that they use it to thin out the pile.",
    "The museum opens at nine, and the last tram leaves from the harbour at 23:40. Dogs are welcome on the terrace.",
)
# A channel is kept in floats if its largest number is this many times that of nearly all others; at most so many of a product.
_TIMES = 1.5
_USUAL = 0.99
_MOST = 16


def quantize(full: Path, small: Path, probe: Sequence[Sequence[int]]) -> None:
    """Write the graph in ``full`` to ``small`` with products of bytes.

    ``probe``: token ids of texts, special tokens included. The graph takes ``input_ids`` and ``attention_mask``.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = onnx.load(full)
    kept: list[str] = []
    for source, largest in _largest_inputs(graph, probe).items():
        channels = _outliers(largest)
        if len(channels):
            kept += _set_apart(graph, source, channels)
    parts = full.with_suffix(".parts.onnx")
    onnx.save(graph, parts)
    with _without_advice():
        quantize_dynamic(
            parts, small, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8, nodes_to_exclude=kept
        )


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Keep ONNX Runtime's advice to pre-process the graph, given to the root logger, from users: they cannot follow it."""

    def kept(record: logging.LogRecord) -> bool:
        return "pre-processing" not in record.getMessage()

    root = logging.getLogger()
    root.addFilter(kept)
    try:
        yield
    finally:
        root.removeFilter(kept)


def _products(graph: Any) -> list[Any]:
    """The nodes that multiply by weights of two dimensions."""
    weights = {item.name for item in graph.graph.initializer if len(item.dims) == 2}
    return [node for node in graph.graph.node if node.op_type == "MatMul" and node.input[1] in weights]


def _largest_inputs(graph: Any, probe: Sequence[Sequence[int]]) -> dict[str, npt.NDArray[np.float32]]:
    """For each value that enters a product, the largest magnitude that each of its channels has in some texts, (channels,)."""
    import onnxruntime
    from onnx import ModelProto, helper

    names = sorted({node.input[0] for node in _products(graph)})
    watched = ModelProto()
    watched.CopyFrom(graph)
    watched.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    largest: dict[str, npt.NDArray[np.float32]] = {}
    for ids in probe:
        sequence = np.array([ids], dtype=np.int64)
        found = session.run(names, {"input_ids": sequence, "attention_mask": np.ones_like(sequence)})
        for name, values in zip(names, found, strict=True):
            here = np.abs(values).max(axis=(0, 1))
            largest[name] = np.maximum(largest.get(name, here), here)
    return largest


def _outliers(largest: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Which channels are set apart, in order."""
    ranked = np.argsort(-largest, kind="stable")[:_MOST]
    return np.sort(ranked[largest[ranked] > _TIMES * np.quantile(largest, _USUAL)])


def _set_apart(graph: Any, source: str, channels: npt.NDArray[np.int64]) -> list[str]:
    """Let the products that read a value leave out some of its channels, and add theirs to them.

    Returns the names of the new nodes, which stay products of floats. The value is split once for all that read it.
    """
    from onnx import helper, numpy_helper

    stored = {item.name: item for item in graph.graph.initializer}
    readers = [node for node in _products(graph) if node.input[0] == source]
    first = readers[0].name
    size = stored[readers[0].input[1]].dims[0]
    others = np.ones(size, np.float32)
    others[channels] = 0
    usual, large = f"{first}_usual", f"{first}_large"
    _insert(
        graph,
        readers[0],
        [
            helper.make_node("Mul", [source, f"{first}_others"], [usual], name=f"{first}_mask"),
            helper.make_node("Gather", [source, f"{first}_channels"], [large], name=f"{first}_gather", axis=2),
        ],
    )
    constants: dict[str, npt.NDArray[Any]] = {f"{first}_others": others, f"{first}_channels": channels}
    for product in readers:
        name, weights = product.name, product.input[1]
        matrix = numpy_helper.to_array(stored[weights])
        stored[weights].CopyFrom(numpy_helper.from_array(matrix * others[:, None], weights))
        constants[f"{name}_weights"] = np.ascontiguousarray(matrix[channels])
        product.input[0] = usual
        # Behind the bias, which ONNX Runtime then adds in the same pass as it turns sums of bytes into floats.
        last = _bias(graph, product, stored) or product
        result, last.output[0] = last.output[0], f"{name}_rounded"
        apart = helper.make_node("MatMul", [large, f"{name}_weights"], [f"{name}_exact"], name=f"{name}_apart")
        total = helper.make_node("Add", [f"{name}_rounded", f"{name}_exact"], [result], name=f"{name}_sum")
        _insert(graph, product, [apart])
        _insert(graph, last, [total], behind=True)
    graph.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants.items())
    return [f"{first}_gather", *(f"{product.name}_apart" for product in readers)]


def _bias(graph: Any, product: Any, stored: Mapping[str, Any]) -> Any:
    """The node that adds a stored bias to a product, if that is all that is done with it; else None."""
    readers = [node for node in graph.graph.node if product.output[0] in node.input]
    if len(readers) != 1 or readers[0].op_type != "Add":
        return None
    other = next(name for name in readers[0].input if name != product.output[0])
    return readers[0] if other in stored and len(stored[other].dims) == 1 else None


def _insert(graph: Any, node: Any, others: Sequence[Any], behind: bool = False) -> None:
    """Put nodes before another one, or behind it: a graph lists its nodes in an order in which they can be computed."""
    place = next(index for index, found in enumerate(graph.graph.node) if found.name == node.name) + behind
    for other in reversed(others):
        graph.graph.node.insert(place, other)
