"""The documentation is executed: README code blocks and every example script."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_readme_has_python_examples():
    assert PYTHON_BLOCKS


@pytest.mark.parametrize("number", range(len(PYTHON_BLOCKS)))
def test_readme_example_runs_and_gives_what_its_comments_say(number, monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    for line in _statements(PYTHON_BLOCKS[number]):
        code, _, comment = line.partition("  # -> ")
        if comment:
            assert repr(eval(code, names)) == comment.strip()
        else:
            exec(code, names)


def _statements(block: str) -> list[str]:
    """Lines with an expected value stand alone; what is between them runs as one piece."""
    pieces: list[str] = []
    for line in block.splitlines():
        if "  # -> " in line or not pieces or "  # -> " in pieces[-1]:
            pieces.append(line)
        else:
            pieces[-1] += "\n" + line
    return pieces


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_example_script_runs_and_prints(script, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out.strip()
