"""A sentence-transformers folder -> ``encoder.onnx`` and ``tokenizer.json``. The only place that imports torch."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from whopays.errors import UsageError


def export_encoder(base: Path, output: Path) -> None:
    """Export the transformer in ``base`` (a folder with config.json, model.safetensors, tokenizer.json).

    The graph takes ``input_ids`` and ``attention_mask`` (1, tokens) and gives ``states`` (1, tokens, width). Weights are
    stored as 8-bit integers, products are computed in 8 bits (ONNX Runtime's dynamic quantisation), which makes the file
    a quarter as large and the encoder about twice as fast. The same base gives the same bytes.
    Raises `UsageError` if ``base`` lacks a file, or if the `train` extra is not installed.
    """
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (base / name).is_file():
            raise UsageError(
                f"{base}: {name} is missing; give the folder of a sentence-transformers or transformers model."
            )
    try:
        import torch
        from onnxruntime.quantization import QuantType, quantize_dynamic
        from transformers import AutoModel
    except ImportError as error:
        raise UsageError(f"exporting an encoder needs {error.name}; install whopays with its `train` extra.") from None

    class Export(torch.nn.Module):
        # Named inputs: transformers 5 models take keyword arguments that the tracer does not pass on.
        def __init__(self) -> None:
            super().__init__()
            self.encoder = AutoModel.from_pretrained(base, local_files_only=True, attn_implementation="eager").eval()

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            states: torch.Tensor = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            return states

    output.mkdir(parents=True, exist_ok=True)
    ids = torch.ones((1, 12), dtype=torch.int64)
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        full = Path(scratch) / "full.onnx"
        torch.onnx.export(
            Export(),
            (ids, torch.ones_like(ids)),
            str(full),
            input_names=["input_ids", "attention_mask"],
            output_names=["states"],
            dynamic_axes={"input_ids": {1: "tokens"}, "attention_mask": {1: "tokens"}, "states": {1: "tokens"}},
            opset_version=17,
            dynamo=False,
        )
        quantize_dynamic(full, output / "encoder.onnx", per_channel=True, weight_type=QuantType.QInt8)
    shutil.copyfile(base / "tokenizer.json", output / "tokenizer.json")
