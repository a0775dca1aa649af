"""A batch run under SIGKILL: whatever is killed and when, the final tables are those of an undisturbed run.

    python benchmarks/kills.py [--kills 200] [--seed 0] [--workers 2] [--documents 150] [--model small]

Kills the main process or one of its children at random moments, and goes on by --resume, until the run is complete;
then the tables are compared byte by byte, and a new run begins, until there were enough kills. Ends with status 1 if
a table differs or a process outlives the main one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

from batches import ROOT, BatchRun, add_model, paragraphs, table, tables


def collection(folder: Path, documents: int, seed: int) -> Path:
    """Texts, duplicates, a table, broken files and the examples, in a folder."""
    shutil.copytree(ROOT / "examples" / "documents", folder)
    source = paragraphs(seed)
    for number in range(documents):
        (folder / f"text-{number:05}.txt").write_text("\n\n".join(next(source) for _ in range(4)), encoding="utf-8")
    for number in range(0, documents, 10):
        shutil.copyfile(folder / f"text-{number:05}.txt", folder / f"twin-{number:05}.txt")
    (folder / "empty.txt").write_bytes(b"")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    return folder


def main() -> None:
    """Kill, resume, compare, and print what was killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--documents", type=int, default=150)
    add_model(parser)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    killed: Counter[str] = Counter()
    runs = 0
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        files = collection(place / "files", options.documents, options.seed)
        workers = ("--workers", str(options.workers), "--model", options.model)
        start = time.monotonic()
        BatchRun([files], place / "undisturbed", *workers).wait()
        duration = time.monotonic() - start
        expected = tables(place / "undisturbed")
        while killed.total() < options.kills:
            run = BatchRun([files], place / "run", "--resume", *workers)
            while run.process.poll() is None and killed.total() < options.kills:
                time.sleep(chance.uniform(0, duration / 2))
                _kill(run, chance, killed)
            status, said = run.wait()
            if orphans := run.orphans():
                raise SystemExit(f"WRONG: the processes {orphans} outlived the main one")
            if status in (0, 1):
                runs += 1
                _compare(expected, tables(place / "run"))
                shutil.rmtree(place / "run")
            elif status != -signal.SIGKILL:
                raise SystemExit(f"WRONG: a run ended with status {status}: {said[-2000:]}")
        status, said = BatchRun([files], place / "run", "--resume", *workers).wait()
        if status not in (0, 1):
            raise SystemExit(f"WRONG: the last run ended with status {status}: {said[-2000:]}")
        _compare(expected, tables(place / "run"))
    print(
        f"{killed.total()} kills, seed {options.seed}, model {options.model}; an undisturbed run takes {duration:.1f} s\n"
    )
    rows = [(f"SIGKILL of the {name} process", number) for name, number in sorted(killed.items())]
    print(table(("what", "how often"), *rows, ("complete runs, all tables identical", runs + 1), ("orphans", 0)))


def _kill(run: BatchRun, chance: random.Random, killed: Counter[str]) -> None:
    """Kill the main process or one of the others, as chance has it."""
    main = run.process.pid
    children = [pid for pid in run.processes() if pid != main]
    target = chance.choice(children) if children and chance.random() < 0.6 else main
    if run.process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(target, signal.SIGKILL)
            killed["main" if target == main else "child"] += 1
        if target == main:
            run.process.wait()


def _compare(expected: dict[str, bytes], found: dict[str, bytes]) -> None:
    for name, content in expected.items():
        if found[name] != content:
            raise SystemExit(f"WRONG: {name} differs from that of the undisturbed run")


if __name__ == "__main__":
    main()
