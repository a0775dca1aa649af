"""Words that are broken at the end of a line: whether their hyphen is the break's or the word's own."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_HEAD = re.compile(r"([^\W\d_]+)[-\u2010]$")
_TAIL = re.compile(r"[^\W\d_]+")
_SOFT_HYPHEN = "\u00ad"
_COMPOUND_HEADS = frozenset(
    """all cost cross ex full half high income learner long low means non part post privately publicly self short so
state student tax well""".split()
)
_COMPOUND_TAILS = frozenset(
    """based cost financed free funded level owned paid related sector sharing shifting sponsored tested year""".split()
)


class Vocabulary:
    """The words of a document that stand whole on a line, in small letters."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._words: set[str] = set()
        for line in lines:
            # The first and last words may be parts of broken ones.
            self._words.update(_WORD.findall(line.lower())[1:-1])

    def __contains__(self, word: str) -> bool:
        return word in self._words


def joint(line: str, following: str, vocabulary: Vocabulary) -> tuple[str, str]:
    """A line without the hyphen that only its break made, and what separates it from the line that follows."""
    if line.endswith(_SOFT_HYPHEN):
        return line[:-1], ""
    if match := _HEAD.search(line):
        return (line if _keeps_hyphen(line, match[1].lower(), following, vocabulary) else line[:-1]), ""
    glued = line[-1] in "-\u2010\u2013\u2014/" and len(line) > 1 and not line[-2].isspace()
    return line, "" if glued else " "


def _keeps_hyphen(line: str, head: str, following: str, vocabulary: Vocabulary) -> bool:
    tail_match = _TAIL.match(following)
    if tail_match is None or not following[0].islower() or re.search(r"(?:https?:|www\.)\S*$", line):
        return True
    tail = tail_match[0]
    if head + tail in vocabulary:
        return False
    if f"{head}-{tail}" in vocabulary or head in _COMPOUND_HEADS or tail in _COMPOUND_TAILS:
        return True
    return min(len(head), len(tail)) > 3 and head in vocabulary and tail in vocabulary
