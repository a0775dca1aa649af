"""Folders with a text file for each example, named by its id."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote

from whopays.annotation.annotations import read_text, write_text
from whopays.corpus.markup import Example
from whopays.errors import RecordError, UsageError

_LONGEST_NAME = 200


def file_names(examples: Iterable[Example]) -> dict[str, str]:
    """Example id -> file name without extension: the id, percent-encoded where a file name cannot hold it.

    Raises `RecordError` for an id that is empty or too long for a file name, and for two ids that differ only in case,
    which some file systems take for one.
    """
    names: dict[str, str] = {}
    taken: dict[str, str] = {}
    for example in examples:
        name = quote(example.id, safe=" ()+,=@", errors="surrogatepass").replace("~", "%7E")
        name = "%2E" + name[1:] if name.startswith(".") else name
        if not 0 < len(name) <= _LONGEST_NAME:
            raise RecordError(
                f"{example.id[:40]!r}: an id must make a file name of 1 to {_LONGEST_NAME} characters; shorten it."
            )
        other = taken.setdefault(name.casefold(), example.id)
        if other != example.id:
            raise RecordError(
                f"the ids {other!r} and {example.id!r} give file names that differ only in case; rename one."
            )
        names[example.id] = name
    return names


def id_of(path: Path) -> str:
    """The example id that a file's name stands for."""
    return unquote(path.stem, errors="surrogatepass")


def text_files(folder: Path) -> list[tuple[Path, str]]:
    """The ``.txt`` files of a folder with their texts, sorted by name. Raises `UsageError` if there is no such folder."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder; give the folder that holds the .txt files.")
    return [(path, read_text(path)) for path in sorted(folder.glob("*.txt"))]


def new_folder(folder: Path) -> Path:
    """The folder, made if needed. Raises `UsageError` if it cannot be made or holds files already."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"{folder}: the folder holds files already; give a new one.")
    except OSError as error:
        raise UsageError(f"{folder}: cannot make the folder ({error.strerror}); give another path.") from None
    return folder


def write_texts(examples: Iterable[Example], folder: Path) -> dict[str, str]:
    """Write each text to its file; returns example id -> file name without extension."""
    listed = list(examples)
    names = file_names(listed)
    for example in listed:
        write_text(folder / f"{names[example.id]}.txt", example.text)
    return names
