"""A sentence-transformers folder -> ``encoder.onnx``, ``embeddings.bin`` and ``tokenizer.json``. Imports torch."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

from whopays.errors import UsageError
from whopays.model.encoder import GRAPH
from whopays.training.bases import check_base, load_encoder
from whopays.training.quantizing import PROBE, quantize

# A repository takes no larger file: more weights than this go into a second one.
LARGEST_FILE = 90_000_000
_LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}


def export_encoder(base: Path, output: Path) -> None:
    """Export the transformer in ``base`` (a folder with config.json, model.safetensors, tokenizer.json).

    The graph takes ``input_ids`` and ``attention_mask`` (1, tokens) and gives ``states`` (1, tokens, width). Weights are
    stored as integers of 7 bits and products computed in 8 (`quantize`), which makes the file a quarter as large and the encoder
    two to three times as fast. The same base gives the same bytes.
    Raises `UsageError` if ``base`` lacks a file, or if the `train` extra is not installed.
    """
    check_base(base)
    try:
        import onnx
        import torch  # noqa: F401
        import transformers  # noqa: F401
        from tokenizers import Tokenizer
    except ImportError as error:
        raise UsageError(f"exporting an encoder needs {error.name}; install whopays with its `train` extra.") from None

    output.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    with tempfile.TemporaryDirectory() as scratch:
        full, small = Path(scratch) / "full.onnx", Path(scratch) / "small.onnx"
        write_graph(base, full)
        quantize(full, small, [tokenizer.encode(text).ids for text in PROBE])
        _store(onnx.load(small), output)
    _save_tokenizer(base, output)


def write_graph(base: Path, path: Path) -> None:
    """Write the transformer in ``base`` as an ONNX graph of floats; inputs and output as of `export_encoder`. Needs the extra."""
    import torch

    class Export(torch.nn.Module):
        # Named inputs: transformers 5 models take keyword arguments that the tracer does not pass on.
        def __init__(self) -> None:
            super().__init__()
            self.encoder = load_encoder(base, attn_implementation="eager").eval()

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            states: torch.Tensor = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            return states

    ids = torch.ones((1, 12), dtype=torch.int64)
    with torch.no_grad(), warnings.catch_warnings():
        # The exporter warns that a newer one exists, and of indices that could be negative; those of positions are not.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Export(),
            (ids, torch.ones_like(ids)),
            str(path),
            input_names=["input_ids", "attention_mask"],
            output_names=["states"],
            dynamic_axes={"input_ids": {1: "tokens"}, "attention_mask": {1: "tokens"}, "states": {1: "tokens"}},
            opset_version=17,
            dynamo=False,
        )


def _save_tokenizer(base: Path, output: Path) -> None:
    """The tokenizer, taught to read typographic ligatures as letters; offsets stay those of the text as given."""
    from tokenizers import Tokenizer
    from tokenizers.normalizers import Replace, Sequence

    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    # The tokenizer of a model that is tuned on has learnt it already.
    if tokenizer.normalizer.normalize_str("".join(_LIGATURES)) != "".join(_LIGATURES.values()):
        tokenizer.normalizer = Sequence([*(Replace(one, two) for one, two in _LIGATURES.items()), tokenizer.normalizer])
    tokenizer.save(str(output / "tokenizer.json"))


def _store(model: Any, output: Path) -> None:
    """Write encoder.onnx, the largest weights beside it in embeddings.bin if it were too large with them."""
    import onnx
    from onnx.external_data_helper import set_external_data

    beside = output / "embeddings.bin"
    beside.unlink(missing_ok=True)
    if model.ByteSize() > LARGEST_FILE:
        largest = max(model.graph.initializer, key=lambda weights: weights.ByteSize())
        set_external_data(largest, beside.name)
    onnx.save(model, output / GRAPH)
    if beside.is_file():
        # onnx makes it readable to its owner alone.
        beside.chmod((output / GRAPH).stat().st_mode)
