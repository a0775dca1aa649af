"""Hostile files in a batch: each ends as a result or a typed problem, within its limits, and steers nobody's program."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import docx
import pytest

from whopays.batch.engine import Limits
from whopays.batch.parts import PART
from whopays.batch.reading_process import messages
from whopays.cli import main
from whopays.reading import read

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits on processes are those of Linux")

CLAIM = "Students now pay $5,500 a year."
BODY = '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>{}</w:body></w:document>'
PARAGRAPH = "<w:p><w:r><w:t>{}</w:t></w:r></w:p>"
SECONDS, MEGABYTES = 5, 250


def word(path: Path, body: str, doctype: str = "", title: str = "", extra: Iterable[tuple[str, bytes]] = ()) -> None:
    """A Word document with the given body."""
    empty = io.BytesIO()
    document = docx.Document()
    document.core_properties.title = title
    document.save(empty)
    with zipfile.ZipFile(empty) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = (doctype + BODY.format(body)).encode() if name == "word/document.xml" else source.read(name)
            target.writestr(name, content)
        for name, content in extra:
            target.writestr(name, content)


def pdf(content: bytes, kids: bytes = b"[3 0 R]", count: int = 1, filters: bytes = b"") -> bytes:
    """A PDF with one page object, that may be shown many times."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids%s/Count %d>>" % (kids, count),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>",
        b"<</Length %d%s>>stream\n%s\nendstream" % (len(content), filters, content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out, offsets = b"%PDF-1.7\n", []
    for number, item in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, item)
    table = b"xref\n0 6\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + table + b"trailer\n<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(out)


def deflated(piece: bytes, times: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(piece) for _ in range(times)) + packer.flush()


def make(folder: Path) -> None:
    """One file for each way to be hostile, between two that are not."""
    (folder / "a-claim.txt").write_text(CLAIM, encoding="utf-8")
    (folder / "z-claim.txt").write_text(f"{CLAIM} Yes.", encoding="utf-8")
    # Archives.
    word(folder / "bomb-text.docx", PARAGRAPH.format(" " * 100_000_000 + "x"))
    word(folder / "bomb-elements.docx", "<w:p/>" * 5_000_000)
    entities = '<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
    )
    word(folder / "entities.docx", PARAGRAPH.format("&j;"), f"<!DOCTYPE d [{entities}]>")
    (folder / "secret").write_text("SECRET", encoding="utf-8")
    outside = f'<!DOCTYPE d [<!ENTITY x SYSTEM "file://{folder}/secret">]>'
    word(folder / "outside.docx", PARAGRAPH.format(f"{CLAIM} &x;"), outside)
    word(folder / "deep.docx", "<w:p>" * 50_000 + "</w:p>" * 50_000)
    bomb = (folder / "bomb-text.docx").read_bytes()
    word(folder / "nested.docx", PARAGRAPH.format(CLAIM), extra=[("word/embeddings/a.docx", bomb), ("b.zip", bomb)])
    shutil.copyfile(folder / "nested.docx", folder / "archive.zip")
    # PDF.
    text = b"BT /F 10 Tf 10 700 Td (The learner pays the fee. ) Tj ET\n"
    flate = b"/Filter/FlateDecode"
    (folder / "bomb-blanks.pdf").write_bytes(pdf(deflated(b" " * 1_000_000, 1000), filters=flate))
    twice = zlib.compress(deflated(b" " * 1_000_000, 1000), 9)
    (folder / "bomb-twice.pdf").write_bytes(pdf(twice, filters=b"/Filter[/FlateDecode/FlateDecode]"))
    (folder / "bomb-glyphs.pdf").write_bytes(pdf(deflated(text * 1000, 1000), filters=flate))
    (folder / "circle.pdf").write_bytes(pdf(text, b"[2 0 R 2 0 R]", 1_000_000_000))
    (folder / "endless.pdf").write_bytes(pdf(text, b"[%s]" % (b"3 0 R " * 500_000), 500_000))
    # Pages.
    (folder / "deep.html").write_text("<html><body>" + "<div>" * 100_000 + "Fees.", encoding="utf-8")
    (folder / "wide.html").write_text("<html><body>" + "<b>a</b>" * 1_500_000, encoding="utf-8")
    # What is no file, or none that ends.
    os.mkfifo(folder / "fifo.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        place = Path.cwd()
        os.chdir(folder)  # the path of a socket may have a hundred characters
        listener.bind("socket.txt")
        os.chdir(place)
    (folder / "link-a.txt").symlink_to("link-b.txt")
    (folder / "link-b.txt").symlink_to("link-a.txt")
    (folder / "device.txt").symlink_to("/dev/zero")
    (folder / "loop").symlink_to(".", target_is_directory=True)
    # Names.
    for name in (b"new\nline.txt", b"\xff\xfe.txt", b"\x1b[2J.txt"):
        (folder / os.fsdecode(name)).write_text(CLAIM, encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run over all of them."""
    folder = tmp_path_factory.mktemp("hostile")
    make(folder)
    command = [
        sys.executable,
        "-m",
        "whopays",
        "tag",
        str(folder),
        str(folder / "archive.zip"),
        "--model",
        "small",
        "--workers",
        "1",
    ]
    command += ["--output", f"{folder.parent}/hostile-run/"]
    command += ["--time-limit", str(SECONDS), "--memory-limit", str(MEGABYTES)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 1, done.stderr
    assert all(character.isprintable() or character == "\n" for character in done.stderr.decode("utf-8"))
    return folder.parent / "hostile-run"


def problems(run: Path) -> dict[str, dict[str, Any]]:
    lines = (run / "problems.jsonl").read_text(encoding="utf-8").splitlines()
    return {Path(problem["file"]).name: problem for problem in map(json.loads, lines)}


def results(run: Path) -> dict[str, dict[str, Any]]:
    with (run / "results.jsonl").open(encoding="utf-8", newline="\n") as file:
        return {result["id"]: result for result in map(json.loads, file)}


@pytest.mark.parametrize(
    ("name", "errors"),
    [
        ("bomb-text.docx", {"CorruptDocumentError", "MemoryLimitError"}),
        ("bomb-elements.docx", {"MemoryLimitError"}),
        ("entities.docx", {"CorruptDocumentError"}),
        ("deep.docx", {"CorruptDocumentError"}),
        ("archive.zip", {"UnknownFormatError"}),
        ("bomb-blanks.pdf", {"MemoryLimitError"}),
        ("bomb-twice.pdf", {"MemoryLimitError"}),
        ("bomb-glyphs.pdf", {"MemoryLimitError", "TimeLimitError"}),
        ("circle.pdf", {"CorruptDocumentError"}),
        ("endless.pdf", {"TimeLimitError", "MemoryLimitError"}),
        ("deep.html", {"EmptyDocumentError", "CorruptDocumentError"}),
        ("wide.html", {"MemoryLimitError", "TimeLimitError"}),
        ("fifo.txt", {"UsageError"}),
        ("socket.txt", {"UsageError"}),
        ("link-a.txt", {"UsageError"}),
        ("link-b.txt", {"UsageError"}),
        ("device.txt", {"UsageError"}),
    ],
)
def test_a_hostile_file_is_a_typed_problem_that_names_it(run: Path, name: str, errors: set[str]) -> None:
    problem = problems(run)[name]
    assert problem["stage"] == "reading"
    assert problem["error"] in errors, problem
    assert name in problem["message"]
    assert "\n" not in problem["message"]


def test_the_neighbours_of_hostile_files_are_tagged(run: Path) -> None:
    found = results(run)
    assert set(found) == {
        *("a-claim.txt", "z-claim.txt", "outside.docx", "nested.docx"),
        *("new\nline.txt", "\x1b[2J.txt", os.fsdecode(b"\xff\xfe.txt")),
    }
    assert all(result["labels"] == ["learner:bears"] for result in found.values())
    summary = json.loads((run / "run.json").read_bytes())
    assert summary["inputs"] == summary["results"] + summary["problems"] == len(found) + 17


def test_entities_of_a_word_document_read_no_file(run: Path) -> None:
    assert b"SECRET" not in b"".join(path.read_bytes() for path in run.iterdir())


def test_limits_are_told_with_the_option_that_moves_them(run: Path) -> None:
    told = {problem["error"]: problem["message"] for problem in problems(run).values()}
    assert f"more than {MEGABYTES} MB of memory; allow more with --memory-limit." in told["MemoryLimitError"]


def test_a_reader_that_does_not_end_is_ended_and_replaced(tmp_path: Path) -> None:
    """A FIFO that takes a file's place between the look at it and its opening blocks for ever."""
    (tmp_path / "slow.py").write_text(
        "import time\n"
        "from whopays.batch import reading_process as real\n"
        "read = real.read\n"
        "def slow(path):\n"
        "    if 'slow' in path:\n"
        "        time.sleep(600)\n"
        "    if 'crash' in path:\n"
        "        import os; os.abort()\n"
        "    return read(path)\n"
        "real.read = slow\n"
        "serve = real.serve\n",
        encoding="utf-8",
    )
    for name in ("a", "crash", "m", "slow", "z"):
        (tmp_path / f"{name}.txt").write_text(CLAIM, encoding="utf-8")
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from whopays.batch import local\n"
        "start = local.Workplace.start\n"
        "local.Workplace.start = lambda self, worker, module, *rest: start(self, worker, module.replace("
        "'whopays.batch.reading_process', 'slow'), *rest)\n"
        "from whopays.cli import main\n"
        "sys.exit(main(['tag', '.', '--output', 'run/', '--workers', '1', '--time-limit', '3']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert set(results(tmp_path / "run")) == {"a.txt", "m.txt", "z.txt"}
    found = problems(tmp_path / "run")
    assert found["slow.txt"]["error"] == "TimeLimitError"
    assert "longer than 3 seconds" in found["slow.txt"]["message"]
    assert found["crash.txt"]["error"] == "ReaderCrashError"
    assert "SIGABRT" in found["crash.txt"]["message"]


# -- files that change, and huge ones --------------------------------------------------------------------------------


def test_a_file_that_changes_while_it_is_read_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": CLAIM}) + "\n", encoding="utf-8")
    reading = messages(str(path), Limits())
    next(reading)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"text": "More."}) + "\n")
    *_, end = reading
    assert end["error"] == "ChangedDocumentError"
    assert "rows.jsonl: changed while it was read" in end["message"]


def test_a_file_that_vanishes_is_a_problem(tmp_path: Path) -> None:
    (end,) = messages(str(tmp_path / "gone.txt"), Limits())
    assert (end["error"], end["signature"]) == ("UsageError", None)


def test_an_unforeseen_error_of_a_library_is_a_problem_that_asks_for_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> None:
        raise ZeroDivisionError("in a\nlibrary")

    monkeypatch.setattr("whopays.batch.reading_process.read", fail)
    (end,) = messages(str(tmp_path / "a.txt"), Limits())
    assert end["error"] == "ZeroDivisionError"
    assert "a.txt: cannot be read (ZeroDivisionError: in a library); please report" in end["message"]


@pytest.mark.parametrize(
    "content",
    [
        ("\ufeff" + f"{CLAIM} é “x” \U0001f600\r\n\r\n" * 30).encode(),
        (f"{CLAIM}\n" * 30).encode("utf-16"),
        (f"{CLAIM} caf\xe9\n" * 30).encode("latin-1"),
        (f"{CLAIM}\n" * 30).encode("utf-16-le"),
        b" \n" * 500,
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 5,
        b"\x00\x01\x02 binary" * 100,
        "é".encode() * 500 + b"\xc3",
    ],
    ids=["utf-8", "utf-16", "latin-1", "utf-16-le", "blank", "png", "binary", "cut off"],
)
def test_a_large_text_is_read_in_pieces_to_the_same_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    whole = list(messages(str(path), Limits()))
    monkeypatch.setattr("whopays.batch.reading_process._STREAMED", 100)
    assert list(messages(str(path), Limits())) == whole


def test_a_huge_text_is_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    with path.open("w", encoding="utf-8") as file:
        for number in range(400_000):
            file.write(f"Paragraph {number}: the “learner” pays the fee, and nobody else does so.\n\n")
    size = path.stat().st_size
    code = (
        "import resource, sys\n"
        "from whopays.batch.reading_process import messages\n"
        "from whopays.batch.engine import Limits\n"
        "start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "found = [m.get('error', len(m.get('text', ''))) for m in messages(sys.argv[1], Limits())]\n"
        "print(sum(found[:-1]), max(found[:-1]), found[-1], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    length, longest, error, kilobytes = done.stdout.split()
    assert size > 30_000_000
    assert int(length) == len(path.read_text(encoding="utf-8"))
    assert (int(longest) <= PART, error) == (True, "None")
    assert int(kilobytes) * 1024 < size
    (document,) = read(path)
    *_, made, _ = messages(str(path), Limits())
    assert made["document"]["sha256"] == document.sha256


# -- what is written -------------------------------------------------------------------------------------------------

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =cmd|'/c calc'!A0", " \t@x", "\r=1", "＝1"]


def test_cells_of_a_csv_file_are_never_formulas(tmp_path: Path) -> None:
    rows = [{"id": formula, "text": f"{formula} {CLAIM}"} for formula in FORMULAS]
    path = tmp_path / "=1+1.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    output = tmp_path / "tags.csv"
    place = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert main(["tag", "=1+1.jsonl", "--output", str(output)]) == 0
    finally:
        os.chdir(place)
    table = list(csv.reader(io.StringIO(output.read_bytes().decode("utf-8-sig"), newline="")))
    assert len(table) > len(rows)
    starts = tuple("=+-@＝＋－＠\t\r\n")
    assert not [cell for row in table for cell in row if cell.lstrip().startswith(starts) or cell.startswith(starts)]
    assert {row[0] for row in table[1:]} == {f"'{formula}" for formula in FORMULAS}


class Page(HTMLParser):
    """The elements, attributes and text of a page; the data and the programs in its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.data: list[Any] = []
        self.programs: list[str] = []
        self._script: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}
        self._script = (dict(attrs).get("type") or "program") if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self._script == "application/json":
            self.data.append(json.loads(data))
        elif self._script and data.strip():
            self.programs.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._script = None


def strings(value: Any) -> Iterator[str]:
    """All strings in JSON data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


def test_nothing_in_text_names_titles_or_metadata_runs_in_the_report(tmp_path: Path) -> None:
    attack = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'><b onmouseover=alert(3)>"
    inside = tmp_path / "in"
    inside.mkdir()
    text = f"Students now pay {attack} $5,500 a year."
    (inside / "\"'><img src=x onerror=alert(4)>.txt").write_text(text, encoding="utf-8")
    escaped = attack.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    word(inside / "metadata.docx", PARAGRAPH.format(escaped + " " + CLAIM), title=attack)
    (inside / "title.html").write_text(
        f"<html><head><title>{escaped}</title></head><body><p>{escaped} {CLAIM}</p></body></html>", encoding="utf-8"
    )
    row = {"id": attack, "text": f"{attack} {CLAIM}"}
    (inside / "javascript:alert(5).jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert main(["tag", str(inside), "--output", f"{tmp_path}/run/", "--workers", "1"]) == 0
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    page = Page(report)
    assert not page.tags & {"img", "b", "iframe", "object", "base", "link", "form", "a"}
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href", "style")]
    (program,) = page.programs
    assert "alert" not in program
    hash = base64.b64encode(hashlib.sha256(program.encode()).digest()).decode()
    (policy,) = [value for name, value in page.attributes if name == "content" and "default-src" in value]
    assert policy.startswith(f"default-src 'none'; script-src 'sha256-{hash}'; style-src 'sha256-")
    assert "unsafe" not in policy
    held = list(strings(page.data))
    assert sum(text.count("alert(1)") for text in held) >= 4
    assert any("onerror=alert(4)" in text for text in held)
