"""Cold start, warm speed and memory of the installed whopays, on the texts of the held-out split.

    python benchmarks/speed.py [--runs 5]

Cold: a new process that tags one short text, wall seconds and peak memory, the median of several runs. Warm: sentences a second
over the first `WARM` held-out passages in one process, for each model with one thread and with all cores; the sentences are
those of whopays' own segmenter. How quick 8-bit products are hangs on the processor: the table says what it can do.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "corpus"
COLD = 'import whopays; whopays.load().tag("Students now pay $5,500 a year.")'
WARM = 150
# wait4 is asked for each child alone, so that one run's peak does not hide the next one's.


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    print(f"| processor | {_instructions()} |\n|---|---|")
    for name, command in {
        "one short text, cold (library)": [sys.executable, "-c", COLD],
        "`whopays tag -`, cold": ["whopays", "tag", "-"],
        "`whopays --help`": ["whopays", "--help"],
    }.items():
        measured = [_run(command) for _ in range(runs + 1)][1:]
        seconds, memory = (statistics.median(column) for column in zip(*measured, strict=True))
        print(f"| {name} | {seconds:.2f} s, {memory / 1024:.0f} MB |", flush=True)
    _warm()


def _run(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak resident memory (kB) of one run."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert child.stdin is not None
    child.stdin.write(b"Students now pay $5,500 a year.")
    child.stdin.close()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {child.returncode}")
    return time.perf_counter() - start, float(usage.ru_maxrss)


def _warm() -> None:
    import whopays

    lines = (CORPUS / "data" / "heldout.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines[:WARM]]
    sentences = sum(len(whopays.segment(text)) for text in texts)
    words = sum(len(text.split()) for text in texts)
    for model, threads in product(("default", "small"), dict.fromkeys((1, len(os.sched_getaffinity(0))))):
        tagger = whopays.load(model, threads=threads)
        tagger.tag_all(texts[:20])
        start = time.perf_counter()
        tagger.tag_all(texts)
        seconds = time.perf_counter() - start
        speed = f"{sentences / seconds:.0f} sentences/s, {words / seconds:.0f} words/s"
        print(f"| {model} model, warm, {threads} threads | {speed} |", flush=True)


def _instructions() -> str:
    """The vector instructions of the processor that 8-bit products profit from, as Linux names them."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="ascii").split())
    except OSError:
        return "unknown"
    wanted = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "asimddp")
    return " ".join(name for name in wanted if name in flags) or "none of the usual"


if __name__ == "__main__":
    main()
