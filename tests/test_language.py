"""Telling which parts of a text are in another language."""

from __future__ import annotations

import pytest

from whopays.language import english_share, foreign_languages

ENGLISH = (
    "The committee met on Tuesday and heard that most of the students will have to pay for their own books this year."
)
GERMAN = "Die Arbeitgeber zahlen nicht für die Ausbildung, und die Kosten werden auf die Auszubildenden abgewälzt."
FRENCH = "Les employeurs ne paient pas la formation, et les frais sont reportés sur les travailleurs eux-mêmes."


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (GERMAN, "de"),
        (FRENCH, "fr"),
        ("De werkgever betaalt de opleiding van de werknemer niet meer zelf.", "nl"),
        ("Pracodawcy nie płacą za szkolenia swoich pracowników.", "pl"),
        ("Il datore di lavoro paga il corso ai suoi dipendenti.", "it"),
        ("雇用主は研修費を払わない。", "ja"),
    ],
)
def test_other_languages_are_named(text: str, language: str) -> None:
    assert foreign_languages([text], "en") == [language]


def test_a_script_other_than_latin_is_never_taken_for_english() -> None:
    assert foreign_languages(["企业不支付培训费用。"], "en") != [""]
    assert foreign_languages(["Работодатели не платят за обучение."], "en") != [""]


@pytest.mark.parametrize(
    "text",
    ["", "$5,500", "Zürich 1999", "FOR IMMEDIATE RELEASE.", ENGLISH, "No pupil will pay for senior high school.", "…"],
)
def test_english_and_what_nobody_can_tell_are_not_foreign(text: str) -> None:
    assert foreign_languages([text], "en") == [""]


def test_a_text_in_two_languages_is_told_apart_by_passage() -> None:
    languages = foreign_languages([ENGLISH, ENGLISH, GERMAN, GERMAN, GERMAN, ENGLISH, ENGLISH, ENGLISH], "en")
    assert languages[0] == languages[-1] == ""
    assert "de" in languages


def test_a_foreign_name_inside_an_english_passage_stays_english() -> None:
    assert foreign_languages([ENGLISH, "Die Zeit, Süddeutsche Zeitung.", ENGLISH], "en") == ["", "", ""]


def test_every_sentence_has_an_answer() -> None:
    assert foreign_languages([], "en") == []
    assert len(foreign_languages(["", GERMAN, "", ENGLISH] * 7, "en")) == 28


def test_for_another_expected_language_english_is_foreign() -> None:
    assert foreign_languages([GERMAN], "de") == [""]
    assert foreign_languages([ENGLISH], "de") == ["en"]


def test_the_share_of_english_function_words_is_counted_over_words() -> None:
    assert english_share("the cost of it 12") == 0.75
    assert english_share("12 %") == 0
