"""A whopays model folder -> a folder that stock transformers classes load. Imports torch, transformers and onnx.

The 8-bit weights of ``encoder.onnx`` are multiplied out to floats and put under the names that transformers has for them;
the token heads become the token classifier. What no stock class has (pooling by label, calibration, thresholds, the gate,
the codebook) lies beside them for `whopays.integrations.transformers`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from whopays.errors import ModelError, UsageError
from whopays.model.encoder import GRAPH
from whopays.model.folder import TRANSFORMERS_FILES, Model, Parts, load_model, read_manifest, save_model
from whopays.tagger import folder_of
from whopays.training.export import write_graph

Floats = npt.NDArray[np.float32]
#: The class of tokens that carry no evidence, in the stock token classifier.
OUTSIDE = "O"
_EMBEDDINGS = ("word_embeddings", "position_embeddings", "token_type_embeddings", "relative_attention_bias")
# By how much a token's vector may differ from the one of ONNX Runtime, which also rounds the numbers between the layers.
_ALIKE = 0.95
_PROBE = "The levy falls on every employer, and the state no longer pays for the courses that learners take."


def export_transformers(folder: str | Path, model: str | Path = "default", graph: bool = False) -> str:
    """Write a model as a transformers folder: config, safetensors, tokenizer, card, and whopays' own heads; returns its id.

    ``model``: a model that comes with whopays, by name, or a model folder. ``graph``: write the encoder as ``encoder.onnx`` too,
    in floats, so that `whopays.load` reads the folder as well, without torch, and gives the scores that the pipeline gives.
    The same model gives the same bytes.
    Raises `UsageError` if the `train` extra is missing, if the encoder is neither a BERT nor an MPNet in 8 bits, if the model is
    an export itself, or if ``folder`` holds it or another encoder that is no export; `ModelError` if the model cannot be used.
    """
    try:
        import onnx
        import torch
        from transformers import AutoModelForTokenClassification
    except ImportError as error:
        raise UsageError(
            f"exporting to transformers needs {error.name}; install whopays with its `train` extra."
        ) from None

    source = folder_of(model)
    output = Path(folder)
    if output.resolve() == source.resolve():
        raise UsageError(f"{output}: holds the model that is to be exported; give another folder.")
    if source.is_dir() and (made_of := read_manifest(source).get("settings", {}).get("exported_from")):
        raise UsageError(f"{source}: is an export itself, of {made_of}; give the folder or the name of that model.")
    if (output / GRAPH).is_file() and not _is_export(output):
        raise UsageError(f"{output}: holds an encoder that was not exported for transformers; give another folder.")
    loaded = load_model(source)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{output}: cannot make this folder ({error.strerror}); give another one.") from None
    bytewise = onnx.load(source / GRAPH).graph
    weights, rounding = _weights(bytewise)
    config = _config(bytewise, weights, source, loaded)
    stock = AutoModelForTokenClassification.from_config(config).eval()  # type: ignore[no-untyped-call]
    heads = loaded.heads
    bias = heads.token_bias - heads.token_offset
    with torch.no_grad():
        try:
            stock.base_model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
        except RuntimeError as error:
            raise UsageError(f"{source}: the encoder's weights do not fit ({' '.join(str(error).split())}).") from None
        # Evidence is where a label's token score is above 0; a class "O" of score 0 says the same by argmax.
        stock.classifier.weight.copy_(
            torch.from_numpy(np.vstack([np.zeros((1, loaded.encoder.width)), heads.token_weights]))
        )
        stock.classifier.bias.copy_(torch.from_numpy(np.concatenate([[0.0], bias])))
        _compare(stock, loaded, source)
    stock.save_pretrained(output)
    # It is made readable to its owner alone.
    (output / "model.safetensors").chmod((output / "config.json").stat().st_mode)
    _write_tokenizer(source, output, config)
    (output / GRAPH).unlink(missing_ok=True)
    if graph:
        write_graph(output, output / GRAPH)
    name = f"{loaded.id.rsplit('-', 1)[0]}-float"
    settings = {**loaded.settings, "exported_from": loaded.id, "rounding": rounding}
    return save_model(
        output,
        name,
        (source / "codebook.toml").read_text(encoding="utf-8"),
        Parts(heads, loaded.gate, loaded.curves),
        settings,
        _card(loaded, source, config, graph),
        (*TRANSFORMERS_FILES, *([GRAPH] if graph else [])),
    )


def _is_export(folder: Path) -> bool:
    """Whether a folder holds what `export_transformers` wrote, which may be written anew."""
    try:
        return "exported_from" in read_manifest(folder).get("settings", {})
    except ModelError:
        return False


def _weights(graph: Any) -> tuple[dict[str, Floats], dict[str, list[int]]]:
    """The encoder's weights under transformers' names, and which channels of each linear layer's input are not rounded.

    The latter maps a layer whose input is rounded to 8 bits to the channels that are not, see `whopays.training.quantizing`.
    """
    from onnx.numpy_helper import to_array

    if not any(node.op_type == "MatMulInteger" for node in graph.node):
        raise UsageError(
            "The model's encoder is in floats; give a model with an 8-bit encoder, as whopays writes them."
        )
    stored = {item.name: item for item in graph.initializer}

    def array(name: str) -> npt.NDArray[Any]:
        return np.asarray(to_array(stored[name]))

    scales = {name.removesuffix("_quantized"): name for name in stored if name.endswith("_quantized")}
    weights: dict[str, Floats] = {}
    rounding: dict[str, list[int]] = {}
    channels = {node.output[0]: array(node.input[1]) for node in graph.node if node.name.endswith("_gather")}
    apart = {}
    for node in graph.node:
        # The exporter names a node by the module that made it: /encoder/encoder/layer.0/output/dense/MatMul_quant.
        module = ".".join(node.name.strip("/").split("/")[1:-1])
        known = [name for name in node.input if name in stored]
        if node.op_type == "MatMulInteger":
            name = next(key for key, value in scales.items() if value in known)
            unpacked = (array(scales[name]).astype(np.float32) - array(f"{name}_zero_point")) * array(f"{name}_scale")
            weights[f"{module}.weight"] = np.ascontiguousarray(unpacked.T, dtype=np.float32)
            rounding[module] = []
        elif node.op_type == "MatMul" and node.input[0] in channels:
            apart[module] = channels[node.input[0]], array(known[0])
        elif node.op_type == "Gather" and module.rsplit(".", 1)[-1] in _EMBEDDINGS and known:
            name = known[0].removesuffix("_quantized")
            unpacked = (array(known[0]).astype(np.float32) - array(f"{name}_zero_point")) * array(f"{name}_scale")
            weights[f"{module}.weight"] = unpacked.astype(np.float32)
        elif node.op_type == "LayerNormalization":
            weights[f"{module}.weight"], weights[f"{module}.bias"] = (array(name).copy() for name in known)
        elif node.op_type == "Add" and len(known) == 1 and stored[known[0]].dims:
            weights[f"{module}.bias"] = array(known[0]).copy()
    for module, (chosen, matrix) in apart.items():
        weights[f"{module}.weight"][:, chosen] = matrix.T
        rounding[module] = chosen.tolist()
    return weights, rounding


def _config(graph: Any, weights: dict[str, Floats], source: Path, loaded: Model) -> Any:
    """The transformers configuration of an exported graph, read off its shapes and constants."""
    from onnx.numpy_helper import to_array
    from transformers import BertConfig, MPNetConfig

    layers = len({name.split(".layer.")[1].split(".")[0] for name in weights if ".layer." in name})
    kinds = {"attention.self.query": BertConfig, "attention.attn.q": MPNetConfig}
    kind = next((found for part, found in kinds.items() if f"encoder.layer.0.{part}.weight" in weights), None)
    if kind is None or not layers:
        raise UsageError(
            f"{source}: found an encoder of an unknown kind, expected a BERT or an MPNet; export one of these."
        )
    vocabulary, width = weights["embeddings.word_embeddings.weight"].shape
    sizes = {
        int(value)
        for node in graph.node
        if node.op_type == "Constant" and "/layer.0/attention/" in node.name
        for value in np.atleast_1d(to_array(node.attribute[0].t))
        if float(value).is_integer() and 1 < value < width and width % value == 0
    }
    norms = [node for node in graph.node if node.op_type == "LayerNormalization"]
    head = max(sizes)  # its root may occur beside it
    names = [OUTSIDE, *loaded.codebook.ids]
    tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    special = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    return kind(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // head,
        intermediate_size=len(weights["encoder.layer.0.intermediate.dense.bias"]),
        max_position_embeddings=len(weights["embeddings.position_embeddings.weight"]),
        layer_norm_eps=float(f"{next(a.f for a in norms[0].attribute if a.name == 'epsilon'):.3g}"),
        pad_token_id=next((special[name] for name in ("<pad>", "[PAD]") if name in special), 0),
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
    )


def _compare(stock: Any, loaded: Model, source: Path) -> None:
    """Refuse weights that do not do what the encoder does, say because a graph was read wrongly."""
    import torch

    tokens = loaded.encoder.tokenize(_PROBE)
    (encoding,) = next(loaded.encoder.encode_all([[tokens]]))
    sequence = torch.tensor(loaded.encoder.sequence(tokens.ids))
    found = stock.base_model(input_ids=sequence).last_hidden_state[0, 1:-1].numpy()
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(encoding.states, axis=1)
    alike = (found * encoding.states).sum(axis=1) / norms
    if alike.min() < _ALIKE:
        raise UsageError(
            f"{source}: the exported vectors differ from the encoder's (cosine {alike.min():.3f}, expected {_ALIKE} or more); "
            "its graph is not of the kind that whopays exports."
        )


def _write_tokenizer(source: Path, output: Path, config: Any) -> None:
    """tokenizer.json as it is, and what AutoTokenizer wants to know beside it."""
    content = (source / "tokenizer.json").read_text(encoding="utf-8")
    (output / "tokenizer.json").write_text(content, encoding="utf-8", newline="\n")
    special = [token["content"] for token in json.loads(content)["added_tokens"] if token["special"]]
    roles = {
        "cls_token": ("<s>", "[CLS]"),
        "sep_token": ("</s>", "[SEP]"),
        "pad_token": ("<pad>", "[PAD]"),
        "unk_token": ("[UNK]", "<unk>"),
        "mask_token": ("<mask>", "[MASK]"),
    }
    settings: dict[str, Any] = {
        role: next(name for name in names if name in special)
        for role, names in roles.items()
        if any(name in special for name in names)
    }
    # MPNet's positions begin behind its padding index.
    room = config.max_position_embeddings - (2 if config.model_type == "mpnet" else 0)
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": room}
    settings["model_input_names"] = ["input_ids", "attention_mask"]
    text = json.dumps(settings, indent=2, sort_keys=True)
    (output / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8", newline="\n")


def _front_matter(loaded: Model) -> Iterator[str]:
    yield from ("---", "license: apache-2.0", f"language: [{loaded.codebook.language}]", "library_name: transformers")
    yield from (
        "pipeline_tag: token-classification",
        "tags: [whopays, policy-analysis, evidence, token-classification]",
    )
    bases = {"minilm": "sentence-transformers/all-MiniLM-L6-v2", "mpnet": "sentence-transformers/all-mpnet-base-v2"}
    name = loaded.id.rsplit("-", 1)[0]
    if name in bases:
        yield from (f"base_model: {bases[name]}", "base_model_relation: finetune")
    yield "---"


def _card(loaded: Model, source: Path, config: Any, graph: bool) -> str:
    front = "\n".join(_front_matter(loaded))
    both = f"\n`whopays.load` reads this folder too, by {GRAPH}: the same scores, without torch.\n" if graph else ""
    own = (source / "README.md").read_text(encoding="utf-8") if (source / "README.md").is_file() else ""
    return f"""{front}
# {loaded.codebook.title}: {loaded.id}, for transformers

Exported from the whopays model `{loaded.id}` with float weights ({config.model_type}, {config.num_hidden_layers} layers). It tags
text with the {len(loaded.codebook.ids)} labels of the codebook *{loaded.codebook.name}* {loaded.codebook.version}.

```python
import whopays.integrations.transformers
from transformers import pipeline

tag = pipeline("claim-tagging", model="FOLDER")
tag("Firms no longer pay for training.")["labels"]
```

gives whopays' labels, scores and spans. `AutoModelForTokenClassification` loads the evidence heads alone: class 0, "{OUTSIDE}",
has the score 0, and a token whose score for a label is above it is evidence of that label **if its sentence carries the label**,
which these classes cannot tell. A token can be evidence of several labels: read the scores one by one, without a softmax.
{both}
What follows is the card of the model that this one was exported from.

{own}"""
