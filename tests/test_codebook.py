"""The label scheme is data: what a codebook file says, what its hash covers, and what is refused."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whopays.codebook import Codebook, Label
from whopays.errors import CodebookError
from whopays.result import Result

PATH = Path(__file__).parents[1] / "corpus" / "codebook.toml"
SHIPPED = Codebook.load(PATH)
IDS = (
    "learner:bears",
    "learner:escapes",
    "employer:bears",
    "employer:escapes",
    "state:bears",
    "state:escapes",
    "cost-shifting",
    "inflation",
    "signaling",
)
SMALL = """
name = "rent"
version = "1"

[groups.tenancy]
question = "Who is helped?"
stances = { gains = "gainers", loses = "losers" }

[groups.topic]
field = "topics"

[[labels]]
id = "tenant:gains"
mark = "TG"
group = "tenancy"
party = "tenant"
stance = "gains"
definition = "The tenant gains."
examples = ["Rent is frozen."]

[[labels]]
id = "tenant:loses"
mark = "TL"
group = "tenancy"
party = "tenant"
stance = "loses"
definition = "The tenant loses."

[[labels]]
id = "eviction"
mark = "EV"
group = "topic"
definition = "Eviction is named."
"""


def small(*changes: tuple[str, str]) -> Codebook:
    return Codebook.parse(changed(*changes), source="rent.toml")


def changed(*changes: tuple[str, str]) -> str:
    content = SMALL
    for old, new in changes:
        assert content.count(old) == 1, f"{old!r} must occur once"
        content = content.replace(old, new)
    return content


# The shipped codebook -----------------------------------------------------------------------------------------------


def test_the_shipped_codebook_has_the_nine_labels_in_the_order_of_the_contract() -> None:
    assert SHIPPED.ids == IDS
    assert tuple(label.id for label in SHIPPED.labels) == IDS


def test_the_shipped_codebook_reads_as_payers_evaders_and_mechanisms() -> None:
    assert SHIPPED.fields == ("payers", "evaders", "mechanisms")


def test_every_shipped_label_is_defined_with_examples_on_both_sides() -> None:
    for label in SHIPPED.labels:
        assert label.definition.endswith("."), label.id
        assert label.examples, label.id
        assert label.counter_examples, label.id
        assert re.fullmatch(r"#[0-9a-f]{6}", label.color), label.id
    assert len({label.color for label in SHIPPED.labels}) == len(IDS)


def test_marks_lead_to_their_labels() -> None:
    assert dict(SHIPPED.marks) == dict(zip("LB LE EB EE SB SE CS IN SI".split(), IDS, strict=True))


def test_the_default_model_was_made_for_the_shipped_codebook() -> None:
    folder = PATH.parents[1] / "models" / "default"
    assert Codebook.load(folder / "codebook.toml").hash == SHIPPED.hash


def test_a_codebook_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        SHIPPED.name = "other"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        SHIPPED.labels[0].mark = "XX"  # type: ignore[misc]


# Labels by id -------------------------------------------------------------------------------------------------------


def test_a_label_is_found_by_its_id() -> None:
    assert SHIPPED["inflation"].mark == "IN"
    assert "inflation" in SHIPPED


@pytest.mark.parametrize("label", ["Inflation", "", "learner", None, 3, ["inflation"], {}])
def test_anything_else_is_no_label(label: object) -> None:
    assert label not in SHIPPED


def test_an_unknown_label_is_named_with_those_that_exist() -> None:
    for ask in (lambda: SHIPPED["learner"], lambda: SHIPPED.order(["inflation", "learner"])):
        with pytest.raises(
            CodebookError, match=r"unknown label 'learner'; the codebook 'who-pays' has learner:bears, "
        ):
            ask()


@settings(deadline=None)
@given(st.lists(st.sampled_from(IDS)))
def test_labels_are_ordered_as_in_the_codebook_each_once(labels: list[str]) -> None:
    ordered = SHIPPED.order(labels)
    assert set(ordered) == set(labels)
    assert list(ordered) == sorted(set(labels), key=IDS.index)
    assert SHIPPED.order(iter(ordered)) == ordered


# Readings -----------------------------------------------------------------------------------------------------------


def test_readings_are_parties_by_stance_and_labels_of_groups_without_stances() -> None:
    assert SHIPPED.readings(["signaling", "employer:escapes", "learner:bears", "inflation", "state:bears"]) == {
        "payers": ("learner", "state"),
        "evaders": ("employer",),
        "mechanisms": ("inflation", "signaling"),
    }


def test_a_text_without_labels_has_empty_readings_of_every_field() -> None:
    assert SHIPPED.readings([]) == {"payers": (), "evaders": (), "mechanisms": ()}


@settings(deadline=None)
@given(st.lists(st.sampled_from(IDS)))
def test_readings_hold_as_many_values_as_there_are_labels(labels: list[str]) -> None:
    readings = SHIPPED.readings(labels)
    assert tuple(readings) == SHIPPED.fields
    assert sum(map(len, readings.values())) == len(set(labels))
    assert readings == SHIPPED.readings(reversed(labels))


def test_another_codebook_has_its_own_readings() -> None:
    codebook = small()
    assert codebook.ids == ("tenant:gains", "tenant:loses", "eviction")
    assert codebook.readings(["eviction", "tenant:loses"]) == {
        "gainers": (),
        "losers": ("tenant",),
        "topics": ("eviction",),
    }


def test_what_is_left_out_has_a_plain_default() -> None:
    codebook = small(('field = "topics"\n', ""))
    assert (codebook.title, codebook.scope, codebook.language) == ("rent", "", "en")
    assert codebook.fields == ("gainers", "losers", "topic")
    assert codebook["eviction"] == Label("eviction", "EV", "topic", "Eviction is named.")
    assert codebook["eviction"].value == "eviction"
    assert codebook["tenant:gains"].value == "tenant"


# Hash ---------------------------------------------------------------------------------------------------------------

SAME: dict[str, Callable[[str], str]] = {
    "comments": lambda content: "# A remark.\n" + content.replace('mark = "LB"', 'mark = "LB"  # short'),
    "colors": lambda content: content.replace("#c2410c", "#000000"),
    "no colors": lambda content: re.sub(r"(?m)^color = .*\n", "", content),
    "blank lines": lambda content: content.replace("\n[[labels]]", "\n\n\n[[labels]]\n"),
    "CRLF": lambda content: content.replace("\n", "\r\n"),
    "spaces around equals signs": lambda content: re.sub(r"(?m)^(\w+) = ", r"\1   =  ", content),
    "order of the keys": lambda content: content.replace(
        'mark = "LB"\ngroup = "payer"\n', 'group = "payer"\nmark = "LB"\n'
    ),
    "the title": lambda content: content.replace('title = "Who pays for', 'title = "On who pays for'),
    "strings in other quotes": lambda content: content.replace('"inflation"', "'inflation'"),
}
OTHER: dict[str, Callable[[str], str]] = {
    "a definition": lambda content: content.replace("Credentials lose worth", "Credentials lose value"),
    "a letter's case in a definition": lambda content: content.replace("Credentials lose", "credentials lose"),
    "an example": lambda content: content.replace("She took out a loan", "He took out a loan"),
    "a counter-example": lambda content: content.replace("The railway signal was cleared.", "A signal."),
    "an id": lambda content: content.replace('"inflation"', '"inflating"'),
    "a mark": lambda content: content.replace('"IN"', '"IF"'),
    "a party": lambda content: content.replace('id = "state:', 'id = "public:').replace('"state"', '"public"'),
    "a field": lambda content: content.replace('"mechanisms"', '"ways"'),
    "a question": lambda content: content.replace("How does the text say", "How does it say"),
    "the scope": lambda content: content.replace("A claim is a statement", "A claim is a sentence"),
    "the name": lambda content: content.replace('"who-pays"', '"who-pays-2"'),
    "the version": lambda content: content.replace('"1.0"', '"1.1"'),
    "the order of the labels": lambda content: _last_label_first(content),
}


def _last_label_first(content: str) -> str:
    head, *labels = content.split("[[labels]]")
    return "[[labels]]".join([head, labels[-1] + "\n", *labels[:-1]])


def _hash_after(change: Callable[[str], str]) -> str:
    content = PATH.read_text(encoding="utf-8")
    assert change(content) != content, "the change must change the file"
    return Codebook.parse(change(content)).hash


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_the_hash_does_not_see_what_labels_do_not_mean(change: Callable[[str], str]) -> None:
    assert _hash_after(change) == SHIPPED.hash


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_the_hash_sees_every_change_of_meaning(change: Callable[[str], str]) -> None:
    assert _hash_after(change) != SHIPPED.hash


def test_the_hash_is_sixteen_hex_digits_wherever_the_file_lies(tmp_path: Path) -> None:
    copy = tmp_path / "copy.toml"
    copy.write_bytes(PATH.read_bytes())
    assert Codebook.load(copy).hash == SHIPPED.hash
    assert Codebook.load(str(copy)) == SHIPPED
    assert re.fullmatch(r"[0-9a-f]{16}", SHIPPED.hash)


# What is refused ----------------------------------------------------------------------------------------------------

# What is replaced in SMALL, by what, the label that must be named, and the reason that must be told.
WRONG_LABELS = {
    "an id twice": ('id = "eviction"', 'id = "tenant:gains"', "tenant:gains", "same id 'tenant:gains'"),
    "a mark twice": ('"EV"', '"TG"', "eviction", "same mark 'TG'"),
    "an id in upper case": ('id = "eviction"', 'id = "Eviction"', "Eviction", "an id is lower case"),
    "an id with spaces": ('id = "eviction"', 'id = "evic tion"', "evic tion", "an id is lower case"),
    "an empty id": ('id = "eviction"', 'id = ""', "", "an id is lower case"),
    "an id of three parts": ('id = "eviction"', 'id = "a:b:c"', "a:b:c", "an id is lower case"),
    "an id with a line break": ('id = "eviction"', 'id = "eviction\\n"', "eviction\n", "an id is lower case"),
    "a mark in lower case": ('"EV"', '"ev"', "eviction", "the mark 'ev' must be upper-case"),
    "a mark with a pipe": ('"EV"', '"E|V"', "eviction", "the mark 'E|V' must be upper-case"),
    "an unknown group": ('"topic"', '"town"', "eviction", "found group 'town', expected one of tenancy, topic"),
    "an unknown stance": (
        'stance = "loses"',
        'stance = "lost"',
        "tenant:loses",
        "stance 'lost', group 'tenancy' has: gains",
    ),
    "no stance": ('stance = "loses"\n', "", "tenant:loses", "stance None, group 'tenancy' has: gains, loses"),
    "a stance without a party": (
        'party = "tenant"\nstance = "loses"',
        'stance = "loses"',
        "tenant:loses",
        "both a party and a stance",
    ),
    "a party without a stance": ('"EV"', '"EV"\nparty = "tenant"', "eviction", "both a party and a stance"),
    "a stance where the group has none": ('"EV"', '"EV"\nstance = "gains"', "eviction", "found stance 'gains'"),
    "no definition": ('definition = "Eviction is named."\n', "", "eviction", "the key definition is missing"),
    "no mark": ('mark = "EV"\n', "", "eviction", "the key mark is missing"),
    "no id": ('id = "eviction"\n', "", "number 3", "the key id is missing"),
    "an unknown key": ('"EV"', '"EV"\ncolour = "#0"', "eviction", "key colour, expected some of id, mark"),
    "a number for a definition": ('"Eviction is named."', "7", "eviction", "definition = 7, expected a string"),
    "a list for an id": ('id = "eviction"', 'id = ["a"]', ["a"], "id = ['a'], expected a string"),
    "a string for examples": ('["Rent is frozen."]', '"Rent."', "tenant:gains", "'Rent.', expected a list of strings"),
    "numbers for examples": ('["Rent is frozen."]', "[1]", "tenant:gains", "[1], expected a list of strings"),
}


@pytest.mark.parametrize(("old", "new", "label", "reason"), WRONG_LABELS.values(), ids=WRONG_LABELS)
def test_a_wrong_label_is_refused_by_file_and_label(
    old: str, new: str, label: object, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "rent.toml"
    path.write_text(changed((old, new)), encoding="utf-8")
    with pytest.raises(CodebookError) as caught:
        Codebook.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert repr(label) in message
    assert reason in message


def test_a_codebook_from_text_without_a_source_names_the_label_alone() -> None:
    with pytest.raises(CodebookError, match=r"^label 'eviction': the mark 'ev' must be"):
        Codebook.parse(changed(('"EV"', '"ev"')))


NO_LABELS = 'name = "a"\nversion = "1"\n'
WRONG_FILES = {
    "broken TOML": ("name = ", "not valid TOML"),
    "a table twice": (changed(("[groups.topic]", "[groups.tenancy]")), "not valid TOML"),
    "nothing": ("", "the key 'name' is missing"),
    "no version": (changed(('version = "1"\n', "")), "the key 'version' is missing"),
    "no groups": (NO_LABELS + "labels = []", "the key 'groups' is missing"),
    "no labels": (NO_LABELS + "[groups.a]", "the key 'labels' is missing"),
    "an empty list of labels": (NO_LABELS + "labels = []\n[groups.a]", "found no labels"),
    "labels as one table": (NO_LABELS + "[groups.a]\n[labels]\nid = 'a'", r"must be \[\[labels\]\] tables, with two"),
    "labels as a number": (NO_LABELS + "labels = 3\n[groups.a]", "unexpected shape"),
    "labels as strings": (NO_LABELS + "labels = ['a']\n[groups.a]", r"must be \[\[labels\]\] tables"),
    "groups as a list": (NO_LABELS + "labels = []\ngroups = []", "unexpected shape"),
    "a group as a number": (
        NO_LABELS + "labels = []\n[groups]\na = 3",
        r"group 'a': found 3, expected a table \[groups\.a",
    ),
    "stances as a list": (NO_LABELS + "labels = []\n[groups.a]\nstances = ['b']", "unexpected shape"),
    "a misspelt table of labels": (
        SMALL.replace("[[labels]]", "[[label]]", 1),
        "found the key label, expected some of name",
    ),
    "a misspelt key of a group": (
        changed(("field", "feild")),
        "group 'topic': found the key feild, expected some of title",
    ),
    "a field in upper case": (changed(('"topics"', '"Topics"')), "group 'topic': the field name 'Topics'"),
    "a field with a space": (changed(('"losers"', '"the losers"')), "group 'tenancy': the field name 'the losers'"),
    "a field twice": (changed(('"topics"', '"losers"')), "the group field 'losers' is taken already"),
    "a field that a result has": (changed(('"topics"', '"labels"')), "the group field 'labels' is taken already"),
}


@pytest.mark.parametrize(("content", "reason"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_a_file_that_is_no_codebook_is_refused_by_name(content: str, reason: str) -> None:
    with pytest.raises(CodebookError, match=rf"^rent\.toml: .*{reason}"):
        Codebook.parse(content, source="rent.toml")


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes('name = "é"'.encode("latin-1"))
    for path in (tmp_path / "missing.toml", tmp_path, latin):
        with pytest.raises(CodebookError, match=rf"^{re.escape(str(path))}: cannot read the codebook"):
            Codebook.load(path)


@pytest.mark.parametrize("name", sorted(name for name in dir(Result) if not name.startswith("_")))
def test_no_field_may_hide_what_a_result_has(name: str) -> None:
    with pytest.raises(CodebookError, match="taken already"):
        small(('"topics"', f'"{name}"'))


def test_no_field_may_hide_a_key_of_a_result() -> None:
    for key in fields(Result):
        with pytest.raises(CodebookError, match="taken already"):
            small(('"topics"', f'"{key.name}"'))


def test_a_codebook_made_in_code_is_checked_too() -> None:
    with pytest.raises(CodebookError, match="found no labels"):
        replace(SHIPPED, labels=())
    with pytest.raises(CodebookError, match="same id 'learner:bears'"):
        replace(SHIPPED, labels=SHIPPED.labels + SHIPPED.labels[:1])


@settings(deadline=None)
@given(st.text(max_size=60), st.integers(0, len(SMALL)))
def test_a_damaged_file_gives_all_labels_or_a_codebook_error(junk: str, place: int) -> None:
    with contextlib.suppress(CodebookError):
        codebook = Codebook.parse(SMALL[:place] + junk + SMALL[place:])
        assert len(codebook.ids) == 3
