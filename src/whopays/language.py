"""Which parts of a text are in another language than the one that a model reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

# Function words that make up about two fifths of English prose, and hardly any of another language's.
_ENGLISH = frozenset(
    """the of and to in a is that for it as was with be by on not he his but at are this have from or had an
    they which one you were her all their there been if more when will would who so no what can its than into
    only other some""".split()
)
_ENOUGH_ENGLISH = 0.15
# Neighbouring sentences are judged together until they have so many letters: of a few words nobody can tell.
_BLOCK = 80
_FEWEST_LETTERS = 20
_SURE = 0.7
_WORD = re.compile(r"[^\W\d_]+")
_LATIN = re.compile(r"[a-zA-Z\u00c0-\u024f]")
# English-based creoles and Scots share so much with English that a headline falls to them.
_NEAR_ENGLISH = frozenset({"pcm", "sco", "und"})


def foreign_languages(sentences: Sequence[str], expected: str) -> list[str]:
    """For each sentence of a text, in reading order: "" if it is in the ``expected`` language (ISO 639-1) or nobody can
    tell, else the code of the language that it and its neighbours are in.
    """
    found: list[str] = []
    for block in _blocks(sentences):
        found += [_foreign(" ".join(block), expected)] * len(block)
    return found


def english_share(text: str) -> float:
    """The share of a text's words that are common function words of English."""
    words = _WORD.findall(text.lower())
    return sum(word in _ENGLISH for word in words) / max(len(words), 1)


def _blocks(sentences: Sequence[str]) -> Iterator[list[str]]:
    """Runs of sentences with at least `_BLOCK` letters; the last ones may have fewer only if there is no other."""
    blocks: list[list[str]] = []
    letters = _BLOCK
    for sentence in sentences:
        if letters >= _BLOCK:
            blocks.append([])
            letters = 0
        blocks[-1].append(sentence)
        letters += sum(map(len, _WORD.findall(sentence)))
    if len(blocks) > 1 and letters < _BLOCK:
        rest = blocks.pop()
        blocks[-1] += rest
    yield from blocks


def _foreign(text: str, expected: str) -> str:
    letters = "".join(_WORD.findall(text))
    if len(letters) < _FEWEST_LETTERS:
        latin = len(_LATIN.findall(letters))
        # A dozen Chinese characters say as much as a line of Latin script.
        return _classify(text)[0] if expected == "en" and len(letters) >= 4 and not latin else ""
    # The identifier takes seconds to load: most texts never need it.
    if expected == "en" and english_share(text) >= _ENOUGH_ENGLISH:
        return ""
    language, confidence = _classify(text)
    if language == expected or (expected == "en" and language in _NEAR_ENGLISH):
        return ""
    other_script = expected == "en" and 2 * len(_LATIN.findall(letters)) < len(letters)
    return language if confidence >= _SURE or other_script else ""


def _classify(text: str) -> tuple[str, float]:
    language, confidence = _identifier().classify(text)
    return str(language), float(confidence)


@cache
def _identifier() -> Any:
    """Naive Bayes over bytes (Lui and Baldwin 2012), 139 languages."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
