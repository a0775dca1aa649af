"""Batch runs on the command line: what a run folder holds, resuming, refusing, and what interrupts it."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from whopays.batch.engine import DocumentRead, FileRead, Job, Limits, PartFailed, PartOf, PartTagged, Problem
from whopays.batch.ledger import Ledger
from whopays.batch.local import LocalEngine
from whopays.batch.parts import PART, Identity
from whopays.batch.process import Child, ChildDiedError
from whopays.batch.run import ENGINES, engine, execute
from whopays.cli import ENGINES as CLI_ENGINES
from whopays.cli import main
from whopays.codebook import Codebook
from whopays.errors import RunError, UsageError
from whopays.tagger import Tagger
from whopays.writers.progress import Progress
from whopays.writers.run_folder import NAMES, write_run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc")

ROOT = Path(__file__).parents[1]
CLAIM = "Students now pay $5,500 a year."
SHIFT = "Firms pass the cost of training on to workers."
NOTHING = "The museum opens at nine."


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "whopays", "tag", "--model", "small", *map(str, arguments)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "errors": "replace"}
    # Under a shell that runs the tests in the background Ctrl-C is ignored, and children would inherit that.
    usual = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, **{"preexec_fn": usual, **pipes, **options})


def tag(*arguments: object, **options: Any) -> tuple[int, str]:
    """Exit status and standard error; standard output must stay empty."""
    process = start(*arguments, **options)
    output, errors = process.communicate()
    assert output == ""
    return process.returncode, errors


def tables(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in NAMES}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def children(parent: int) -> list[int]:
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent and fields[0] != "Z":
                found.append(int(place.name))
    return found


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts, twins, a table with a broken row, a PDF, and files that cannot be read."""
    folder = tmp_path_factory.mktemp("collection")
    for number in range(12):
        (folder / f"{number:02}.txt").write_text(f"{CLAIM}\n\nParagraph {number}.\n\n{SHIFT}", encoding="utf-8")
    shutil.copyfile(folder / "03.txt", folder / "twin.md")
    shutil.copyfile(ROOT / "examples" / "documents" / "hollin-consultation-1999.pdf", folder / "hollin.pdf")
    rows = [{"id": "r1", "text": CLAIM}, {"id": "r2", "text": ""}, {"id": "r3", "text": NOTHING}]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n", encoding="utf-8")
    (folder / "empty.txt").write_bytes(b"")
    (folder / "wrong.pdf").write_bytes(b"%PDF-1.7 broken")
    return folder


@pytest.fixture(scope="module")
def undisturbed(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a run that nothing disturbs, with one worker."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    status, errors = tag(collection, "--output", f"{folder}/", "--workers", 1)
    assert status == 1, errors
    return folder


# -- what a run leaves -----------------------------------------------------------------------------------------------


def test_results_are_those_of_the_library_in_the_order_of_the_input(
    undisturbed: Path, collection: Path, tagger: Tagger
) -> None:
    results = lines(undisturbed / "results.jsonl")
    names = [f"{number:02}.txt" for number in range(12)] + ["hollin.pdf", *["rows.jsonl"] * 3, "twin.md"]
    assert [Path(result["source"]).name for result in results] == names
    assert [result["id"] for result in results[13:16]] == ["r1", "r2", "r3"]
    from whopays.reading import read

    for name in ("03.txt", "hollin.pdf"):
        (document,) = read(collection / name)
        assert results[names.index(name)] == tagger.tag(document).to_dict()


def test_every_input_is_a_result_or_a_problem_and_the_counts_say_so(undisturbed: Path, collection: Path) -> None:
    problems = lines(undisturbed / "problems.jsonl")
    assert [(Path(p["file"]).name, p["stage"], p["error"]) for p in problems] == [
        ("empty.txt", "reading", "EmptyDocumentError"),
        ("rows.jsonl", "reading", "RecordError"),
        ("wrong.pdf", "reading", "CorruptDocumentError"),
    ]
    assert all(problem["message"] for problem in problems)
    run = json.loads((undisturbed / "run.json").read_bytes())
    assert (run["files"], run["inputs"], run["results"], run["problems"]) == (17, 20, 17, 3)
    assert run["distinct_texts"] == 16
    assert run["model"] == lines(undisturbed / "results.jsonl")[0]["model"]


def test_parquet_and_report_hold_what_the_lines_hold(undisturbed: Path) -> None:
    results = lines(undisturbed / "results.jsonl")
    table = pq.read_table(undisturbed / "results.parquet").to_pylist()
    assert [row["sha256"] for row in table] == [result["sha256"] for result in results]
    assert [row["labels"] for row in table] == [result["labels"] for result in results]
    report = (undisturbed / "report.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<script type="application/json" id="t\d+">', report)) == len(results)
    assert "default-src 'none'" in report


def test_a_text_that_occurs_twice_is_tagged_once_and_reported_for_both_files(undisturbed: Path) -> None:
    keys = [line["key"] for line in lines(undisturbed / "ledger.jsonl") if line["kind"] == "tagged"]
    assert len(keys) == len(set(keys)) == 16
    by_name = {Path(result["source"]).name: result for result in lines(undisturbed / "results.jsonl")}
    same = ("sha256", "labels", "scores", "spans")
    assert [by_name["03.txt"][name] for name in same] == [by_name["twin.md"][name] for name in same]


def test_the_number_of_workers_changes_no_byte(undisturbed: Path, collection: Path, tmp_path: Path) -> None:
    assert tag(collection, "--output", f"{tmp_path}/run/", "--workers", 3)[0] == 1
    assert tables(tmp_path / "run") == tables(undisturbed)


def test_a_run_without_problems_ends_with_status_0_and_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(CLAIM, encoding="utf-8")
    (tmp_path / "run").mkdir()  # a folder that is there needs no slash
    status, errors = tag(tmp_path / "a.txt", tmp_path / "a.txt", "--output", tmp_path / "run", "--workers", 1)
    assert (status, errors) == (0, f"whopays: 2 results and 0 problems in {tmp_path}/run\n")
    assert (tmp_path / "run" / "problems.jsonl").read_bytes() == b""
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted([*NAMES, "ledger.jsonl"])


def test_a_run_folder_inside_the_input_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text(CLAIM, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for resume in ([], ["--resume"]):
        assert tag(".", "--output", "run/", "--workers", 1, *resume)[0] == 0
        assert len(lines(tmp_path / "run" / "results.jsonl")) == 1


def test_a_script_without_a_main_guard_can_run_a_batch(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(CLAIM, encoding="utf-8")
    (tmp_path / "script.py").write_text(
        "print('started')\nfrom whopays.cli import main\nmain(['tag', 'a.txt', '--output', 'run/', '--workers', '1'])\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "started\n"
    assert len(lines(tmp_path / "run" / "results.jsonl")) == 1


# -- usage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["a.txt", "--output", "run/", "--format", "csv"], "--format"),
        (["a.txt", "--output", "run/", "--threads", "2"], "--threads"),
        (["a.txt", "--output", "out.csv", "--workers", "2", "--resume"], "--workers, --resume"),
        (["a.txt", "--time-limit", "2"], "--time-limit"),
        (["-", "--output", "run/"], "standard input"),
        (["a.txt", "--output", "a.txt/"], "a.txt"),
        (["run", "--output", "run/"], "no document"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_options_that_do_not_fit_are_named_in_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    named: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    Path("a.txt").write_text(CLAIM, encoding="utf-8")
    assert main(["tag", *arguments]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("whopays: ")
    assert errors.count("\n") == 1
    assert named in errors
    assert list(Path("run").iterdir()) == []


def test_a_folder_with_foreign_results_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text(CLAIM, encoding="utf-8")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "results.jsonl").write_bytes(b"precious")
    assert main(["tag", str(tmp_path / "a.txt"), "--output", f"{tmp_path}/run"]) == 2
    assert "holds results.jsonl" in capsys.readouterr().err
    assert (tmp_path / "run" / "results.jsonl").read_bytes() == b"precious"


def test_the_command_line_knows_the_engines_there_are() -> None:
    assert CLI_ENGINES == ENGINES
    with pytest.raises(UsageError, match="'slurm'"):
        engine("slurm", 1)
    with pytest.raises(UsageError, match="0 workers"):
        LocalEngine(0)


# -- ledger and resume -----------------------------------------------------------------------------------------------


def test_a_finished_run_is_not_begun_again_without_resume(undisturbed: Path, collection: Path) -> None:
    before = tables(undisturbed)
    status, errors = tag(collection, "--output", undisturbed)
    assert status == 2
    assert "holds a run already" in errors
    assert tables(undisturbed) == before


def test_resuming_tags_only_what_is_missing(undisturbed: Path, collection: Path, tmp_path: Path) -> None:
    """The ledger ends in the middle of a line, as after a power cut."""
    run = tmp_path / "run"
    run.mkdir()
    whole = (undisturbed / "ledger.jsonl").read_bytes()
    kept = whole[: len(whole) * 2 // 3]
    (run / "ledger.jsonl").write_bytes(kept)
    status, errors = tag(collection, "--output", run, "--resume", "--workers", 2)
    assert status == 1
    assert "files are done already" in errors
    assert tables(run) == tables(undisturbed)
    after = (run / "ledger.jsonl").read_bytes()
    torn = kept.rfind(b"\n") + 1
    assert after.startswith(kept[:torn])
    keys = [line["key"] for line in lines(run / "ledger.jsonl") if line["kind"] == "tagged"]
    assert len(keys) == len(set(keys))


def test_a_file_that_changed_since_is_read_again_and_problems_are_tried_again(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(CLAIM, encoding="utf-8")
    (tmp_path / "b.txt").write_bytes(b"")
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    assert tag(*files, "--output", f"{tmp_path}/run/", "--workers", 1)[0] == 1
    (tmp_path / "a.txt").write_text(f"{NOTHING} {NOTHING}", encoding="utf-8")
    (tmp_path / "b.txt").write_text(SHIFT, encoding="utf-8")
    assert tag(*files, "--output", f"{tmp_path}/run/", "--workers", 1, "--resume")[0] == 0
    first, second = lines(tmp_path / "run" / "results.jsonl")
    assert first["labels"] == []
    assert second["labels"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model": "other-1"}, "the model 'other-1', now it is"),
        ({"codebook": "0" * 16}, "the codebook '0000000000000000', now it is"),
        ({"version": "0.0.1"}, "the version '0.0.1', now it is"),
        ({"settings": {"part": 5}}, "the settings part 5, now it is 250000"),
        ({"format": "whopays-run/0"}, "whopays-run/0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_run_made_with_something_else_is_refused_naming_the_difference(
    undisturbed: Path,
    collection: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    named: str,
) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    header, _, rest = (run / "ledger.jsonl").read_text(encoding="utf-8").partition("\n")
    ledger = json.dumps({**json.loads(header), **change}) + "\n" + rest
    (run / "ledger.jsonl").write_text(ledger, encoding="utf-8")
    assert main(["tag", str(collection), "--output", str(run), "--resume"]) == 2
    errors = capsys.readouterr().err
    assert named in errors
    assert errors.count("\n") == 1
    assert (run / "ledger.jsonl").read_text(encoding="utf-8") == ledger
    assert tables(run) == tables(undisturbed)


IDENTITY = Identity("m-1", "c-1", "0", {"part": PART})
EMPTY = {"labels": [], "spans": [], "coverage": 1.0, "language": "en", "in_scope": False, "notices": []}


def test_the_ledger_drops_lines_that_do_not_parse_and_nothing_else(tmp_path: Path) -> None:
    hashes = [f"{number:064x}" for number in range(4)]
    with Ledger(tmp_path, IDENTITY, resume=False) as ledger:
        for hash in hashes[:3]:
            assert ledger.add(PartTagged(hash, EMPTY))
            assert not ledger.add(PartTagged(hash, EMPTY))
    content = (tmp_path / "ledger.jsonl").read_bytes().split(b"\n")
    content[3] = b"\x00\xff" + content[3][7:]
    (tmp_path / "ledger.jsonl").write_bytes(b"\n".join(content) + b'{"kind": "tagged", "key": "' + hashes[3].encode())
    with Ledger(tmp_path, IDENTITY, resume=True) as ledger:
        assert [ledger.done(hash) for hash in hashes] == [True, False, True, False]


def test_two_processes_cannot_work_on_one_run(tmp_path: Path) -> None:
    with Ledger(tmp_path, IDENTITY, resume=False), pytest.raises(RunError, match="another process"):
        Ledger(tmp_path, IDENTITY, resume=True)


def test_a_file_of_another_kind_is_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").write_text("my notes\n", encoding="utf-8")
    with pytest.raises(RunError, match="not the ledger"):
        Ledger(tmp_path, IDENTITY, resume=True)
    assert (tmp_path / "ledger.jsonl").read_text(encoding="utf-8") == "my notes\n"


class Told:
    """An engine that gives the events it is told."""

    def __init__(self, *events: Any) -> None:
        self.events = events

    def run(self, job: Job) -> Iterator[Any]:
        yield from self.events


def test_any_engine_may_give_events_in_any_order_and_more_than_once(tmp_path: Path, codebook: Codebook) -> None:
    scores = dict.fromkeys(codebook.ids, 0.25)
    tagged = [PartTagged(f"{number:064x}", {**EMPTY, "scores": scores}) for number in range(3)]

    def read(file: str, attempt: int, number: int) -> DocumentRead:
        return DocumentRead(file, attempt, f"{file}{number}", "", "s", (), (PartOf(tagged[number].hash, 5),))

    events = [
        tagged[2],
        read("b", 1, 0),  # an attempt that died
        read("a", 2, 1),
        FileRead("a", 2, 1, (1, 1)),
        read("b", 3, 0),
        tagged[2],
        read("b", 3, 2),
        tagged[1],
        FileRead("b", 3, 2, (1, 1), Problem("reading", "RecordError", "b, line 3")),
        PartFailed(tagged[0].hash, Problem("tagging", "TaggingError", "died")),
    ]
    identity = Identity("m-1", codebook.hash, "0", {})
    with Ledger(tmp_path, identity, resume=False) as ledger:
        execute(["b", "a"], ledger, identity, Told(*events), Progress())
        summary = write_run(tmp_path, ["b", "a"], ledger, identity, codebook)
    assert [result["id"] for result in lines(tmp_path / "results.jsonl")] == ["b2", "a1"]
    assert [(file, problem.message) for file, problem in summary.problems] == [
        ("b", "b (b0): died"),
        ("b", "b, line 3"),
    ]
    assert json.loads((tmp_path / "run.json").read_bytes())["inputs"] == 4


@pytest.mark.parametrize("events", [[], [FileRead("a", 1, 1, (1, 1))]], ids=["no end", "a document is missing"])
def test_an_engine_that_loses_something_is_found_out(tmp_path: Path, codebook: Codebook, events: list[Any]) -> None:
    identity = Identity("m-1", codebook.hash, "0", {})
    with Ledger(tmp_path, identity, resume=False) as ledger:
        execute(["a"], ledger, identity, Told(*events), Progress())
        with pytest.raises((RunError, KeyError)):
            write_run(tmp_path, ["a"], ledger, identity, codebook)
    assert not (tmp_path / "results.jsonl").exists()


# -- what interrupts a run -------------------------------------------------------------------------------------------


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """Enough texts that a run takes a while."""
    folder = tmp_path / "long"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number:02}.txt").write_text(f"Report {number}.\n\n{CLAIM} {SHIFT}\n\n" * 20, encoding="utf-8")
    return folder


def tagged_lines(run: Path) -> int:
    ledger = run / "ledger.jsonl"
    return ledger.read_bytes().count(b'"kind": "tagged"') if ledger.exists() else 0


def test_ctrl_c_stops_at_once_leaves_nobody_behind_and_says_how_to_go_on(long: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(long, "--output", f"{run}/", "--workers", 1)
    wait_for(lambda: tagged_lines(run) > 2)
    family = children(process.pid)
    assert family
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "go on by" in errors
    assert "--resume" in errors
    assert "Traceback" not in errors
    assert not any(Path(f"/proc/{pid}").exists() for pid in family)
    done = tagged_lines(run)
    status, errors = tag(long, "--output", run, "--workers", 2, "--resume")
    assert (status, len(lines(run / "results.jsonl"))) == (0, 60)
    assert tagged_lines(run) == 60 > done


def test_when_the_main_process_is_killed_the_others_end(long: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(long, "--output", f"{run}/", "--workers", 2)
    wait_for(lambda: tagged_lines(run) > 2)
    family = children(process.pid)
    assert len(family) >= 2
    process.kill()
    process.communicate()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), seconds=5)


def test_a_child_ends_with_its_parent_even_where_linux_does_not_see_to_it() -> None:
    code = (
        "import os, sys, time\n"
        "import whopays.batch.process as process\n"
        "process.sys.platform = 'other'\n"
        "parent = os.getpid()\n"
        "if os.fork() == 0:\n"
        "    process._die_with(parent)\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(60)\n"
        "time.sleep(0.5)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.strip().isdecimal()  # its pipe was closed, so it is gone


@pytest.mark.slow
def test_tables_are_the_same_bytes_after_kills_at_random_moments() -> None:
    script = [
        sys.executable,
        "benchmarks/kills.py",
        "--model",
        "small",
        "--kills",
        "10",
        "--documents",
        "10",
        "--seed",
        "3",
    ]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 kills" in done.stdout


@pytest.mark.slow
def test_mutated_files_end_as_results_or_typed_problems_and_leave_their_neighbours_alone() -> None:
    script = [sys.executable, "benchmarks/fuzz.py", "--model", "small", "--files", "150", "--seed", "7"]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "150 mutated files" in done.stdout


def test_a_text_that_kills_its_process_is_a_problem_and_the_others_are_tagged(tmp_path: Path) -> None:
    """A tagger that dies over one text stands in for a crash in a library."""
    (tmp_path / "broken.py").write_text(
        "import os\n"
        "from whopays.batch import tagging_process as real\n"
        "class Tagger:\n"
        "    def __init__(self, tagger):\n"
        "        self.tagger, self.model_id = tagger, tagger.model_id\n"
        "    def tag(self, document):\n"
        "        if 'poison' in document.text:\n"
        "            os.abort()\n"
        "        if 'defect' in document.text:\n"
        "            raise RuntimeError('a defect')\n"
        "        return self.tagger.tag(document)\n"
        "load = real.load\n"
        "real.load = lambda *args, **options: Tagger(load(*args, **options))\n"
        "serve = real.serve\n",
        encoding="utf-8",
    )
    for name in ("a", "poison", "b", "defect", "c"):
        (tmp_path / f"{name}.txt").write_text(f"{CLAIM} {name}", encoding="utf-8")
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from whopays.batch import local\n"
        "start = local.Workplace.start\n"
        "local.Workplace.start = lambda self, worker, module, *rest: start(self, worker, module.replace("
        "'whopays.batch.tagging_process', 'broken'), *rest)\n"
        "from whopays.cli import main\n"
        "sys.exit(main(['tag', '.', '--output', 'run/', '--workers', '1']))\n"
    )
    (tmp_path / "run").mkdir()
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert [result["id"] for result in lines(tmp_path / "run" / "results.jsonl")] == ["a.txt", "b.txt", "c.txt"]
    first, second = lines(tmp_path / "run" / "problems.jsonl")
    assert (first["file"], first["stage"], first["error"]) == ("defect.txt", "tagging", "RuntimeError")
    assert (second["file"], second["stage"], second["error"]) == ("poison.txt", "tagging", "TaggingError")
    assert "SIGABRT" in second["message"]


def test_a_model_that_changes_under_a_run_ends_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(CLAIM, encoding="utf-8")
    job = Job([str(tmp_path / "a.txt")], "small", "other-1", Limits(), lambda _: False)
    with pytest.raises(RunError, match="the model changed from 'other-1'"):
        list(LocalEngine(1).run(job))


def test_closing_the_events_leaves_no_process_behind(long: Path, tagger: Tagger) -> None:
    job = Job([str(path) for path in sorted(long.iterdir())], "small", tagger.model_id, Limits(), lambda _: False)
    before = set(children(os.getpid()))
    events = LocalEngine(2).run(job)
    next(events)
    assert set(children(os.getpid())) - before
    events.close()
    assert not set(children(os.getpid())) - before


def test_a_child_that_does_not_start_is_a_death_with_its_reason() -> None:
    child = Child("whopays.no_such_module", {})
    with pytest.raises(ChildDiedError, match="exit status 1"):
        child.receive()
    child.close()


def test_a_child_imports_nothing_from_the_folder_it_is_started_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("open('ran', 'w')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    child = Child("whopays.no_such_module", {})
    with pytest.raises(ChildDiedError):
        child.receive()
    child.close()
    assert not (tmp_path / "ran").exists()


# -- places that cannot be written -----------------------------------------------------------------------------------


def test_a_full_disk_is_one_sentence_and_what_was_done_is_kept(long: Path, tmp_path: Path, undisturbed: Path) -> None:
    """A limit on the size of files stands in for the disk; the system then refuses to write, in the middle of a line."""
    run = tmp_path / "run"
    limit = 60_000

    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    status, errors = tag(long, "--output", f"{run}/", "--workers", 1, preexec_fn=small)
    assert status == 2
    *_, said = errors.splitlines()
    assert re.fullmatch(r"whopays: .*ledger\.jsonl: cannot be written \(File too large\).*--resume.*", said)
    assert "Traceback" not in errors
    kept = tagged_lines(run)
    assert kept > 0
    status, errors = tag(long, "--output", run, "--workers", 2, "--resume")
    assert (status, len(lines(run / "results.jsonl"))) == (0, 60)


def test_a_run_that_cannot_write_leaves_the_earlier_tables(undisturbed: Path, collection: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)

    def nothing() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    status, errors = tag(collection, "--output", run, "--resume", "--workers", 1, preexec_fn=nothing)
    assert status == 2
    assert errors.count("cannot be written") == errors.count("\n") == 1
    assert tables(run) == tables(undisturbed)


@pytest.mark.parametrize("stage", ["writing", "renaming"])
def test_tables_are_replaced_together_or_not_at_all(
    undisturbed: Path, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codebook: Codebook, stage: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    for name in NAMES:
        (run / name).write_bytes(b"earlier")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    header = lines(run / "ledger.jsonl")[0]
    identity = Identity(header["model"], header["codebook"], header["version"], header["settings"])
    with Ledger(run, identity, resume=True) as ledger:
        monkeypatch.setattr(*((os, "fsync") if stage == "writing" else (Path, "replace")), refuse)
        with pytest.raises(RunError, match=r"No space left on device.*--resume"):
            write_run(run, [str(path) for path in sorted(collection.iterdir())], ledger, identity, codebook)
    assert {(run / name).read_bytes() for name in NAMES} == {b"earlier"}
    assert not list(run.glob(".*.partial"))


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text(CLAIM, encoding="utf-8")
    assert main(["tag", str(tmp_path / "a.txt"), "--output", "/proc/run/"]) == 2
    errors = capsys.readouterr().err
    assert "/proc/run" in errors
    assert errors.count("\n") == 1


# -- progress --------------------------------------------------------------------------------------------------------


class Terminal:
    """A stream that collects what is written; a terminal or not."""

    encoding = "utf-8"

    def __init__(self, terminal: bool) -> None:
        self.terminal = terminal
        self.text = ""

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_names_files_rate_time_left_and_problems(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whopays.writers.progress._LINES_APART", 0.0)
    stream: Any = Terminal(terminal)
    with Progress(stream).showing() as progress:
        progress.begin({"a": 100, "b": 300}, done=2)
        progress.saw(DocumentRead("a", 1, "a", "", "", (), ()))
        progress.saw(FileRead("a", 1, 1, None, Problem("reading", "RecordError", "broken")))
        words = progress.line()
        waiting = (PartOf("ab" * 32, 30), PartOf("cd" * 32, 90))
        progress.saw(DocumentRead("b", 1, "b", "", "", (), waiting))
        progress.saw(PartTagged("ab" * 32, EMPTY))
        progress.saw(FileRead("b", 1, 1, None))
        before = progress.line()
        progress.saw(PartTagged("cd" * 32, EMPTY))
        after = progress.line()
    assert re.fullmatch(r"3 of 4 files, \d+\.\d documents/s, 0 s left, 1 with problems", words)
    assert (before[:12], after[:12]) == ("2 of 4 files", "4 of 4 files")
    assert ("\x1b[" in stream.text) == terminal
    assert terminal or all(line.startswith("whopays: ") for line in stream.text.splitlines())
