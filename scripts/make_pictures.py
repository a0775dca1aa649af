"""Draw the pictures of the reports in docs/images with the default model: run again when a model or a report changes.

    python scripts/make_pictures.py

Needs the `test` extra and Debian's chromium (or Google Chrome).
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
WIDTH = 1300
# What is opened and pointed at in the report.
DOCUMENT = "Paying for the Second Trade"
QUOTE = "withdrawn from the evening courses"


def main() -> None:
    """Tag the example documents, score the held-out texts, and draw both reports."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("found no Chromium, expected one; apt-get install chromium.")
    with tempfile.TemporaryDirectory() as folder:
        report, evaluation = Path(folder) / "report.html", Path(folder) / "evaluation.html"
        _whopays("tag", "examples/documents", "--output", report)
        _whopays("evaluate", "corpus/data/heldout.jsonl", "--output", evaluation)
        with sync_playwright() as run:
            browser = run.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": WIDTH, "height": 1000}, device_scale_factor=1.5)
            page.goto(report.as_uri())
            _draw(page.screenshot(), "report")
            page.get_by_role("link", name=DOCUMENT).first.click()
            page.locator("mark", has_text=QUOTE).first.hover()
            _draw(page.screenshot(), "document")
            page.set_viewport_size({"width": WIDTH, "height": 1456})
            page.goto(evaluation.as_uri())
            _draw(page.screenshot(), "evaluation")
            browser.close()


def _whopays(*arguments: str | Path) -> None:
    subprocess.run(["whopays", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)


def _draw(png: bytes, name: str) -> None:
    """256 colours are enough for a page, and a third of the size."""
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
