"""The reports in a real browser: what a reader finds, clicks and types, with no error and no request on the way."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tagged_texts import Tagged, tagged
from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.evaluation.evaluating import evaluate_spans
from whopays.writers import writer
from whopays.writers.evaluation_html import Judged, write_evaluation

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")

SHIFT = "Firms cut their budget \U0001f600 and shift the cost of the course onto workers, who pay the fee."
OVERLAPS = (
    ("employer:escapes", "Firms cut their budget \U0001f600"),
    ("cost-shifting", "shift the cost of the course onto workers"),
    ("learner:bears", "workers, who pay the fee"),
)
ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!-- \"'><b onmouseover=alert(3)>"
SCREENS = {"wide": (1280, 900), "narrow": (390, 800)}


def collection(codebook: Codebook) -> list[Tagged]:
    """A shift from employer to learner, one hostile text, one without claims, and more than two pages of a table."""
    pages = f"A first page about nothing.\n\n{SHIFT} It was \n\nso. The state pays a grant."
    claims = (*OVERLAPS, ("state:bears", "The state pays a grant"))
    found = [
        tagged(codebook, pages, claims, id="shift.pdf", source="in/shift.pdf", title="The shift", page_starts=(0, 29)),
        tagged(codebook, f"{ATTACK} Fees.", (("inflation", ATTACK),), id=ATTACK, source=ATTACK, title=ATTACK),
        tagged(codebook, "Nothing is said of it.", id="none.txt", source="in/none.txt"),
    ]
    for number in range(117):
        label = ("learner:bears", "state:bears", "signaling")[number % 3]
        text = f"Text {number} has a needle{number}."
        found.append(tagged(codebook, text, ((label, text),), id=f"row-{number}", source="in/rows.jsonl"))
    return found


def judged(codebook: Codebook) -> Judged:
    """Thirty gold texts, a third of which are tagged wrongly."""
    gold, results = [], []
    for number in range(30):
        label = codebook.ids[number % len(codebook.ids)]
        text = f"Text {number} {ATTACK} says so. And more."
        document, result = tagged(codebook, text, ((label, "says so"),), id=f"g{number}")
        spans = () if number % 3 == 0 else (document.span(*((result.spans[0].start, result.spans[0].end)), label),)
        scores = {name: round(float(np.clip(score + number / 250, 0, 1)), 4) for name, score in result.scores.items()}
        gold.append(Example(document.id, text, spans))
        results.append(replace(result, scores=scores, thresholds=dict.fromkeys(codebook.ids, 0.5)))
    evaluation = evaluate_spans(gold, [result.spans for result in results], codebook.ids, samples=20)
    return Judged(gold, results, evaluation)


@pytest.fixture(scope="module")
def codebook() -> Codebook:
    return Codebook.load(Path(__file__).parents[1] / "corpus" / "codebook.toml")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as run:
        browser = run.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def reports(codebook: Codebook, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    streams = {"documents": io.BytesIO(), "evaluation": io.BytesIO()}
    writer("html")(iter(collection(codebook)), codebook, streams["documents"])
    write_evaluation(judged(codebook), codebook, streams["evaluation"])
    paths = {name: folder / f"{name}.html" for name in streams}
    for name, path in paths.items():
        path.write_bytes(streams[name].getvalue())
    return paths


@pytest.fixture
def show(browser: Browser, reports: dict[str, Path]) -> Iterator[Callable[..., Page]]:
    """Opens a report; at the end there must have been no error, no dialog, and no request but for the file itself."""
    seen: list[str] = []
    contexts = []

    def opened(report: str = "documents", at: str = "", **options: Any) -> Page:
        context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
        context.set_default_timeout(120_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: seen.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: seen.append(f"error: {error}"))
        page.on("dialog", lambda dialog: seen.append(f"dialog: {dialog.message}"))
        own = reports[report].as_uri()
        page.on("request", lambda request: seen.append(request.url) if request.url.split("#")[0] != own else None)
        page.goto(own + at)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert seen == []


def wait_until(page: Page, holds: Callable[[], bool], seconds: float = 20) -> None:
    """Playwright's own `wait_for_function` evaluates a string in the page, which the page's policy forbids."""
    for _ in range(int(seconds * 20)):
        if holds():
            return
        page.wait_for_timeout(50)
    assert holds()


def names(page: Page) -> list[str]:
    return page.locator("#documents tbody th a").all_inner_texts()


def count(page: Page) -> str:
    return page.locator("#where").inner_text().partition(" of ")[2]


# -- the table -------------------------------------------------------------------------------------------------------


def test_the_table_holds_every_document_fifty_at_a_time(show: Callable[..., Page]) -> None:
    page = show()
    assert count(page) == "120 documents"
    found = names(page)
    assert found[:3] == ["The shift", ATTACK, "none.txt"]
    for _ in range(2):
        page.click("#next")
        found += names(page)
    assert page.locator("#next").is_disabled()
    assert len(found) == 120
    assert found[-1] == "rows.jsonl › row-116"


def test_labels_filter_the_table_together(show: Callable[..., Page], codebook: Codebook) -> None:
    page = show()
    toggle = f".toggle[data-label='{codebook.ids.index('state:bears')}']"
    page.click(toggle)
    assert (count(page), page.get_attribute(toggle, "aria-pressed")) == ("40 documents", "true")
    page.click(f".toggle[data-label='{codebook.ids.index('cost-shifting')}']")
    assert names(page) == ["The shift"]
    page.click("#clear")
    assert count(page) == "120 documents"


def test_a_cell_of_the_matrix_shows_the_documents_that_it_counts(show: Callable[..., Page], codebook: Codebook) -> None:
    page = show()
    wanted = [codebook.ids.index(label) for label in ("learner:bears", "cost-shifting")]
    cell = f"#matrix button[data-labels='{wanted[0]} {wanted[1]}']"
    assert page.inner_text(cell) == "1"
    page.click(cell)
    assert (names(page), page.get_attribute(cell, "aria-pressed")) == (["The shift"], "true")
    total = f"#matrix button[data-labels='{wanted[0]}']"
    assert page.inner_text(total) == "40"
    page.click(total)
    assert count(page) == "40 documents"


def test_search_finds_words_of_texts_and_of_titles_and_says_when_there_are_none(show: Callable[..., Page]) -> None:
    page = show()
    for words, found in [("NEEDLE42", ["rows.jsonl › row-42"]), ("shift  workers,", ["The shift"]), ("zzz", [])]:
        page.fill("#search", words)
        wait_until(page, lambda found=found: names(page) == found)
    assert "No document fits" in page.inner_text("#documents tbody")
    page.fill("#search", "")
    page.select_option("#claims", "without")
    wait_until(page, lambda: names(page) == ["none.txt"])


def test_a_click_on_a_column_sorts_by_it_and_another_the_other_way(show: Callable[..., Page]) -> None:
    page = show()
    head = page.locator("th[data-key=quotes]")
    head.locator("button").click()
    assert (names(page)[0], head.get_attribute("aria-sort")) == ("The shift", "descending")
    head.locator("button").click()
    assert (names(page)[0], head.get_attribute("aria-sort")) == ("none.txt", "ascending")
    page.locator("th[data-key=name] button").click()
    assert names(page)[0] == ATTACK
    assert head.get_attribute("aria-sort") is None


# -- from whom to whom -----------------------------------------------------------------------------------------------


def test_the_picture_shows_who_shifts_onto_whom_and_lists_the_documents(
    show: Callable[..., Page], codebook: Codebook
) -> None:
    page = show()
    assert page.locator("[name=mechanism]:checked").get_attribute("value") == str(codebook.ids.index("cost-shifting"))
    (ribbon,) = page.locator(".ribbon").all()
    assert ribbon.get_attribute("aria-label") == "employer to learner: 1 quote in 1 document"
    ribbon.focus()
    page.keyboard.press("Enter")
    assert names(page) == ["The shift"]
    assert page.locator(".ribbon").get_attribute("aria-pressed") == "true"
    assert page.inner_text("#active").startswith("cost-shifting: employer → learner")
    page.get_by_text("The same as a table").click()
    assert page.locator("#flow-table tbody td").all_inner_texts() == ["employer", "learner", "1", "1"]
    page.get_by_role("radio", name="inflation").check()
    assert "No quote" in page.inner_text("#flow")


# -- a document ------------------------------------------------------------------------------------------------------


def test_a_document_shows_its_text_with_overlapping_evidence_and_pages(show: Callable[..., Page]) -> None:
    page = show()
    page.click("text=The shift")
    page.wait_for_selector("article")  # the address changes first, and what is shown a moment later
    assert page.evaluate("document.activeElement.tagName") == "H2"
    text = page.evaluate("document.querySelector('.text').textContent")
    assert text == f"A first page about nothing.\n\n{SHIFT} It was \n\nso. The state pays a grant."
    assert page.locator(".page").evaluate_all("all => all.map(one => one.dataset.page)") == ["page 1", "page 2"]
    overlap = page.locator("mark", has_text="workers").first
    assert len(overlap.get_attribute("data-spans").split()) == 2
    assert overlap.evaluate("one => one.style.background").count("linear-gradient") == 2
    by_span = (
        "number => [...document.querySelectorAll(`mark[data-spans~='${number}']`)].map(one => one.textContent).join('')"
    )
    marked = [page.evaluate(by_span, number) for number in range(4)]
    assert marked == [*(quote for _, quote in OVERLAPS), "The state pays a grant"]


def test_a_quote_leads_to_its_place_where_score_page_and_offsets_are_told(show: Callable[..., Page]) -> None:
    page = show(at="#d1")
    page.click(".quote:has-text('shift the cost')")
    focused = page.evaluate("document.activeElement.textContent")
    assert focused == "shift the cost of the course onto "
    start = f"A first page about nothing.\n\n{SHIFT}".index("shift the cost")
    tip = page.inner_text("#tip")
    assert ("cost-shifting" in tip, "0.88" in tip or "0.87" in tip, f"p. 2, characters {start}" in tip) == (True,) * 3
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()
    page.hover("mark:has-text('Firms')")
    assert "employer:escapes" in page.inner_text("#tip")


def test_a_citation_has_the_quote_the_document_the_page_and_the_offsets(show: Callable[..., Page]) -> None:
    page = show(at="#d1", permissions=["clipboard-read", "clipboard-write"])
    page.locator("li:has-text('Firms cut') button:has-text('Copy citation')").click()
    wait_until(page, lambda: page.locator("#status").text_content() != "")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "“Firms cut their budget \U0001f600” (The shift, in/shift.pdf, p. 2, characters 29–53)"


def test_the_keyboard_alone_leads_from_the_table_through_the_quotes_and_back(show: Callable[..., Page]) -> None:
    page = show()
    page.focus("#documents tbody a")
    page.keyboard.press("Enter")
    page.wait_for_selector("article")
    stops = []
    for key in ("j", "j", "k", "k"):
        page.keyboard.press(key)
        stops.append(page.evaluate("document.activeElement.textContent"))
    assert stops[0] == stops[2] == OVERLAPS[0][1]
    assert stops[1].startswith("shift the cost")
    assert stops[3] == "The state pays a grant"
    page.focus("#back")
    page.keyboard.press("Escape")
    page.wait_for_selector("#all:not([hidden])")
    assert page.evaluate("document.activeElement.textContent") == "The shift"


def test_hostile_names_and_texts_are_shown_as_they_are(show: Callable[..., Page]) -> None:
    page = show(at="#d2")
    assert page.inner_text("article h2") == ATTACK
    assert page.evaluate("document.querySelector('.text').textContent") == f"{ATTACK} Fees."
    assert page.locator("img, b, iframe").count() == 0
    assert page.title().startswith(ATTACK[:20])


def test_the_policy_keeps_a_program_out_even_if_it_got_into_the_page(
    browser: Browser, reports: dict[str, Path]
) -> None:
    page = browser.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(reports["documents"].as_uri())
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.owned = true";
          document.body.append(script);
          document.body.insertAdjacentHTML("beforeend", "<img src='x.png' onerror='window.owned = true'>");
        }"""
    )
    page.wait_for_timeout(100)
    assert page.evaluate("window.owned") is None
    assert len(refused) >= 2
    assert all("Content Security Policy" in text for text in refused)
    page.close()


# -- all of it -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("screen", "scheme"), [("wide", "light"), ("narrow", "dark")])
@pytest.mark.parametrize(("report", "at"), [("documents", ""), ("documents", "#d1"), ("evaluation", "")])
def test_axe_finds_no_barrier_and_nothing_runs_over_the_side(
    show: Callable[..., Page], report: str, at: str, screen: str, scheme: str
) -> None:
    page = show(report, at, color_scheme=scheme)
    page.set_viewport_size(dict(zip(("width", "height"), SCREENS[screen], strict=True)))
    found = Axe().run(page).response
    barriers = [(rule["id"], [node["html"][:200] for node in rule["nodes"]][:3]) for rule in found["violations"]]
    assert not barriers
    assert {"color-contrast", "document-title", "landmark-one-main"} <= {rule["id"] for rule in found["passes"]}
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("report", ["documents", "evaluation"])
def test_a_button_changes_the_theme(show: Callable[..., Page], report: str) -> None:
    page = show(report, color_scheme="dark")
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(paper)
    page.click("#theme")
    assert page.inner_text("#theme") == "Theme: light"
    assert page.evaluate(paper) != dark
    page.click("#theme")
    assert page.evaluate(paper) == dark


def test_a_print_has_the_rows_as_filtered_and_the_documents_if_they_are_few(show: Callable[..., Page]) -> None:
    page = show()
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert (page.locator("#documents tbody tr").count(), page.locator("#print article").count()) == (120, 0)
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("#documents tbody tr").count() == 50
    page.fill("#search", "shift")
    wait_until(page, lambda: page.locator("#documents tbody tr").count() == 1)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    # Its inner text is empty while Chromium has not laid it out: on a screen, text out of sight waits.
    assert (page.locator("#print article .text").text_content() or "").startswith("A first page")


def test_the_evaluation_shows_mistakes_with_their_evidence(show: Callable[..., Page]) -> None:
    page = show("evaluation")
    assert page.locator(".mistakes li").count() == 10
    first = page.locator(".mistakes li").first
    assert first.locator("mark").inner_text() == "says so"
    assert ATTACK in first.inner_text()
    gold = 6  # labels of the nine; the others have no curve
    assert page.locator("svg.chart").count() == gold + 2
    assert page.locator("figure", has_text="no text has it").count() == 9 - gold
