"""A page in one file: styles, scripts and data inside, and a policy under which nothing else can run or be fetched."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any


@cache
def asset(*names: str) -> str:
    """The package's style sheets or scripts of these names, one behind the other."""
    folder = files("whopays.writers") / "report"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def head(title: str, style: str, scripts: Sequence[str]) -> str:
    """The page up to its body. ``style`` and ``scripts`` must be in the page exactly as here: the policy has their hashes.

    The policy forbids any other script or style, also in attributes, and every request.
    """
    allowed = " ".join(_hash(script) for script in scripts) or "'none'"
    policy = f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">'
        f"<title>{escape(title)}</title><style>{style}</style></head>\n"
    )


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def data(value: Any) -> str:
    """A value as JSON that can stand in a script element: nothing in it ends the element or begins another."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def encode(page: str) -> bytes:
    """A page in UTF-8; a lone surrogate, which UTF-8 does not have, becomes a question mark."""
    return page.encode("utf-8", "replace")
