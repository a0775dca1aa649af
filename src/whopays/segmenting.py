"""A document's sentences, with exact offsets: spaCy's English tokenizer and boundary rules made for policy prose.

The text is first cut into blocks at paragraph breaks, headings, list items and rows of tables. In each block, every
mark that could end a sentence is judged by the word before it, which spaCy's tokenizer delimits, and by what follows.
A trained sentence model is not used: it would have to be downloaded, and mistakes "Sec. 134(c)(3)" for an end. The
whole runs in linear time, which spaCy alone does not: its tokenizer takes quadratic time on a run without spaces, so
such runs are kept away from it.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from whopays.text import Document, Segment

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Abbreviations, in lower case and without their last full stop, by what they allow behind them.
# Never the end of a sentence: a name or another word belongs behind them.
_LEADING = _words(
    """mr mrs ms dr prof sen sens rep reps gov gen lt col capt sgt cmdr maj adm amb hon rt rev pres mt ft messrs mme
    mlle fr br asst assoc atty supt exec e.g i.e cf viz approx vs v incl excl esp"""
)
# Stand before a number, a letter or a bracket; else they end a sentence only before a word that can only begin one.
_REFERENCE = _words(
    """sec secs sect no nos nr art arts para paras cl ch chap chaps fig figs eq vol vols ed eds p pp c ca est rs reg
    regs stat pub cong ex r rr s ss tab tbl app apps pt pts sched div dept subd subsec subpara supp op cir amdt bull
    doc docs rec max min avg ref tel ext abs lit rn"""
)
# References that are words as well: 'No. 4' goes on, 'He said no. Four others' does not.
_ALSO_WORD = _words("no art est fig tab app pub doc ref rec max min ex ed lit abs bull")
# End a sentence before a word that can only begin one, as do abbreviations with a full stop inside ('U.S.', 'a.m.').
_NAMING = _words(
    """inc ltd co corp cos plc pty bros al jr sr jan feb mar apr jun jul aug sep sept oct nov dec ave blvd rd st
    ibid id govt univ inst assn calif mass conn fla ill mich minn tenn tex va wash wis ariz colo md ind ala ark okla"""
)
_CLOSING = frozenset({"etc", "p.a", "seq"})  # end a sentence before any capital
# Capitalised words that begin a sentence far more often than they continue a name.
_STARTERS = _words(
    """The This That These Those It Its He She They We You I In On At By For From With Under Over After Before Since
    Until When While Where If As And But Or So Yet Not No Some Most Many Few All Both Each Every Any Our Their His
    Her My Your There Here What Who How Why Although Though Because However Moreover Meanwhile Instead Thus
    Therefore Then Today Now Once To An A Another Such Of One Two Several Nor Than Whether According Between During
    Within Without Through Neither Either Only Even Still Also Nobody Students Employers Workers Learners Trainees
    Firms Unions Critics Taxpayers Graduates Colleges"""
)
# Behind these a single capital is a label and not somebody's initial: 'Plan B.', 'got an A.'
_LABELLED = _words(
    """option plan part group grade class type form section appendix app schedule annex table category tier level
    phase stage model scenario case figure fig exhibit attachment band zone route column row list vitamin a an"""
)

# An abbreviation by its look: 'U.S', 'Ph.D', 'a.m', but not 'edX.org' or '12.15'.
_DOTTED = re.compile(r"(?:[^\W\d]{1,2}\.)+[^\W\d]{1,4}")
_ROMAN = r"[ivxIVX]{1,5}"
_ENUMERATOR = (
    rf"(?:\(?(?:\d{{1,3}}|[a-zA-Z]|{_ROMAN})[.)]|\d{{1,2}}(?:\.\d{{1,2}}){{1,3}}\.?|\((?:\d{{1,3}}[a-z]?|[a-z]{{2}})\))"
)
_BULLET = r"(?:[-*•‣▪◦●○■□·⁃∙➢➤▶✓✔✦\uf0b7§o>]|[–—]|#+)"
_ITEM = re.compile(rf"[ \t]*(?:{_BULLET}|{_ENUMERATOR})[ \t]+(?=\S)")
# Item marks that a wrapped line may begin with by chance: a dash, an initial, a number with a full stop.
_WEAK_ITEM = re.compile(r"[ \t]*(?:[–—§]|[A-Z]\.|\d{1,3}\.)[ \t]")
_SPEAKER = r"(?:[QA][:.]|(?-i:[A-Z][A-Z.'’]+(?:[ -][A-Z][A-Z.'’]*){0,5}):)"
_TURN = re.compile(rf"[ \t]*{_SPEAKER}[ \t]")
# What a block may begin with that belongs to its first sentence, whatever full stops it holds.
_LABEL = re.compile(
    rf"(?:[ \t]*(?:{_BULLET}|{_ENUMERATOR}|{_SPEAKER}"
    r"|(?:sec|subd|section|art|article|chapter|part|rule|table|fig|figure|box|clause)\.?[ \t]\d[\w.-]{0,8}\.)(?=\s))*",
    re.IGNORECASE,
)
_RULE = re.compile(r"[\s|:=_*~#+-]{3,}")
_LINE = re.compile(r"[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_LONG_RUN = re.compile(r"(?<!\S)\S{200,}|(?<![^\S\n\r])[^\S\n\r]{200,}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_SEGMENT = 20_000

# A mark that may end a sentence, what clings to it (closing quotes, footnote marks, emoji), and a look at what follows.
_END = re.compile(
    r"""(?P<mark>[.!?…。！？؟।۔]+(?:\ \.)*)
    (?P<close>(?:["'”’)\]}›*_`]|[ \u00a0\u202f]?»)*)
    (?P<note>(?:\[\^?\w{1,4}\]|[¹²³⁰⁴-⁹]+(?:[,–-][¹²³⁰⁴-⁹]+)*|[†‡]+|\d{1,3}(?:[,–-]\d{1,3})*(?![\w.,%])|\ \[\d{1,3}\](?=\s|$))*)
    (?:\s?[\U0001f300-\U0001faff][\U0001f300-\U0001faff\u200d\ufe0f]*(?=\s|$))?
    (?=(?P<gap>\s*)
    (?P<open>(?:(?!\((?:[a-z]{1,2}|[A-H]|[ivx]{1,5}|\d{1,3})\))["'“‘«(\[{‹„¿¡*_`–—-])*\s?)
    (?P<next>Nos?\.\s?\d|\(\w+|[^\W_][\w’']*|[^\w\s]|_|$))""",
    re.VERBOSE,
)
_NUMBER = re.compile(rf"\d.*|[§¶#]|{_ROMAN}|[A-Za-z]", re.DOTALL)
_SMALL_NAME = re.compile(r"[a-z]{1,3}[A-Z]")
_LONE_ENUMERATOR = re.compile(rf"[\s\"'“‘(\[]*(?:\d{{1,3}}|[a-zA-Z]|{_ROMAN}|[QA])")


def import_spacy() -> None:
    """Import spaCy without torch.

    spaCy's thinc imports torch wherever it is installed, which costs a second and 150 MB that tagging never uses. A
    process that already uses spaCy or torch is left alone; in any other, thinc stays unaware of torch.
    """
    if "spacy" in sys.modules or "torch" in sys.modules or importlib.util.find_spec("torch") is None:
        importlib.import_module("spacy")
        return
    sys.modules["torch"] = None  # type: ignore[assignment]  # makes `import torch` raise ImportError
    try:
        importlib.import_module("spacy")
    finally:
        del sys.modules["torch"]


@lru_cache(maxsize=1)
def _pipeline() -> Language:
    import_spacy()
    from spacy.lang.en import English

    nlp = English()
    nlp.max_length = 10**9
    return nlp


def segment(document: Document | str) -> list[Segment]:
    """The sentences of a document, in order, without overlap; together they hold every non-blank character.

    Offsets index the document's text. Headings, list items and table cells are segments of their own; a segment never
    crosses a paragraph or one of the document's ``breaks``. A stretch of more than 20,000 characters without a sentence
    end is cut at spaces. Runs in linear time.
    """
    if isinstance(document, str):
        document = Document(document)
    text = document.text
    segments: list[Segment] = []
    for start, end in _blocks(text, document.breaks):
        for a, b in _sentences(text, start, end):
            segments.extend(Segment(c, d, text[c:d]) for c, d in _bounded(text, a, b))
    return segments


def _bounded(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > _MAX_SEGMENT:
        cut = text.rfind(" ", start + _MAX_SEGMENT // 2, start + _MAX_SEGMENT)
        cut = start + _MAX_SEGMENT if cut < 0 else cut
        yield from _stripped(text, start, cut)
        start = cut
    yield from _stripped(text, start, end)


def _stripped(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    right = len(piece.rstrip())
    if left < right:
        yield start + left, start + right


def _blocks(text: str, breaks: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Stretches that no sentence crosses: runs of lines that continue each other."""
    forced = iter(sorted(breaks))
    next_break = next(forced, None)
    lines: list[tuple[int, int]] = []
    for match in _LINE.finditer(text):
        start, end = match.span()
        while next_break is not None and next_break < end:
            if next_break > start:
                lines.append((start, next_break))
                start = next_break
            yield from _join(text, lines)
            lines = []
            next_break = next(forced, None)
        blank = not text[start:end].strip()
        if blank or (lines and _line_breaks(text[lines[-1][1] : start]) > 1):
            yield from _join(text, lines)
            lines = []
        if not blank:
            lines.append((start, end))
    yield from _join(text, lines)


def _line_breaks(gap: str) -> int:
    return len(gap.replace("\r\n", "\n"))


def _join(text: str, lines: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """One paragraph's lines -> blocks: wrapped lines are joined, headings and list items stand alone."""
    if not lines:
        return
    width = max(end - start for start, end in lines)
    wrapped = width > 45 or any(text[start].islower() for start, _ in lines[1:])
    block_start, block_end = lines[0]
    in_list = _ITEM.match(text, block_start, block_end) is not None
    for (start, end), (next_start, next_end) in pairwise(lines):
        filled = (end - start) / width if wrapped else 0.0
        if _continues(text[start:end].rstrip(), text[next_start:next_end], filled, in_list):
            block_end = next_end
        else:
            yield block_start, block_end
            block_start, block_end = next_start, next_end
            in_list = _ITEM.match(text, block_start, block_end) is not None
    yield block_start, block_end


def _continues(line: str, following: str, filled: float, in_list: bool) -> bool:
    """Whether a line break inside a paragraph is a mere wrap: the sentence goes on in the following line.

    ``filled`` is the line's share of the paragraph's width, 0 where the paragraph does not look wrapped at all.
    """
    beginning = following.lstrip()
    if _RULE.fullmatch(line) or _RULE.fullmatch(following):
        return False
    if beginning.startswith("|") or (" | " in line and " | " in following):
        return False
    if _ITEM.match(following):
        by_chance = _WEAK_ITEM.match(following) is not None and line[-1:].isalnum()
        return by_chance and filled >= 0.7 and not in_list
    if _TURN.match(following) or (line.isupper() and not beginning.isupper()):
        return False
    if beginning[:1].islower() or line[-1:] in ",;-–—(":
        return True
    return filled >= (0.6 if line[-1:] in ".!?:" else 0.7)


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The sentences of one block; runs of 200 characters without a space, or of spaces, bypass the tokenizer."""
    position = sentence = start
    for run in [*_LONG_RUN.finditer(text, start, end), None]:
        limit = run.start() if run else end
        if limit > position:
            for boundary in _boundaries(text[position:limit]):
                yield sentence, position + boundary
                sentence = position + boundary
        if run is None:
            break
        position = run.end()
        if run[0].isspace():
            yield sentence, run.start()
            sentence = run.end()
    if sentence < end:
        yield sentence, end


def _boundaries(text: str) -> Iterator[int]:
    """Offsets inside a block's text at which a new sentence begins."""
    label = _LABEL.match(text)
    marks = [found for found in _END.finditer(text, label.end() if label else 0) if found["next"]]
    if not marks:
        return
    doc = _pipeline().make_doc(_SURROGATE.sub("\ufffd", text))
    offsets = [token.idx for token in doc]
    sentence = 0
    for found in marks:
        if found.start() - sentence < 12 and _LONE_ENUMERATOR.fullmatch(text, sentence, found.start()):
            continue  # '2. The fee': the number belongs to what follows
        if _ends(found, *_words_before(doc, offsets, found.start())):
            sentence = found.end("gap")
            yield sentence


def _words_before(doc: Doc, offsets: list[int], mark: int) -> tuple[str, str, bool]:
    """The word that a mark stands on, the word before that, and whether the mark lies inside an address."""
    index = bisect_right(offsets, mark) - 1
    token = doc[index]
    word = token.text[: mark - token.idx]
    inside = len(token.text) > len(word) + 1 and (token.like_url or token.like_email or "://" in token.text)
    if not word and index and not doc[index - 1].whitespace_:
        index -= 1
        word = doc[index].text
    return word.strip("\"'“‘([{*_"), doc[index - 1].lower_ if index else "", inside


def _ends(found: re.Match[str], word: str, before: str, inside: bool) -> bool:
    """Whether a sentence ends with the mark ``found``, which stands on ``word``; ``before`` is the word before that."""
    mark, close, note, following = found["mark"], found["close"], found["note"], found["next"]
    upper = not following[0].islower() or _SMALL_NAME.match(following) is not None
    if inside or not upper or following in {*",;:)]}/|%=+&.", "_"}:
        return False
    if close[:1] in {")", "]"} and len(mark) > 1 and not word:
        return False  # '[...]'
    if not found["gap"] and not _begins_unspaced(found, word):
        return False
    if mark == ".":
        bracket = following[0] == "(" or found["open"].rstrip()[-1:] in {"(", "["}
        numeral = _NUMBER.fullmatch(following) is not None or bracket or note[:1].isdecimal()
        name, starter = word.lower(), following in _STARTERS
        if name in _LEADING:
            return False
        if name in _REFERENCE:
            if name in _ALSO_WORD and (following in {"I", "A"} or not numeral):
                return True
            return starter and not numeral
        if name in _CLOSING:
            return not bracket
        if len(word) == 1 and word.isupper():
            return starter or (before in _LABELLED and not bracket)
        if name in _NAMING or _DOTTED.fullmatch(word):
            quoted = close[:1] in {'"', "”", "’"} and following[0].isupper()
            return not bracket and (starter or quoted)
    if mark[-1] in "!?…" and close[:1] in {'"', "”", "’", "'"}:
        return following != "I"  # '“Who pays?” I asked'
    # '13.56 MHz' is a number, 'left.12 The' a footnote.
    return not note[:1].isdecimal() or bool(close) or word[-1:] in {")", "]"} or (len(word) > 1 and word[-1].isalpha())


def _begins_unspaced(found: re.Match[str], word: str) -> bool:
    """Whether a sentence begins although no space is left before it: 'of training.The learner'."""
    following = found["next"]
    if found["mark"][-1] in "。！？":
        return True
    if not following[0].isupper() or (len(following) == 1 and following not in {"I", "A"}):
        return False
    if found["close"] or found["note"] or found["open"]:
        return True
    if found["mark"] != ".":
        return len(word) > 1
    plain = len(word) > 2 and word.islower() and following[1:].islower()
    return plain or (len(word) > 1 and following in _STARTERS)


def is_heading(text: str) -> bool:
    """Whether a segment is a heading, a label or a table's rule rather than a statement; such segments carry no claim.

    A heading does not end like a sentence, and is marked as one (``#``), has no more than three words, or is short and
    written in capitals or title case.
    """
    stripped = text.strip()
    if stripped.startswith("#"):
        return True
    words = [word for word in stripped.split() if any(character.isalpha() for character in word)]
    if not words:
        return True
    if stripped.rstrip("\"'”’)]*_").endswith((".", "!", "?", "…", ";", ":", ",")) or len(words) > 12:
        return False
    long = [word.lstrip("\"'“‘(*_") for word in words if len(word) > 3]
    return len(words) <= 3 or sum(word[:1].isupper() for word in long) >= 0.7 * max(len(long), 1)
