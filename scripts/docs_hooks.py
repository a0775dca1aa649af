"""What mkdocs cannot know by itself; mkdocs calls the functions named ``on_...``.

A page gets a part that is made when the site is built where it has one of these lines:

    <!-- made: commands -->   every command and option of the command line, as argparse has them
    <!-- made: labels -->     every label with its definition and examples, as the codebook has them
    <!-- made: pages -->      the other pages of the folder, each with its first sentence

Files of the repository outside ``docs/`` that readers of the site need are pages as well (`INCLUDED`), and links to them
lead there; of a link to any other such file the words are left. A page that would make a browser ask another host for
something ends the build.
"""

from __future__ import annotations

import argparse
import os
import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from whopays.cli import build_parser
from whopays.codebook import Codebook, Label

ROOT = Path(__file__).parents[1]
#: Page of the site -> the file of the repository that it shows.
INCLUDED = {
    "explanation/codebook.md": "corpus/CODEBOOK.md",
    "explanation/decisions.md": "corpus/DECISIONS.md",
    "explanation/corpus.md": "corpus/README.md",
    "explanation/model-card.md": "models/default/README.md",
    "explanation/model-card-small.md": "models/small/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
# A link to a part of the README loses its target: the site's first page has no such part.
_PAGES = {source: page for page, source in INCLUDED.items()} | {"README.md": "index.md"}
_MADE = re.compile(r"^<!-- made: (\w+) -->$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[(?P<words>[^\[\]]*)\]\((?P<target>[^()\s:#]+)(?P<anchor>#[^()\s]*)?\)")
_FETCHED = re.compile(r"<(?:script|img|iframe|link(?=[^>]*stylesheet))\b[^>]*(?:src|href)=\"?(?:https?:)?//[^>]*>")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of the repository that are pages, too."""
    for page, source in INCLUDED.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Fill in what is made, and mend links that lead out of ``docs/``."""
    parts: dict[str, Callable[[], str]] = {
        "commands": _commands,
        "labels": _labels,
        "pages": lambda: _siblings(page, files),
    }

    def made(match: re.Match[str]) -> str:
        if match[1] not in parts:
            raise PluginError(f"{page.file.src_uri}: found 'made: {match[1]}', expected one of {', '.join(parts)}.")
        return parts[match[1]]()

    here = page.file.src_uri
    return _LINK.sub(lambda link: _mended(link, here), _MADE.sub(made, markdown))


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Raise `PluginError` if a page fetches something from another host."""
    if found := _FETCHED.search(output):
        raise PluginError(f"{page.file.src_uri}: fetches from another host: {found[0]}; put the file beside the page.")
    return output


def _mended(link: re.Match[str], here: str) -> str:
    """A link as it must be on the site, whose place differs from that of its file in the repository."""
    own = INCLUDED.get(here, f"docs/{here}")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(own), link["target"]))
    inside = target.removeprefix("docs/") if target.startswith("docs/") else _PAGES.get(target)
    if inside is not None and not (target == "README.md" and link["anchor"]):
        there = posixpath.relpath(inside, posixpath.dirname(here) or ".")
        return f"[{link['words']}]({there}{link['anchor'] or ''})"
    return link["words"] if (ROOT / target).exists() else link[0]


def _siblings(page: Page, files: Files) -> str:
    """The pages beside a page, as a list; by title, so that no list has to be kept."""
    folder = posixpath.dirname(page.file.src_uri)
    found = []
    for file in files.documentation_pages():
        if posixpath.dirname(file.src_uri) == folder and file.src_uri != page.file.src_uri:
            title, first = _beginning(file.content_string)
            found.append(
                f"- [{title or file.name}]({posixpath.basename(file.src_uri)})" + (f": {first}" if first else "")
            )
    return "\n".join(sorted(found, key=str.casefold))


def _beginning(markdown: str) -> tuple[str, str]:
    """A page's title and the first sentence below it, without links."""
    title = re.search(r"^# (.+)$", markdown, re.MULTILINE)
    if title is None:
        return "", ""
    paragraph = re.match(r"\s*([^\s#`<|!*-][^\n]*(?:\n[^\n]+)*)", markdown[title.end() :])
    text = " ".join(paragraph[1].split()) if paragraph else ""
    sentence = re.match(r".*?[.:](?=\s|$)", text)
    return title[1].strip(), _LINK.sub(lambda link: link["words"], sentence[0] if sentence else "").rstrip(":.")


def _labels() -> str:
    codebook = Codebook.load(ROOT / "corpus" / "codebook.toml")
    parts = [f"{codebook.scope}\n"]
    for group in codebook.groups:
        parts.append(f"### {group.title}\n\n*{group.question}*\n")
        for label in codebook.labels:
            if label.group == group.id:
                reading = group.titles[label.stance]
                parts.append("\n".join(_label(label, f"{label.party} {reading}" if label.party else reading.lower())))
    return "\n".join(parts)


def _label(label: Label, reading: str) -> Iterator[str]:
    yield f"#### `{label.id}` {{ #{label.id.replace(':', '-')} }}\n"
    yield f"{label.definition}\n"
    for title, sentences in (("Is", label.examples), ("Is not", label.counter_examples)):
        if sentences:
            yield f"- {title}: " + " · ".join(f"*{sentence}*" for sentence in sentences)
    yield f"- In a result: {reading}\n"


def _commands() -> str:
    """The command line in Markdown; everything said there stands in the parser."""
    os.environ["COLUMNS"] = "80"  # the width at which argparse wraps
    return "\n\n".join(_command(build_parser()))


def _command(parser: argparse.ArgumentParser, about: str | None = None) -> Iterator[str]:
    depth = parser.prog.count(" ") + 2
    yield f"{'#' * depth} {parser.prog}"
    about = parser.description or about or ""
    yield f"{about[:1].upper()}{about[1:]}".rstrip(".") + "."
    yield f"```text\n{parser.format_usage().strip()}\n```"
    inner: list[tuple[argparse.ArgumentParser, str | None]] = []
    for group in parser._action_groups:
        rows = []
        for action in group._group_actions:
            if isinstance(action, argparse._SubParsersAction):
                for choice in action._choices_actions:
                    inner.append((action.choices[choice.dest], choice.help))
                    rows.append((f"`{choice.dest}`", choice.help))
            elif not isinstance(action, argparse._HelpAction):
                rows.append((_names(action), _help(action)))
        if rows:
            yield f"**{(group.title or '').capitalize()}**" + (f", {group.description}" if group.description else "")
            yield "\n".join(["| name | meaning |", "|---|---|", *(f"| {name} | {text or ''} |" for name, text in rows)])
    if parser.epilog:
        yield f"```text\n{parser.epilog.strip()}\n```"
    for command, help in inner:
        yield from _command(command, help)


def _names(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    value = "" if action.nargs == 0 else metavar or ("" if action.choices else action.dest.upper())
    names = [f"{name} {value}".strip() for name in action.option_strings] or [value]
    return ", ".join(f"`{name}`" for name in names) + (
        " (required)" if action.required and action.option_strings else ""
    )


def _help(action: argparse.Action) -> str:
    choices = ", ".join(f"`{choice}`" for choice in action.choices or ())
    text = (action.help or "").replace("|", "\\|").replace("<", "&lt;")
    return "; ".join(part for part in (text, choices and f"one of {choices}") if part)
