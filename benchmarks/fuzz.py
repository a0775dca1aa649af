"""Mutated files through a batch run: every one must end as a result or a typed problem, and disturb no neighbour.

    python benchmarks/fuzz.py [--files 5000] [--seed 0] [--workers 2] [--model small] [--keep FOLDER]

The example documents are damaged by a seeded script: flipped bits, truncations, wrong extensions, zeroed stretches,
doubled and swapped stretches. The originals lie among them. Ends with status 1 and says what is wrong if the run died, a
file is missing from the outcome, a problem has no type of ours, a process is left over, or an original's result changed.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from batches import ROOT, BatchRun, add_model, table
from whopays import errors
from whopays.reading import SUFFIXES

EXAMPLES = ROOT / "examples" / "documents"


def flip(data: bytearray, chance: random.Random) -> None:
    """Flip up to 50 bits."""
    for _ in range(chance.choice((1, 5, 50))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def truncate(data: bytearray, chance: random.Random) -> None:
    """Cut the end off."""
    del data[chance.randrange(len(data)) :]


def zero(data: bytearray, chance: random.Random) -> None:
    """Put zeros in place of a stretch."""
    start = chance.randrange(len(data))
    end = min(len(data), start + chance.choice((1, 64, 4096)))
    data[start:end] = bytes(end - start)


def double(data: bytearray, chance: random.Random) -> None:
    """Repeat a stretch."""
    start = chance.randrange(len(data))
    data[start:start] = data[start : start + chance.choice((16, 1024, 65536))]


def swap(data: bytearray, chance: random.Random) -> None:
    """Exchange the two parts of the file."""
    middle = chance.randrange(len(data))
    data[:] = data[middle:] + data[:middle]


def rename(data: bytearray, chance: random.Random) -> None:
    """Leave the content alone; the extension is changed instead."""


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (flip, truncate, zero, double, swap, rename)


def mutate(folder: Path, count: int, seed: int) -> Counter[str]:
    """Write ``count`` mutated examples into ``folder``; how many of each kind."""
    chance = random.Random(seed)
    examples = sorted(path for path in EXAMPLES.iterdir() if path.suffix in SUFFIXES)
    kinds: Counter[str] = Counter()
    for number in range(count):
        original, mutation = chance.choice(examples), chance.choice(MUTATIONS)
        data = bytearray(original.read_bytes())
        mutation(data, chance)
        if chance.random() < 0.3 and data:
            flip(data, chance)
        suffix = chance.choice(sorted(SUFFIXES)) if mutation is rename else original.suffix
        (folder / f"{number:05}-{mutation.__name__}{suffix}").write_bytes(data)
        kinds[mutation.__name__] += 1
    return kinds


def results(run: Path) -> dict[str, list[str]]:
    """The lines of results of each file."""
    found: dict[str, list[str]] = {}
    for line in (run / "results.jsonl").read_text(encoding="utf-8").splitlines():
        found.setdefault(json.loads(line)["source"], []).append(line)
    return found


def main() -> None:
    """Mutate, run, check, and print the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    add_model(parser)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave files and run there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = options.keep or Path(temporary)
        wrong = check(place, options.files, options.seed, options.workers, options.model)
    for line in wrong:
        print(f"WRONG: {line}")
    raise SystemExit(1 if wrong else 0)


def check(place: Path, count: int, seed: int, workers: int, model: str) -> list[str]:
    """What is wrong after a run over mutated files; nothing, if all is well."""
    files = place / "files"
    files.mkdir(parents=True)
    originals = [
        files / f"{number:05}5-original{path.suffix}" for number, path in enumerate(sorted(EXAMPLES.iterdir()))
    ]
    for original, path in zip(originals, sorted(EXAMPLES.iterdir()), strict=True):
        shutil.copyfile(path, original)
    settings = ("--workers", str(workers), "--model", model)
    BatchRun(originals, place / "alone", *settings).wait()
    kinds = mutate(files, count, seed)

    run = BatchRun([files], place / "run", *settings)
    status, said = run.wait()
    wrong = [f"left-over process {pid}" for pid in run.orphans()]
    if status not in (0, 1):
        return [*wrong, f"the run ended with status {status}: {said[-2000:]}"]
    given, alone = results(place / "run"), results(place / "alone")
    lines = (place / "run" / "problems.jsonl").read_text(encoding="utf-8").splitlines()
    problems = [json.loads(line) for line in lines]
    failed = {problem["file"] for problem in problems}
    ours = {name for name in dir(errors) if isinstance(getattr(errors, name), type)}
    for path in sorted(files.iterdir()):
        if str(path) not in given and str(path) not in failed:
            wrong.append(f"{path.name}: neither result nor problem")
    for problem in problems:
        if problem["error"] not in ours:
            wrong.append(f"no typed problem: {problem}")
    for original in originals:
        if given.get(str(original)) != alone.get(str(original)):
            wrong.append(f"{original.name}: its result changed")
    summary = json.loads((place / "run" / "run.json").read_bytes())
    if summary["inputs"] != summary["results"] + summary["problems"]:
        wrong.append(f"the counts do not add up: {summary}")

    print(
        f"{count} mutated files, seed {seed}, model {model}: {', '.join(f'{k} {n}' for k, n in sorted(kinds.items()))}\n"
    )
    found = Counter(problem["error"] for problem in problems)
    rows = [("outcome", "files"), ("results", len(given)), ("problems", len(failed)), *found.most_common()]
    print(table(*rows, ("**wrong**", len(wrong))))
    return wrong


if __name__ == "__main__":
    main()
