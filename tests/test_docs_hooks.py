"""The parts of the site that are made when it is built: from the parser, the codebook, and files outside docs/."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("mkdocs")
from docs_hooks import INCLUDED, on_page_markdown, on_post_page
from mkdocs.exceptions import PluginError

from whopays.cli import main

ROOT = Path(__file__).parents[1]


def made(markdown: str, place: str = "how-to/page.md") -> str:
    """What the site makes of a page's text at a place."""
    page = SimpleNamespace(file=SimpleNamespace(src_uri=place))
    return on_page_markdown(markdown, page=page, files=None, config=None)


def test_the_command_line_page_has_every_command_and_option_that_help_has(capsys):
    page = made("<!-- made: commands -->")
    commands = re.findall(r"^#+ whopays ?(.*)$", page, re.MULTILINE)
    assert {"", "tag", "evaluate", "train", "review", "convert", "corpus check"} <= set(commands)
    for command in commands:
        with pytest.raises(SystemExit):
            main([*command.split(), "--help"])
        options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
        section = page.split(f" whopays {command}".rstrip() + "\n", 1)[1].split("\n## ")[0]
        assert options <= set(re.findall(r"--[a-z-]+", section)), command


def test_the_labels_page_has_every_label_with_its_definition(codebook):
    page = made("<!-- made: labels -->")
    for label in codebook.labels:
        assert f"`{label.id}`" in page
        assert label.definition in page
        assert all(sentence in page for sentence in (*label.examples, *label.counter_examples))


def test_a_mistyped_part_ends_the_build():
    with pytest.raises(PluginError, match=r"how-to/page\.md: found 'made: labls'"):
        made("<!-- made: labls -->")


@pytest.mark.parametrize(
    ("link", "place", "expected"),
    [
        ("[all](../../corpus/CODEBOOK.md#scope)", "how-to/page.md", "[all](../explanation/codebook.md#scope)"),
        ("[all](../README.md)", "index.md", "[all](index.md)"),
        ("[all](../../README.md#limits)", "how-to/page.md", "all"),
        ("[here](evaluate.md)", "how-to/page.md", "[here](evaluate.md)"),
        ("[rulings](DECISIONS.md)", "explanation/codebook.md", "[rulings](decisions.md)"),
        ("[code](../../src/whopays/cli.py)", "how-to/page.md", "code"),
        ("[gone](../../no-such-file.md)", "how-to/page.md", "[gone](../../no-such-file.md)"),
        ("[web](https://example.org/a)", "how-to/page.md", "[web](https://example.org/a)"),
    ],
)
def test_links_out_of_the_documentation_lead_to_the_page_that_shows_the_file(link, place, expected):
    assert made(f"See {link}.", place) == f"See {expected}."


def test_a_link_to_a_part_that_a_page_lacks_ends_the_check_of_the_site(tmp_path):
    """As `scripts/check` builds it: with --quiet the warnings that --strict counts would be lost."""
    command = re.search(r"mkdocs build .*(?= --site-dir)", (ROOT / "scripts/check").read_text()).group()
    pages = tmp_path / "docs"
    pages.mkdir()
    (tmp_path / "mkdocs.yml").write_text("site_name: test\nvalidation:\n  anchors: warn\n")
    build = [sys.executable, "-m", *command.split(), "--site-dir", str(tmp_path / "site")]
    for target, status in (("#here", 0), ("#there", 1)):
        (pages / "index.md").write_text(f"# Here\n\n[a link]({target})\n")
        assert subprocess.run(build, cwd=tmp_path, capture_output=True).returncode == status


def test_every_file_that_is_shown_as_a_page_exists():
    assert all((ROOT / source).is_file() for source in INCLUDED.values())


@pytest.mark.parametrize(
    "element",
    [
        '<script src="https://example.org/a.js"></script>',
        '<link rel="stylesheet" href="//example.org/a.css">',
        '<link href="https://example.org/a.css" rel="stylesheet">',
        '<img alt="" src="https://example.org/a.png">',
    ],
)
def test_a_page_that_fetches_from_another_host_ends_the_build(element):
    page = SimpleNamespace(file=SimpleNamespace(src_uri="index.md"))
    fine = '<a href="https://example.org/">a link</a><script src="assets/a.js"></script>'
    assert on_post_page(fine, page=page, config=None) == fine
    with pytest.raises(PluginError, match="fetches from another host"):
        on_post_page(f"{fine}{element}", page=page, config=None)
