"""Whether the cost of a batch run grows in proportion to the text: seconds for each megabyte, in files of rising size.

    python benchmarks/linear.py [--megabytes 1 10 100] [--workers 2] [--model small] [--dull]

The time that a run takes over 5 kB, nearly all of it loading, is subtracted.
``--dull``: the text is about museums and weather, so that the gate keeps it from the encoder, and 100 MB take minutes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from batches import BatchRun, add_model, write_text


def main() -> None:
    """Print a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, nargs="+", default=[1, 10, 100])
    parser.add_argument("--workers", type=int, default=2)
    add_model(parser)
    parser.add_argument("--dull", action="store_true", help="text that has nothing for the encoder to do")
    options = parser.parse_args()
    settings = ("--workers", str(options.workers), "--model", options.model)
    print("| text | seconds | seconds/MB | against the first |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        # Long enough for everything to be loaded, the identifier of languages too.
        write_text(place / "small.txt", 0.005, dull=options.dull)
        loading = min(_seconds(place / "small.txt", place / f"loading-{n}", settings) for n in range(3))
        first = 0.0
        for megabytes in options.megabytes:
            path = place / f"{megabytes:g}.txt"
            write_text(path, megabytes, dull=options.dull)
            seconds = _seconds(path, place / f"run-{megabytes:g}", settings) - loading
            rate = seconds / megabytes
            first = first or rate
            print(f"| {megabytes:g} MB | {seconds:.1f} | {rate:.2f} | {rate / first:.2f} |", flush=True)


def _seconds(path: Path, folder: Path, settings: tuple[str, ...]) -> float:
    start = time.monotonic()
    status, said = BatchRun([path], folder, *settings).wait()
    if status:
        raise SystemExit(f"the run ended with status {status}: {said[-2000:]}")
    return time.monotonic() - start


if __name__ == "__main__":
    main()
