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


def main() -> int:
    """Print the closest pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--limit", type=float, default=LIMIT, help="cosine similarity from which passages are too close"
    )
    parser.add_argument("--show", type=int, default=10)
    options = parser.parse_args()
    names, similarity = similarities()
    closest = np.dstack(np.unravel_index(np.argsort(-similarity, axis=None)[: options.show], similarity.shape))[0]
    for i, j in closest:
        print(f"{similarity[i, j]:.3f}  {' '.join(names[i])}  ~  {' '.join(names[j])}")
    held_out = np.array([split.endswith("heldout") for split, _ in names])
    across = similarity * (held_out[:, None] != held_out[None, :])
    print(f"highest similarity: {similarity.max():.3f}; between held-out and other text: {across.max():.3f}")
    return int(similarity.max() >= options.limit)


def similarities() -> tuple[list[tuple[str, str]], npt.NDArray[np.float32]]:
    """(split, id) of every passage, and the cosine similarity of each two that are no minimal pair, above the diagonal."""
    splits = load_corpus(CORPUS, Codebook.load(CORPUS / "codebook.toml"))
    rows = [(split, e) for split, examples in splits.items() for e in examples if not is_document(e)]
    vectors = embed([e.text for _, e in rows])
    similarity = np.triu(vectors @ vectors.T, k=1)
    units = np.array([e.attributes.get("pair") or e.id for _, e in rows])
    similarity[units[:, None] == units[None, :]] = 0
    return [(split, e.id) for split, e in rows], similarity


def embed(texts: list[str]) -> npt.NDArray[np.float32]:
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
