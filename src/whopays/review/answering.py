"""Answers from annotation tools: who agrees with whom and with the model, and what goes into the corpus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from whopays.annotation import Annotation, annotation_format
from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.errors import RecordError, UsageError
from whopays.evaluation.agreement import Agreement, agreement, krippendorff_alpha_with_gaps
from whopays.tagger import Tagger

MODEL = "the model"


@dataclass(frozen=True)
class Answers:
    """What people answered: ``by_person`` in the order of the files, ``skipped`` sentences on items without an answer."""

    by_person: Mapping[str, tuple[Example, ...]]
    skipped: tuple[str, ...] = ()


def read_answers(paths: Sequence[Path], format: str, codebook: Codebook, unit: str | None = None) -> Answers:
    """The answers in one or more files of one format. Where a file does not name people, its own name stands for them.

    Raises `UsageError` for a path that cannot be read, `RecordError` for broken content, for a person with two answers on
    one text, and for two texts with one id.
    """
    found: dict[str, dict[str, Example]] = {}
    skipped: list[str] = []
    texts: dict[str, str] = {}
    for path in paths:
        read = annotation_format(format).read(path, codebook, unit)
        skipped += read.skipped
        for item in read.items:
            own = found.setdefault(item.annotator or path.stem, {})
            if item.example.id in own:
                raise RecordError(
                    f"{path}: {item.annotator or path.stem} answered {item.example.id!r} twice; keep one."
                )
            if texts.setdefault(item.example.id, item.example.text) != item.example.text:
                raise RecordError(f"{path}: two different texts have the id {item.example.id!r}; make ids unique.")
            own[item.example.id] = item.example
    return Answers({name: tuple(own.values()) for name, own in found.items()}, tuple(skipped))


@dataclass(frozen=True)
class Merged:
    """One reading of each text, and the ids of those on which people differ and nobody's answer was preferred."""

    examples: tuple[Example, ...]
    disputed: tuple[str, ...]


def merge(answers: Answers, prefer: str | None = None) -> Merged:
    """One gold reading of each text: what everybody who read it marked, or ``prefer``'s answer where people differ.

    Raises `UsageError` if nobody has that name.
    """
    if prefer is not None and prefer not in answers.by_person:
        raise UsageError(f"found no answers by {prefer!r}, only by {', '.join(answers.by_person) or 'nobody'}.")
    readings: dict[str, dict[str, Example]] = {}
    for name, examples in answers.by_person.items():
        for example in examples:
            readings.setdefault(example.id, {})[name] = example
    kept, disputed = [], []
    for identifier, by_name in readings.items():
        first = next(iter(by_name.values()))
        if prefer in by_name:
            kept.append(by_name[prefer])
        elif all(set(other.spans) == set(first.spans) for other in by_name.values()):
            kept.append(first)
        else:
            disputed.append(identifier)
    return Merged(tuple(kept), tuple(disputed))


def predictions(examples: Iterable[Example], tagger: Tagger) -> list[Example]:
    """What the model marks in the texts of the examples."""
    listed = list(examples)
    results = tagger.tag_all([example.text for example in listed])
    return [
        Example(example.id, example.text, result.spans, example.attributes)
        for example, result in zip(listed, results, strict=True)
    ]


def agreements(answers: Answers, tagger: Tagger) -> dict[tuple[str, str], Agreement]:
    """Agreement of every two people on what both read, and of each person with the model."""
    labels = tagger.codebook.ids
    found: dict[tuple[str, str], Agreement] = {}
    for (one, first), (two, second) in combinations(answers.by_person.items(), 2):
        if {example.id for example in first} & {example.id for example in second}:
            found[one, two] = agreement(first, second, labels)
    for name, examples in answers.by_person.items():
        found[name, MODEL] = agreement(examples, predictions(examples, tagger), labels)
    return found


def overall_alpha(answers: Answers, codebook: Codebook) -> dict[str, float]:
    """Krippendorff's alpha for each label over all people together; empty if no text was read by two."""
    ids = {example.id: None for examples in answers.by_person.values() for example in examples}
    rows = [{example.id: example.labels for example in examples} for examples in answers.by_person.values()]
    if not any(sum(identifier in row for row in rows) > 1 for identifier in ids):
        return {}
    return {
        label: krippendorff_alpha_with_gaps(
            np.array([[float(label in row[i]) if i in row else np.nan for i in ids] for row in rows])
        )
        for label in codebook.ids
    }


def format_report(answers: Answers, merged: Merged, tagger: Tagger) -> str:
    """The report as text: alpha by label and F1 for every pair, and what became of the answers."""
    codebook = tagger.codebook
    lines = [f"{name}: {len(examples)} texts read" for name, examples in answers.by_person.items()]
    pairs = agreements(answers, tagger)
    for (one, two), table in pairs.items():
        lines += ["", f"{one} and {two}, {table.size} texts"]
        lines.append(
            f"  F1: labels of texts {table.micro_f1:.2f}, words of evidence {table.word_f1:.2f}, spans {table.span_f1:.2f}"
        )
        lines.append("  alpha: " + ", ".join(f"{label} {alpha:.2f}" for label, alpha in table.alpha.items()))
    if len(answers.by_person) > 2 and (alphas := overall_alpha(answers, codebook)):
        lines += ["", "all people together", "  alpha: " + ", ".join(f"{k} {v:.2f}" for k, v in alphas.items())]
    lines += ["", f"{len(merged.examples)} texts for the corpus, {len(merged.disputed)} left out because people differ"]
    lines += [f"  {identifier}" for identifier in merged.disputed]
    return "\n".join(lines) + "\n"


def as_annotations(examples: Iterable[Example], annotator: str) -> list[Annotation]:
    """Examples as one reader's annotations."""
    return [Annotation(example, annotator) for example in examples]
