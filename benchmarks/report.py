"""How long a browser takes to open the report of a large run: `python benchmarks/report.py [DOCUMENTS] [LENGTH]`.

Writes a report of made-up documents (10,000 of 4,000 characters unless told otherwise), opens it in headless Chromium and
prints seconds until the page can be used, and those of a search, a filter and opening a document: by the clock, and of the
page's main thread at work, which is what remains on a machine that does nothing else.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from whopays.codebook import Codebook
from whopays.result import Result
from whopays.text import Document
from whopays.writers.html import write_html

CODEBOOK = Codebook.load(Path(__file__).parents[1] / "corpus" / "codebook.toml")
WORDS = (
    "the fee of a course is paid by firms and the state while learners borrow for it or bear what others shift".split()
)


def made_up(documents: int, length: int) -> Iterator[tuple[Document, Result]]:
    """Documents with up to twelve spans each, in a third of them none; the same ones every time."""
    dice = random.Random(0)
    for number in range(documents):
        words = dice.choices(WORDS, k=length // 5)
        ends = range(12, len(words), 18)
        text = " ".join(f"{word}." if place in ends else word for place, word in enumerate(words))
        document = Document(text, id=f"d{number}", source=f"folder/file-{number:05}.txt", title=f"Report {number}")
        spans = []
        for _ in range(dice.choice([0, 3, 12])):
            start = dice.randrange(len(text) - 200)
            span = (start, start + dice.randint(30, 160), dice.choice(CODEBOOK.ids), round(dice.uniform(0.4, 0.99), 4))
            spans.append(document.span(*span))
        labels = CODEBOOK.order(span.label for span in spans)
        scores = {label: round(dice.random(), 4) for label in CODEBOOK.ids}
        readings = CODEBOOK.readings(labels)
        yield (
            document,
            Result(
                document.id,
                document.source,
                document.sha256,
                readings,
                labels,
                scores,
                tuple(sorted(spans)),
                "m",
                CODEBOOK.hash,
                "0",
            ),
        )


def opened(report: Path) -> dict[str, tuple[float, float]]:
    """Seconds (by the clock, at work) until the page can be used, and for what people then do with it."""
    playwright = import_module("playwright.sync_api")
    seconds: dict[str, tuple[float, float]] = {}
    with playwright.sync_playwright() as run:
        browser = run.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(300_000)
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

        def at_work() -> float:
            metrics = devtools.send("Performance.getMetrics")["metrics"]
            return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))

        begun, work = time.perf_counter(), at_work()
        page.goto(report.as_uri(), wait_until="commit")
        page.wait_for_selector("html[data-ready]", state="attached")
        page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        seconds["until it can be used"] = (time.perf_counter() - begun, at_work() - work)
        steps = {
            "first search in all texts": "state.words = ['learners', 'report 77']; render()",
            "second search": "state.words = ['borrow']; render()",
            "a filter": "choose([0])",
            "a sort": "state.sort = {key: 'quotes', down: true}; render()",
            "opening a document": "location.hash = '#d77'; route()",
        }
        for name, script in steps.items():
            begun, work = time.perf_counter(), at_work()
            page.evaluate(f"new Promise(done => {{ {script}; requestAnimationFrame(() => setTimeout(done)); }})")
            seconds[name] = (time.perf_counter() - begun, at_work() - work)
        browser.close()
    return seconds


def main() -> None:
    documents, length = (int(value) for value in [*sys.argv[1:], "10000", "4000"][:2])
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.html"
        begun = time.perf_counter()
        with report.open("wb") as stream:
            write_html(made_up(documents, length), CODEBOOK, stream)
        written = time.perf_counter() - begun
        size = report.stat().st_size / 1e6
        print(
            f"{documents:,} documents of {length:,} characters: {size:.1f} MB, made up and written in {written:.1f} s"
        )
        for name, (clock, work) in opened(report).items():
            print(f"{name:<28}{clock:7.2f} s by the clock{work:7.2f} s at work")


if __name__ == "__main__":
    main()
