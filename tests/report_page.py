"""A report taken apart, for tests of what is in it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any


class Page(HTMLParser):
    """Tags with their attributes, texts outside scripts and styles, and the data and programs in scripts."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.data: dict[str, Any] = {}
        self.programs: list[str] = []
        self.styles: list[str] = []
        self._inside = ("", "", "")
        self.feed(content.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        values = dict(attrs)
        self._inside = (tag, values.get("type") or "", values.get("id") or "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ("", "", "")

    def handle_data(self, data: str) -> None:
        tag, type, id = self._inside
        if tag == "script" and type == "application/json":
            self.data[id] = json.loads(data)
        elif tag in ("script", "style"):
            (self.programs if tag == "script" else self.styles).append(data)
        else:
            self.text += data

    @property
    def policy(self) -> str:
        (policy,) = [value for _, value in self.attributes if value.startswith("default-src")]
        return policy


def quotes(page: Page, number: int = 1) -> list[str]:
    """The quotes that the page holds of a document, found by their offsets in its passages."""
    block = page.data[f"t{number}"]
    found = []
    for _, start, end, _, _ in block["spans"]:
        ((at, text),) = [passage for passage in block["passages"] if passage[0] <= start < passage[0] + len(passage[1])]
        found.append(text[start - at : end - at])
    return found
