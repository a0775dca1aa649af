"""Review: what is picked and why, what is written for the tool, and what becomes of the answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from whopays.annotation import Annotation, Annotations, annotation_format
from whopays.cli import main
from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.corpus.records import load_examples, save_examples
from whopays.errors import RecordError, UsageError
from whopays.evaluation.agreement import krippendorff_alpha, krippendorff_alpha_with_gaps
from whopays.review.answering import agreements, merge, overall_alpha, read_answers
from whopays.review.picking import Candidate, candidate, document_candidates, pick
from whopays.tagger import Tagger
from whopays.text import Document, Span

CLAIM = "Students now pay $5,500 a year."
NOTHING = "The museum opens at nine."


def item(name: str, text: str, uncertainty: float = 0.0, disagreement: float = 0.0) -> Candidate:
    return Candidate(Example(name, text), uncertainty, disagreement, ())


def marked(name: str, text: str, *labels: str) -> Example:
    return Example(name, text, tuple(sorted(Span(0, len(text), label, text) for label in labels)))


# Picking ------------------------------------------------------------------------------------------------------------


def test_the_most_worthy_comes_first_and_a_different_text_before_a_similar_one() -> None:
    found = pick(
        [
            item("a", "the levy falls on firms", 0.9),
            item("b", "the levy falls on firms too", 0.89),
            item("c", "students borrow money", 0.5),
            item("d", "nothing here", 0.01),
        ],
        3,
    )
    assert [one.example.id for one in found] == ["a", "c", "b"]


def test_picking_depends_on_neither_order_nor_chance_and_drops_equal_texts() -> None:
    rng = np.random.default_rng(0)
    texts = [f"{word} pays {other}" for word in "abcde" for other in ("tuition", "fees", "nothing")]
    items = [item(f"{i:02}", text, (i * 7 % 10) / 10) for i, text in enumerate([*texts, texts[0], " "])]
    expected = [one.example.id for one in pick(items, 6)]
    for _ in range(5):
        assert [one.example.id for one in pick([items[i] for i in rng.permutation(len(items))], 6)] == expected
    everything = pick(items, 100)
    assert len(everything) == len(texts) + 1


def test_few_or_no_candidates_are_all_picked_and_a_count_below_one_is_refused() -> None:
    assert pick([], 3) == []
    assert [one.example.id for one in pick([item("a", "x")], 3)] == ["a"]
    with pytest.raises(UsageError, match="found a count of 0, expected 1 or more"):
        pick([], 0)


def test_gold_that_the_model_contradicts_is_a_reason(tagger: Tagger) -> None:
    label = tagger.tag(CLAIM).labels[0]
    agreed = candidate(marked("a", CLAIM, label), tagger, gold=True)
    denied = candidate(marked("a", CLAIM), tagger, gold=True)
    assert agreed.disagreement == 0
    assert denied.disagreement == pytest.approx(tagger.tag(CLAIM).scores[label])
    assert any(reason.startswith(f"gold has no {label}, the model scores ") for reason in denied.reasons)
    assert candidate(marked("a", CLAIM), tagger, gold=False).disagreement == 0


def test_two_models_that_agree_give_no_reason(tagger: Tagger) -> None:
    assert candidate(Example("a", CLAIM), tagger, tagger, gold=False).disagreement == 0


def test_a_score_near_its_threshold_is_uncertain(tagger: Tagger) -> None:
    sure = candidate(Example("a", NOTHING), tagger, gold=False)
    assert 0 < sure.uncertainty < 0.5
    uncertain = [
        candidate(example, tagger, gold=False)
        for example in load_examples(Path(__file__).parents[1] / "corpus" / "data" / "seed.jsonl", tagger.codebook)
    ]
    for one in uncertain:
        result = tagger.tag(one.example.text)
        assert (one.uncertainty >= 0.5) == bool(result.uncertain)


def test_documents_are_cut_into_passages_of_whole_sentences_within_paragraphs(tagger: Tagger) -> None:
    text = " ".join([CLAIM] * 40) + "\n\n" + NOTHING
    passages = list(document_candidates([Document(text, id="report.pdf", title="A report")], tagger))
    for one in passages:
        start, end = map(int, one.example.id.removeprefix("report.pdf:").split("-"))
        assert text[start:end] == one.example.text
        assert len(one.example.text) <= 700
        assert one.example.attributes == {"title": "A report"}
    assert passages[-1].example.text == NOTHING
    assert "".join(one.example.text for one in passages).replace(" ", "") == "".join(text.split())


# Answers ------------------------------------------------------------------------------------------------------------


def write(path: Path, format: str, items: list[Annotation], codebook: Codebook) -> Path:
    annotation_format(format).write(items, path, codebook)
    return path


def test_answers_of_several_files_and_people_are_merged_where_they_agree(tmp_path: Path, tagger: Tagger) -> None:
    codebook = tagger.codebook
    one, two = codebook.ids[0], codebook.ids[1]
    ann = [Annotation(marked("a", CLAIM, one)), Annotation(marked("b", "x", one)), Annotation(marked("c", "y"))]
    bob = [Annotation(marked("a", CLAIM, one)), Annotation(marked("b", "x", two))]
    paths = [
        write(tmp_path / f"{name}.jsonl", "doccano", items, codebook) for name, items in (("ann", ann), ("bob", bob))
    ]
    answers = read_answers(paths, "doccano", codebook)
    assert list(answers.by_person) == ["ann", "bob"]
    merged = merge(answers)
    assert [(example.id, example.labels) for example in merged.examples] == [("a", {one}), ("c", set())]
    assert merged.disputed == ("b",)
    assert [example.labels for example in merge(answers, "bob").examples if example.id == "b"] == [{two}]
    with pytest.raises(UsageError, match="found no answers by 'eve', only by ann, bob"):
        merge(answers, "eve")
    pairs = agreements(answers, tagger)
    assert list(pairs) == [("ann", "bob"), ("ann", "the model"), ("bob", "the model")]
    assert pairs["ann", "bob"].size == 2
    assert pairs["ann", "bob"].span_f1 == pytest.approx(0.5)
    assert overall_alpha(answers, codebook)[one] == pytest.approx(pairs["ann", "bob"].alpha[one])


def test_an_answer_given_twice_and_two_texts_with_one_id_are_refused(tmp_path: Path, codebook: Codebook) -> None:
    path = write(tmp_path / "ann.jsonl", "doccano", [Annotation(Example("a", "x"))], codebook)
    other = write(tmp_path / "bob.jsonl", "doccano", [Annotation(Example("a", "y"))], codebook)
    with pytest.raises(RecordError, match="ann answered 'a' twice"):
        read_answers([path, path], "doccano", codebook)
    with pytest.raises(RecordError, match="two different texts have the id 'a'"):
        read_answers([path, other], "doccano", codebook)


def test_alpha_with_gaps_equals_krippendorffs_published_example() -> None:
    # K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), C: nominal data, four observers, gaps; 0.743.
    table = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, np.nan, np.nan, np.nan],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, np.nan, 3],
            [np.nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, np.nan],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, np.nan],
        ]
    )
    assert krippendorff_alpha_with_gaps(table) == pytest.approx(0.743, abs=0.0005)


def test_alpha_with_gaps_is_the_plain_one_for_two_readers_without_gaps() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        first, second = rng.random((2, 9)) < 0.5
        both = np.array([first, second], dtype=np.float64)
        assert krippendorff_alpha_with_gaps(both) == pytest.approx(krippendorff_alpha(first, second))


# Command line -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suggest", [False, True])
def test_review_goes_to_the_tool_and_back_into_a_corpus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], codebook: Codebook, suggest: bool
) -> None:
    (tmp_path / "report.txt").write_text(f"{CLAIM}\n\n{NOTHING}", encoding="utf-8")
    gold = tmp_path / "gold.jsonl"
    save_examples([marked("g1", "The state cut its grants.")], gold, codebook)
    tasks = tmp_path / "tasks.json"
    options = ["--gold", str(gold), "--format", "label-studio", "--output", str(tasks), "--count", "9"]
    assert main(["review", str(tmp_path / "report.txt"), *options, *(["--suggest"] if suggest else [])]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert "<Labels " in (tmp_path / "tasks.json.interface.xml").read_text(encoding="utf-8")
    written = json.loads(tasks.read_text(encoding="utf-8"))
    assert any(p["result"] for task in written for p in task["predictions"]) == suggest
    for task in written:
        regions = task["predictions"][0]["result"] if suggest and task["predictions"] else []
        task["annotations"] = [{"completed_by": 1, "result": regions}]
    tasks.write_text(json.dumps(written), encoding="utf-8")
    answers = ["--answers", str(tasks), "--format", "label-studio", "--output", str(tmp_path / "new.jsonl")]
    assert main(["review", *answers]) == 0
    report = capsys.readouterr().out
    assert "1: 3 texts read" in report
    assert "1 and the model, 3 texts" in report
    assert "3 texts for the corpus, 0 left out" in report
    assert {example.id for example in load_examples(tmp_path / "new.jsonl", codebook)} >= {"g1"}


def test_convert_names_what_it_leaves_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.json"
    source.write_text(json.dumps([{"data": {"text": CLAIM}, "annotations": []}]), encoding="utf-8")
    arguments = ["convert", str(source), "--from", "label-studio", "--to", "bio", "--output", str(tmp_path / "out.tsv")]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.out == "0 texts with 0 spans\n"
    assert "task 1: not annotated yet" in captured.err
    assert main([*arguments, "--annotator", "eve"]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["review", "--format", "brat"],
        ["review", "absent.txt", "--format", "brat", "--output", "out"],
        ["review", "--answers", "absent.jsonl", "--format", "prodigy"],
        ["convert", "absent", "--from", "brat", "--to", "bio", "--output", "x"],
    ],
)
def test_wrong_usage_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("whopays: ")


def test_the_command_line_knows_the_formats() -> None:
    from whopays import annotation, cli

    assert cli._ANNOTATION_FORMATS == annotation.FORMATS
    assert cli._UNITS == annotation.UNITS
    assert Annotations(()).examples == []
