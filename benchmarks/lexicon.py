"""A keyword lexicon for the nine labels: parties, verbs of paying and escaping, mechanisms, with negation. Nothing is learnt.

The rules lie in ``lexicon.toml``, written from ``corpus/CODEBOOK.md`` alone: what an expert would write who had the codebook
and no labelled text. They work on sentences. A sentence (or its neighbour) must speak of learning or credentials; questions and
headings claim nothing. A subject is a party in front of a verb, not behind a preposition ("grants for students cover" makes
no student pay); "they", "it" and "we" stand for the party named last. A denied payment is an escape, a denied mechanism
nothing, and a bare possibility ("might invest") nothing.

These strict rules are mostly right and miss much. For each label there is a loose rule as well, which asks only that words of two
kinds meet in a clause (a party and a word of paying; a credential and a word of hiring). Which labels take the loose
rule is a choice for the training text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from whopays.segmenting import is_heading, segment
from whopays.text import Span

RULES = Path(__file__).with_name("lexicon.toml")


class _Rules:
    """The compiled patterns of the file, by name; `stretches` and `loose` as the file explains them."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.parties: dict[str, str] = data["parties"]
        self._words = {**self.parties, **data["words"]}
        self.patterns = {name: self._compiled(pattern) for name, pattern in data["patterns"].items()}
        self.any_party = self._compiled("{who}")
        self.stretches = [(s["label"], self._compiled(s["pattern"]), bool(s["cancelled"])) for s in data["stretches"]]
        loose = dict(data["loose"])
        for party, words in data["loose_parties"].items():
            loose[f"{party}:bears"] = {"first": words, "second": "{money}", "never": "{not_paying}"}
            loose[f"{party}:escapes"] = {"first": words, "second": "{not_paying}"}
        self.loose = {label: {key: self._compiled(p) for key, p in rule.items()} for label, rule in loose.items()}

    def _compiled(self, pattern: str) -> re.Pattern[str]:
        return re.compile(self._filled(pattern), re.IGNORECASE | re.VERBOSE)

    def _filled(self, pattern: str) -> str:
        def fill(match: re.Match[str]) -> str:
            name, pronouns = match[1], bool(match[2])
            return self._party(name, pronouns) if name in ("who", "to") else self._filled(self._words[name])

        return re.sub(r"\{([a-z_]+)(\*?)\}", fill, pattern)

    def _party(self, name: str, pronouns: bool) -> str:
        parts = [rf"(?P<{name}_{party}>{pattern})" for party, pattern in self.parties.items()]
        if pronouns:
            parts += [rf"(?P<{name}_{kind}>{self._words[f'{kind}s']})" for kind in ("person", "back")]
        return rf"\b{self._filled('{determiner}')}(?:{'|'.join(parts)})(?:['’]s?)?(?![\w-])"


_RULES = _Rules(tomllib.loads(RULES.read_text(encoding="utf-8")))
_PATTERNS = _RULES.patterns
# Labels that have a loose rule: all of them.
LOOSE = tuple(_RULES.loose)


def tag(text: str, loose: Collection[str] = ()) -> list[Span]:
    """The lexicon's claims in a text, in order; spans of one label in a sentence never overlap.

    ``loose``: the labels that are given by their loose rule too, keys of `LOOSE`.
    """
    found: list[Span] = []
    sentences = segment(text)
    learning = [bool(_PATTERNS["learning_word"].search(s.text)) for s in sentences]
    last: str | None = None
    for index, sentence in enumerate(sentences):
        # Line breaks count as blanks; offsets stay.
        words = re.sub(r"\s", " ", sentence.text)
        near = learning[index] or (
            any(learning[max(index - 1, 0) : index + 2]) and bool(_PATTERNS["cost_word"].search(words))
        )
        claims = near and not words.rstrip("\"'”’) ").endswith("?") and not is_heading(sentence.text)
        if claims and not _PATTERNS["other_field"].search(words):
            for label, start, end in _merged(words, chain(_claims(words, last), _loose_claims(words, loose))):
                begin, behind = sentence.start + start, sentence.start + end
                found.append(Span(begin, behind, label, text[begin:behind]))
        last = _last_party(words) or last
    return sorted(found)


def _claims(words: str, last: str | None) -> Iterator[tuple[str, int, int]]:
    """(label, start, end) of every match in one sentence; ``last``: the party that the sentence before named last."""

    def party(match: re.Match[str], name: str) -> str | None:
        for kind in (*_RULES.parties, "person", "back"):
            if match.groupdict().get(f"{name}_{kind}"):
                if kind == "person":
                    return "learner"
                return _last_party(words[: match.start()]) or last if kind == "back" else kind
        return None

    for match in _each(_PATTERNS["active"], words):
        who, mid, verb, rest = party(match, "who"), match["mid"], match["verb"].lower(), match["rest"]
        if who is None or not _is_subject(words, match) or _PATTERNS["possible"].search(mid):
            continue
        if _PATTERNS["receives"].search(mid) and not verb.startswith(("borrow", "invest", "ow")):
            continue
        denied = _PATTERNS["denies"].search(mid) or _PATTERNS["hardly_any"].match(rest)
        yield f"{who}:{'escapes' if denied else 'bears'}", match.start(), match.end()
    for match in _each(_PATTERNS["escaping"], words):
        who, mid = party(match, "who"), match["mid"]
        if (
            who
            and _is_subject(words, match)
            and not _PATTERNS["possible"].search(mid)
            and not _PATTERNS["receives"].search(mid)
        ):
            if _PATTERNS["negated"].search(mid):
                continue
            refuses = _PATTERNS["leaves"].match(match["verb"])
            if not refuses or re.search(r"\bto\b", match["rest"]):
                yield f"{who}:escapes", match.start(), match.end()
    for match in _each(_PATTERNS["passive"], words):
        if who := party(match, "who"):
            denied = _PATTERNS["denies"].search(match["mid"])
            yield f"{who}:{'escapes' if denied else 'bears'}", match.start(), match.end()
    for match in _each(_PATTERNS["shifting"], words):
        to, who = party(match, "to"), party(match, "who")
        # Costs must be what moves; "moves to the city council" moves none.
        if not _PATTERNS["cost_word"].search(match[0]) or to == who or _PATTERNS["negated"].search(match[0]):
            continue
        yield "cost-shifting", match.start(), match.end()
        yield f"{to}:bears", match.start(), match.end()
        if who and _is_subject(words, match):
            yield f"{who}:escapes", match.start(), match.end()
    for match in _each(_PATTERNS["from_to"], words):
        to, who = party(match, "to"), party(match, "who")
        if to != who and not _PATTERNS["negated"].search(words[: match.start()][-25:]):
            yield "cost-shifting", match.start(), match.end()
            yield f"{to}:bears", match.start(), match.end()
            yield f"{who}:escapes", match.start(), match.end()
    for pattern, stance, moves in (
        (_PATTERNS["made_to"], "bears", True),
        (_PATTERNS["falls_on"], "bears", False),
        (_PATTERNS["charged"], "bears", False),
        (_PATTERNS["free_for"], "escapes", False),
        (_PATTERNS["not_by"], "escapes", False),
    ):
        for match in _each(pattern, words):
            to = party(match, "to")
            if _PATTERNS["negated"].search(words[: match.start()][-20:]) or _PATTERNS["hardly_any"].match(
                match.groupdict().get("rest") or ""
            ):
                continue
            yield f"{to}:{stance}", match.start(), match.end()
            if moves and match[0].lower().startswith(("leav", "left", "push")):
                yield "cost-shifting", match.start(), match.end()
    for match in _each(_PATTERNS["exempt"], words):
        if (who := party(match, "who")) and not _PATTERNS["negated"].search(match[0]):
            yield f"{who}:escapes", match.start(), match.end()
    for match in _each(_PATTERNS["clawback"], words):
        if not _PATTERNS["negated"].search(match[0]):
            yield "learner:bears", match.start(), match.end()
            yield "cost-shifting", match.start(), match.end()
    for match in _each(_PATTERNS["withdrawal_filled"], words):
        yield "cost-shifting", match.start(), match.end()
    for match in _PATTERNS["free_rides"].finditer(words):
        yield "cost-shifting", match.start(), match.end()
        if (who := _last_party(words[: match.start()]) or last) is not None:
            yield f"{who}:escapes", match.start(), match.end()
    credential = _PATTERNS["credential"].search(words) is not None
    for label, pattern, cancels in _RULES.stretches:
        if label == "signaling" and not credential:
            continue
        for match in _each(pattern, words):
            start = _clause_start(words, match.start())
            if not (cancels and _PATTERNS["negated"].search(words[max(start, match.start() - 30) : match.start()])):
                yield label, start, match.end()


def _loose_claims(words: str, loose: Collection[str]) -> Iterator[tuple[str, int, int]]:
    for clause in _PATTERNS["clause"].finditer(words) if loose else ():
        for label in loose:
            rule = _RULES.loose[label]
            if all((rule[key].search(clause[0]) is None) == (key == "never") for key in rule):
                yield label, clause.start(), clause.end()


def _each(pattern: re.Pattern[str], words: str) -> Iterator[re.Match[str]]:
    """All matches, one from every place where one begins: a party may be the subject of two verbs."""
    position = 0
    while match := pattern.search(words, position):
        yield match
        groups = [match.end(name) for name in ("verb", "who_learner") if match.groupdict().get(name)]
        position = max(min([*groups, match.end()]), match.start() + 1)


def _is_subject(words: str, match: re.Match[str]) -> bool:
    before = words[: match.start()]
    return not _PATTERNS["preposition"].search(before) or _PATTERNS["part_of"].search(before) is not None


def _last_party(words: str) -> str | None:
    found = None
    for match in _RULES.any_party.finditer(words):
        found = next(party for party in _RULES.parties if match[f"who_{party}"])
    return found


def _clause_start(words: str, position: int) -> int:
    """Where the clause around a stretch begins; evidence has its subject."""
    starts = [opening.end() for opening in _PATTERNS["clause_opens"].finditer(words[:position])]
    return starts[-1] if starts else 0


def _merged(words: str, claims: Iterator[tuple[str, int, int]]) -> Iterator[tuple[str, int, int]]:
    """Overlapping stretches of one label become one; never empty, no blanks at their ends."""
    by_label: dict[str, list[tuple[int, int]]] = {}
    for label, start, end in claims:
        by_label.setdefault(label, []).append((start, end))
    for label, places in by_label.items():
        merged: list[tuple[int, int]] = []
        for start, end in sorted(places):
            if merged and start < merged[-1][1]:
                merged[-1] = merged[-1][0], max(end, merged[-1][1])
            else:
                merged.append((start, end))
        for start, end in merged:
            stretch = words[start:end]
            yield label, start + len(stretch) - len(stretch.lstrip(" ,")), start + len(stretch.rstrip(" ,"))
