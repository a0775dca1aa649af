"""Files of results: the JSON contract, CSV, Parquet, the HTML report, and text for a terminal."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from report_page import Page, quotes
from tagged_texts import TEXT, Tagged, tagged
from whopays import cli
from whopays.codebook import Codebook
from whopays.errors import CodebookError
from whopays.writers import FORMATS, writer
from whopays.writers.terminal import print_problem, print_result, printable

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><b onmouseover='x'>",
    "</title></style><base href=//e>",
]
ATTACKS += ["&lt;b&gt; & &amp;", "javascript:alert(1)", "{{7*7}} ${7*7}", "<!-- -->", "]]>", "\u202e<i>"]


def example(codebook: Codebook) -> Tagged:
    claims = (("learner:bears", "Students “pay”\r\nthe fee \U0001f600"), ("employer:escapes", "Firms pass it on"))
    return tagged(codebook, TEXT, claims, id="d1", source="d.pdf", page_starts=(0, 10))


def written(format: str, codebook: Codebook, *results: Tagged) -> bytes:
    stream = io.BytesIO()
    writer(format)(iter(results), codebook, stream)
    assert not stream.closed
    return stream.getvalue()


def test_the_command_line_knows_the_formats_there_are() -> None:
    assert cli.FORMATS == FORMATS
    assert all(callable(writer(format)) for format in FORMATS)


# -- JSON lines ------------------------------------------------------------------------------------------------------


def test_a_line_has_exactly_the_keys_of_the_contract(codebook: Codebook) -> None:
    data = json.loads(written("jsonl", codebook, example(codebook)))
    assert list(data) == [
        *("id", "source", "sha256", "payers", "evaders", "mechanisms", "labels", "scores", "spans"),
        *("model", "codebook", "version", "coverage", "language", "in_scope", "notices"),
    ]
    assert data["payers"] == ["learner"]
    assert data["evaders"] == ["employer"]
    assert data["mechanisms"] == []
    assert data["labels"] == ["learner:bears", "employer:escapes"]
    assert list(data["scores"]) == [
        *("learner:bears", "learner:escapes", "employer:bears", "employer:escapes", "state:bears", "state:escapes"),
        *("cost-shifting", "inflation", "signaling"),
    ]
    assert data["sha256"] == hashlib.sha256(TEXT.encode()).hexdigest()
    assert data["coverage"] == 1.0
    for span in data["spans"]:
        assert set(span) == {"label", "start", "end", "text", "score", "page"}
        assert TEXT[span["start"] : span["end"]] == span["text"]
    assert [span["page"] for span in data["spans"]] == [1, 2]


def test_a_document_without_pages_or_claims_has_no_page_keys_and_empty_lists(codebook: Codebook) -> None:
    with_claim = json.loads(written("jsonl", codebook, tagged(codebook, claims=(("signaling", "Firms"),))))
    assert set(with_claim["spans"][0]) == {"label", "start", "end", "text", "score"}
    without = json.loads(written("jsonl", codebook, tagged(codebook)))
    assert [without[key] for key in ("payers", "evaders", "mechanisms", "labels", "spans")] == [[]] * 5
    assert len(without["scores"]) == 9


def test_each_result_is_one_line_of_utf8_in_order(codebook: Codebook) -> None:
    texts = ["a\nb", "c\u2028d\x85e", "f\x00g", "\U0001f600 é", "\ud800 \udfff", "\r\n h"]
    results = [tagged(codebook, text, (("inflation", text),), id=text) for text in texts]
    lines = written("jsonl", codebook, *results).split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line.decode("utf-8"))["spans"][0]["text"] for line in lines] == texts
    assert "\U0001f600 é".encode() in lines[3]


def test_lines_are_written_as_results_come(codebook: Codebook) -> None:
    stream = io.BytesIO()

    def results() -> Iterator[Tagged]:
        for count in range(3):
            assert stream.getvalue().count(b"\n") == count
            yield tagged(codebook)

    writer("jsonl")(results(), codebook, stream)


# -- CSV -------------------------------------------------------------------------------------------------------------


def csv_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))


def test_csv_has_a_row_for_each_quote_and_one_for_a_text_without_claims(codebook: Codebook) -> None:
    content = written("csv", codebook, example(codebook), tagged(codebook, id="d2"))
    assert content.startswith(b"\xef\xbb\xbf")
    first, second, third = csv_rows(content)
    assert first["quote"] == "Students “pay”\r\nthe fee \U0001f600"
    assert (first["id"], first["payers"], first["evaders"], first["mechanisms"]) == ("d1", "learner", "employer", "")
    assert TEXT[int(second["start"]) : int(second["end"])] == second["quote"]
    assert (second["label"], second["score"], second["page"]) == ("employer:escapes", "0.875", "2")
    assert (third["id"], third["label"], third["quote"], third["score"]) == ("d2", "", "", "")


STARTS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "   +1", "＝1", "＋1", "－1", "＠x", "\x00=1"]


@pytest.mark.parametrize("attack", STARTS, ids=ascii)
def test_cells_that_a_spreadsheet_would_run_are_made_inert(codebook: Codebook, attack: str) -> None:
    result = tagged(codebook, attack, (("inflation", attack),), id=attack, source=attack)
    (row,) = csv_rows(written("csv", codebook, result))
    assert [row["id"], row["source"], row["quote"]] == ["'" + attack] * 3


def test_ordinary_cells_are_left_as_they_are(codebook: Codebook) -> None:
    text = 'He said: "a=b; c,d", 5-1'
    (row,) = csv_rows(written("csv", codebook, tagged(codebook, text, (("inflation", text),), id="a-1")))
    assert (row["id"], row["quote"]) == ("a-1", text)


def test_csv_takes_lone_surrogates(codebook: Codebook) -> None:
    (row,) = csv_rows(written("csv", codebook, tagged(codebook, "a\ud800b", (("inflation", "a\ud800b"),))))
    assert row["quote"] == "a?b"


# -- Parquet ---------------------------------------------------------------------------------------------------------


def parquet_rows(content: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(content)).to_pylist()
    return rows


def test_parquet_holds_what_json_holds(codebook: Codebook) -> None:
    results = [example(codebook), tagged(codebook, id="d2"), tagged(codebook, claims=(("signaling", "Firms"),))]
    expected = [result.to_dict() for _, result in results]
    for row in expected:
        row["spans"] = [{"page": None, **span} for span in row["spans"]]
    rows = parquet_rows(written("parquet", codebook, *results))
    assert rows == expected
    assert list(rows[0]) == list(expected[0])


def test_parquet_of_nothing_has_the_same_columns(codebook: Codebook) -> None:
    tables = [pq.read_table(io.BytesIO(written("parquet", codebook, *some))) for some in ([], [example(codebook)])]
    assert tables[0].num_rows == 0
    assert tables[0].schema == tables[1].schema


def test_parquet_keeps_the_order_of_more_rows_than_a_batch_holds(codebook: Codebook) -> None:
    document, result = tagged(codebook)
    many = [(document, replace(result, id=str(number))) for number in range(1001)]
    assert [row["id"] for row in parquet_rows(written("parquet", codebook, *many))] == [str(n) for n in range(1001)]


def test_parquet_takes_nul_and_lone_surrogates(codebook: Codebook) -> None:
    text = "a\x00b \ud800 c"
    (row,) = parquet_rows(written("parquet", codebook, tagged(codebook, text, (("inflation", text),))))
    assert row["spans"][0]["text"] == "a\x00b ? c"


# -- HTML ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_in_a_document_becomes_markup_in_the_report(codebook: Codebook, attack: str) -> None:
    hostile = replace(codebook, title=attack)
    claims = (("inflation", attack),)
    plain = Page(written("html", codebook, tagged(codebook, "x", (("inflation", "x"),), id="x", source="x", title="x")))
    attacked = Page(written("html", hostile, tagged(hostile, attack, claims, id=attack, source=attack, title=attack)))
    assert attacked.tags == plain.tags
    assert [name for name, _ in attacked.attributes] == [name for name, _ in plain.attributes]
    assert attacked.policy == plain.policy
    assert attacked.programs == plain.programs
    assert attacked.text.count(attack) == 2  # the title, and the heading for a browser without scripts
    assert attacked.data["about"]["title"] == attack
    assert attacked.data["index"][0][:3] == [attack, attack, attack]
    assert quotes(attacked) == [attack]


@pytest.mark.parametrize("color", ['red"><script>', "red;background:url(//x)", "link https://x.example", "\x1b[2J"])
def test_a_color_that_could_do_more_than_color_is_refused(codebook: Codebook, color: str) -> None:
    with pytest.raises(CodebookError, match="color"):
        replace(codebook, labels=tuple(replace(label, color=color) for label in codebook.labels))


def test_the_report_has_no_address_outside_itself_and_runs_no_program_but_its_own(codebook: Codebook) -> None:
    content = written("html", codebook, example(codebook), tagged(codebook, id="d2"))
    page = Page(content)
    assert not re.search(r"https?:|//|@import|url\(", content.decode("utf-8").replace(page.policy, ""))
    assert not {"link", "img", "iframe", "object", "base", "form"} & set(page.tags)
    assert not {"href", "src", "action", "style"} & {name for name, _ in page.attributes}
    assert not any(name.startswith("on") for name, _ in page.attributes)
    program, style = (
        base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for (part,) in (page.programs, page.styles)
    )
    assert page.policy == (
        f"default-src 'none'; script-src 'sha256-{program}'; style-src 'sha256-{style}'; base-uri 'none'; "
        "form-action 'none'"
    )


@pytest.mark.parametrize(
    "name", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("]
)
def test_the_report_never_takes_text_for_markup_or_program(name: str) -> None:
    folder = files("whopays.writers") / "report"
    scripts = [entry for entry in folder.iterdir() if entry.name.endswith(".js")]
    assert len(scripts) > 5
    assert not [entry.name for entry in scripts if name in entry.read_text(encoding="utf-8")]


def test_the_report_holds_each_document_with_its_text_quotes_pages_and_readings(codebook: Codebook) -> None:
    page = Page(written("html", codebook, example(codebook), tagged(codebook, id="d2", title="A title")))
    first, second = page.data["index"]
    assert [codebook.ids[label] for label in first[3]] == ["learner:bears", "employer:escapes"]
    assert (first[5], second[0], second[3], second[5]) == (2, "A title", [], 0)
    assert page.data["t1"]["passages"] == [[0, TEXT]]
    assert page.data["t1"]["pages"] == [0, 10]
    assert [span[3:] for span in page.data["t1"]["spans"]] == [[0.875, 1], [0.875, 2]]
    assert quotes(page) == ["Students “pay”\r\nthe fee \U0001f600", "Firms pass it on"]
    assert page.data["about"]["documents"] == 2


def test_the_report_takes_odd_characters(codebook: Codebook) -> None:
    text = "a\ud800b\x00 \u2028 c"
    page = Page(written("html", codebook, tagged(codebook, text, (("inflation", text),))))
    assert quotes(page) == ["a?b\x00 \u2028 c"]
    assert Page(written("html", codebook)).data["index"] == []


def test_a_result_in_a_notebook_is_escaped_too(codebook: Codebook) -> None:
    attack = ATTACKS[1]
    page = Page(tagged(codebook, attack, (("inflation", attack),))[1]._repr_html_().encode())
    assert attack in page.text
    assert "img" not in page.tags


# -- terminal --------------------------------------------------------------------------------------------------------

HOSTILE = "\x1b[2J\x1b]0;title\x07 \x00\b\x7f\x9b31m \u202eevil\u2066 \r\n\t\v\ud800 [bold]fees[/bold] [red"


def controls(text: str) -> set[str]:
    """What could steer a terminal, beside line breaks and colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}} - {"\n"}


@pytest.mark.parametrize("color", [True, False])
def test_a_terminal_gets_no_control_characters_from_a_document(codebook: Codebook, color: bool) -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=color, color_system="truecolor" if color else None, width=200)
    name = HOSTILE.replace("\ud800", "")  # a codebook is UTF-8
    labels = tuple(replace(label, party=label.party and name) for label in codebook.labels)
    groups = tuple(replace(group, titles=dict.fromkeys(group.titles, name)) for group in codebook.groups)
    hostile = replace(codebook, groups=groups, labels=labels)
    claims = (("learner:bears", HOSTILE), ("inflation", "fees"))
    for source in (HOSTILE, ""):
        print_result(tagged(hostile, HOSTILE, claims, id=HOSTILE, source=source)[1], hostile, console)
    assert controls(output.getvalue()) == set()
    assert "[bold]fees[/bold]" in output.getvalue()


def test_a_terminal_shows_readings_labels_and_quotes(codebook: Codebook) -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=False, width=200)
    print_result(example(codebook)[1], codebook, console)
    print_result(tagged(codebook, id="d2")[1], codebook, console)
    for shown in (
        "d.pdf",
        "pays: learner",
        "learner:bears  0.88",
        "“Firms pass it on”  [27:43 p. 2]",
        "no claim found",
    ):
        assert shown in output.getvalue()


@given(st.text())
def test_printable_text_keeps_its_length_and_its_visible_characters(text: str) -> None:
    shown = printable(text)
    assert controls(shown) == set()
    assert "\n" not in shown
    assert [c for c in text if c.isprintable()] == [b for c, b in zip(text, shown, strict=True) if c.isprintable()]


def test_a_problem_is_one_line_whatever_the_names_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_problem(ValueError(f"{HOSTILE}.txt: damaged"))
    shown = capsys.readouterr().err
    assert shown.startswith("whopays: ")
    assert shown.count("\n") == 1
    assert controls(shown) == set()
