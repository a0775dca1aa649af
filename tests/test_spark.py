"""The PySpark recipe, run by Spark; skipped where PySpark or Java is missing. Continuous integration has both."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whopays.tagger import Tagger

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("pyspark") is None, reason="PySpark is not installed; it is a download of 450 MB")
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java")
def test_a_table_tagged_by_spark_has_the_tags_of_the_library(tagger: Tagger, tmp_path: Path) -> None:
    lines = (ROOT / "examples" / "documents" / "short-texts.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    table = pa.table({"number": list(range(len(rows))), "text": [row["text"] for row in rows]})
    pq.write_table(table, tmp_path / "texts.parquet")
    script = [sys.executable, ROOT / "examples" / "spark" / "tag.py", "texts.parquet", "tags.parquet", "small"]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    found = sorted(pq.read_table(tmp_path / "tags.parquet").to_pylist(), key=lambda row: row["number"])
    assert [row["text"] for row in found] == table.column("text").to_pylist()
    for row in found:
        expected = tagger.tag(row["text"]).to_dict()
        for name in ("payers", "evaders", "mechanisms", "labels"):
            assert row[name] == expected[name]
        assert dict(row["scores"]) == expected["scores"]
        assert row["spans"] == [{name: span[name] for name in row["spans"][0]} for span in expected["spans"]]
    assert any(row["spans"] for row in found)
