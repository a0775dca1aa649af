"""From token scores to evidence: the stretches of a sentence that carry a label."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from whopays.model.encoder import Encoding

_WORD = re.compile(r"\S+")
_EDGE = ".,;:!?…\"'“”‘’«»()[]{}<>–—-•*·|"
# A second stretch of the same label in one sentence must be at least this strong beside the first.
_SECOND = 0.5
# No quote ends in one of these; in other languages than English the list does nothing.
_DANGLING = frozenset(
    "a an the and or but nor of to in on at by for from with without into onto than as that which who whom whose "
    "their its his her our your my this these those is are was were be been has have had will would shall".split()
)
# A quote of one or two words tells a reader nothing; the shortest gold spans have three.
_SHORTEST = 3
# A colon, a semicolon, a dash or a bracket ends a quote that runs on behind it for at most so many words, or begins one that
# begins so many before it, if these words carry at most this share of its sum (models/EXPERIMENTS.md, tenth round).
_STRAY_WORDS, _STRAY_SHARE = 5, 0.2
_BREAK_AT_END = re.compile(r"[:;—–][\"'”’)\]]*$|[)\]][.,]?$|^-+$")


def evidence(text: str, encoding: Encoding, scores: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """The stretches of a sentence that carry one label, as half-open offsets in order; always at least one.

    ``scores`` has shape (tokens,): above 0 speaks for the label, below 0 against. The stretches are the runs of whole
    words with the largest sums (maximum subarray, at least three words); a second or third is taken if its sum is at least half
    of the first's. Punctuation at the edges is left off, and so are articles, prepositions and their like at the end, and a few
    weak words that stand on the other side of a colon, a dash or the like.
    """
    words = [match.span() for match in _WORD.finditer(text)]
    if not words:
        return []
    values = _word_scores(text, words, encoding, scores)
    chosen: list[tuple[int, int]] = []
    best = 0.0
    for first, last, total in _maximal_runs(values):
        if chosen and (total < _SECOND * best or total <= 0 or len(chosen) == 3):
            break
        best = best or total
        first, last = _without_strays(text, words, values, first, last)
        chosen.append((first, _without_dangling(text, words, first, last)))
    spans = (trim(text, words[first][0], words[last][1]) for first, last in sorted(chosen))
    whole = words[0][0], words[-1][1]
    return [span for span in spans if span is not None] or [trim(text, *whole) or whole]


def _without_strays(
    text: str, words: list[tuple[int, int]], values: list[float], first: int, last: int
) -> tuple[int, int]:
    """A run (first, last) without the few weak words beyond a strong mark of punctuation; it keeps its shortest length."""
    most = _STRAY_SHARE * sum(values[first : last + 1])
    for end in range(last - 1, max(last - _STRAY_WORDS, first + _SHORTEST - 1) - 1, -1):
        if _break_behind(text, words, end) and sum(values[end + 1 : last + 1]) <= most:
            last = end
            break
    for begin in range(first + 1, min(first + _STRAY_WORDS, last - _SHORTEST + 1) + 1):
        if _break_behind(text, words, begin - 1) and sum(values[first:begin]) <= most:
            first = begin
            break
    return first, last


def _break_behind(text: str, words: list[tuple[int, int]], index: int) -> bool:
    return bool(_BREAK_AT_END.search(text[slice(*words[index])])) or text[words[index + 1][0]] in "([—–"


def _without_dangling(text: str, words: list[tuple[int, int]], first: int, last: int) -> int:
    """The last word of a run after words that want another one behind them are left off; the run keeps its shortest length."""
    while last - first >= _SHORTEST and text[slice(*words[last])].lower() in _DANGLING:
        last -= 1
    return last


def _word_scores(
    text: str, words: list[tuple[int, int]], encoding: Encoding, scores: npt.NDArray[np.float64]
) -> list[float]:
    """The mean score of each word's tokens; a word without tokens gets 0.

    Punctuation does not count: a full stop speaks against evidence, and would take the last word of every sentence with it.
    """
    sums = np.zeros(len(words))
    counts = np.zeros(len(words))
    starts = np.array([start for start, _ in words])
    owners = np.searchsorted(starts, encoding.starts, side="right") - 1
    for index, start, end, score in zip(owners, encoding.starts, encoding.ends, scores, strict=True):
        if index >= 0 and any(character.isalnum() for character in text[start:end]):
            sums[index] += score
            counts[index] += 1
    return [float(value) for value in sums / np.maximum(counts, 1)]


def _maximal_runs(values: list[float]) -> Iterator[tuple[int, int, float]]:
    """Runs (first, last, sum) of largest sum, each found in what the earlier ones left over, strongest first."""
    pieces = [(0, len(values))]
    runs: list[tuple[float, int, int, int]] = []

    def push(begin: int, end: int) -> None:
        if begin < end:
            total, first, last = _best_run(values, begin, end)
            runs.append((total, first, last, len(pieces)))
            pieces.append((begin, end))

    push(0, len(values))
    while runs:
        runs.sort()
        total, first, last, piece = runs.pop()
        begin, end = pieces[piece]
        yield first, last, total
        push(begin, first)
        push(last + 1, end)


def _best_run(values: list[float], begin: int, end: int) -> tuple[float, int, int]:
    """The run (sum, first, last) of largest sum with at least `_SHORTEST` words, or of all words where there are fewer."""
    shortest = min(_SHORTEST, end - begin)
    sums = [0.0, *accumulate(values[begin:end])]
    best = (-math.inf, begin, begin)
    lowest = 0
    for stop in range(shortest, len(sums)):
        if sums[stop - shortest] < sums[lowest]:
            lowest = stop - shortest
        if sums[stop] - sums[lowest] > best[0]:
            best = (sums[stop] - sums[lowest], begin + lowest, begin + stop - 1)
    return best


def trim(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The stretch without punctuation and blanks at its edges; None if nothing is left.

    A closing bracket stays if its opening one is inside.
    """
    last = end
    while start < end and _is_edge(text[start]):
        start += 1
    while start < end and _is_edge(text[end - 1]):
        end -= 1
    if text[end:last].startswith(")") and text.count("(", start, end) > text.count(")", start, end):
        end += 1
    return (start, end) if start < end else None


def _is_edge(character: str) -> bool:
    return character in _EDGE or character.isspace()
