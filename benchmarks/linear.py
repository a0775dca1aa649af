"""Whether the cost of a batch run grows in proportion to the text: seconds for each megabyte, in files of rising size.

    python benchmarks/linear.py [--megabytes 1 10 100] [--workers 2]

The time that a run takes over a single sentence, loading, is subtracted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from batches import BatchRun, write_text


def main() -> None:
    """Print a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, nargs="+", default=[1, 10, 100])
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print("| text | seconds | seconds/MB | against the first |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        (place / "small.txt").write_text("Students now pay $5,500 a year.", encoding="utf-8")
        loading = min(_seconds(place / "small.txt", place / f"loading-{n}", options.workers) for n in range(3))
        first = 0.0
        for megabytes in options.megabytes:
            path = place / f"{megabytes:g}.txt"
            write_text(path, megabytes)
            seconds = _seconds(path, place / f"run-{megabytes:g}", options.workers) - loading
            rate = seconds / megabytes
            first = first or rate
            print(f"| {megabytes:g} MB | {seconds:.1f} | {rate:.2f} | {rate / first:.2f} |", flush=True)


def _seconds(path: Path, folder: Path, workers: int) -> float:
    start = time.monotonic()
    status, said = BatchRun([path], folder, "--workers", str(workers)).wait()
    if status:
        raise SystemExit(f"the run ended with status {status}: {said[-2000:]}")
    return time.monotonic() - start


if __name__ == "__main__":
    main()
