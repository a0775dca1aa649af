"""Pages of the documentation as programs: what their code blocks are, and running them in order in one folder."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"(?P<indent>\s*)(?P<ticks>`{3,}|~{3,})\s*(?P<language>[^\s`{]*)[^`]*")
_NOT_RUN = re.compile(r"<!-- not run: \S.* -->")
# README's two set-up commands: continuous integration runs them, in an environment of their own.
_SET_UP = ("<!-- example -->", "<!-- tests -->")
_EXPECTED = re.compile(r"  # -> (?P<value>.*\S)\s*")


@dataclass(frozen=True)
class Block:
    """A fenced code block: ``line`` is that of its first line of code, counted from 1; ``run`` whether it is executed."""

    language: str
    code: str
    line: int
    run: bool


def code_blocks(page: str) -> Iterator[Block]:
    """The code blocks of a Markdown page, in order; those of a language that is not executed, too."""
    lines = page.splitlines()
    number = 0
    while number < len(lines):
        fence = _FENCE.fullmatch(lines[number])
        number += 1
        if fence is None:
            continue
        first, closing = number, re.compile(rf"\s*{fence['ticks'][0]}{{{len(fence['ticks'])},}}\s*")
        while number < len(lines) and not closing.fullmatch(lines[number]):
            number += 1
        before = lines[first - 2].strip() if first > 1 else ""
        marked = _NOT_RUN.fullmatch(before) is not None or before in _SET_UP
        code = textwrap.dedent("\n".join(lines[first:number])) + "\n"
        yield Block(fence["language"], code, first + 1, fence["language"] in ("python", "sh") and not marked)
        number += 1


def run_page(page: str, name: str, folder: Path) -> int:
    """Run a page's blocks in order; ``folder`` must be the working folder. Returns how many there were to run.

    Python blocks share one namespace. Raises `AssertionError` where a value is not the one that its comment says, or where
    a shell command fails; what a Python block raises goes through, with the page's line in its trace.
    """
    names: dict[str, object] = {"__name__": "__main__"}
    count = 0
    for block in code_blocks(page):
        if block.run:
            count += 1
            if block.language == "python":
                _run_python(block, name, names)
            else:
                _run_shell(block, name, folder)
    return count


def _run_python(block: Block, name: str, names: dict[str, object]) -> None:
    # Empty lines in front give every statement the line number that it has on the page.
    tree = ast.parse("\n" * (block.line - 1) + block.code, filename=name)
    lines = dict(enumerate(block.code.splitlines(), start=block.line))
    expected = {number: match["value"] for number, line in lines.items() if (match := _EXPECTED.search(line))}
    for statement in tree.body:
        assert statement.end_lineno is not None
        value = expected.pop(statement.end_lineno, None)
        if value is None:
            exec(compile(ast.Module([statement], []), name, "exec"), names)
            continue
        where = f"{name}, line {statement.end_lineno}"
        assert isinstance(statement, ast.Expr), f"{where}: only an expression has a value to compare"
        found = repr(eval(compile(ast.Expression(statement.value), name, "eval"), names))
        assert found == value, f"{where}: found {found}, the page says {value}"
    assert not expected, f"{name}, line {min(expected)}: '# ->' must stand behind a statement of its own"


def _run_shell(block: Block, name: str, folder: Path) -> None:
    commands = folder / ".commands"
    if not commands.is_dir():
        commands.mkdir()
        for command, arguments in (("whopays", "-m whopays"), ("python", "")):
            script = commands / command
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n', encoding="utf-8")
            script.chmod(0o755)
    environment = {**os.environ, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.code],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (
        f"{name}, line {block.line}: the commands ended with {done.returncode}\n{done.stdout}{done.stderr}"
    )
