"""A codebook of one's own: the starter folder, an honest fit with its report, and the model at work everywhere."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from safetensors.numpy import load_file

import whopays
from whopays.annotation import FORMATS, annotation_format
from whopays.cli import main
from whopays.codebook import Codebook
from whopays.corpus.checking import shared_word_problems
from whopays.corpus.markup import Example
from whopays.corpus.records import load_examples
from whopays.errors import UsageError
from whopays.evaluation.evaluating import evaluate, evaluate_spans
from whopays.model.encoder import Encoder, Encoding, Tokens
from whopays.model.folder import load_model
from whopays.result import Result
from whopays.starter import FILES, start
from whopays.tagger import Tagger, load, model_folder
from whopays.text import Span
from whopays.training import crossvalidating
from whopays.training.crossvalidating import RememberingEncoder, cross_validate
from whopays.training.finetuning import tune_encoder
from whopays.training.fitting import FitOptions, encode_examples, fit_sentence_heads
from whopays.training.reporting import unseen_table
from whopays.training.training import load_texts, train
from whopays.training.tuned import OwnTuning, settings, train_tuned

CLIMATE = Path(__file__).parents[1] / "examples" / "climate"
TEXT = "😀 Every household must sort its glass by color. The bee is a symbol of the town."


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "mycodebook"
    start(folder)
    return folder


@pytest.fixture(scope="module")
def own(starter: Path) -> tuple[Path, str]:
    """The folder of a model fitted on the starter's texts, with its report."""
    held_out = starter.parent / "held-out.jsonl"
    line = {
        "text": "You must lock the door of the depot. It is red.",
        "spans": [{"label": "citizen:must", "start": 0, "end": 35}],
    }
    held_out.write_text(json.dumps(line) + "\n", encoding="utf-8")
    report = train(
        [starter / "examples.jsonl"],
        starter / "codebook.toml",
        starter / "model",
        "small",
        cross_validation=True,
        held_out=held_out,
    )
    return starter / "model", report


@pytest.fixture(scope="module")
def own_tagger(own: tuple[Path, str]) -> Tagger:
    return load(own[0], threads=2)


# The starter folder ---------------------------------------------------------------------------------------------------


def test_init_writes_a_codebook_and_texts_that_fit_each_other(tmp_path, capsys):
    assert main(["init", str(tmp_path / "new")]) == 0
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()] == list(FILES)
    codebook = Codebook.load(tmp_path / "new" / "codebook.toml")
    examples = load_examples(tmp_path / "new" / "examples.jsonl", codebook)
    assert {label for example in examples for label in example.labels} == set(codebook.ids)
    assert any(not example.spans for example in examples)


@pytest.mark.parametrize("command", ["whopays train", "whopays tag", "whopays evaluate"])
def test_the_starter_says_what_to_do_next(command, tmp_path):
    start(tmp_path)
    assert command in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_init_refuses_a_folder_that_holds_something_and_leaves_it_alone(tmp_path, capsys):
    (tmp_path / "codebook.toml").write_text("mine", encoding="utf-8")
    assert main(["init", str(tmp_path)]) == 2
    assert "found codebook.toml there, expected a new or an empty folder" in " ".join(capsys.readouterr().err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["codebook.toml"]
    assert (tmp_path / "codebook.toml").read_text(encoding="utf-8") == "mine"


def test_init_says_so_where_it_cannot_write(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot write there"):
        start(tmp_path / "file" / "inside")


# What training reports ------------------------------------------------------------------------------------------------


def test_the_report_has_each_label_with_texts_threshold_scores_and_interval(own, starter):
    codebook = Codebook.load(starter / "codebook.toml")
    for label in (*codebook.ids, "micro", "macro"):
        (line,) = [line for line in own[1].split("held out")[0].splitlines() if line.startswith(label + " ")]
        assert " to " in line
    assert "few examples: under 20 texts say little" in own[1]
    assert "thresholds and calibration chosen inside the folds, over 40 texts" in own[1]


def test_cross_validated_and_held_out_scores_stand_in_card_and_manifest(own):
    card = (own[0] / "README.md").read_text(encoding="utf-8")
    settings = json.loads((own[0] / "model.json").read_text(encoding="utf-8"))["settings"]
    micro = settings["cross_validation"]["documents"]["micro"]
    assert settings["cross_validation"]["texts"] == 40
    row = card.split("## On texts that the fit had not seen")[1].split(f"| micro | {micro['support']} | ")[1]
    # Both are rounded, the manifest's to more digits.
    assert float(row.split(" ")[0]) == pytest.approx(micro["precision"], abs=0.0056)
    assert "`held-out.jsonl`, 1 texts" in card
    assert settings["held_out"]["texts"] == 1


def test_the_words_of_a_sentence_count_by_how_much_they_look_like_the_marked_evidence(own):
    heads = load_model(own[0]).heads
    assert heads.attention.any(axis=1).all()
    # Both were learnt from the same words; the heads are stored in fewer digits.
    np.testing.assert_allclose(heads.attention, heads.token_weights, rtol=1e-3, atol=1e-4)


def test_held_out_scores_are_those_of_the_model_as_it_is_loaded(own, own_tagger, starter):
    gold = load_examples(starter.parent / "held-out.jsonl", own_tagger.codebook)
    score = evaluate(gold, own_tagger).documents["micro"]
    settings = json.loads((own[0] / "model.json").read_text(encoding="utf-8"))["settings"]
    assert settings["held_out"]["documents"]["micro"]["f1"] == round(score.f1, 3)


def test_a_label_with_too_few_examples_is_called_so_and_never_given():
    gold = [Example(str(i), "a b", (Span(0, 1, "much", "a"),)) for i in range(30)] + [Example("x", "a", ())]
    unseen = evaluate_spans(gold, [e.spans for e in gold], ["much", "rare"])
    report = {
        "much": {"positive_sentences": 30, "threshold": 0.4},
        "rare": {"positive_sentences": 2, "threshold": 1.01},
    }
    table = unseen_table(report, unseen, gold, FitOptions(), {"folds": 5, "calibration_texts": 0})
    lines = {line.split()[0]: line for line in table.splitlines() if line.strip()}
    assert "too few examples: never given (needs 5 sentences" in lines["rare"]
    assert "never" in lines["rare"].split()[2]
    assert "few examples" not in lines["much"]


def test_a_held_out_text_that_is_in_the_corpus_is_refused(starter):
    codebook = Codebook.load(starter / "codebook.toml")
    corpus = starter / "examples.jsonl"
    with pytest.raises(UsageError, match=r"40 held-out texts \(example-01, .*\) are in the corpus too"):
        load_texts([corpus], corpus, codebook)


def test_an_id_in_two_files_is_refused(starter, tmp_path):
    copy = tmp_path / "again.jsonl"
    copy.write_bytes((starter / "examples.jsonl").read_bytes())
    with pytest.raises(UsageError, match="found the id 'example-01' in two files"):
        load_texts([starter / "examples.jsonl", copy], None, Codebook.load(starter / "codebook.toml"))


# Cross-validation -----------------------------------------------------------------------------------------------------


class Noise(Encoder):
    """Every word gets a vector by its spelling; no model behind it."""

    def __init__(self) -> None:
        self.width, self.vocabulary = 24, 1000

    def tokenize(self, segment: str) -> Tokens:
        words = segment.split()
        starts = np.cumsum([0, *(len(word) + 1 for word in words[:-1])])[: len(words)].astype(np.int64)
        ids = np.array([hash_of(word) for word in words], dtype=np.int64)
        return Tokens(ids, starts, starts + np.array([len(word) for word in words], dtype=np.int64))

    def encode_all(self, documents: Sequence[Sequence[Tokens]], threads: int = 1, wanted: Any = None) -> Any:
        for document in documents:
            yield [Encoding(self.states(tokens.ids), tokens.starts, tokens.ends) for tokens in document]

    def states(self, ids: Any) -> Any:
        rows = [np.random.default_rng(int(id)).normal(size=self.width) for id in ids]
        return np.array(rows, dtype=np.float32).reshape(-1, self.width)


def hash_of(word: str) -> int:
    return sum(ord(c) * 31**i for i, c in enumerate(word)) % 1000


def texts_of_luck(size: int = 60) -> list[Example]:
    """Texts whose labels have nothing to do with their words; neighbours are pairs."""
    random = np.random.default_rng(1)
    examples = []
    for index in range(size):
        text = " ".join(f"word{number}" for number in random.integers(0, 400, 8)) + "."
        spans = (Span(0, len(text), "safety", text),) if random.random() < 0.4 else ()
        examples.append(Example(str(index), text, spans, {"pair": str(index // 2)}))
    return examples


def test_cross_validated_scores_of_labels_by_chance_are_those_of_chance(starter):
    codebook = Codebook.load(starter / "codebook.toml")
    encoder, examples = Noise(), texts_of_luck()
    sentences = encode_examples(examples, codebook, encoder)
    score = cross_validate(examples, sentences, codebook, encoder, FitOptions(sentence_c=1000.0)).documents["safety"]
    share = sum(bool(example.spans) for example in examples) / len(examples)
    assert score.precision < share + 0.15, "an honest score cannot be above chance here"


@pytest.mark.parametrize("kept", [0, 20])
def test_each_text_is_scored_once_by_a_fit_that_has_seen_neither_it_nor_its_pair(kept, starter, monkeypatch):
    codebook = Codebook.load(starter / "codebook.toml")
    examples = texts_of_luck()
    calibration = set(range(kept))
    scored: list[str] = []

    def fit(seen: Sequence[int], *_: Any) -> Any:
        def tag_all(documents: Sequence[Any]) -> list[Any]:
            inside = {examples[index].text for index in seen}
            pairs = {examples[index].attributes["pair"] for index in seen}
            for document in documents:
                (example,) = [example for example in examples if example.text == document.text]
                assert example.text not in inside
                assert example.attributes["pair"] not in pairs
                scored.append(example.id)
            return [SimpleNamespace(spans=())] * len(documents)

        return SimpleNamespace(tag_all=tag_all)

    monkeypatch.setattr(crossvalidating, "_fit_without", fit)
    cross_validate(examples, [], codebook, Noise(), FitOptions(), calibration)
    assert sorted(map(int, scored)) == list(range(kept or len(examples)))


def test_a_fold_whose_rest_is_too_small_to_be_fitted_gets_no_spans(starter):
    codebook = Codebook.load(starter / "codebook.toml")
    examples = [Example(str(i), "one two three.", (Span(0, 3, "safety", "one"),) if i == 0 else ()) for i in range(10)]
    encoder = Noise()
    found = cross_validate(examples, encode_examples(examples, codebook, encoder), codebook, encoder, FitOptions())
    assert found.documents["safety"].recall == 0
    assert found.size == 10


def test_an_encoder_that_remembers_gives_the_vectors_of_one_that_does_not():
    folder = model_folder("small")
    plain, remembering = Encoder(folder), RememberingEncoder(folder)
    texts = [["The town pays."], [], ["The  town pays."], ["The town pays."], ["", "It does."]]
    documents = [[plain.tokenize(part) for part in text] for text in texts]
    expected = list(plain.encode_all(documents))
    half = [np.zeros(len(text), dtype=bool) for text in texts]
    list(remembering.encode_all(documents, wanted=half))
    for _ in range(2):
        for found, wanted in zip(remembering.encode_all(documents), expected, strict=True):
            assert [e.states.tolist() for e in found] == [e.states.tolist() for e in wanted]
            assert [e.starts.tolist() for e in found] == [e.starts.tolist() for e in wanted]


# Tuning ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [None, model_folder("small")])
def test_tuning_without_torch_asks_for_the_extra(base, starter, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError, match="tuning an encoder needs torch; install whopays with its `train` extra"):
        train_tuned(
            [starter / "examples.jsonl"],
            starter / "codebook.toml",
            tmp_path / "m",
            OwnTuning(base=base),
        )


@pytest.mark.parametrize(
    ("own", "width", "expected"),
    [
        (OwnTuning("default"), 768, (3, 5e-5, 4)),
        (OwnTuning("small"), 384, (3, 1e-4, None)),
        (OwnTuning(base=Path("b")), 768, (10, 3e-5, None)),
        (OwnTuning(base=Path("b")), 384, (10, 1.5e-4, None)),
        (OwnTuning("small", epochs=7, encoder_rate=1e-5), 384, (7, 1e-5, None)),
    ],
)
def test_a_wide_encoder_is_tuned_at_a_lower_rate_and_one_that_is_new_to_claims_for_longer(own, width, expected):
    options = settings(own, width)
    assert (options.epochs, options.encoder_rate, options.frozen) == expected


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--epochs", "2"], "found --epochs without --fine-tune"),
        (["--fine-tune", "--encoder", "small", "--base", "b"], "found --encoder and --base"),
        (["--fine-tune", "--encoder", "big"], "big: there is no such model folder"),
        (["--encoder", "big"], "or one of the names default, small"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments, reason, starter, tmp_path, capsys):
    files = [
        "--codebook",
        starter / "codebook.toml",
        "--corpus",
        starter / "examples.jsonl",
        "--output",
        tmp_path / "m",
    ]
    assert main(["train", *map(str, files), *arguments]) == 2
    assert reason in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_tuned_model_tags_and_is_scored_on_the_texts_kept_from_tuning(tiny_base, starter, tmp_path):
    report = train_tuned(
        [starter / "examples.jsonl"],
        starter / "codebook.toml",
        tmp_path / "model",
        OwnTuning(base=tiny_base, epochs=1),
        options=FitOptions(folds=2, min_positive=2),
    )
    assert "over the 10 texts that were kept from tuning the encoder" in report
    assert "TuneOptions(epochs=1" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert set(load(tmp_path / "model").tag(TEXT).scores) == set(Codebook.load(starter / "codebook.toml").ids)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_encoder_of_a_model_is_tuned_on_from_heads_that_have_not_seen_the_texts_kept(
    starter, tmp_path, monkeypatch
):
    """The heads that tuning starts from have read the quarter of the texts that is kept as little as the encoder does."""
    pytest.importorskip("torch")
    from whopays.training import tuned

    seen: dict[str, Any] = {}

    def bare(name: str) -> str:
        return name.removeprefix("bert.")

    def fit(examples, *arguments, **named):
        seen["heads"] = [example.id for example in examples]
        return fit_sentence_heads(examples, *arguments, **named)

    def tune(base, examples, codebook, output, options, begin):
        seen["encoder"], seen["begin"] = [example.id for example in examples], begin
        tune_encoder(base, examples, codebook, output, replace(options, epochs=1), begin)
        before, after = (load_file(folder / "model.safetensors") for folder in (base, output))
        assert {bare(name) for name in before} & set(after)
        seen["moved"] = [name for name, was in before.items() if not np.array_equal(was, after.get(bare(name), was))]

    monkeypatch.setattr(tuned, "fit_sentence_heads", fit)
    monkeypatch.setattr(tuned, "tune_encoder", tune)
    report = train_tuned(
        [starter / "examples.jsonl"],
        starter / "codebook.toml",
        tmp_path / "model",
        OwnTuning(encoder="small"),
        options=FitOptions(folds=2, min_positive=2),
    )
    every = load_examples(starter / "examples.jsonl", Codebook.load(starter / "codebook.toml"))
    kept = int(re.search(r"over the (\d+) texts that were kept from tuning the encoder", report)[1])
    assert len(every) - kept == len(seen["encoder"])
    assert seen["heads"] == seen["encoder"]
    assert np.abs(seen["begin"].sentence_weights).max() > 0
    assert seen["moved"]
    assert "The encoder (small) was tuned" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


def test_a_label_with_too_few_texts_left_to_learn_from_does_not_stop_tuning(starter, tmp_path, monkeypatch):
    """Heads to begin with need more examples than the texts kept from tuning leave: tuning begins without them."""
    pytest.importorskip("torch")
    from whopays.training import tuned

    begun = []

    def tune(base, examples, codebook, output, options, begin):
        begun.append(begin)
        raise UsageError("enough")

    monkeypatch.setattr(tuned, "tune_encoder", tune)
    monkeypatch.setattr(tuned, "export_transformers", lambda folder, model: folder.mkdir())
    with pytest.raises(UsageError, match="enough"):
        train_tuned(
            [starter / "examples.jsonl"],
            starter / "codebook.toml",
            tmp_path / "model",
            OwnTuning(encoder="small"),
            options=FitOptions(min_positive=1000),
        )
    assert begun == [None]


# The model at work ----------------------------------------------------------------------------------------------------


def test_results_have_the_fields_of_the_codebook_and_survive_json(own_tagger):
    result = own_tagger.tag(TEXT)
    assert (result.obliged, result.exempt, result.reasons) == (
        tuple(result.readings["obliged"]),
        tuple(result.readings["exempt"]),
        tuple(result.readings["reasons"]),
    )
    assert not hasattr(result, "payers")
    assert all(TEXT[span.start : span.end] == span.text for span in result.spans)
    assert Result.from_dict(json.loads(json.dumps(result.to_dict()))).readings == result.readings


def test_tag_batch_adds_the_columns_of_the_codebook(own_tagger):
    columns = own_tagger.tag_batch({"text": [TEXT, ""]})
    assert list(columns)[:3] == ["obliged", "exempt", "reasons"]
    assert columns["labels"][1] == []


def test_evaluate_scores_the_labels_of_the_codebook(own, starter, capsys):
    assert main(["evaluate", str(starter / "examples.jsonl"), "--model", str(own[0]), "--format", "json"]) == 0
    tables = json.loads(capsys.readouterr().out)
    assert list(tables["documents"]) == ["authority:must", "citizen:must", "citizen:exempt", "safety", "micro", "macro"]


@pytest.mark.parametrize("format", ["jsonl", "csv", "html"])
def test_every_output_names_the_readings_of_the_codebook(format, own, tmp_path, capsys):
    (tmp_path / "in.txt").write_text(TEXT, encoding="utf-8")
    assert main(["tag", str(tmp_path / "in.txt"), "--format", format, "--model", str(own[0])]) == 0
    out = capsys.readouterr().out
    expected = {"html": ["must act", "need not act", "Why"]}.get(format, ["obliged", "exempt", "reasons"])
    assert all(name in out for name in expected)
    assert "payers" not in out
    if format == "csv":
        assert {"obliged", "exempt", "reasons"} <= set(next(csv.reader(out.splitlines())))


def test_a_batch_fills_a_run_folder_for_the_codebook(own, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text(TEXT, encoding="utf-8")
    run = tmp_path / "run"
    assert main(["tag", str(tmp_path / "texts"), "--output", f"{run}/", "--model", str(own[0]), "--workers", "1"]) == 0
    table = pyarrow.parquet.read_table(run / "results.parquet")
    assert {"obliged", "exempt", "reasons"} <= set(table.column_names)
    assert "Who must act" in (run / "report.html").read_text(encoding="utf-8")


def test_the_spacy_component_takes_the_model_and_its_colors(own, own_tagger):
    import spacy

    from whopays.integrations.spacy import displacy_options

    nlp = spacy.blank("en")
    component = nlp.add_pipe("whopays", config={"model": str(own[0])})
    doc = nlp(TEXT)
    assert doc._.whopays.readings == own_tagger.tag(TEXT).readings
    assert set(doc.cats) == set(own_tagger.codebook.ids)
    assert displacy_options(component.tagger.codebook)["colors"]["safety"] == "#0f766e"


@pytest.mark.parametrize("name", FORMATS)
def test_every_annotation_format_takes_the_labels_of_the_codebook(name, starter, tmp_path):
    codebook = Codebook.load(starter / "codebook.toml")
    path = tmp_path / f"out{annotation_format(name).suffix}"
    arguments = [
        "convert",
        str(starter / "examples.jsonl"),
        "--codebook",
        str(starter / "codebook.toml"),
        "--from",
        "corpus",
    ]
    assert main([*arguments, "--to", name, "--output", str(path)]) == 0
    read = annotation_format(name).read(path, codebook, None)
    found = {item.example.id: item.example.spans for item in read.items}
    assert found == {e.id: e.spans for e in load_examples(starter / "examples.jsonl", codebook)}


def test_a_model_is_refused_where_another_codebook_is_expected(own, codebook):
    with pytest.raises(whopays.WhopaysError, match="made for the codebook 'my-codebook'"):
        load(own[0], codebook=codebook)


# The climate example --------------------------------------------------------------------------------------------------


def test_the_climate_corpus_is_as_its_readme_says():
    codebook = Codebook.load(CLIMATE / "codebook.toml")
    learnt, held_out = (load_examples(CLIMATE / name, codebook) for name in ("train.jsonl", "heldout.jsonl"))
    assert (len(learnt), len(held_out)) == (10354, 319)
    for examples in (learnt, held_out):
        assert {label for example in examples for label in example.labels} == set(codebook.ids)
        assert sum(not example.spans for example in examples) > len(examples) / 3
    assert not {e.attributes["register"] for e in learnt} & {e.attributes["register"] for e in held_out}
    assert not list(shared_word_problems({"train": learnt, "heldout": held_out}))
