"""Fine-tuning an encoder on labelled passages, before heads are fitted on it. Needs the `train` extra (torch).

Each passage is one sequence. Two linear heads are trained with the encoder and then thrown away: one reads the mean of a
sentence's tokens and says which labels the sentence carries, one reads each token and says which evidence it lies in.
"""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.corpus.sentences import labelled_sentences
from whopays.errors import UsageError

if TYPE_CHECKING:
    import torch

_MAX_TOKENS = 300


@dataclass(frozen=True)
class TuneOptions:
    """How an encoder is tuned: AdamW with linear warm-up and decay.

    encoder_rate, head_rate: learning rates. crop: the share of passages of which a random run of sentences is shown
    instead of the whole, so that short contexts are known too. threads: torch threads; the bytes of the result depend on it.
    """

    epochs: int = 6
    batch: int = 16
    encoder_rate: float = 1e-4
    head_rate: float = 1e-3
    warm_up: float = 0.1
    dropout: float = 0.1
    crop: float = 0.3
    seed: int = 0
    threads: int = 1


@dataclass(frozen=True)
class _Passage:
    """ids (tokens,), token_labels (tokens, labels), owner (tokens,) sentence of each token, labels (sentences, labels)."""

    ids: npt.NDArray[np.int64]
    token_labels: npt.NDArray[np.float32]
    owner: npt.NDArray[np.int64]
    labels: npt.NDArray[np.float32]


def tune_encoder(
    base: Path, examples: Sequence[Example], codebook: Codebook, output: Path, options: TuneOptions
) -> None:
    """Tune the transformer in ``base`` and write it, with its tokenizer, to ``output`` as a transformers folder.

    The same input and number of threads give the same weights. Prints its progress.
    Raises `UsageError` if the `train` extra is not installed or there are no examples.
    """
    try:
        import torch
        from tokenizers import Tokenizer
        from transformers import AutoModel
    except ImportError as error:
        raise UsageError(f"tuning an encoder needs {error.name}; install whopays with its `train` extra.") from None
    if not examples:
        raise UsageError("found no examples, expected labelled passages.")
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    shuffler = random.Random(options.seed)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    passages = [_passage(example, codebook, tokenizer) for example in examples]
    encoder = AutoModel.from_pretrained(base, local_files_only=True, add_pooling_layer=False).train()
    linear = {name: torch.nn.Linear(encoder.config.hidden_size, len(codebook.labels)) for name in ("sentence", "token")}
    heads = torch.nn.ModuleDict(linear)
    for head in linear.values():
        # Most sentences claim nothing: start from there instead of from even odds.
        torch.nn.init.constant_(head.bias, -3.0)
    steps = options.epochs * math.ceil(len(passages) / options.batch)
    optimizer = torch.optim.AdamW(
        [
            {"params": encoder.parameters(), "lr": options.encoder_rate, "weight_decay": 0.01},
            {"params": heads.parameters(), "lr": options.head_rate, "weight_decay": 0.0},
        ]
    )
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _schedule(step, steps, options.warm_up))
    special = tokenizer.encode("").ids
    for epoch in range(options.epochs):
        losses = []
        for batch in _batches(passages, options, shuffler):
            loss = _loss(encoder, heads, _collate(batch, special, encoder.config.pad_token_id), options.dropout)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_([*encoder.parameters(), *heads.parameters()], 1.0)
            optimizer.step()
            rate.step()
            losses.append(float(loss.detach()))
        print(f"epoch {epoch + 1} of {options.epochs}: loss {np.mean(losses):.3f}", flush=True)
    output.mkdir(parents=True, exist_ok=True)
    encoder.eval().save_pretrained(output)
    shutil.copyfile(base / "tokenizer.json", output / "tokenizer.json")


def _passage(example: Example, codebook: Codebook, tokenizer: Any) -> _Passage:
    encoded = tokenizer.encode(example.text, add_special_tokens=False)
    offsets = np.array(encoded.offsets[:_MAX_TOKENS], dtype=np.int64).reshape(-1, 2)
    rows = labelled_sentences(example.text, example.spans)
    starts = np.array([part.start for part, _ in rows])
    token_labels = np.zeros((len(offsets), len(codebook.labels)), dtype=np.float32)
    for span in example.spans:
        inside = (offsets[:, 0] < span.end) & (offsets[:, 1] > span.start)
        token_labels[inside, codebook.ids.index(span.label)] = 1
    owner = np.maximum(np.searchsorted(starts, offsets[:, 0], side="right") - 1, 0)
    labels = np.array([[label in found for label in codebook.ids] for _, found in rows], dtype=np.float32)
    return _Passage(np.array(encoded.ids[:_MAX_TOKENS], dtype=np.int64), token_labels, owner, labels)


def _batches(passages: Sequence[_Passage], options: TuneOptions, shuffler: random.Random) -> Iterator[list[_Passage]]:
    """Shuffled batches of passages of similar length, which wastes little on padding."""
    order = list(range(len(passages)))
    shuffler.shuffle(order)
    pool = options.batch * 8
    for first in range(0, len(order), pool):
        chunk = sorted(order[first : first + pool], key=lambda index: len(passages[index].ids))
        batches = [chunk[i : i + options.batch] for i in range(0, len(chunk), options.batch)]
        shuffler.shuffle(batches)
        for batch in batches:
            yield [_crop(passages[index], options.crop, shuffler) for index in batch]


def _crop(passage: _Passage, share: float, shuffler: random.Random) -> _Passage:
    count = len(passage.labels)
    if count < 2 or shuffler.random() >= share:
        return passage
    size = shuffler.randint(1, count - 1)
    first = shuffler.randint(0, count - size)
    kept = (passage.owner >= first) & (passage.owner < first + size)
    if not kept.any():
        return passage
    labels = passage.labels[first : first + size]
    return _Passage(passage.ids[kept], passage.token_labels[kept], passage.owner[kept] - first, labels)


def _collate(batch: Sequence[_Passage], special: Sequence[int], pad: int) -> dict[str, torch.Tensor]:
    """Padded tensors: ids, mask (batch, tokens); token_labels (batch, tokens, labels); pool (batch, sentences, tokens), a
    row of which averages a sentence's tokens; labels (batch, sentences, labels).
    """
    import torch

    size, width = len(batch), max(len(p.ids) for p in batch) + 2
    sentences, labels = max(len(p.labels) for p in batch), batch[0].labels.shape[1]
    ids = torch.full((size, width), pad)
    mask = torch.zeros(size, width, dtype=torch.long)
    token_labels, pool = torch.zeros(size, width, labels), torch.zeros(size, sentences, width)
    gold = torch.zeros(size, sentences, labels)
    for row, passage in enumerate(batch):
        end = len(passage.ids) + 1
        ids[row, 0], ids[row, 1:end], ids[row, end] = special[0], torch.from_numpy(passage.ids), special[1]
        mask[row, : end + 1] = 1
        token_labels[row, 1:end] = torch.from_numpy(passage.token_labels)
        gold[row, : len(passage.labels)] = torch.from_numpy(passage.labels)
        pool[row, torch.from_numpy(passage.owner), torch.arange(1, end)] = 1
    return {"ids": ids, "mask": mask, "token_labels": token_labels, "pool": pool, "labels": gold}


def _loss(encoder: Any, heads: Any, batch: dict[str, torch.Tensor], dropout: float) -> torch.Tensor:
    """Binary cross-entropy summed over labels, averaged over sentences and, apart, over tokens; both count alike."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = encoder(input_ids=batch["ids"], attention_mask=batch["mask"]).last_hidden_state
    states = torch.nn.functional.dropout(states.float(), dropout)
    counts = batch["pool"].sum(-1, keepdim=True)
    means = torch.einsum("bst,bth->bsh", batch["pool"] / counts.clamp(min=1), states)
    sentence = cross_entropy(heads["sentence"](means), batch["labels"], reduction="none").sum(-1)
    token = cross_entropy(heads["token"](states), batch["token_labels"], reduction="none").sum(-1)
    present, visible = (counts[..., 0] > 0).float(), batch["pool"].sum(1)
    return (sentence * present).sum() / present.sum() + (token * visible).sum() / visible.sum()


def _schedule(step: int, steps: int, warm_up: float) -> float:
    return min((step + 1) / max(warm_up * steps, 1), max(0.0, (steps - step) / ((1 - warm_up) * steps)))
