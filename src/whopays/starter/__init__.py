"""`whopays init`: a folder with a codebook and labelled texts to begin from."""

from __future__ import annotations

import shutil
from pathlib import Path

from whopays.errors import UsageError

FILES = ("codebook.toml", "examples.jsonl", "README.md")


def start(folder: str | Path) -> list[Path]:
    """Write the starter files into a folder that is new or empty; returns their paths.

    Raises `UsageError` if the folder holds something or cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if found := sorted(path.name for path in folder.iterdir()):
            raise UsageError(
                f"{folder}: found {', '.join(found[:3])}{', ...' if found[3:] else ''} there, expected a new or an empty "
                "folder; give another name, so that nothing of yours is overwritten."
            )
        return [Path(shutil.copyfile(Path(__file__).parent / name, folder / name)) for name in FILES]
    except OSError as error:
        raise UsageError(f"{folder}: cannot write there ({error.strerror}); give another folder.") from None
