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

from whopays.codebook import Codebook
from whopays.corpus.checking import is_document, load_corpus
from whopays.training.build import minilm_folder

CORPUS = Path(__file__).parents[1] / "corpus"


def main() -> int:
    """Print the closest pairs."""
    from sentence_transformers import SentenceTransformer

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--limit", type=float, default=0.96, help="cosine similarity from which two passages are too close"
    )
    parser.add_argument("--show", type=int, default=10)
    options = parser.parse_args()
    splits = load_corpus(CORPUS, Codebook.load(CORPUS / "codebook.toml"))
    rows = [(split, e) for split, examples in splits.items() for e in examples if not is_document(e)]
    model = SentenceTransformer(str(minilm_folder()), device="cpu")
    vectors = np.asarray(model.encode([e.text for _, e in rows], batch_size=32, normalize_embeddings=True))
    similarity = np.triu(vectors @ vectors.T, k=1)
    units = np.array([e.attributes.get("pair") or e.id for _, e in rows])
    similarity[units[:, None] == units[None, :]] = 0
    across = np.array([split for split, _ in rows])
    closest = np.dstack(np.unravel_index(np.argsort(-similarity, axis=None)[: options.show], similarity.shape))[0]
    for i, j in closest:
        print(f"{similarity[i, j]:.3f}  {rows[i][0]} {rows[i][1].id}  ~  {rows[j][0]} {rows[j][1].id}")
    held_out = (across[:, None] == "heldout") != (across[None, :] == "heldout")
    worst, worst_across = float(similarity.max()), float((similarity * held_out).max())
    print(f"highest similarity: {worst:.3f}; between held-out and other text: {worst_across:.3f}")
    return int(worst >= options.limit)


if __name__ == "__main__":
    sys.exit(main())
