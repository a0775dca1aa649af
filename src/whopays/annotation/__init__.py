"""Annotation tools: what people marked in them -> examples with exact offsets, and back.

| format | file | offsets count | several readers | attributes |
|---|---|---|---|---|
| ``corpus`` | JSON lines of the corpus | code points | no | yes |
| ``label-studio`` | JSON | code points; UTF-16 in old versions, told by the quotes | yes | yes |
| ``doccano`` | JSONL | UTF-16 code units | no | yes |
| ``prodigy`` | JSONL with tokens and spans | code points | yes | yes |
| ``web-annotation`` | folder: texts, ``annotations.jsonld`` | code points, with quotes | yes | no |
| ``brat`` | folder: ``.txt``, ``.ann``, configuration | code points | no | no |
| ``bio`` | tokens in lines, a column of tags for each label | code points | no | yes |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from whopays.annotation.annotations import CODE_POINTS, UTF_16, Annotation, Annotations
from whopays.codebook import Codebook
from whopays.errors import UsageError

__all__ = ["FORMATS", "UNITS", "Annotation", "Annotations", "Format", "annotation_format", "convert"]

#: What offsets may count, by the name for ``--from-offsets``.
UNITS = (CODE_POINTS, UTF_16)


class Writer(Protocol):
    """Writes annotations to a path; ``unit`` None means the format's own."""

    def __call__(
        self,
        annotations: Iterable[Annotation],
        path: Path,
        codebook: Codebook,
        unit: str | None = None,
        *,
        suggested: bool = False,
    ) -> None: ...


Reader = Callable[[Path, Codebook, str | None], Annotations]


@dataclass(frozen=True, slots=True)
class Format:
    """How one tool's annotations are read and written.

    ``suffix`` is that of its files, empty if it is a folder. ``setup`` gives, for a codebook, what the tool has to be told
    about the labels, to be written to a file with ``setup_suffix``.
    """

    name: str
    suffix: str
    read: Reader
    write: Writer
    setup: Callable[[Codebook], str] | None = None
    setup_suffix: str = ""


# name -> suffix, module, what its functions are called after `read_` and `write_`, suffix of the setup file
_FORMATS = {
    "corpus": (".jsonl", "corpus_jsonl", "corpus", ""),
    "label-studio": (".json", "label_studio", "label_studio", ".interface.xml"),
    "doccano": (".jsonl", "doccano", "doccano", ".labels.json"),
    "prodigy": (".jsonl", "prodigy", "prodigy", ".command.txt"),
    "web-annotation": ("", "web_annotation", "web_annotations", ""),
    "brat": ("", "brat", "brat", ""),
    "bio": (".tsv", "bio", "bio", ""),
}

FORMATS = tuple(_FORMATS)


def annotation_format(name: str) -> Format:
    """The format of this name; only its own module is imported. Raises `UsageError` for an unknown name."""
    if name not in _FORMATS:
        raise UsageError(f"found the format {name!r}, expected one of {', '.join(FORMATS)}.")
    suffix, module_name, functions, setup_suffix = _FORMATS[name]
    module = import_module(f"whopays.annotation.{module_name}")
    reader, writer = getattr(module, f"read_{functions}"), getattr(module, f"write_{functions}")
    setup = getattr(module, f"{functions}_setup", None)
    return Format(name, suffix, cast(Reader, reader), cast(Writer, writer), setup, setup_suffix)


@dataclass(frozen=True, slots=True)
class Conversion:
    """What to convert: paths, format names, what offsets count if not the usual, and whose readings (None: all)."""

    source: Path
    source_format: str
    target: Path
    target_format: str
    source_unit: str | None = None
    target_unit: str | None = None
    annotator: str | None = None


def convert(conversion: Conversion, codebook: Codebook) -> Annotations:
    """Read annotations in one format and write them in another; returns what was read and written.

    Raises `UsageError` for an unknown format or annotator, or a path that cannot be read or written; `RecordError` for
    broken content, or for two readings of a text where the target holds only one.
    """
    read = annotation_format(conversion.source_format).read(conversion.source, codebook, conversion.source_unit)
    if conversion.annotator is not None:
        names = sorted({item.annotator for item in read.items})
        if conversion.annotator not in names:
            raise UsageError(
                f"found the annotator {conversion.annotator!r}, the file has {', '.join(names) or 'none'}."
            )
        chosen = tuple(item for item in read.items if item.annotator == conversion.annotator)
        read = Annotations(chosen, read.skipped)
    target = annotation_format(conversion.target_format)
    target.write(read.items, conversion.target, codebook, conversion.target_unit)
    return read
