"""PDF pages a second, from file to tags, and the share of the time that reading takes.

    python benchmarks/pdf.py [--rounds 5] [--models default small] [FILE.pdf ...]

One process, one document after the other, as a person would have them tagged; by default the example reports. Each round reads
and tags every file afresh; the medians of the rounds are printed, after one round that is not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import whopays

EXAMPLES = Path(__file__).parents[1] / "examples" / "documents"


def main() -> None:
    """Print a row for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE.pdf")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=["default", "small"])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    files = options.files or sorted(EXAMPLES.glob("*.pdf"))
    documents = [document for file in files for document in whopays.read(file)]
    pages = sum(len(document.page_starts) for document in documents)
    words = sum(len(document.text.split()) for document in documents)
    print(f"{len(files)} files, {pages} pages, {words:,} words, {options.threads} threads\n")
    print("| model | pages/s, file to tags | reading | tagging | share of reading |\n|---|---|---|---|---|")
    for model in options.models:
        tagger = whopays.load(model, threads=options.threads)
        rounds = [_round(tagger, files) for _ in range(options.rounds + 1)][1:]
        reading, tagging = (statistics.median(column) for column in zip(*rounds, strict=True))
        total = reading + tagging
        print(
            f"| {model} | {pages / total:.1f} | {1000 * reading / pages:.1f} ms/page | {1000 * tagging / pages:.1f} ms/page "
            f"| {reading / total:.0%} |",
            flush=True,
        )


def _round(tagger: whopays.Tagger, files: Sequence[Path]) -> tuple[float, float]:
    """Seconds that reading and tagging take."""
    reading = tagging = 0.0
    for file in files:
        start = time.perf_counter()
        documents = list(whopays.read(file))
        read = time.perf_counter()
        for document in documents:
            tagger.tag(document)
        reading += read - start
        tagging += time.perf_counter() - read
    return reading, tagging


if __name__ == "__main__":
    main()
