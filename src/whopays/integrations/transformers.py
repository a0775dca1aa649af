"""A transformers pipeline: ``pipeline("claim-tagging", model=folder)``, registered when this module is imported.

``folder`` is what `whopays export-transformers` writes. Stock classes load its encoder and its token heads; the pipeline adds
what they lack: sentences, pooling by label, calibration, thresholds, the gate and the decoding of spans.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModelForTokenClassification, Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from whopays.errors import ModelError, UsageError
from whopays.model.encoder import GRAPH, Encoder
from whopays.model.folder import TRANSFORMERS_FILES, load_model, read_manifest
from whopays.tagger import Tagger

__all__ = ["TASK", "ClaimTaggingPipeline"]

TASK = "claim-tagging"
#: How the numbers that enter a layer are rounded: as ONNX Runtime does it for `whopays.load`, or not at all.
ACTIVATIONS = ("8-bit", "float")


class ClaimTaggingPipeline(Pipeline):
    """Texts -> dicts as `whopays.Result.to_dict` gives them: labels, scores, spans with offsets into the text given.

    One text gives one dict, a list a list. Every sentence is read in unpadded windows: results do not depend on ``batch_size``.

    ``activations``: "8-bit" rounds the numbers between the layers as ONNX Runtime does for the 8-bit model that was exported,
    "float" does not. None, the default, is "float" for a folder that holds the encoder's graph too (``--onnx``): the scores are
    then those of `whopays.load` on that folder. For others it is "8-bit", which comes nearest to the 8-bit model, but does not
    repeat it to the last digit: a sum whose last bit differs is rounded another way now and then, and the next layers make that
    larger.

    Raises `ModelError` if the model's folder was not exported by whopays or was changed, `UsageError` for what is no text.
    """

    def __init__(self, *args: Any, activations: str | None = None, **kwargs: Any) -> None:
        if activations not in (None, *ACTIVATIONS):
            raise UsageError(f"found activations={activations!r}, expected one of {', '.join(ACTIVATIONS)}.")
        super().__init__(*args, **kwargs)
        folder = Path(self.model.config._name_or_path)
        if not (folder / "model.json").is_file():
            raise ModelError(
                f"{folder}: model.json is missing; give pipeline() the folder that `whopays export-transformers` wrote."
            )
        stock = self.model.base_model
        model = load_model(folder, files=TRANSFORMERS_FILES, encoder=lambda path: TorchEncoder(path, stock))
        activations = activations or ("float" if GRAPH in read_manifest(folder)["files"] else "8-bit")
        self._hooks = _round_inputs(stock, model.settings["rounding"]) if activations == "8-bit" else []
        #: The tagger at work, on the stock model: `tag_all`, `predict_sentences` and the rest.
        self.tagger = Tagger(model, threads=1)

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if kwargs:
            raise UsageError(f"found {', '.join(kwargs)}, which {TASK} does not take; leave it out.")
        return {}, {}, {}

    def preprocess(self, input_: Any, **_: Any) -> dict[str, Any]:
        """One text as the pipeline passes it on."""
        if not isinstance(input_, str):
            raise UsageError(f"found {type(input_).__name__}, expected a str, or a list of them.")
        return {"text": input_}

    def _forward(self, input_tensors: dict[str, Any], **_: Any) -> Any:
        texts = input_tensors["text"]
        if isinstance(texts, str):
            return {"result": self.tagger.tag(texts).to_dict()}
        return {"result": [result.to_dict() for result in self.tagger.tag_all(list(texts))]}

    def postprocess(self, model_outputs: dict[str, Any], **_: Any) -> dict[str, Any]:
        """The result as a dict."""
        return dict(model_outputs["result"])


class TorchEncoder(Encoder):
    """The encoder of a model folder, run by a transformers model instead of ONNX Runtime, on whatever device that is on."""

    def __init__(self, folder: Path, model: Any) -> None:
        """``folder``: where tokenizer.json lies. ``model``: a BERT or the like without heads."""
        self._model = model
        self.width = int(model.config.hidden_size)
        self._read_tokenizer(folder)

    def _states(self, sequence: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        with torch.no_grad():
            ids = torch.from_numpy(sequence).to(self._model.device)
            states = self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        return np.asarray(states.float().cpu().numpy())


def _round_inputs(model: Any, rounding: dict[str, list[int]]) -> list[Any]:
    """Make the linear layers of a model round their input to 8 bits as ONNX Runtime does; returns the hooks.

    ``rounding`` maps a layer's name to the channels of its input that are not rounded.
    """
    layers = dict(model.named_modules())
    if missing := [name for name in rounding if name not in layers]:
        raise ModelError(
            f"found no layer {missing[0]} in the model, expected it by model.json; export the model again."
        )

    def hook(exact: list[int]) -> Callable[[Any, tuple[Any, ...]], tuple[Any, ...]]:
        return lambda _, inputs: (_rounded(inputs[0], exact),)

    return [layers[name].register_forward_pre_hook(hook(exact)) for name, exact in rounding.items()]


def _rounded(values: torch.Tensor, exact: Sequence[int] = ()) -> torch.Tensor:
    """Values -> the nearest of 256 steps from the least to the greatest: ONNX's DynamicQuantizeLinear, and back.

    ``exact``: channels (last dimension) that are left as they are, and do not count for the steps.
    """
    usual = values.clone()
    usual[..., list(exact)] = 0
    low, high = usual.min().clamp(max=0), usual.max().clamp(min=0)
    step = ((high - low) / 255).clamp(min=1e-30)
    zero = torch.round((-low / step).clamp(0, 255))
    rounded = (torch.clamp(torch.round(usual / step) + zero, 0, 255) - zero) * step
    rounded[..., list(exact)] = values[..., list(exact)]
    return rounded


PIPELINE_REGISTRY.register_pipeline(
    TASK, pipeline_class=ClaimTaggingPipeline, pt_model=AutoModelForTokenClassification, type="text"
)
