"""The most similar passages of the corpus by embedding, outside pairs.

    python benchmarks/near_duplicates.py [--limit 0.96] [--held-out-limit 0.87]

Embeds every passage with all-MiniLM-L6-v2 as published (the package in the `train` extra) and prints the closest pairs, and
the closest of passages of two kinds: held out, fresh, dense, and learnt from. Exit status 1 if two passages that are no minimal
pair reach their limit, which is lower between kinds: there two authors who met the same page would make a test of memory.

Candidates are found with the same encoder in 8 bits, which is several times as fast; those that could be the closest are compared
in single precision. If one of these turns out to be further off than was allowed for, all are compared so.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from whopays.codebook import Codebook
from whopays.corpus.checking import is_document, load_corpus
from whopays.model.encoder import Encoder, default_threads
from whopays.training.bases import minilm_folder
from whopays.training.export import export_encoder

CORPUS = Path(__file__).parents[1] / "corpus"
LIMIT = 0.96
HELD_OUT_LIMIT = 0.87
# So many passages are embedded, or compared with all later ones, at a time.
BLOCK = 512
# How far a similarity by 8-bit vectors is taken to be off at most, where it is high. Of 800 passages, half of them twins, 140
# pairs were above 0.9 and off by up to 0.011, 32 above 0.8 and off by up to 0.020; below it is more, where nothing is looked for.
MARGIN = 0.03
# So many pairs are looked at as candidates; if that many are within the margin, there may be more.
CANDIDATES = 2000

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Pair = tuple[float, int, int]


def main() -> int:
    """Print the closest pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--limit", type=float, default=LIMIT, help="cosine similarity from which passages are too close"
    )
    parser.add_argument("--held-out-limit", type=float, default=HELD_OUT_LIMIT, help="the same across")
    parser.add_argument("--show", type=int, default=10)
    options = parser.parse_args()
    splits = load_corpus(CORPUS, Codebook.load(CORPUS / "codebook.toml"))
    rows = [(split, e) for split, examples in splits.items() for e in examples if not is_document(e)]
    texts = [e.text for _, e in rows]
    vectors = embed_quickly(texts)
    units = numbered([e.attributes.get("pair") or e.id for _, e in rows])
    kinds = numbered([_kind(split) for split, _ in rows])
    closest = exact(closest_pairs(vectors, units, CANDIDATES), texts, max(options.show, 1))
    across = exact(closest_pairs(vectors, units, CANDIDATES, across=kinds), texts, 1)
    if closest is None or across is None:
        print("8-bit vectors are off by more than allowed for; comparing all in single precision")
        vectors = embed(texts)
        closest = closest_pairs(vectors, units, max(options.show, 1))
        across = closest_pairs(vectors, units, 1, across=kinds)
    for similarity, i, j in closest[: options.show] + across:
        print(f"{similarity:.3f}  {rows[i][0]} {rows[i][1].id}  ~  {rows[j][0]} {rows[j][1].id}")
    highest, apart = (pairs[0][0] if pairs else 0.0 for pairs in (closest, across))
    print(f"highest similarity: {highest:.3f}; between held-out, fresh, dense and other text: {apart:.3f}")
    return int(highest >= options.limit or apart >= options.held_out_limit)


def _kind(split: str) -> str:
    return "held out" if split.endswith("heldout") else split if split in ("fresh", "dense") else "learnt"


def numbered(names: list[str]) -> Ints:
    """A number for each name, the same for equal names."""
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def closest_pairs(vectors: Floats, units: Ints, count: int, across: Ints | None = None) -> list[Pair]:
    """The ``count`` pairs of rows with the highest cosine similarity: (similarity, row, later row), the most similar first.

    vectors: unit vectors (rows, width). units: (rows,); two rows of the same unit, such as a minimal pair, are no pair here.
    across: (rows,); only pairs of rows of which it differs. Works block by block: the memory grows with the rows, not with
    their square. Fewer pairs come back if there are not so many.
    """
    found: list[Pair] = []
    for first in range(0, len(vectors), BLOCK):
        rows = np.arange(first, min(first + BLOCK, len(vectors)))
        similarity = vectors[rows] @ vectors[first:].T
        barred = np.arange(first, len(vectors))[None, :] <= rows[:, None]
        barred |= units[rows, None] == units[None, first:]
        if across is not None:
            barred |= across[rows, None] == across[None, first:]
        similarity[barred] = -np.inf
        best = np.argpartition(-similarity, min(count, similarity.size) - 1, axis=None)[:count]
        for row, column in zip(*np.unravel_index(best, similarity.shape), strict=True):
            if not barred[row, column]:
                found.append((float(similarity[row, column]), first + int(row), first + int(column)))
        found = sorted(found, key=lambda pair: (-pair[0], *pair[1:]))[:count]
    return found


def exact(candidates: list[Pair], texts: list[str], count: int) -> list[Pair] | None:
    """The ``count`` closest of ``candidates``, which were found by 8-bit vectors, compared in single precision.

    candidates: the `CANDIDATES` most similar ones, or all there are, the most similar first. Holds as long as no close pair is
    further off than `MARGIN`. None if one that is compared is, or if there may be more within it than there are candidates.
    """
    if not candidates:
        return []
    first = compared(candidates[:count], texts)
    near = [pair for pair in candidates if pair[0] >= first[-1][0] - MARGIN]
    found = compared(near, texts)
    before = {pair[1:]: pair[0] for pair in near}
    if len(near) == CANDIDATES or any(abs(pair[0] - before[pair[1:]]) > MARGIN for pair in found):
        return None
    return found[:count]


def compared(pairs: list[Pair], texts: list[str]) -> list[Pair]:
    """The pairs with their similarity in single precision, the most similar first."""
    members = sorted({index for pair in pairs for index in pair[1:]})
    place = {index: row for row, index in enumerate(members)}
    vectors = embed([texts[index] for index in members])
    again = [(float(vectors[place[i]] @ vectors[place[j]]), i, j) for _, i, j in pairs]
    return sorted(again, key=lambda pair: (-pair[0], *pair[1:]))


def embed_quickly(texts: list[str]) -> Floats:
    """As `embed`, of the same encoder exported in 8 bits, without the special tokens, longer texts in windows."""
    with tempfile.TemporaryDirectory() as folder:
        export_encoder(minilm_folder(), Path(folder))
        encoder = Encoder(Path(folder))
    means: list[Floats] = []
    # Not all at once: the vectors of every token of the corpus would take gigabytes.
    for first in range(0, len(texts), BLOCK):
        documents = [[encoder.tokenize(text)] for text in texts[first : first + BLOCK]]
        means += [states.states.mean(axis=0) for (states,) in encoder.encode_all(documents, default_threads())]
    vectors = np.array(means, dtype=np.float32)
    unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def embed(texts: list[str]) -> Floats:
    """The mean of a text's token vectors, scaled to length 1, as all-MiniLM-L6-v2 was published; (texts, 384)."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = minilm_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    vectors = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    for first in range(0, len(order), 32):
        chosen = order[first : first + 32]
        batch = tokenizer(
            [texts[i] for i in chosen], padding=True, truncation=True, max_length=256, return_tensors="pt"
        )
        with torch.no_grad():
            states = model(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None]
        means = (states * mask).sum(1) / mask.sum(1)
        vectors[chosen] = torch.nn.functional.normalize(means, dim=1).numpy()
    return vectors


if __name__ == "__main__":
    sys.exit(main())
