"""The most similar passages of the corpus by embedding, outside pairs.

    python benchmarks/near_duplicates.py [--limit 0.96]

Embeds every passage with all-MiniLM-L6-v2 as published (the package in the `train` extra) and prints the closest pairs, within
and across splits. Exit status 1 if two passages that are no minimal pair reach the limit.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from whopays.codebook import Codebook
from whopays.corpus.checking import is_document, load_corpus
from whopays.training.bases import minilm_folder

CORPUS = Path(__file__).parents[1] / "corpus"
LIMIT = 0.96
# So many passages are compared with all later ones at a time.
BLOCK = 512

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def main() -> int:
    """Print the closest pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--limit", type=float, default=LIMIT, help="cosine similarity from which passages are too close"
    )
    parser.add_argument("--show", type=int, default=10)
    options = parser.parse_args()
    splits = load_corpus(CORPUS, Codebook.load(CORPUS / "codebook.toml"))
    rows = [(split, e) for split, examples in splits.items() for e in examples if not is_document(e)]
    vectors = embed([e.text for _, e in rows])
    units = numbered([e.attributes.get("pair") or e.id for _, e in rows])
    held_out = np.array([split.endswith("heldout") for split, _ in rows])
    closest = closest_pairs(vectors, units, max(options.show, 1))
    for similarity, i, j in closest[: options.show]:
        print(f"{similarity:.3f}  {rows[i][0]} {rows[i][1].id}  ~  {rows[j][0]} {rows[j][1].id}")
    across = closest_pairs(vectors, units, 1, across=held_out)
    highest, apart = (pairs[0][0] if pairs else 0.0 for pairs in (closest, across))
    print(f"highest similarity: {highest:.3f}; between held-out and other text: {apart:.3f}")
    return int(highest >= options.limit)


def numbered(names: list[str]) -> Ints:
    """A number for each name, the same for equal names."""
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def closest_pairs(
    vectors: Floats, units: Ints, count: int, across: npt.NDArray[np.bool_] | None = None
) -> list[tuple[float, int, int]]:
    """The ``count`` pairs of rows with the highest cosine similarity: (similarity, row, later row), the most similar first.

    vectors: unit vectors (rows, width). units: (rows,); two rows of the same unit, such as a minimal pair, are no pair here.
    across: (rows,); only pairs of which it holds for one row and not for the other. Works block by block: the memory
    grows with the rows, not with their square. Fewer pairs come back if there are not so many.
    """
    found: list[tuple[float, int, int]] = []
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
    return sorted(found, key=lambda pair: (-pair[0], *pair[1:]))[:count]


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
