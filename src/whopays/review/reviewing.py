"""The `whopays review` and `whopays convert` commands: which files go in, which come out, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from whopays.annotation import Conversion, annotation_format, convert
from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.corpus.records import load_examples, save_examples
from whopays.errors import ReadError, RecordError, UsageError
from whopays.reading import discover, read
from whopays.review.answering import as_annotations, format_report, merge, read_answers
from whopays.review.picking import Candidate, candidate, document_candidates, pick
from whopays.tagger import Tagger, load
from whopays.text import Document


@dataclass(frozen=True, slots=True)
class Review:
    """What `write_review` does: the texts, the tool, how many passages, which models, and whether spans are shown."""

    paths: Sequence[str]
    gold: Sequence[str]
    output: Path
    format: str
    count: int = 50
    model: str = "default"
    other_model: str | None = None
    suggest: bool = False


def write_review(review: Review) -> tuple[list[Candidate], list[str]]:
    """Pick passages and write them for the tool; returns them, and what could not be read.

    Beside the output goes what the tool has to be told about the labels. Raises `UsageError` if there is nothing to read,
    or if a path cannot be written, and `RecordError` for broken gold.
    """
    tool = annotation_format(review.format)
    tagger = load(review.model)
    other = None if review.other_model is None else load(review.other_model)
    problems: list[str] = []
    candidates = [
        *(candidate(example, tagger, other, gold=True) for example in _gold(review.gold, tagger.codebook)),
        *document_candidates(_documents(review.paths, problems), tagger, other),
    ]
    if not candidates:
        raise UsageError("found no text to review; name files or folders that hold some, or give --gold.")
    picked = pick(candidates, review.count)
    shown = [item.example if review.suggest else _bare(item.example) for item in picked]
    annotator = tagger.model_id if review.suggest else ""
    tool.write(as_annotations(shown, annotator), review.output, tagger.codebook, suggested=True)
    if tool.setup is not None:
        setup = review.output.with_name(review.output.name + tool.setup_suffix)
        setup.write_text(tool.setup(tagger.codebook), encoding="utf-8")
    return picked, problems


def _gold(paths: Sequence[str], codebook: Codebook) -> Iterator[Example]:
    for path in paths:
        yield from load_examples(path, codebook)


def _documents(paths: Sequence[str], problems: list[str]) -> Iterator[Document]:
    for path in discover(paths):
        try:
            yield from read(path)
        except (ReadError, RecordError) as error:
            problems.append(str(error))


def _bare(example: Example) -> Example:
    return Example(example.id, example.text, (), example.attributes)


def take_answers(
    paths: Sequence[str], format: str, output: str | None, model: str, prefer: str | None, unit: str | None
) -> tuple[str, list[str]]:
    """Read answers, write what people agree on as a corpus file, and report agreement; returns the report and warnings.

    Raises `UsageError` for a path that cannot be read or written, `RecordError` for broken content.
    """
    tagger: Tagger = load(model)
    answers = read_answers([Path(path) for path in paths], format, tagger.codebook, unit)
    if not answers.by_person:
        raise UsageError(f"{', '.join(paths)}: found no answers; {len(answers.skipped)} items are not answered.")
    merged = merge(answers, prefer)
    if output is not None:
        try:
            save_examples(merged.examples, output, tagger.codebook)
        except OSError as error:
            raise UsageError(f"{output}: cannot write there ({error.strerror}); give another --output.") from None
    return format_report(answers, merged, tagger), list(answers.skipped)


def run_conversion(conversion: Conversion, codebook: str | None) -> tuple[str, list[str]]:
    """Convert with a codebook file, or the one that comes with whopays; returns a summary and warnings.

    Raises what `convert` raises, and `CodebookError` for a codebook that cannot be read.
    """
    from whopays.tagger import model_folder

    scheme = Codebook.load(model_folder("default") / "codebook.toml" if codebook is None else codebook)
    read = convert(conversion, scheme)
    spans = sum(len(item.example.spans) for item in read.items)
    return f"{len(read.items)} texts with {spans} spans\n", list(read.skipped)
