"""Every claim that `examples/EXPECTED.md` lists can be quoted from what the readers make of the example documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from whopays.reading import read
from whopays.segmenting import segment
from whopays.text import Document

EXAMPLES = Path(__file__).parent.parent / "examples"
DOCUMENTS = EXAMPLES / "documents"
PDFS = sorted(path.name for path in DOCUMENTS.glob("*.pdf"))


@cache
def documents(name: str) -> list[Document]:
    return list(read(DOCUMENTS / name))


def expected() -> Iterator[tuple[str, str, str]]:
    """(file, page or id, quote) of each row with a quote."""
    sections = re.split(r"^## ", (EXAMPLES / "EXPECTED.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    for section in sections[1:]:
        name, _, rest = section.partition("\n")
        for row in re.findall(r"^\| (.*) \|$", rest, flags=re.MULTILINE):
            *place, labels, quote = row.split(" | ")
            if labels.startswith("`"):
                yield name, place[0] if place else "", quote


def wrapped(quote: str) -> re.Pattern[str]:
    """The quote with any white space between its words: plain text and Markdown keep their lines."""
    return re.compile(r"\s+".join(map(re.escape, quote.split())))


CLAIMS = [claim for claim in expected() if (DOCUMENTS / claim[0]).exists()]


def test_every_document_but_the_one_without_claims_has_quotes() -> None:
    without = {"operating-notice-1987.txt"}
    assert {name for name, _, _ in CLAIMS} == {path.name for path in DOCUMENTS.iterdir()} - without
    assert len(CLAIMS) > 150


@pytest.mark.parametrize(("name", "place", "quote"), CLAIMS)
def test_a_quote_stands_in_the_readers_text_on_its_page(name: str, place: str, quote: str) -> None:
    if name.endswith(".pdf"):
        (document,) = documents(name)
        start = document.text.find(quote)
        assert start >= 0
        assert document.page_at(start) == int(place)
    else:
        found = [document.id for document in documents(name) if wrapped(quote).search(document.text)]
        assert found
        assert not place or found == [place]


@pytest.mark.parametrize("name", PDFS)
def test_a_pdfs_quotes_begin_inside_one_paragraph_and_end_there(name: str) -> None:
    (document,) = documents(name)
    for _, _, quote in (claim for claim in CLAIMS if claim[0] == name):
        assert sum(quote in paragraph for paragraph in document.text.split("\n\n")) == 1


@pytest.mark.parametrize("name", PDFS)
def test_a_pdfs_text_has_no_furniture_and_its_notes_split_no_sentence(name: str) -> None:
    (document,) = documents(name)
    texts = [part.text for part in segment(document)]
    heads = {"Paying for the Second Trade", "Ingeborg Halsnes and Tor Evald Bratteng", "Paying for Part-time Study"}
    assert all(texts.count(head) <= 1 for head in heads)  # the title page has them
    assert not [text for text in texts if text.endswith("-") or re.fullmatch(r"\W*\d+\W*", text)]
