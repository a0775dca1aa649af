"""The documentation is executed: the code blocks of README and of every page of the site, and every example script."""

from __future__ import annotations

import re
import runpy
import shutil
from pathlib import Path

import pytest

import whopays
from page_blocks import code_blocks, run_page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))}
# Other names of what is executed: a block under one of them would be left out without a word.
_MISNAMED = {"", "py", "python3", "pycon", "bash", "shell", "console", "zsh"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder of a page: a copy of the examples in it, and nothing else."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_runs_and_gives_what_its_comments_say(page, folder):
    run_page(PAGES[page].read_text(encoding="utf-8"), page, folder)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_names_a_language_by_which_it_is_known_whether_it_runs(page):
    blocks = list(code_blocks(PAGES[page].read_text(encoding="utf-8")))
    assert [block.line for block in blocks if block.language in _MISNAMED] == []


def test_the_readme_and_the_tutorial_have_blocks_to_run():
    for name in ("README.md", "docs/tutorial/first-tags.md", "docs/how-to/tag-files.md"):
        assert any(block.run for block in code_blocks(PAGES[name].read_text(encoding="utf-8"))), name


def test_every_public_name_stands_in_the_reference():
    reference = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").rglob("*.md"))
    told = set(re.findall(r"^::: whopays\.(\w+)$", reference, re.MULTILINE))
    assert told >= set(whopays.__all__)


def test_a_value_that_is_not_what_the_comment_says_is_named_with_its_line(folder):
    page = "Text.\n\n```python\nx = 2\n(\n    x + 1\n)  # -> 3\nx  # -> 3\n```\n"
    with pytest.raises(AssertionError, match=r"page\.md, line 8: found 2, the page says 3"):
        run_page(page, "page.md", folder)


def test_an_expected_value_that_would_never_be_looked_at_is_refused(folder):
    for statement in ("x = 1  # -> 1", "for x in (1,):\n    x  # -> 1\n    pass"):
        with pytest.raises(AssertionError, match=r"page\.md, line"):
            run_page(f"```python\n{statement}\n```\n", "page.md", folder)


def test_python_blocks_of_a_page_share_names_and_shell_blocks_its_folder(folder):
    page = (
        "```python\nx = 1\n```\n\n```sh\necho one > file\n```\n\n"
        "```python\nfrom pathlib import Path\n\nPath('file').read_text(), x  # -> ('one\\n', 1)\n```\n"
    )
    assert run_page(page, "page.md", folder) == 3


@pytest.mark.parametrize("command", ["false; true", "false | true", 'echo "$missing"', "whopays tag no-such-file"])
def test_a_shell_block_with_a_failing_command_fails(command, folder):
    with pytest.raises(AssertionError, match=r"page\.md, line 2: the commands ended with"):
        run_page(f"```sh\n{command}\n```\n", "page.md", folder)


def test_blocks_are_left_out_only_directly_behind_a_reason():
    page = (
        "<!-- not run: takes an hour -->\n```sh\nfalse\n```\n\n<!-- not run: -->\n```sh\nfalse\n```\n\n"
        "<!-- not run: too far away -->\n\n```python\n1 / 0\n```\n\n- a list\n\n    ```python\n    1\n    ```\n\n"
        "````text\n```python\nnot code\n```\n````\n"
    )
    found = [(block.language, block.run, block.code) for block in code_blocks(page)]
    assert found == [
        ("sh", False, "false\n"),
        ("sh", True, "false\n"),
        ("python", True, "1 / 0\n"),
        ("python", True, "1\n"),
        ("text", False, "```python\nnot code\n```\n"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_example_script_runs_and_prints(script, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out.strip()
