"""What the scripts about batch runs share: texts to tag, runs as processes, and a look at their processes and memory."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLES = ("results.jsonl", "results.parquet", "problems.jsonl", "report.html", "run.json")
_MARK = "WHOPAYS_BENCHMARK"


class BatchRun:
    """A run of `whopays tag` as a process, with all processes that it starts marked."""

    def __init__(self, paths: Sequence[Path], output: Path, *options: str) -> None:
        self._mark = uuid.uuid4().hex
        command = [sys.executable, "-m", "whopays", "tag", *map(str, paths), "--output", f"{output}/", *options]
        self.process = subprocess.Popen(
            command,
            env={**os.environ, _MARK: self._mark},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    def wait(self) -> tuple[int, str]:
        """Exit status and standard error."""
        _, errors = self.process.communicate()
        return self.process.returncode, errors

    def processes(self) -> list[int]:
        """The numbers of all processes of this run that are alive."""
        found = []
        for place in Path("/proc").iterdir():
            if place.name.isdecimal():
                with contextlib.suppress(OSError):
                    if f"{_MARK}={self._mark}".encode() in (place / "environ").read_bytes().split(b"\0"):
                        found.append(int(place.name))
        return found

    def orphans(self, patience: float = 5.0) -> list[int]:
        """The processes that are left over ``patience`` seconds after the main one ended."""
        end = time.monotonic() + patience
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.05)
        return left

    def memory(self) -> int:
        """The memory of all its processes in bytes, pages that several share counted once (PSS)."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
        return total


def tables(folder: Path) -> dict[str, bytes]:
    """The bytes of what a run leaves."""
    return {name: (folder / name).read_bytes() for name in TABLES}


def sentences() -> list[str]:
    """Sentences of the corpus' training texts."""
    import whopays

    lines = (ROOT / "corpus" / "data" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    return [" ".join(segment.text.split()) for text in texts for segment in whopays.segment(text)]


def paragraphs(seed: int) -> Iterator[str]:
    """Endless paragraphs of sentences of the corpus, shuffled; the same for the same seed."""
    chance = random.Random(seed)
    known = sentences()
    while True:
        yield " ".join(chance.choices(known, k=chance.randint(2, 7)))


def dull_paragraphs(seed: int) -> Iterator[str]:
    """Endless paragraphs about museums and weather, no two alike, whose sentences the gate keeps from the encoder."""
    chance = random.Random(seed)
    while True:
        sentences = (chance.choice(_DULL).format(*(chance.randint(2, 9999) for _ in range(2))) for _ in range(5))
        yield " ".join(sentences)


_DULL = (
    "Room {} of the museum shows {} small paintings of the old harbour, most of them by one hand.",
    "On the {}th morning it rained again, and the river stood {} millimetres above the mark.",
    "The reeds beside the water were full of birds: {} swallows and {} herons, white against the dark wood.",
    "Between {} and {} the garden was dug over twice, and the roses were moved to the southern wall.",
    "At noon {} gulls sat on the wall of the harbour, and {} more on the roof of the old boathouse.",
)


def write_text(path: Path, megabytes: float, seed: int = 0, dull: bool = False) -> None:
    """A text file of that size, in paragraphs."""
    left = int(megabytes * 1e6)
    with path.open("w", encoding="utf-8") as file:
        for paragraph in dull_paragraphs(seed) if dull else paragraphs(seed):
            file.write(paragraph[:left] + "\n\n")
            left -= len(paragraph.encode()) + 2
            if left <= 0:
                return


def add_model(parser: argparse.ArgumentParser) -> None:
    """The option for which model the runs use."""
    parser.add_argument("--model", default="default", help="default, small (several times as fast), or a model folder")


def table(*rows: Sequence[object]) -> str:
    """A Markdown table; the first row is its head."""
    head, *rest = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *rest])
