"""The command line: what goes in, what comes out where, and with which exit status."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import whopays
from whopays import tagging
from whopays.cli import main
from whopays.corpus.markup import Example
from whopays.corpus.records import save_examples
from whopays.tagger import Tagger
from whopays.text import Span

CLAIM = "Students now pay $5,500 a year."
NOTHING = "The museum opens at nine."
TEXTS = [CLAIM, NOTHING, "The state cut its grants. \U0001f600", "Firms pass the cost\r\non to workers.", "é, “quoted”"]


@dataclass
class Run:
    """What a run of the command line left: exit status, standard output, standard error."""

    status: int
    output: bytes
    errors: str

    @property
    def results(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.decode("utf-8").split("\n")[:-1]]

    def says(self, *parts: str) -> bool:
        """Whether standard error is sentences, one a line and without a traceback, that together hold all ``parts``."""
        lines = self.errors.splitlines()
        return all(line.startswith("whopays: ") for line in lines) and all(part in self.errors for part in parts)


Cli = Callable[..., Run]


@pytest.fixture(scope="module")
def tagger(best_tagger: Tagger) -> Tagger:
    """What the command line uses."""
    return best_tagger


@pytest.fixture
def cli(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs the command line in this process."""

    def run(*arguments: object, stdin: bytes = b"") -> Run:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            status = int(stop.code or 0)
        captured = capsysbinary.readouterr()
        return Run(status, captured.out, captured.err.decode("utf-8"))

    return run


def start(*arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Runs the command line in a process of its own."""
    command = [sys.executable, "-m", "whopays", *map(str, arguments)]
    return subprocess.run(command, capture_output="stdout" not in options, check=False, **options)


def write_jsonl(path: Path, records: Iterable[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def write_table(path: Path, records: list[dict[str, object]]) -> Path:
    if path.suffix == ".jsonl":
        return write_jsonl(path, records)
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(records[0]))
            table.writeheader()
            table.writerows(records)
        return path
    pq.write_table(pa.Table.from_pylist(records), path)
    return path


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    path = tmp_path / "claim.txt"
    path.write_text(CLAIM, encoding="utf-8")
    return path


# -- input -----------------------------------------------------------------------------------------------------------


def test_a_file_gives_one_result_that_equals_the_librarys(cli: Cli, claim: Path, tagger: Tagger) -> None:
    run = cli("tag", claim)
    (result,) = run.results
    assert (run.status, run.errors) == (0, "")
    assert (result["id"], result["source"]) == ("claim.txt", str(claim))
    expected = tagger.tag(CLAIM).to_dict()
    assert {**result, "id": "", "source": ""} == expected
    assert result["labels"]


def test_a_folder_gives_its_documents_in_order_of_name(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    for name in ("b.txt", "a.md", "inner/c.txt"):
        (tmp_path / name).write_text(CLAIM, encoding="utf-8")
    (tmp_path / "notes.xyz").write_text("skipped", encoding="utf-8")
    run = cli("tag", tmp_path)
    assert (run.status, run.errors) == (0, "")
    assert [Path(result["source"]).relative_to(tmp_path).as_posix() for result in run.results] == [
        *("a.md", "b.txt", "inner/c.txt"),
    ]


@pytest.mark.parametrize("stdin", [CLAIM.encode(), b"\xef\xbb\xbf" + CLAIM.encode()], ids=["plain", "byte-order-mark"])
def test_a_dash_reads_standard_input(cli: Cli, stdin: bytes, tagger: Tagger) -> None:
    run = cli("tag", "-", stdin=stdin)
    (result,) = run.results
    assert run.status == 0
    assert (result["id"], result["source"], result["sha256"]) == ("-", "-", tagger.tag(CLAIM).sha256)


def test_standard_input_and_files_keep_the_order_of_the_arguments(cli: Cli, claim: Path) -> None:
    run = cli("tag", claim, "-", claim, stdin=b"Text.")
    assert [result["id"] for result in run.results] == ["claim.txt", "-", "claim.txt"]


def test_empty_standard_input_is_named_as_a_failure(cli: Cli) -> None:
    run = cli("tag", "-", stdin=b" \n")
    assert (run.status, run.output) == (1, b"")
    assert run.says("standard input")


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_rows_keep_their_ids_order_and_text(cli: Cli, tmp_path: Path, tagger: Tagger, suffix: str) -> None:
    rows: list[dict[str, object]] = [{"id": f"r{n % 7}-{n}", "text": TEXTS[n % len(TEXTS)]} for n in range(75)]
    run = cli("tag", write_table(tmp_path / f"rows{suffix}", rows))
    assert (run.status, run.errors) == (0, "")
    assert [result["id"] for result in run.results] == [row["id"] for row in rows]
    expected = {text: tagger.tag(text).to_dict() for text in TEXTS}
    for row, result in zip(rows, run.results, strict=True):
        assert {**result, "id": "", "source": ""} == expected[str(row["text"])]


def test_rows_without_ids_are_told_apart(cli: Cli, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", [{"text": CLAIM}, {"text": NOTHING}, {"text": CLAIM}])
    assert len({result["id"] for result in cli("tag", path).results}) == 3


def test_an_empty_text_in_a_table_gives_a_result(cli: Cli, tmp_path: Path) -> None:
    run = cli("tag", write_jsonl(tmp_path / "rows.jsonl", [{"id": "a", "text": ""}, {"id": "b", "text": CLAIM}]))
    assert run.status == 0
    assert [(result["id"], bool(result["labels"])) for result in run.results] == [("a", False), ("b", True)]


def test_threads_change_nothing(cli: Cli, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", [{"id": str(n), "text": text} for n, text in enumerate(TEXTS * 8)])
    assert cli("tag", path, "--threads", 1).output == cli("tag", path, "--threads", 3).output


# -- output ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["jsonl", "csv", "parquet", "html"])
def test_the_format_follows_the_option_or_the_name_of_the_file(cli: Cli, claim: Path, format: str) -> None:
    named, told = claim.with_name(f"out.{format}"), claim.with_name("told.xyz")
    assert cli("tag", claim, "--output", named).output == b""
    assert cli("tag", claim, "--output", told, "--format", format).output == b""
    printed = cli("tag", claim, "--format", format).output
    assert named.read_bytes() == told.read_bytes() == printed
    starts = {"jsonl": b'{"id"', "csv": b"\xef\xbb\xbfid,", "parquet": b"PAR1", "html": b"<!doctype html>"}
    assert printed.startswith(starts[format])
    assert CLAIM[:16].encode() in printed or format == "parquet"


def test_all_formats_take_nul_and_lone_surrogates(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"id": "a", "text": "\\ud800 Students now pay \\u0000 $5,500 a year. \\udfff"}\n', encoding="utf-8"
    )
    for format in ("jsonl", "csv", "parquet", "html"):
        run = cli("tag", path, "--format", format)
        assert (run.status, run.errors) == (0, "")
        assert run.output


def test_a_terminal_gets_readable_text_without_control_characters(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "claim.jsonl"
    write_jsonl(
        path, [{"id": "a", "text": "Students \x1b[2J\x07 now pay $5,500 a year."}, {"id": "b", "text": NOTHING}]
    )
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    run = cli("tag", path)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", run.output.decode("utf-8"))
    assert (run.status, run.errors) == (0, "")
    assert all(character.isprintable() or character == "\n" for character in plain)
    assert all(part in plain for part in ("pays: learner", "learner:bears", "now pay", "no claim found"))


def test_an_existing_output_is_replaced_only_by_a_complete_one(
    cli: Cli, claim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = claim.with_name("out.jsonl")
    target.write_bytes(b"old")

    def fail_with(error: BaseException) -> None:
        def half(results: Iterable[Any], codebook: object, stream: Any) -> None:
            next(iter(results))
            stream.write(b'{"id": "half')
            assert target.read_bytes() == b"old"
            raise error

        monkeypatch.setattr(tagging, "writer", lambda _: half)

    fail_with(OSError(28, "No space left on device"))
    run = cli("tag", claim, "--output", target)
    assert (run.status, run.output) == (2, b"")
    assert run.says("out.jsonl", "No space left on device")
    fail_with(KeyboardInterrupt())
    assert cli("tag", claim, "--output", target).status == 130
    fail_with(RuntimeError("a bug"))
    with pytest.raises(RuntimeError):
        cli("tag", claim, "--output", target)
    assert target.read_bytes() == b"old"
    assert sorted(file.name for file in claim.parent.iterdir()) == ["claim.txt", "out.jsonl"]

    monkeypatch.undo()
    before = claim.with_name("before")
    before.hardlink_to(target)
    assert cli("tag", claim, "--output", target).status == 0
    assert json.loads(target.read_bytes())["id"] == "claim.txt"
    assert before.read_bytes() == b"old"  # the file was exchanged as a whole, not written over
    assert sorted(file.name for file in claim.parent.iterdir()) == ["before", "claim.txt", "out.jsonl"]


@pytest.mark.parametrize("output", ["nowhere/out.jsonl", "claim.txt/out.jsonl"])
def test_an_output_that_cannot_be_written_is_named(cli: Cli, claim: Path, output: str) -> None:
    run = cli("tag", claim, "--output", claim.parent / output)
    assert (run.status, run.output) == (2, b"")
    assert run.says(output)
    assert list(claim.parent.iterdir()) == [claim]


# -- what fails ------------------------------------------------------------------------------------------------------


def test_broken_files_are_named_and_the_others_tagged(cli: Cli, tmp_path: Path) -> None:
    for name, content in {
        "a.txt": CLAIM.encode(),
        "b.pdf": b"%PDF-1.7 broken",
        "c.txt": b"",
        "d.docx": b"no archive",
        "e.jsonl": b'{"text": 5}\n',
        "f.txt": NOTHING.encode(),
    }.items():
        (tmp_path / name).write_bytes(content)
    output = tmp_path / "out" / "tags.jsonl"
    output.parent.mkdir()
    run = cli("tag", tmp_path, "--output", output)
    assert (run.status, run.output) == (1, b"")
    assert run.says("b.pdf", "c.txt", "d.docx", "e.jsonl")
    assert len(run.errors.splitlines()) == 4
    assert [json.loads(line)["id"] for line in output.read_bytes().splitlines()] == ["a.txt", "f.txt"]


@pytest.mark.parametrize("name", ["notes.xyz", "README"])
def test_a_file_of_unknown_format_is_named_as_a_failure(cli: Cli, claim: Path, name: str) -> None:
    (claim.parent / name).write_text(CLAIM, encoding="utf-8")
    run = cli("tag", claim.parent / name, claim)
    assert run.status == 1
    assert run.says(name)
    assert [result["id"] for result in run.results] == ["claim.txt"]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_table_without_a_text_column_is_named_with_the_columns_it_has(cli: Cli, tmp_path: Path, suffix: str) -> None:
    run = cli("tag", write_table(tmp_path / f"rows{suffix}", [{"id": "1", "body": CLAIM}]))
    assert (run.status, run.output) == (1, b"")
    assert run.says(f"rows{suffix}", "'text'", "body")


def test_a_broken_line_is_named_by_its_number_and_the_lines_before_it_are_tagged(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"id": "a", "text": "One."}\n\n{"id": "b", "text": "Two."}\n{"id": "c", "text":\n', encoding="utf-8"
    )
    run = cli("tag", path)
    assert run.status == 1
    assert run.says("rows.jsonl, line 4")
    assert [result["id"] for result in run.results] == ["a", "b"]


@pytest.mark.skipif(os.name == "nt", reason="such names are not allowed there")
def test_a_file_name_cannot_steer_the_terminal(cli: Cli, tmp_path: Path) -> None:
    for name in ("\x1b]0;owned\x07.txt", "two\nwhopays: lines.txt", "\udcff.txt", "\u202egpj.txt"):
        (tmp_path / name).write_bytes(b"")
    run = cli("tag", tmp_path)
    assert run.status == 1
    assert len(run.errors.splitlines()) == 4
    assert all(character.isprintable() or character == "\n" for character in run.errors)


# -- wrong usage -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["tag"],
        ["unknown"],
        ["tag", "-", "--format", "docx"],
        ["tag", "-", "--threads", "0"],
        ["tag", "-", "--threads", "many"],
        ["tag", "-", "--unknown"],
        ["evaluate"],
        ["train"],
        ["train", "--corpus", "a.jsonl"],
    ],
    ids=" ".join,
)
def test_wrong_options_show_the_usage(cli: Cli, arguments: list[str]) -> None:
    run = cli(*arguments)
    assert (run.status, run.output) == (2, b"")
    assert "usage: whopays" in run.errors


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["tag", "claim.txt", "missing.txt"], "missing.txt"),
        (["tag", "empty"], "empty"),
        (["tag", "claim.txt", "--output", "tags.docx"], "tags.docx"),
        (["tag", "claim.txt", "--output", "tags"], "tags"),
        (["tag", "claim.txt", "--model", "missing"], "missing"),
        (["tag", "claim.txt", "--model", "empty"], "model.json"),
        (["evaluate", "missing.jsonl"], "missing.jsonl"),
        (["evaluate", "empty"], "empty"),
        (["evaluate", "nothing.jsonl"], "gold"),
        (["train", "--corpus", "nothing.jsonl", "--codebook", "no.toml", "--output", "m"], "no.toml"),
        (["corpus", "check", "missing"], "missing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_paths_are_named_in_one_sentence(
    cli: Cli, claim: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], named: str
) -> None:
    monkeypatch.chdir(claim.parent)
    Path("empty").mkdir()
    Path("nothing.jsonl").write_bytes(b"")
    run = cli(*arguments)
    assert (run.status, run.output) == (2, b"")
    assert run.says(named)
    assert len(run.errors.splitlines()) == 1
    assert run.errors.rstrip().endswith(".")


@pytest.mark.parametrize("name", ["heads.safetensors", "model.json", "codebook.toml"])
def test_a_tampered_model_is_refused_in_one_sentence(cli: Cli, claim: Path, model_copy: Path, name: str) -> None:
    path = model_copy / name
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    run = cli("tag", claim, "--model", model_copy)
    assert (run.status, run.output) == (2, b"")
    assert run.says(str(path))
    assert len(run.errors.splitlines()) == 1


# -- evaluate --------------------------------------------------------------------------------------------------------


@pytest.fixture
def gold(tmp_path: Path, tagger: Tagger) -> Path:
    texts = [CLAIM, NOTHING, "Employers pay for the training of their staff."]
    spans = [tuple(Span(s.start, s.end, s.label, s.text) for s in tagger.tag(text).spans) for text in texts]
    examples = [Example(str(n), text, found) for n, (text, found) in enumerate(zip(texts, spans, strict=True))]
    save_examples(examples, tmp_path / "gold.jsonl", tagger.codebook)
    return tmp_path / "gold.jsonl"


def test_evaluate_prints_tables_for_people_or_json_for_programs(cli: Cli, gold: Path) -> None:
    text, data = cli("evaluate", gold), cli("evaluate", gold, "--format", "json")
    assert (text.status, text.errors, data.status, data.errors) == (0, "", 0, "")
    assert all(part in text.output.decode() for part in ("3 texts", "learner:bears", "micro", "macro", "evidence IOU"))
    (table,) = data.results
    assert table["size"] == 3
    assert table["documents"]["micro"]["f1"] == table["spans"]["macro"]["f1"] == 1.0
    assert table["false_alarms"] == 0


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("{", "not valid JSON"),
        ('{"id": "x", "text": "a b"}', "'spans'"),
        ('{"id": "x", "text": "a b", "spans": [{"label": "bribes", "start": 0, "end": 1}]}', "bribes"),
        ('{"id": "x", "text": "a b", "spans": [{"label": "inflation", "start": 0, "end": 9}]}', "0:9"),
        ('{"id": "0", "text": "a b", "spans": []}', "line 1"),
    ],
)
def test_a_broken_line_of_gold_is_refused_by_its_number(cli: Cli, gold: Path, line: str, named: str) -> None:
    gold.write_text(gold.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    run = cli("evaluate", gold)
    assert (run.status, run.output) == (2, b"")
    assert run.says("gold.jsonl, line 4", named)


# -- processes -------------------------------------------------------------------------------------------------------


def test_help_and_version_import_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from whopays.cli import main\n"
        "for arguments in (['--help'], ['tag', '--help'], ['train', '--help'], ['--version'], ['tag']):\n"
        "    try:\n"
        "        main(arguments)\n"
        "    except SystemExit:\n"
        "        pass\n"
        "heavy = {'numpy', 'spacy', 'onnxruntime', 'tokenizers', 'sklearn', 'scipy', 'pyarrow', 'datasets', 'torch',\n"
        "         'transformers', 'rich', 'lxml', 'pandas', 'trafilatura', 'docx', 'pypdfium2'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "whopays tag report.pdf" in done.stdout
    assert f"whopays {whopays.__version__}" in done.stdout


def test_a_pipe_gets_json_lines_and_standard_error_the_problems(claim: Path) -> None:
    (claim.parent / "empty.txt").write_bytes(b"")
    done = start("tag", "-", claim.parent, input=CLAIM.encode())
    assert done.returncode == 1
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["-", "claim.txt"]
    assert done.stderr.count(b"\n") == 1
    assert b"empty.txt" in done.stderr


def test_parquet_survives_a_pipe() -> None:
    done = start("tag", "-", "--format", "parquet", input=CLAIM.encode())
    assert (done.returncode, done.stderr) == (0, b"")
    assert pq.read_table(io.BytesIO(done.stdout)).column("id").to_pylist() == ["-"]


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_a_reader_that_goes_away_is_no_error(claim: Path, format: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        done = start("tag", claim, "--format", format, stdout=pipe, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_missing_path_is_one_sentence_and_no_traceback(tmp_path: Path) -> None:
    done = start("tag", tmp_path / "missing.pdf")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"whopays: ")
    assert done.stderr.count(b"\n") == 1
