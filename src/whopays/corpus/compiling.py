"""The corpus folder: marked text in ``text/<split>/*.txt`` -> ``data/<split>.jsonl``."""

from __future__ import annotations

from pathlib import Path

from whopays.codebook import Codebook
from whopays.corpus.markup import Example, parse_file
from whopays.corpus.records import save_examples
from whopays.errors import MarkupError, UsageError


def read_split(folder: str | Path, codebook: Codebook) -> list[Example]:
    """All passages of a folder of mark-up files, files in order of name.

    Raises `UsageError` if the folder has no files, `MarkupError` (with file and line) for mark-up that does not parse,
    and for an id or a text that occurs in two files.
    """
    folder = Path(folder)
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise UsageError(f"{folder}: no .txt files of marked passages there; give a folder such as corpus/text/train.")
    examples: list[Example] = []
    ids: dict[str, str] = {}
    texts: dict[str, str] = {}
    for file in files:
        for example in parse_file(_content(file), codebook, str(file)):
            for kind, value, seen in (("id", example.id, ids), ("text", example.text, texts)):
                if value in seen:
                    raise MarkupError(f"{file} ({example.id}): the same {kind} stands in {seen[value]}; remove one.")
                seen[value] = f"{file} ({example.id})"
            examples.append(example)
    return examples


def _content(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise MarkupError(f"{file}: not UTF-8 (byte {error.start}); save the file as UTF-8.") from None


def compile_corpus(corpus: str | Path, codebook: Codebook) -> dict[str, int]:
    """Compile every split of a corpus folder; returns the number of passages of each, by name.

    Writes ``data/<split>.jsonl`` for each folder ``text/<split>``. Raises as `read_split`.
    """
    corpus = Path(corpus)
    splits = sorted(path for path in (corpus / "text").glob("*") if path.is_dir())
    if not splits:
        raise UsageError(f"{corpus}: found no text/<split> folders; give the corpus folder.")
    (corpus / "data").mkdir(exist_ok=True)
    counts = {}
    for split in splits:
        examples = read_split(split, codebook)
        save_examples(examples, corpus / "data" / f"{split.name}.jsonl", codebook)
        counts[split.name] = len(examples)
    return counts


def corpus_codebook(corpus: str | Path) -> Codebook:
    """The codebook that lies in a corpus folder. Raises `CodebookError` if it is missing or invalid."""
    return Codebook.load(Path(corpus) / "codebook.toml")
