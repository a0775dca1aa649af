"""Templates expanded into cases, the same ones in every run, and how a model's answer to a case is judged.

Three kinds, after Ribeiro et al., Beyond Accuracy: Behavioral Testing of NLP Models with CheckList (ACL 2020): minimum
functionality (a plain sentence has the labels that the codebook gives it), invariance (a change that means nothing moves no
label) and direction (a change that means something moves the label that it should).

These cases test and must never be training text: no template, lexicon or case of this folder may be used to fit, calibrate or
choose a model, or be handed to whoever writes the corpus. They were written from the codebook before any model had been run on
them; a case may be mended only where its expectation contradicts the codebook.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from whopays.tagger import Tagger

FOLDER = Path(__file__).parent
KINDS = ("functionality", "invariance", "direction")
PER_TEMPLATE = 3
PER_PAIR = 4
# How many other fillers a text of the invariance cases gets, by the slots that a capability changes.
EXCHANGES = {
    "names": (("person", "business"), 3),
    "places": (("place",), 3),
    "years": (("year",), 4),
    "currencies": (("currency",), 4),
}
# Ways of setting the same words in type that each text gets, in turn.
PER_TEXT_TYPE = 3
_SLOT = re.compile(r"\{(\w+)\}")

Lexicons = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Case:
    """One text, or a text and what it was changed from, with what must hold for the labels found.

    ``exact``: the labels are just those of ``must``. ``before`` is empty for minimum functionality. For a direction case the
    text has ``must`` and not ``must_not``, and ``before`` the other way round. An invariance case has neither.
    """

    id: str
    kind: str
    capability: str
    text: str
    before: str = ""
    must: frozenset[str] = frozenset()
    must_not: frozenset[str] = frozenset()
    exact: bool = False

    def problem(self, found: frozenset[str], found_before: frozenset[str] = frozenset()) -> str:
        """What is wrong with the labels found, as a phrase; empty if nothing is."""
        if self.kind == "invariance":
            return _differences({"lost": found_before - found, "came": found - found_before})
        wrong = found - self.must if self.exact else found & self.must_not
        now = {"missing": self.must - found, "wrongly given": wrong}
        if self.kind == "functionality":
            return _differences(now)
        first = {"missing before": self.must_not - found_before, "wrongly given before": self.must & found_before}
        return _differences({**first, **now})


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case, the labels found for its text and for the text before, and what is wrong with them."""

    case: Case
    found: frozenset[str]
    found_before: frozenset[str]
    problem: str

    def __str__(self) -> str:
        texts = f"{self.case.before} → {self.case.text}" if self.case.before else self.case.text
        return f"{self.case.id}: {self.problem}: {texts}"


def judge(tagger: Tagger, cases: Sequence[Case]) -> list[Outcome]:
    """The outcome of every case, in order; each text is tagged once."""
    texts = list(dict.fromkeys(text for case in cases for text in (case.before, case.text) if text))
    labels = {text: frozenset(result.labels) for text, result in zip(texts, tagger.tag_all(texts), strict=True)}
    labels[""] = frozenset()
    return [
        Outcome(case, labels[case.text], labels[case.before], case.problem(labels[case.text], labels[case.before]))
        for case in cases
    ]


def all_cases() -> list[Case]:
    """Every case, kind by kind, in the order of the template files."""
    lexicons = _read("lexicons")
    cases = chain(functionality(lexicons), invariance(lexicons), direction(lexicons))
    counts: dict[str, int] = {}
    numbered = []
    for kind, capability, rest in cases:
        name = f"{kind}/{capability.replace(' ', '-')}"
        counts[name] = counts.get(name, 0) + 1
        numbered.append(Case(f"{name}/{counts[name]:03}", kind, capability, **rest))
    return numbered


def digest(cases: Sequence[Case]) -> str:
    """A hash of texts and expectations: figures can be compared only if it is the same."""
    rows = [
        (case.id, case.before, case.text, *sorted(case.must), "not", *sorted(case.must_not), case.exact)
        for case in cases
    ]
    return hashlib.sha256(repr(rows).encode("utf-8")).hexdigest()


def floors() -> dict[str, dict[str, Any]]:
    """For each kind the share that is asked for, the floor that the tests hold, and why it is lower, if it is."""
    return _read("floors")


Rest = dict[str, Any]


def functionality(lexicons: Lexicons) -> Iterator[tuple[str, str, Rest]]:
    """Plain sentences with their labels."""
    for group in _read("functionality")["group"]:
        expected: Rest = {
            "must": frozenset(group.get("labels", group.get("must", ()))),
            "must_not": frozenset(group.get("must_not", ())),
            "exact": "labels" in group,
        }
        for template in group["templates"]:
            for turn in range(PER_TEMPLATE):
                text = _fill(template, _fillers(template, turn, lexicons))
                yield "functionality", group["capability"], {"text": text, **expected}


def invariance(lexicons: Lexicons) -> Iterator[tuple[str, str, Rest]]:
    """Texts beside the same text with a change that means nothing."""
    data = _read("invariance")
    for number, base in enumerate(data["bases"]):
        first = _fillers(base, 0, lexicons)
        text = _fill(base, first)
        for capability, (slots, turns) in EXCHANGES.items():
            for turn in range(1, turns + 1) if set(slots) & set(first) else ():
                other = _fillers(base, turn, lexicons)
                changed = _fill(base, {**first, **{slot: other[slot] for slot in slots if slot in first}})
                yield "invariance", capability, {"before": text, "text": changed}
        for name, change in CASINGS.items():
            yield "invariance", f"casing: {name}", {"before": text, "text": change(text)}
        fitting = [name for name, change in TYPES.items() if change(text) != text]
        for turn in range(PER_TEXT_TYPE):
            name = fitting[(number + turn) % len(fitting)]
            yield "invariance", f"typography: {name}", {"before": text, "text": TYPES[name](text)}
        dull = _ranked(base, data["dull"])
        for turn in range(2):
            yield "invariance", "dull sentence before", {"before": text, "text": f"{dull[turn]} {text}"}
            yield "invariance", "dull sentence after", {"before": text, "text": f"{text} {dull[turn + 2]}"}
        around = f"{dull[4]} {dull[5]} {text} {dull[6]} {dull[7]}"
        yield "invariance", "dull sentences on both sides", {"before": text, "text": around}


def direction(lexicons: Lexicons) -> Iterator[tuple[str, str, Rest]]:
    """Texts beside the same text with a change that moves a label."""
    for group in _read("direction")["group"]:
        expected: Rest = {"must": frozenset(group["comes"]), "must_not": frozenset(group["goes"])}
        for before, after in group["pairs"]:
            for turn in range(PER_PAIR):
                fillers = _fillers(before + after, turn, lexicons)
                texts = {"before": _fill(before, fillers), "text": _fill(after, fillers)}
                yield "direction", group["capability"], {**texts, **expected}


# Words in place of slots --------------------------------------------------------------------------------------------


def _fillers(template: str, turn: int, lexicons: Lexicons) -> dict[str, str]:
    """A word for each slot. Words come in an order that depends on the template alone, so a new template moves no other."""
    slots = dict.fromkeys(slot.lower() for slot in _SLOT.findall(template))
    return {slot: _ranked(f"{template} {slot}", lexicons[slot])[turn % len(lexicons[slot])] for slot in slots}


def _ranked(seed: str, words: Sequence[str]) -> list[str]:
    return sorted(words, key=lambda word: hashlib.sha256(f"{seed} {word}".encode()).digest())


def _fill(template: str, fillers: Mapping[str, str]) -> str:
    def word(slot: re.Match[str]) -> str:
        found = fillers[slot[1].lower()]
        return found[0].upper() + found[1:] if slot[1][0].isupper() else found

    return _SLOT.sub(word, template)


# Changes that mean nothing ------------------------------------------------------------------------------------------


def _curly(text: str) -> str:
    return text.replace("'", "’")


def _no_break(text: str) -> str:
    """No-break spaces where typesetters put them: after short words, and before and after numbers."""
    return re.sub(r"(?<=\b[A-Za-z]{2}) | (?=[$£€¥\d])|(?<=\d) ", "\u00a0", text)


def _soft_hyphens(text: str) -> str:
    return re.sub(r"\b([A-Za-z]{4})(?=[a-z]{4})", "\\1\u00ad", text)


def _ligatures(text: str) -> str:
    return text.replace("fi", "ﬁ").replace("fl", "ﬂ").replace("ff", "ﬀ")


def _wrapped(text: str) -> str:
    """Broken into lines of at least 32 characters, as in text that came from a page or a mail."""
    return re.sub(r"(.{32}\S*) ", r"\1\n", text)


def _double_spaces(text: str) -> str:
    return text.replace(" ", "  ")


def _padded(text: str) -> str:
    return f"\r\n  {text}  \r\n"


CASINGS: dict[str, Callable[[str], str]] = {
    "all small": str.lower,
    "all capitals": str.upper,
    "each word with a capital": lambda text: re.sub(r"(?<!\S)[a-z]", lambda letter: letter[0].upper(), text),
}
TYPES: dict[str, Callable[[str], str]] = {
    "curly apostrophes": _curly,
    "no-break spaces": _no_break,
    "soft hyphens": _soft_hyphens,
    "ligatures": _ligatures,
    "wrapped lines": _wrapped,
    "double spaces": _double_spaces,
    "white space around": _padded,
}


def _differences(parts: Mapping[str, frozenset[str]]) -> str:
    return "; ".join(f"{name} {', '.join(sorted(labels))}" for name, labels in parts.items() if labels)


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
