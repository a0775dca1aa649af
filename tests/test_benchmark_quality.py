"""`benchmarks/quality.py`: on which texts it says what."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import quality
import whopays
from whopays.corpus.checking import load_corpus
from whopays.corpus.compiling import corpus_codebook
from whopays.corpus.markup import Example
from whopays.text import Span

CORPUS = Path(__file__).parents[1] / "corpus"
TEXT = "Students now pay $5,500 a year."
CLAIM = (Span(0, len(TEXT), "learner:bears", TEXT),)
PAIR = [Example("a", TEXT, CLAIM, {"pair": "a"}), Example("b", "A museum.", (), {"pair": "a", "change": "object"})]


def test_a_pair_of_which_a_set_holds_one_member_alone_is_not_counted_as_right_or_wrong() -> None:
    alone = Example("c", TEXT, CLAIM, {"pair": "c"})
    assert quality._pairs([alone], [CLAIM]) == ""
    assert quality._pairs([*PAIR, alone], [CLAIM, (), ()]).startswith("Both members right: 1.00 ")
    assert quality._pairs([*PAIR, alone], [CLAIM, CLAIM, CLAIM]).startswith("Both members right: 0.00 ")


def test_a_tag_on_a_sentence_without_claims_is_told_apart_by_whether_the_text_has_its_label_elsewhere() -> None:
    text = f"{TEXT} The museum is open."
    museum = text.index("The")
    example = Example("a", text, CLAIM)
    tags = [Span(museum, len(text), label, text[museum:]) for label in ("learner:bears", "state:bears")]
    assert quality._wrong_tags([example], [CLAIM]).startswith("0 wrong tags on 1 claim-free sentences")
    told = quality._wrong_tags([example], [tags])
    assert told.startswith("2 wrong tags on 1 claim-free sentences, 2000.0 in 1,000; 1 of them (1000.0) are of labels")


def test_sets_may_be_named_and_a_title_that_is_none_is_refused(monkeypatch, capsys) -> None:
    everything = {"few": PAIR, "other": PAIR}
    monkeypatch.setattr(quality, "gold_sets", lambda _: everything)
    monkeypatch.setattr("sys.argv", ["quality.py", "--model", "small", "--only", "few"])
    quality.main()
    told = capsys.readouterr().out
    assert "| few | 2 |" in told
    assert "other" not in told
    monkeypatch.setattr("sys.argv", ["quality.py", "--model", "small", "--only", "fwe"])
    with pytest.raises(SystemExit):
        quality.main()
    assert "no set is called fwe; there are few, other." in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["fresh retold", "dense"])
def test_passages_not_learnt_from_hold_no_twin_and_their_pairs_both_members(kind: str) -> None:
    sets = quality.gold_sets(load_corpus(CORPUS, corpus_codebook(CORPUS)))
    passages, pairs = sets[f"{kind} passages"], sets[f"{kind} pairs"]
    assert not any(example.attributes.get("change") for example in passages)
    members = Counter(example.attributes["pair"] for example in pairs)
    assert set(members.values()) == {2}
    assert sum(bool(example.attributes.get("change")) for example in pairs) == len(pairs) // 2


def test_faithfulness_and_calibration_are_left_out_for_many_texts(monkeypatch) -> None:
    tagger = whopays.load("small")
    told = quality.table("few", PAIR, tagger)
    assert "Faithfulness of 1 tags" in told
    assert "| ECE of sentences |" in told
    monkeypatch.setattr(quality, "MOST_IN_DETAIL", 1)
    told = quality.table("many", PAIR, tagger)
    assert "Faithfulness and calibration are left out" in told
    assert "ECE" not in told
    assert "| learner:bears | 1.00 | 1.00 |" in told
