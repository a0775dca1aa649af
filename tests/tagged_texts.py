"""Documents with results that no model made, for tests of what is written."""

from __future__ import annotations

from typing import Any

from whopays.codebook import Codebook
from whopays.result import Result
from whopays.text import Document

Tagged = tuple[Document, Result]
TEXT = "Students “pay”\r\nthe fee \U0001f600. Firms pass it on."


def tagged(
    codebook: Codebook, text: str = TEXT, claims: tuple[tuple[str, str], ...] = (), **of_document: Any
) -> Tagged:
    """A document with its result; ``claims`` are pairs of a label and the quote that carries it."""
    document = Document(text, **of_document)
    spans = tuple(document.span(text.index(q), text.index(q) + len(q), label, 0.875) for label, q in claims)
    labels = codebook.order(span.label for span in spans)
    result = Result(
        id=document.id,
        source=document.source,
        sha256=document.sha256,
        readings=codebook.readings(labels),
        labels=labels,
        scores={label: 0.875 if label in labels else 0.0625 for label in codebook.ids},
        spans=spans,
        model="m-1",
        codebook=codebook.hash,
        version="0",
    )
    return document, result
