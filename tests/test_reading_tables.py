from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from whopays.errors import (
    CorruptDocumentError,
    EmptyDocumentError,
    EncryptedDocumentError,
    MislabelledError,
    RecordError,
)
from whopays.reading import read
from whopays.text import Document

texts = st.text(st.characters(exclude_categories=["Cs"]))
rows = st.lists(st.tuples(texts, texts.filter(bool)), min_size=1, max_size=5)


def write(path: Path, records: list[dict[str, Any]]) -> None:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(records[0]), quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows(records)
    else:
        parquet.write_table(pa.Table.from_pylist(records), path)


@settings(max_examples=60, deadline=None)
@given(rows=rows, suffix=st.sampled_from([".jsonl", ".csv", ".parquet"]))
def test_texts_and_ids_are_read_back_exactly(rows: list[tuple[str, str]], suffix: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, f"rows{suffix}")
        write(path, [{"id": given, "text": text} for text, given in rows])
        assert [(document.text, document.id) for document in read(path)] == rows


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_rows_without_an_id_are_numbered(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    write(path, [{"text": "The learner pays.", "year": 2012}, {"text": "Nobody pays.", "year": 2013}])
    assert list(read(path)) == [
        Document("The learner pays.", id=f"{path.name}#1", source=str(path)),
        Document("Nobody pays.", id=f"{path.name}#2", source=str(path)),
    ]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_ids_become_strings_and_gaps_in_them_are_numbered(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    write(path, [{"id": 7, "text": "a"}, {"id": None, "text": "b"}])
    assert [document.id for document in read(path)] == ["7", f"{path.name}#2"]


def test_ids_that_pandas_wrote_as_floats_lose_their_point(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write(path, [{"id": 7.0, "text": "a"}, {"id": float("nan"), "text": "b"}])
    assert [document.id for document in read(path)] == ["7", "rows.parquet#2"]


def test_an_empty_text_gives_a_document_so_that_rows_and_results_agree(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,text\n1,\n2,The learner pays.\n")
    assert [document.text for document in read(path)] == ["", "The learner pays."]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", '{"text": "x"}\n\n{"body": "y", "year": 1}\n', r"line 3: found no 'text'.*columns are body, year"),
        ("a.jsonl", '{"text": "x"}\n{"text": 3}\n', r"line 2: found a 'text' of type int"),
        ("a.ndjson", '{"text": "x"}\n{"text": \n', r"line 2: not valid JSON"),
        ("a.jsonl", '{"text": "x"}\n["y"]\n', r"line 2: found a JSON list"),
        ("a.jsonl", '{"text": "x", "id": {"a": 1}}\n', r"line 1: found an 'id' of type dict"),
        ("a.csv", "id,body\n1,x\n", r"line 1: found the columns id, body, expected one named 'text'"),
        ("a.csv", "id,text\n1,x\n2,fees, books\n", r"line 3: found 3 fields, expected 2 \(id, text\)"),
        ("a.csv", "id,text\n1,x\n2\n", r"line 3: found no 'text'"),
        ("a.csv", 'id,text\n1,x\n2,"never closed\n', r"not valid CSV"),
    ],
)
def test_a_broken_record_is_named_with_its_line(tmp_path: Path, name: str, content: str, expected: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(RecordError, match=rf"{name}, .*{expected}|{name}, {expected}"):
        list(read(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", b'{"text": "x"}\nbroken\n{"text": "y"}\n{"text": 5}\n{"text": "z"}\n'),
        ("a.jsonl", b'{"text": "x"}\n{"text": "\xa3"}\n{"text": "y"}\n[]\n{"text": "z"}'),
        ("a.csv", b'id,text\n1,x\n2,"fees" now\n3,y\n4,"a",b\n5,z\n'),
        ("a.csv", b"id,text\n1,x\n2,\xa3 9,250\n3,y\n4,\xa3 9\n5,z\n"),
    ],
)
def test_rows_behind_broken_ones_are_read_and_then_the_broken_ones_named(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    documents = read(path)
    assert [next(documents).text for _ in range(3)] == ["x", "y", "z"]
    first, second = ("line 2", "line 4") if name == "a.jsonl" else ("line 3", "line 5")
    with pytest.raises(RecordError, match=rf"{first}: .* 2 of 5 rows are broken \({second} too\); 3 could be read"):
        next(documents)


def test_an_error_names_no_more_broken_rows_than_a_person_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("broken\n" * 10_000)
    with pytest.raises(
        RecordError, match=r"10000 of 10000 rows are broken .*, line 20, \.\.\. too.*none could be read"
    ) as found:
        read(path)
    assert len(str(found.value)) < 1000


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_may_be_delimited_by_commas_semicolons_or_tabs(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"\ufeffid{delimiter}text\r\n1{delimiter}The learner pays.\r\n\r\n", encoding="utf-8")
    assert [(document.id, document.text) for document in read(path)] == [("1", "The learner pays.")]


def test_a_csv_field_may_be_long_and_hold_line_breaks(tmp_path: Path) -> None:
    text = 'The "learner" pays,\r\nagain.\n' * 20_000
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([["text"], [text]])
    path = tmp_path / "a.csv"
    path.write_bytes(buffer.getvalue().encode())
    assert next(read(path)).text == text


def test_a_csv_in_another_encoding_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("text\n£9,250\n".encode("cp1252"))
    with pytest.raises(RecordError, match="CSV UTF-8"):
        list(read(path))


def test_tables_without_rows_are_empty(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text\n")
    parquet.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        with pytest.raises(EmptyDocumentError, match=name):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"body": ["x"]}, "found the columns body, expected one named 'text'"),
        ({"text": [1]}, "row 1: found a 'text' of type int"),
        ({"text": ["x", None]}, "row 2: found no 'text'"),
    ],
)
def test_a_parquet_file_without_texts_is_refused(tmp_path: Path, columns: dict[str, Any], expected: str) -> None:
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(RecordError, match=rf"a\.parquet.*{expected}"):
        list(read(tmp_path / "a.parquet"))


def test_parquet_strings_of_every_kind_are_read(tmp_path: Path) -> None:
    for kind in (pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        parquet.write_table(pa.table({"text": pa.array(["The learner pays."] * 600, kind)}), tmp_path / "a.parquet")
        assert sum(document.text == "The learner pays." for document in read(tmp_path / "a.parquet")) == 600


def test_damaged_encrypted_and_mislabelled_parquet_files_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(path, [{"text": "The learner pays."}])
    whole = path.read_bytes()
    for content, error in (
        (whole[:-20], CorruptDocumentError),
        (b"PARE" + whole[4:], EncryptedDocumentError),
        (b"text\nx\n", MislabelledError),
    ):
        path.write_bytes(content)
        with pytest.raises(error, match=r"a\.parquet"):
            list(read(path))
