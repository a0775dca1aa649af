"""whopays' own JSON lines, as one format among the others."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from whopays.annotation.annotations import Annotation, Annotations, checked
from whopays.codebook import Codebook
from whopays.corpus.records import load_examples, save_examples
from whopays.errors import UsageError


def read_corpus(path: Path, codebook: Codebook, unit: str | None = None) -> Annotations:  # noqa: ARG001
    """The examples of a corpus file. Raises what `load_examples` raises."""
    return Annotations(tuple(Annotation(example) for example in load_examples(path, codebook)))


def write_corpus(
    annotations: Iterable[Annotation],
    path: Path,
    codebook: Codebook,
    unit: str | None = None,  # noqa: ARG001  # the format has but one
    *,
    suggested: bool = False,  # noqa: ARG001  # a corpus is gold
) -> None:
    """Write a corpus file. Raises what `checked` raises, and `UsageError` if the file cannot be written."""
    items = checked(annotations, codebook, readers=False)
    try:
        save_examples((item.example for item in items), path, codebook)
    except OSError as error:
        raise UsageError(f"{path}: cannot write there ({error.strerror}); give another path.") from None
