"""The corpus: compiled the same every time, without problems, with the seed documents as they were given."""

from __future__ import annotations

import hashlib
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from whopays.codebook import Codebook
from whopays.corpus.checking import check_corpus, frozen_problems, load_corpus, shared_word_problems
from whopays.corpus.compiling import compile_corpus, corpus_codebook, read_split
from whopays.corpus.markup import Example, format_file, parse_file
from whopays.errors import CodebookError, MarkupError, UsageError

CORPUS = Path(__file__).parents[1] / "corpus"
CODEBOOK = corpus_codebook(CORPUS)
HELD_OUT = {"heldout", "documents-heldout", "contrast-heldout", "retold-heldout", "retold-contrast-heldout"}
SPLITS = {"seed", "train", "statements", "contrast", "retold", "fresh", "dense", *HELD_OUT}
# A passage that breaks no rule: 30 words, and a word of its own in each stretch of eight.
FILLER = (
    "the {0} of the {0} and the {0} is in a {0} that was with the {0} and on the {0} for all of the {0} there is no {0}"
)
HEADER = "%% register=blog author=x\n"


def passage(identifier: str, extra: str = "", attributes: str = "country=GB year=1999 level=degree") -> str:
    return f"== {identifier} {attributes}\n{FILLER.format(identifier.replace('-', ''))} {extra}\n"


def make_corpus(folder: Path, **splits: str) -> Path:
    """A corpus folder with one file of passages for each split, compiled."""
    shutil.copy(CORPUS / "codebook.toml", folder / "codebook.toml")
    for split, content in splits.items():
        (folder / "text" / split).mkdir(parents=True)
        (folder / "text" / split / "a.txt").write_bytes((HEADER + content).encode())
    compile_corpus(folder, CODEBOOK)
    return folder


def compiled(folder: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in sorted((folder / "data").glob("*.jsonl"))}


# The committed corpus -----------------------------------------------------------------------------------------------


def test_the_corpus_compiles_to_the_same_bytes_every_time_and_to_those_committed(tmp_path: Path) -> None:
    shutil.copytree(CORPUS / "text", tmp_path / "text")
    counts = compile_corpus(tmp_path, CODEBOOK)
    first = compiled(tmp_path)
    assert compile_corpus(tmp_path, CODEBOOK) == counts
    assert compiled(tmp_path) == first
    assert set(first) == SPLITS - {"seed"}
    committed = compiled(CORPUS)
    assert set(committed) == SPLITS
    stale = [split for split in first if first[split] != committed[split]]
    assert not stale, "run `whopays corpus compile corpus`"
    assert counts == {split: content.count(b"\n") for split, content in first.items()}


def test_the_corpus_has_no_problems() -> None:
    _, problems = check_corpus(CORPUS)
    assert not problems, "\n".join(problems)


def test_the_table_of_counts_has_a_line_for_each_split_and_names_each_label() -> None:
    table, _ = check_corpus(CORPUS)
    lines = table.splitlines()
    assert lines[0].split() == ["split", "texts", "free", "hard", *CODEBOOK.ids]
    counts = {line.split()[0]: int(line.split()[1]) for line in lines[1 : 1 + len(SPLITS)]}
    assert counts == {split: len(examples) for split, examples in load_corpus(CORPUS, CODEBOOK).items()}


def test_every_label_is_held_by_every_split_that_is_learned_from_or_measured_on() -> None:
    for split, examples in load_corpus(CORPUS, CODEBOOK).items():
        if split != "seed":
            assert {label for each in examples for label in each.labels} == set(CODEBOOK.ids), split


@pytest.mark.parametrize("split", ["fresh", "dense", "documents-heldout", "retold-heldout"])
def test_no_author_of_a_passage_to_test_on_has_written_text_to_learn_from(split: str) -> None:
    splits = load_corpus(CORPUS, CODEBOOK)
    learnt = {e.attributes["author"] for name in SPLITS - HELD_OUT - {"fresh", "dense", "seed"} for e in splits[name]}
    assert not learnt & {e.attributes["author"] for e in splits[split] if not e.attributes.get("change")}


def test_every_contrast_says_what_its_pair_changes() -> None:
    for each in load_corpus(CORPUS, CODEBOOK)["contrast"]:
        assert each.attributes.get("pair"), each.id
        assert each.attributes.get("change"), each.id


def test_every_passage_survives_being_written_as_markup_and_read() -> None:
    for split, examples in load_corpus(CORPUS, CODEBOOK).items():
        assert parse_file(format_file(examples, CODEBOOK), CODEBOOK, split) == examples


def test_no_passage_and_no_id_stands_in_two_splits() -> None:
    examples = [each for split in load_corpus(CORPUS, CODEBOOK).values() for each in split]
    assert len({each.id for each in examples}) == len(examples)
    assert len({each.text for each in examples}) == len(examples)


def test_the_seed_documents_stand_verbatim_with_their_titles_and_in_order() -> None:
    lines = (CORPUS / "seed_documents.txt").read_bytes().decode("utf-8").split("\n")
    given = list(zip(lines[0::2], lines[1::2], strict=False))
    seed = load_corpus(CORPUS, CODEBOOK)["seed"]
    assert len(given) == 12
    assert [(each.attributes["title"], each.text) for each in seed] == given
    assert [each.id for each in seed] == [f"seed-{number:02}" for number in range(1, 13)]
    assert all(each.spans for each in seed)


@pytest.mark.slow
def test_the_datasets_library_loads_every_split_offline(tmp_path: Path) -> None:
    code = (
        "import json, sys; from datasets import load_dataset; found = load_dataset(sys.argv[1]); "
        "print(json.dumps({name: list(split) for name, split in found.items()}))"
    )
    environment = {
        **os.environ,
        "HF_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "PYTHONUTF8": "1",
    }
    for name in ("HF_DATASETS_CACHE", "HF_HUB_CACHE"):
        environment.pop(name, None)
    run = subprocess.run(
        [sys.executable, "-c", code, str(CORPUS)], env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    # A split's name in datasets may hold no hyphen.
    assert set(found) == {split.replace("-", "_") for split in SPLITS}
    for split, content in compiled(CORPUS).items():
        assert found[split.replace("-", "_")] == [json.loads(line) for line in content.decode("utf-8").splitlines()], (
            split
        )


# Compiling ----------------------------------------------------------------------------------------------------------


def test_files_are_compiled_in_order_of_name_and_passages_in_order_of_place(tmp_path: Path) -> None:
    for name, content in (("b.txt", "== b2\nTwo\n== b1\nOne\n"), ("a.txt", "== z\nZ\n"), ("notes.md", "== n\nN\n")):
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert [each.id for each in read_split(tmp_path, CODEBOOK)] == ["z", "b2", "b1"]


def test_line_breaks_and_unicode_of_a_file_are_kept(tmp_path: Path) -> None:
    text = "one\r\ntwo\rthree\u2028four e\u0301 ﬁ 🎓"
    (tmp_path / "a.txt").write_bytes(f"== a\n{text}\n".encode())
    assert read_split(tmp_path, CODEBOOK) == [Example("a", text)]


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ("== one\nOther.\n", "(one): the same id stands in "),
        ("== two\n{LB|Same}.\n", "(two): the same text stands in "),
    ],
)
def test_an_id_or_a_text_in_two_files_is_refused_with_both_files(second: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("== one\nSame.\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text(second, encoding="utf-8")
    with pytest.raises(MarkupError) as caught:
        read_split(tmp_path, CODEBOOK)
    assert str(caught.value) == f"{tmp_path / 'b.txt'} {reason}{tmp_path / 'a.txt'} (one); remove one."


def test_a_mistake_in_a_file_is_refused_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("== one\nA\n== two\n{LB|B\n", encoding="utf-8")
    with pytest.raises(
        MarkupError, match=rf"^{re.escape(str(tmp_path / 'a.txt'))}, line 3 \(two\), line 1 of the passage"
    ):
        read_split(tmp_path, CODEBOOK)


def test_a_file_that_is_not_utf_8_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("== one\nCafé".encode("latin-1"))
    with pytest.raises(MarkupError, match=rf"^{re.escape(str(tmp_path / 'a.txt'))}: not UTF-8 \(byte 10\)"):
        read_split(tmp_path, CODEBOOK)


def test_a_folder_without_passages_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no \.txt files of marked passages"):
        read_split(tmp_path, CODEBOOK)
    with pytest.raises(UsageError, match="found no text/<split> folders"):
        compile_corpus(tmp_path, CODEBOOK)
    (tmp_path / "codebook.toml").write_bytes((CORPUS / "codebook.toml").read_bytes())
    with pytest.raises(UsageError, match=r"found no data/\*\.jsonl; compile the corpus first"):
        check_corpus(tmp_path)


def test_a_folder_without_a_codebook_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CodebookError, match=r"codebook\.toml: cannot read the codebook"):
        check_corpus(tmp_path)


# Checking -----------------------------------------------------------------------------------------------------------


def test_a_corpus_that_keeps_the_rules_has_no_problems(tmp_path: Path) -> None:
    pair = "country=GB year=1999 level=degree pair=p1"
    folder = make_corpus(
        tmp_path,
        train=passage("aa", "{LB|She pays}.")
        + passage("ab")
        + passage("ac", "None.", "country=X year=1 level=y negative=hard"),
        contrast=passage("ba", "{LB|She pays}.", pair) + passage("bb", "{LE|She does not}.", pair),
    )
    table, problems = check_corpus(folder)
    assert problems == []
    assert re.search(r"(?m)^train +3 +2 +1 +1 ", table)
    assert "contrast: 0 whole documents, 1 pairs, 1 registers, 1 countries or bodies, 1999 to 1999" in table


def test_of_many_registers_the_commonest_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    words = [f"{first}{second}" for first in "abcdefghijk" for second in "lmnopqrstu"]
    attributes = "country=GB year=1999 level=degree register="
    texts = [passage(f"{word}-1", attributes=attributes + word) for word in words]
    for some, told in ((words, ", jt 1, ku 2, and 10 more with 10 texts\n"), (words[:100], ", jt 1, ju 2\n")):
        folder = tmp_path / str(len(some))
        folder.mkdir()
        again = passage("again", attributes=f"{attributes}{some[-1]}")
        table, _ = check_corpus(make_corpus(folder, train="".join(texts[: len(some)]) + again))
        assert f"{len(some)} registers" in table
        assert f"{table}\n".endswith(told)


def test_a_corpus_without_any_claim_or_passage_is_counted_too(tmp_path: Path) -> None:
    folder = make_corpus(tmp_path, train=passage("aa"), other="")
    table, problems = check_corpus(folder)
    assert problems == []
    assert re.search(r"(?m)^train +1 +1 +0 ", table)
    assert re.search(r"(?m)^other +0 +0 +0 ", table)


PROBLEMS = {
    "attributes that are missing": (
        passage("aa", attributes="year=1999"),
        "train, aa: attribute country, level missing.",
    ),
    "a passage that is too short": (
        "== aa country=a year=1 level=b\nThe fee is on the house.\n",
        "train, aa: 6 words, expected 20 to 220.",
    ),
    "a passage that is too long": (passage("aa", "it is " * 100), "train, aa: 230 words, expected 20 to 220."),
    "a whole document that is too short": (
        passage("aa", attributes="country=a year=1 level=b kind=document"),
        "train, aa: 30 words, expected 600 to 2500.",
    ),
    "another language": (
        "== aa country=a year=1 level=b\n" + "Die Lernende zahlt jede Gebühr selbst, " * 6,
        "train, aa: hardly any English function words.",
    ),
    "a negative with a claim": (
        passage("aa", "{LB|She pays}.", "country=a year=1 level=b negative=hard"),
        "train, aa: a negative with marked claims.",
    ),
    "a span over the whole passage": (
        "== aa country=a year=1 level=b\n{LB|"
        + FILLER.format("x")
        + "}\n"
        + passage("ab", "{LB|a}")
        + passage("ac", "{LB|a}"),
        "train, aa: the span 'the x of the x and the x is in a x that '… covers nearly the whole passage.",
    ),
    "spans that are long on the whole": (
        passage("aa", "{LB|" + "it is " * 8 + "}"),
        "train: median span of 16 words, expected under 15.",
    ),
    "a pair of one": (
        passage("aa", "{LB|She}", "country=a year=1 level=b pair=p1"),
        "train, pair p1: found 1 members, expected two, or a set of statements.",
    ),
    "a pair whose second member alone says what it changes": (
        passage("aa", "{LB|She}", "country=a year=1 level=b pair=p1")
        + passage("ab", "{LB|He}", "country=a year=1 level=b pair=p1 change=negated"),
        "train, pair p1: both members have the same labels; a contrast changes at least one.",
    ),
    "a pair without a contrast": (
        passage("aa", "{LB|She}", "country=a year=1 level=b pair=p1 change=negated")
        + passage("ab", "{LB|He}", "country=a year=1 level=b pair=p1 change=negated"),
        "train, pair p1: both members have the same labels; a contrast changes at least one.",
    ),
    "eight words in common": (
        passage("aa", "Eight words in a row are too many.")
        + passage("ab", "Here EIGHT words, in a row: are too many!"),
        "train, ab: shares with train aa the words 'eight words in a row are too many'.",
    ),
}


@pytest.mark.parametrize(("content", "problem"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_broken_rule_is_told_with_split_and_passage(content: str, problem: str, tmp_path: Path) -> None:
    assert check_corpus(make_corpus(tmp_path, train=content))[1] == [problem]


def shared(**splits: list[Example]) -> list[str]:
    return list(shared_word_problems(splits))


def test_seven_words_in_common_are_no_problem() -> None:
    assert (
        shared(train=[Example("a", "seven words in a row are fine"), Example("b", "so seven words in a row are fine")])
        == []
    )


def test_words_in_common_are_found_across_splits_even_under_one_id_or_pair() -> None:
    text = "one two three four five six seven eight"
    told = ["train, a: shares with heldout a the words 'one two three four five six seven eight'."]
    assert shared(heldout=[Example("a", text)], train=[Example("a", f"So {text}")]) == told
    pair = {"pair": "p"}
    assert len(shared(heldout=[Example("a", text, (), pair)], train=[Example("b", text, (), pair)])) == 1


def test_the_two_members_of_a_pair_may_share_words() -> None:
    text, pair = "one two three four five six seven eight", {"pair": "p"}
    assert shared(contrast=[Example("a", text, (), pair), Example("b", f"{text} nine", (), pair)]) == []


def test_the_seed_documents_may_share_words_with_each_other_but_with_no_passage() -> None:
    text = "one two three four five six seven eight"
    seed = [Example("seed-01", text), Example("seed-02", text + " nine")]
    assert shared(seed=seed) == []
    assert len(shared(seed=seed, train=[Example("a", text)])) == 1


# Frozen splits ------------------------------------------------------------------------------------------------------


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """A corpus folder whose held-out split is frozen as it is."""
    content = b'{"id": "a", "text": "Held out.", "spans": []}\n'
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "heldout.jsonl").write_bytes(content)
    (tmp_path / "data" / "train.jsonl").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "frozen.toml").write_text(f'[heldout]\nversion = "1.0"\nsha256 = "{digest}"\n', encoding="utf-8")
    return tmp_path


def test_a_frozen_split_that_is_as_it_was_has_no_problem(frozen: Path) -> None:
    assert list(frozen_problems(frozen)) == []


def test_a_split_that_is_not_frozen_may_change(frozen: Path) -> None:
    (frozen / "data" / "train.jsonl").write_bytes(b"")
    assert list(frozen_problems(frozen)) == []


def test_a_corpus_without_frozen_splits_has_no_problem(frozen: Path) -> None:
    (frozen / "frozen.toml").unlink()
    (frozen / "data" / "heldout.jsonl").write_bytes(b"")
    assert list(frozen_problems(frozen)) == []


@pytest.mark.parametrize("change", [b"", b'{"id": "a", "text": "Held out!", "spans": []}\n', b"\n"])
def test_any_change_of_a_frozen_split_is_told_with_its_version(change: bytes, frozen: Path) -> None:
    path = frozen / "data" / "heldout.jsonl"
    path.write_bytes(path.read_bytes() + change if change == b"\n" else change)
    (problem,) = frozen_problems(frozen)
    assert problem.startswith("heldout: frozen as version 1.0 with ")
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:12] in problem
    assert "raise the version in frozen.toml" in problem


def test_a_frozen_split_that_is_gone_is_told(frozen: Path) -> None:
    (frozen / "data" / "heldout.jsonl").unlink()
    (problem,) = frozen_problems(frozen)
    assert problem.startswith("heldout: frozen as version 1.0 with ")
    assert "found no file" in problem


def test_a_change_of_a_frozen_split_is_a_problem_of_the_corpus(tmp_path: Path) -> None:
    folder = make_corpus(tmp_path, heldout=passage("aa"))
    (folder / "frozen.toml").write_text(f'[heldout]\nversion = "1"\nsha256 = "{"0" * 64}"\n', encoding="utf-8")
    (problem,) = check_corpus(folder)[1]
    assert problem.startswith("heldout: frozen as version 1 with 000000000000…, found ")


def test_the_codebook_in_the_corpus_folder_is_the_one_it_is_read_with() -> None:
    assert Codebook.load(CORPUS / "codebook.toml") == CODEBOOK


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_search_for_near_duplicates_tells_the_same_from_the_similar() -> None:
    """All of the corpus takes minutes; `scripts/check` runs that."""
    pytest.importorskip("torch")
    benchmark = runpy.run_path(str(CORPUS.parent / "benchmarks" / "near_duplicates.py"))
    one = "The ministry covers the fee for the certificate and pays the college directly."
    near = "The ministry covers the fee for that certificate and pays the college directly."
    other = "Employers expect a certificate now where a school report was enough ten years ago."
    vectors = benchmark["embed"]([one, other, near])
    assert vectors[0] @ vectors[2] > benchmark["LIMIT"] > vectors[0] @ vectors[1]


def test_what_models_are_tested_on_is_held_apart_from_what_they_learn() -> None:
    kind = runpy.run_path(str(CORPUS.parent / "benchmarks" / "near_duplicates.py"))["_kind"]
    assert {kind(split) for split in HELD_OUT} == {"held out"}
    assert len({kind(split) for split in ("heldout", "fresh", "dense", "retold")}) == 4
    assert kind("train") == kind("seed") == kind("retold")


def test_the_search_for_near_duplicates_finds_what_comparing_each_with_each_finds() -> None:
    benchmark = runpy.run_path(str(CORPUS.parent / "benchmarks" / "near_duplicates.py"))
    random = np.random.default_rng(0)
    vectors = random.normal(size=(1100, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    units = benchmark["numbered"]([f"unit {i // 2}" if i < 400 else f"text {i}" for i in range(1100)])
    held_out = random.random(1100) < 0.3
    for across in (None, held_out):
        every = [
            (float(vectors[i] @ vectors[j]), i, j)
            for i in range(1100)
            for j in range(i + 1, 1100)
            if units[i] != units[j] and (across is None or across[i] != across[j])
        ]
        best = sorted(every, reverse=True)[:20]
        found = benchmark["closest_pairs"](vectors, units, 20, across=across)
        assert [pair[1:] for pair in found] == [pair[1:] for pair in best]
        assert [pair[0] for pair in found] == pytest.approx([pair[0] for pair in best], abs=1e-5)


def test_the_search_for_near_duplicates_takes_no_pair_where_there_is_none() -> None:
    benchmark = runpy.run_path(str(CORPUS.parent / "benchmarks" / "near_duplicates.py"))
    vectors = np.eye(3, dtype=np.float32)
    assert benchmark["closest_pairs"](vectors, benchmark["numbered"](["a", "a", "a"]), 5) == []
    pairs = benchmark["closest_pairs"](vectors, benchmark["numbered"](["a", "a", "b"]), 5)
    assert [pair[1:] for pair in pairs] == [(0, 2), (1, 2)]


@pytest.mark.parametrize(("off", "exact"), [(0.0, True), (0.02, True), (0.08, False)])
def test_near_duplicates_found_in_8_bits_are_ranked_in_single_precision_unless_they_are_too_far_off(off, exact) -> None:
    benchmark = runpy.run_path(str(CORPUS.parent / "benchmarks" / "near_duplicates.py"))
    generator = np.random.default_rng(3)
    vectors = generator.normal(size=(40, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    benchmark["exact"].__globals__["embed"] = lambda texts: vectors[[int(text) for text in texts]]
    right = benchmark["closest_pairs"](vectors, np.arange(40), 300)
    signs = generator.choice([-1, 1], size=len(right))
    rough = sorted(((pair[0] + off * sign, *pair[1:]) for pair, sign in zip(right, signs, strict=True)), reverse=True)
    found = benchmark["exact"](rough, [str(index) for index in range(40)], 5)
    assert (found is not None) == exact
    if exact:
        assert [pair[1:] for pair in found] == [pair[1:] for pair in right[:5]]


def test_the_dataset_card_has_the_table_that_the_check_prints() -> None:
    table, _ = check_corpus(CORPUS)
    assert table.strip() in (CORPUS / "README.md").read_text(encoding="utf-8")
