"""Who pays for training and credentials, and how: tags policy text and quotes its evidence.

tagger = whopays.load()
result = tagger.tag("Employers pay only in name: the cost of the certificate is pushed onto the worker.")
result.payers, result.evaders, result.mechanisms
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whopays.codebook import Codebook, Label
    from whopays.corpus.markup import Example
    from whopays.errors import ReadError, WhopaysError
    from whopays.reading import read
    from whopays.result import Result
    from whopays.segmenting import segment
    from whopays.tagger import Tagger, load
    from whopays.text import Document, Segment, Span

__all__ = [
    "Codebook",
    "Document",
    "Example",
    "Label",
    "ReadError",
    "Result",
    "Segment",
    "Span",
    "Tagger",
    "WhopaysError",
    "load",
    "read",
    "segment",
]

# Names are imported when first used: `whopays --help` and reading a result need neither spaCy nor the model.
_MODULES = {
    "Codebook": "codebook",
    "Document": "text",
    "Example": "corpus.markup",
    "Label": "codebook",
    "ReadError": "errors",
    "Result": "result",
    "Segment": "text",
    "Span": "text",
    "Tagger": "tagger",
    "WhopaysError": "errors",
    "load": "tagger",
    "read": "reading",
    "segment": "segmenting",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("whopays")
    if name not in _MODULES:
        raise AttributeError(f"module 'whopays' has no attribute {name!r}")
    value = getattr(import_module(f"whopays.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
