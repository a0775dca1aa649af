"""Parts of long documents: what they are cut into, and that their results make the document's."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whopays.batch.engine import DocumentRead, PartOf
from whopays.batch.parts import PART, Identity, Part, assemble, cut, cut_stream, to_record
from whopays.codebook import Codebook
from whopays.tagger import Tagger
from whopays.text import Document

CLAIMS = [
    "Students now pay $5,500 a year.",
    "Firms pass the cost of training on to workers.",
    "The museum opens at nine.",
]
TEXTS = st.text(alphabet=st.sampled_from("ab.\n\r é\U0001f600"), max_size=200)


@given(text=TEXTS, size=st.integers(2, 40), ends=st.lists(st.integers(0, 200), max_size=6))
def test_parts_are_the_text_and_do_not_depend_on_how_it_came(text: str, size: int, ends: list[int]) -> None:
    edges = [0, *sorted(min(end, len(text)) for end in ends), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    parts = list(cut_stream(pieces, size))
    assert "".join(parts) == text
    assert all(0 < len(part) <= size for part in parts)
    assert parts == list(cut_stream([text], size))
    assert [part.text for part in cut(Document(text), size)] == (parts or [""])


@given(text=TEXTS, size=st.integers(4, 40))
def test_no_part_ends_between_a_carriage_return_and_its_line_feed(text: str, size: int) -> None:
    parts = list(cut_stream([text], size))
    assert not any(a.endswith("\r") and b.startswith("\n") for a, b in pairwise(parts))


def test_parts_end_with_paragraphs_where_there_are_some() -> None:
    text = "One line. Two lines.\nThree lines.\n\nFour lines. Five"
    assert [part.text for part in cut(Document(text), 40)] == [text[:35], text[35:]]


def test_breaks_stay_where_they_are_in_the_text() -> None:
    parts = list(cut(Document("aaaa bbbb cccc", breaks=(2, 7, 12)), 5))
    assert [(part.text, part.breaks) for part in parts] == [("aaaa ", (2,)), ("bbbb ", (2,)), ("cccc", (2,))]


def test_the_hash_of_a_part_is_that_of_its_text_and_breaks() -> None:
    assert Part("a b").hash == Document("a b").sha256
    assert len({Part("a b").hash, Part("a b", (1,)).hash, Part("a b", (2,)).hash, Part("\udcff").hash}) == 4


def assembled(tagger: Tagger, document: Document, size: int) -> tuple[dict[str, Any], int]:
    parts = list(cut(document, size))
    records: list[Mapping[str, Any]] = [
        to_record(tagger.tag(Document(part.text, breaks=part.breaks))) for part in parts
    ]
    read = DocumentRead(
        document.source,
        1,
        document.id,
        document.title,
        document.sha256,
        document.page_starts,
        tuple(PartOf(part.hash, len(part.text)) for part in parts),
    )
    version = tagger.tag("").version
    identity = Identity(tagger.model_id, tagger.codebook.hash, version, {})
    return assemble(read, records, identity, tagger.codebook)[1].to_dict(), len(parts)


@pytest.mark.parametrize("pages", [(), (0, 40, 40, 90)], ids=["no pages", "pages"])
def test_one_part_gives_exactly_what_the_library_gives(tagger: Tagger, pages: tuple[int, ...]) -> None:
    document = Document(" ".join(CLAIMS * 2), id="d", source="s", page_starts=pages, breaks=(31,))
    found, parts = assembled(tagger, document, PART)
    assert (found, parts) == (tagger.tag(document).to_dict(), 1)


def test_many_parts_give_spans_that_quote_the_document_and_the_labels_of_all(
    tagger: Tagger, codebook: Codebook
) -> None:
    text = "\n\n".join(CLAIMS * 6)
    document = Document(text, id="d", source="s", page_starts=(0, 200, 400))
    found, parts = assembled(tagger, document, 150)
    assert parts > 4
    assert found["spans"]
    for span in found["spans"]:
        assert text[span["start"] : span["end"]] == span["text"]
        assert span["page"] == document.page_at(span["start"])
    starts = [span["start"] for span in found["spans"]]
    assert starts == sorted(starts)
    assert set(found["labels"]) == {span["label"] for span in found["spans"]}
    assert found["labels"] == list(codebook.order(found["labels"]))
    assert found["coverage"] == 1.0
    assert found["sha256"] == document.sha256
