"""Fine-tuning an encoder on labelled passages, before heads are fitted on it. Needs the `train` extra (torch).

Each passage is one sequence. Three linear heads are trained with the encoder. For each label, one says how much each token of
a sentence matters (label-wise attention, Mullenbach et al. 2018), and one reads the sum so weighted and says whether the
sentence carries the label; the third reads each token and says which evidence it lies in. The attention is kept with the
encoder, the other two are thrown away: `whopays.training.fitting` fits them anew, on the encoder as it is shipped.
"""

from __future__ import annotations

import functools
import math
import random
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.corpus.sentences import labelled_sentences
from whopays.errors import UsageError
from whopays.model.heads import Heads
from whopays.training.bases import check_base, load_encoder
from whopays.training.fitting import pair_groups

if TYPE_CHECKING:
    import torch

# The file with the attention's weights (labels, width), named "attention".
ATTENTION = "attention.safetensors"
_MAX_TOKENS = 300
# Most sentences claim nothing: heads start from there instead of from even odds.
_RARE = -3.0
# The base encoders have positions for 512 tokens, two of them special.
_MOST_JOINED = 510


@dataclass(frozen=True)
class TuneOptions:
    """How an encoder is tuned: AdamW with linear warm-up and decay.

    encoder_rate, head_rate: learning rates. crop: the share of passages of which a random run of sentences is shown
    instead of the whole, so that short contexts are known too. join: the share of passages that are followed by another
    one in the same sequence, so that a sentence is not judged by what happens to stand beside it. frozen: this many of the
    lowest layers, and the embeddings, are left as they are, which keeps what the base knows of words that the passages lack,
    and saves time; None tunes everything. threads: torch threads; the bytes of the result depend on it.
    """

    epochs: int = 3
    batch: int = 16
    encoder_rate: float = 3e-5
    head_rate: float = 1e-3
    warm_up: float = 0.1
    dropout: float = 0.1
    crop: float = 0.3
    join: float = 0.3
    frozen: int | None = None
    seed: int = 0
    threads: int = 2


@dataclass(frozen=True)
class _Passage:
    """ids (tokens,), token_labels (tokens, labels), owner (tokens,) sentence of each token, labels (sentences, labels)."""

    ids: npt.NDArray[np.int64]
    token_labels: npt.NDArray[np.float32]
    owner: npt.NDArray[np.int64]
    labels: npt.NDArray[np.float32]


def tune_encoder(
    base: Path,
    examples: Sequence[Example],
    codebook: Codebook,
    output: Path,
    options: TuneOptions,
    start: Heads | None = None,
) -> None:
    """Tune the transformer in ``base`` and write it to ``output``: a transformers folder with `ATTENTION` beside it.

    ``start``: heads that were fitted on ``base``; tuning then goes on from what they say, instead of from heads that know
    nothing and would first pull the encoder anywhere.

    After each epoch the state is saved in ``output``; a run that was interrupted goes on from there and ends with the same
    weights. The same input, number of threads and precision (`half_precision_is_fast`) give the same weights.
    Prints its progress.
    Raises `UsageError` if the `train` extra is not installed, there are no examples, or ``base`` is no base encoder.
    """
    try:
        import torch
        import transformers  # noqa: F401
        from safetensors.numpy import save
        from tokenizers import Tokenizer
    except ImportError as error:
        raise UsageError(f"tuning an encoder needs {error.name}; install whopays with its `train` extra.") from None
    if not examples:
        raise UsageError("found no examples, expected labelled passages.")
    check_base(base)
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    shuffler = random.Random(options.seed)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    passages = [_passage(example, codebook, tokenizer) for example in examples]
    groups = _groups(examples, options.batch // 2)
    # Without dropout in the attention: drawing its numbers takes about an eighth of the time on a CPU.
    encoder = load_encoder(base, attention_probs_dropout_prob=0.0).train()
    if options.frozen is not None:
        encoder.requires_grad_(False)
        encoder.encoder.layer[options.frozen :].requires_grad_(True)
    tuned = [weights for weights in encoder.parameters() if weights.requires_grad]
    width, count = encoder.config.hidden_size, len(codebook.labels)
    linear = {name: torch.nn.Linear(width, count) for name in ("attention", "sentence", "token")}
    heads = torch.nn.ModuleDict(linear)
    for name in ("sentence", "token"):
        torch.nn.init.constant_(linear[name].bias, _RARE)
    # All tokens alike at first; the bias would cancel in the softmax.
    torch.nn.init.zeros_(linear["attention"].weight)
    special = tokenizer.encode("").ids
    if start is not None:
        shown = _collate(sorted(passages[:64], key=lambda p: len(p.ids)), special, encoder.config.pad_token_id)
        _take_over(start, linear, encoder.eval(), shown)
        encoder.train()
    steps = options.epochs * math.ceil(len(passages) / options.batch)
    optimizer = torch.optim.AdamW(
        [
            {"params": tuned, "lr": options.encoder_rate, "weight_decay": 0.01},
            {"params": heads.parameters(), "lr": options.head_rate, "weight_decay": 0.0},
        ],
        fused=True,
    )
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _schedule(step, steps, options.warm_up))
    state = _State(encoder, heads, optimizer, rate, shuffler, output / "state.pt")
    for epoch in range(state.restore(), options.epochs):
        losses = []
        for batch in _batches(passages, groups, options, shuffler):
            loss = _loss(encoder, heads, _collate(batch, special, encoder.config.pad_token_id), options.dropout)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_([*tuned, *heads.parameters()], 1.0)
            optimizer.step()
            rate.step()
            losses.append(float(loss.detach()))
        print(f"epoch {epoch + 1} of {options.epochs}: loss {np.mean(losses):.3f}", flush=True)
        state.save(epoch + 1)
    shutil.copyfile(base / "tokenizer.json", output / "tokenizer.json")
    (output / ATTENTION).write_bytes(save({"attention": linear["attention"].weight.detach().numpy()}))
    encoder.eval().save_pretrained(output)
    state.path.unlink()


@dataclass(frozen=True)
class _State:
    """Everything that the next epoch depends on."""

    encoder: Any
    heads: Any
    optimizer: Any
    rate: Any
    shuffler: random.Random
    path: Path

    def restore(self) -> int:
        """Go back to the state on disk, if there is one; returns the number of epochs that it has behind it."""
        import torch

        if not self.path.is_file():
            return 0
        saved = torch.load(self.path, weights_only=True)
        for name in ("encoder", "heads", "optimizer", "rate"):
            getattr(self, name).load_state_dict(saved[name])
        torch.set_rng_state(saved["noise"])
        version, numbers, following = saved["order"]
        self.shuffler.setstate((version, tuple(numbers), following))
        return int(saved["epochs"])

    def save(self, epochs: int) -> None:
        """Write the state; an interruption leaves the one before."""
        import torch

        parts = {name: getattr(self, name).state_dict() for name in ("encoder", "heads", "optimizer", "rate")}
        parts |= {"noise": torch.get_rng_state(), "order": self.shuffler.getstate(), "epochs": epochs}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".new")
        torch.save(parts, temporary)
        temporary.replace(self.path)


@functools.cache
def half_precision_is_fast() -> bool:
    """Whether this processor is quicker in bfloat16 than in single precision: measured once, on one layer, there and back.

    It cannot be told from the processor's instructions. With AMX, tuning is several times as fast in bfloat16; with AVX-512's own
    bfloat16 alone, a step was seen to take 1.6 times as long; where torch must emulate it, seven times.
    """
    import torch

    # Nothing here draws a random number: what is tuned afterwards does not depend on whether this was asked before.
    states, weights = torch.ones(1024, 768), torch.ones(3072, 768, requires_grad=True)
    taken: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(5):
        for half, times in taken.items():
            start = time.perf_counter()
            with torch.enable_grad():
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
                    result = torch.nn.functional.linear(states, weights)
                result.float().mean().backward()  # type: ignore[no-untyped-call]
            times.append(time.perf_counter() - start)
    return min(taken[True]) < min(taken[False])


def _take_over(start: Heads, linear: Mapping[str, Any], encoder: Any, shown: dict[str, torch.Tensor]) -> None:
    """Let the heads for attention and sentences say what ``start`` says, as near as they can; the one for tokens says nothing.

    ``start`` reads vectors of length 1, these heads read them as they are: its weights are divided by their mean length.
    Labels for which it had too few examples begin as without it.
    """
    import torch

    with torch.no_grad():
        linear["attention"].weight.copy_(torch.from_numpy(start.attention))
        states = encoder(input_ids=shown["ids"], attention_mask=shown["mask"]).last_hidden_state
        outside = (shown["pool"] == 0)[..., None]
        focus = linear["attention"](states)[:, None].masked_fill(outside, -1e4).softmax(dim=2)
        pooled = torch.einsum("bstl,btw->bslw", focus, states)
        length = pooled.norm(dim=-1)[shown["pool"].amax(-1) > 0].mean(dim=0).double().numpy()
        weights = start.sentence_weights * (start.slope / length)[:, None]
        bias = np.where(start.threshold > 1, _RARE, start.slope * start.sentence_bias + start.intercept)
        linear["sentence"].weight.copy_(torch.from_numpy(weights))
        linear["sentence"].bias.copy_(torch.from_numpy(bias))
        torch.nn.init.zeros_(linear["token"].weight)


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


def _groups(examples: Sequence[Example], most: int) -> list[list[int]]:
    """The places of the examples, those of a pair together; of more than ``most`` with one name each stands by itself."""
    groups = pair_groups(examples)
    return [part for group in groups for part in ([group] if len(group) <= most else [[place] for place in group])]


def _batches(
    passages: Sequence[_Passage], groups: Sequence[list[int]], options: TuneOptions, shuffler: random.Random
) -> Iterator[list[_Passage]]:
    """Shuffled batches of passages of similar length as they are shown, which wastes little on padding.

    The members of a minimal pair are varied alike, as far as they have as many sentences, and nearly always stand in one batch:
    what they share then cancels in the step, and what is left to learn is the difference.
    """
    groups = shuffler.sample(groups, len(groups))
    pool = options.batch * 32
    rest: list[_Passage] = []
    for first in range(0, len(groups), pool):
        shown = [rest]
        for group in groups[first : first + pool]:
            alike = shuffler.random()
            shown.append([_varied(passages[place], passages, options, random.Random(alike)) for place in group])
        shown.sort(key=lambda group: max((len(passage.ids) for passage in group), default=0))
        row = [passage for group in shown for passage in group]
        # Groups differ in size: what does not fill a batch waits for the next pool, or there would be more batches than steps.
        end = len(row) if first + pool >= len(groups) else len(row) - len(row) % options.batch
        batches, rest = [row[i : i + options.batch] for i in range(0, end, options.batch)], row[end:]
        shuffler.shuffle(batches)
        yield from batches


def _varied(passage: _Passage, others: Sequence[_Passage], options: TuneOptions, shuffler: random.Random) -> _Passage:
    shown = _crop(passage, options.crop, shuffler)
    if shuffler.random() >= options.join:
        return shown
    other = _crop(shuffler.choice(others), options.crop, shuffler)
    return _join(shown, other) if len(shown.ids) + len(other.ids) <= _MOST_JOINED else shown


def _join(first: _Passage, second: _Passage) -> _Passage:
    return _Passage(
        np.concatenate([first.ids, second.ids]),
        np.concatenate([first.token_labels, second.token_labels]),
        np.concatenate([first.owner, second.owner + len(first.labels)]),
        np.concatenate([first.labels, second.labels]),
    )


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
    """Padded tensors: ids, mask (batch, tokens); token_labels (batch, tokens, labels); pool (batch, sentences, tokens), 1
    where a token belongs to a sentence; labels (batch, sentences, labels).
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

    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half_precision_is_fast()):
        states = encoder(input_ids=batch["ids"], attention_mask=batch["mask"]).last_hidden_state
    states = torch.nn.functional.dropout(states.float(), dropout)
    outside = (batch["pool"] == 0)[..., None]
    focus = heads["attention"](states)[:, None].masked_fill(outside, -1e4).softmax(dim=2)
    values = states @ heads["sentence"].weight.T
    logits = (focus * values[:, None]).sum(dim=2) + heads["sentence"].bias
    sentence = cross_entropy(logits, batch["labels"], reduction="none").sum(-1)
    token = cross_entropy(heads["token"](states), batch["token_labels"], reduction="none").sum(-1)
    present, visible = batch["pool"].amax(-1), batch["pool"].sum(1)
    return (sentence * present).sum() / present.sum() + (token * visible).sum() / visible.sum()


def _schedule(step: int, steps: int, warm_up: float) -> float:
    return min((step + 1) / max(warm_up * steps, 1), max(0.0, (steps - step) / ((1 - warm_up) * steps)))
