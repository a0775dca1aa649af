"""What a corpus holds, and what is wrong with it: counts by split, label and register, and the rules that texts must keep."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from whopays.codebook import Codebook
from whopays.corpus.compiling import corpus_codebook
from whopays.corpus.markup import Example
from whopays.corpus.records import load_examples
from whopays.errors import UsageError
from whopays.language import english_share

# Words of a text by its ``kind``; a text without one is a passage.
WORDS = {"passage": (20, 220), "statement": (3, 70), "document": (600, 2500)}
SHARED_WORDS = 8
LONGEST_SPAN_SHARE = 0.8
LONGEST_MEDIAN_SPAN = 15
# A label with fewer passages is not judged by register.
BALANCED_FROM = 100
FEWEST_REGISTERS = 20
LARGEST_REGISTER_SHARE = 0.2
NAMED_REGISTERS = 100
_REQUIRED = ("register", "country", "year", "level", "author")


def check_corpus(folder: str | Path) -> tuple[str, list[str]]:
    """The table of counts of a compiled corpus, and its problems, one sentence each.

    Raises `UsageError` if the corpus has not been compiled, `RecordError` for a broken record.
    """
    folder = Path(folder)
    codebook = corpus_codebook(folder)
    splits = load_corpus(folder, codebook)
    problems = [problem for name, examples in splits.items() for problem in _passage_problems(name, examples)]
    problems += _balance_problems(splits.get("train", []), codebook)
    problems += _pair_problems(splits)
    problems += shared_word_problems(splits)
    problems += frozen_problems(folder)
    return _table(splits, codebook), problems


def load_corpus(folder: str | Path, codebook: Codebook) -> dict[str, list[Example]]:
    """The compiled splits of a corpus folder, by name. Raises `UsageError` if there are none."""
    files = sorted((Path(folder) / "data").glob("*.jsonl"))
    if not files:
        raise UsageError(
            f"{folder}: found no data/*.jsonl; compile the corpus first: `whopays corpus compile {folder}`."
        )
    return {file.stem: load_examples(file, codebook) for file in files}


def _passage_problems(split: str, examples: Sequence[Example]) -> Iterator[str]:
    for example in examples:
        where = f"{split}, {example.id}: "
        if split == "seed":
            continue
        missing = [key for key in _REQUIRED if not example.attributes.get(key)]
        if missing:
            yield f"{where}attribute {', '.join(missing)} missing."
        kind = example.attributes.get("kind", "passage")
        if kind not in WORDS:
            yield f"{where}found kind={kind}, expected {', '.join(WORDS)}."
            continue
        low, high = WORDS[kind]
        count = len(example.text.split())
        if not low <= count <= high:
            yield f"{where}{count} words, expected {low} to {high}."
        # Too little can be told from the few words of a statement.
        if kind != "statement" and english_share(example.text) < 0.12:
            yield f"{where}hardly any English function words."
        if example.attributes.get("negative") and example.spans:
            yield f"{where}a negative with marked claims."
        for span in example.spans:
            if kind != "statement" and len(span.text) > LONGEST_SPAN_SHARE * len(example.text):
                yield f"{where}the span {span.text[:40]!r}… covers nearly the whole passage."
    lengths = [len(span.text.split()) for example in examples for span in example.spans]
    if split != "seed" and lengths and median(lengths) >= LONGEST_MEDIAN_SPAN:
        yield f"{split}: median span of {median(lengths)} words, expected under {LONGEST_MEDIAN_SPAN}."


def _balance_problems(train: Sequence[Example], codebook: Codebook) -> Iterator[str]:
    """Labels that live in too few registers: a model would learn the register instead."""
    for label in codebook.ids:
        registers = Counter(e.attributes.get("register", "") for e in train if label in e.labels)
        if registers.total() < BALANCED_FROM:
            continue
        register, most = registers.most_common(1)[0]
        if len(registers) < FEWEST_REGISTERS or most > LARGEST_REGISTER_SHARE * registers.total():
            yield (
                f"train, label {label}: {len(registers)} registers, {most} of {registers.total()} passages in {register}; "
                f"expected {FEWEST_REGISTERS} registers and no more than {LARGEST_REGISTER_SHARE:.0%} in one."
            )


def is_document(example: Example) -> bool:
    """Whether an example is a whole document rather than a passage."""
    return example.attributes.get("kind") == "document"


def _pair_problems(splits: Mapping[str, Sequence[Example]]) -> Iterator[str]:
    for split, examples in splits.items():
        pairs: dict[str, list[Example]] = {}
        for example in examples:
            if pair := example.attributes.get("pair"):
                pairs.setdefault(pair, []).append(example)
        for pair, members in pairs.items():
            contrast = any(member.attributes.get("change") for member in members)
            if len(members) < 2 or (contrast and len(members) > 2):
                yield f"{split}, pair {pair}: found {len(members)} members, expected two, or a set of statements."
            elif contrast and members[0].labels == members[1].labels:
                yield f"{split}, pair {pair}: both members have the same labels; a contrast changes at least one."


def shared_word_problems(splits: Mapping[str, Sequence[Example]]) -> Iterator[str]:
    """Passages that share eight words in a row with another passage.

    The members of a pair are meant to, and the seed documents are as given: they are one unit.
    """
    owners: dict[tuple[str, ...], tuple[str, str]] = {}
    for split, examples in splits.items():
        for example in examples:
            unit = "document" if split == "seed" else example.attributes.get("pair") or example.id
            told = False
            for gram in _grams(example.text):
                owner = owners.setdefault(gram, (split, unit))
                if owner != (split, unit) and not told:
                    yield f"{split}, {example.id}: shares with {' '.join(owner)} the words {' '.join(gram)!r}."
                    told = True


def _grams(text: str) -> Iterable[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return [tuple(words[i : i + SHARED_WORDS]) for i in range(len(words) - SHARED_WORDS + 1)]


def frozen_problems(folder: Path) -> Iterator[str]:
    """Splits whose bytes differ from what ``frozen.toml`` says of them; a new version needs a new line there."""
    path = folder / "frozen.toml"
    if not path.is_file():
        return
    for split, entry in tomllib.loads(path.read_text(encoding="utf-8")).items():
        file = folder / "data" / f"{split}.jsonl"
        found = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "no file"
        if found != entry["sha256"]:
            yield (
                f"{split}: frozen as version {entry['version']} with {entry['sha256'][:12]}…, found {found[:12]}…; "
                "undo the change, or raise the version in frozen.toml and tell it in the dataset card."
            )


def _table(splits: Mapping[str, Sequence[Example]], codebook: Codebook) -> str:
    lines = [f"{'split':<17}{'texts':>7}{'free':>6}{'hard':>6}" + "".join(f"{label:>17}" for label in codebook.ids)]
    for split, examples in splits.items():
        free = [example for example in examples if not example.spans]
        hard = sum(bool(example.attributes.get("negative")) for example in free)
        counts = Counter(label for example in examples for label in example.labels)
        row = "".join(f"{counts[label]:>17}" for label in codebook.ids)
        lines.append(f"{split:<17}{len(examples):>7}{len(free):>6}{hard:>6}{row}")
    for split, examples in splits.items():
        if split == "seed" or not examples:
            continue
        spans = [len(span.text.split()) for example in examples for span in example.spans]
        kinds = {
            key: Counter(example.attributes.get(key, "") for example in examples) for key in ("register", "country")
        }
        years = sorted(example.attributes.get("year", "") for example in examples)
        pairs = len({example.attributes["pair"] for example in examples if example.attributes.get("pair")})
        lines += [
            "",
            f"{split}: {sum(is_document(e) for e in examples)} whole documents, {pairs} pairs, "
            f"{len(kinds['register'])} registers, {len(kinds['country'])} countries or bodies, {years[0]} to {years[-1]}, "
            f"median span {median(spans or [0])} words",
            "  " + _named(kinds["register"]),
        ]
    return "\n".join(lines)


def _named(registers: Counter[str]) -> str:
    # Authors of retold text name one for nearly every page: a thousand names would bury the other lines.
    shown = dict(sorted(registers.items(), key=lambda item: (-item[1], item[0]))[:NAMED_REGISTERS])
    told = ", ".join(f"{name} {count}" for name, count in sorted(shown.items()))
    rest = len(registers) - len(shown)
    return f"{told}, and {rest} more with {registers.total() - sum(shown.values())} texts" if rest else told
