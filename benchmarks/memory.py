"""Memory of a batch run: its growth over many documents, and its peak over one huge text.

    python benchmarks/memory.py [--documents 10000] [--megabytes 500] [--workers 1] [--model small] [--dull]

Memory is that of the main process and all others together, pages that several share counted once, looked at twice a
second. Growth compares the highest value between a tenth and a fifth of the documents, when everything is loaded, with the
highest in the last tenth. Give 0 to leave a part out.
``--dull``: the huge text is about museums and weather, so that the gate keeps it from the encoder, and the run takes minutes
instead of hours; its parts pass through the same processes, and no two are alike.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from batches import BatchRun, add_model, paragraphs, table, write_text


def main() -> None:
    """Print both figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--megabytes", type=float, default=500)
    parser.add_argument("--workers", type=int, default=1)
    add_model(parser)
    parser.add_argument("--dull", action="store_true", help="the huge text has nothing for the encoder to do")
    options = parser.parse_args()
    settings = ("--workers", str(options.workers), "--model", options.model)
    rows: list[tuple[str, ...]] = [("what", "memory", "against", "seconds")]
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        if options.documents:
            rows.append(_growth(place, options.documents, settings))
        if options.megabytes:
            write_text(place / "huge.txt", options.megabytes, dull=options.dull)
            samples, seconds = _watch(BatchRun([place / "huge.txt"], place / "huge", *settings))
            peak = max(memory for _, memory in samples)
            kind = "dull text" if options.dull else "text"
            rows.append(
                (f"one {kind} of {options.megabytes:g} MB, peak", f"{peak / 1e6:,.0f} MB", "", f"{seconds:,.0f}")
            )
    print(f"model {options.model}, {options.workers} worker(s)\n\n{table(*rows)}")


def _growth(place: Path, documents: int, settings: tuple[str, ...]) -> tuple[str, ...]:
    files = place / "files"
    files.mkdir()
    source = paragraphs(0)
    for number in range(documents):
        blocks = [next(source) for _ in range(3)]
        if number % 10:
            (files / f"{number:06}.txt").write_text("\n\n".join(blocks), encoding="utf-8")
        else:
            body = "".join(f"<p>{block}</p>" for block in blocks)
            (files / f"{number:06}.html").write_text(f"<html><body>{body}</body></html>", encoding="utf-8")
    samples, seconds = _watch(BatchRun([files], place / "run", *settings), place / "run" / "ledger.jsonl")
    end = max(done for done, _ in samples)
    warm = [memory for done, memory in samples if 0.1 * end <= done <= 0.2 * end]
    if not warm:
        raise SystemExit(f"{documents} documents are done too soon to tell a growth of memory; give more --documents.")
    early = max(warm)
    late = max(memory for done, memory in samples if done >= 0.9 * end)
    growth = f"{early / 1e6:,.0f} MB after warm-up: {100 * (late / early - 1):+.1f} %"
    return f"{documents:,} documents, at the end", f"{late / 1e6:,.0f} MB", growth, f"{seconds:,.0f}"


def _watch(run: BatchRun, ledger: Path | None = None) -> tuple[list[tuple[int, int]], float]:
    """Pairs of how much is done (bytes of the ledger) and memory in bytes, and the seconds that the run took."""
    start = time.monotonic()
    samples = []
    while run.process.poll() is None:
        done = ledger.stat().st_size if ledger is not None and ledger.exists() else 0
        samples.append((done, run.memory()))
        time.sleep(0.5)
    status, said = run.wait()
    if status:
        raise SystemExit(f"the run ended with status {status}: {said[-2000:]}")
    return samples, time.monotonic() - start


if __name__ == "__main__":
    main()
