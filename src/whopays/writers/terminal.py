"""Results as coloured text for a person at a terminal."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from whopays.codebook import Codebook
from whopays.result import Result
from whopays.text import Span


def print_result(result: Result, codebook: Codebook, console: Console) -> None:
    """Print a document's payers, evaders and mechanisms, then each label with its score and quoted evidence."""
    console.print(Text(printable(result.source or result.id or "(text)"), style="bold"))
    for notice in result.notices:
        console.print(Text(f"  {printable(notice)}", style="italic"))
    if not result.labels:
        console.print(Text("  no claim found\n", style="dim"))
        return
    for group in codebook.groups:
        for stance, name in group.fields.items():
            if values := result.readings[name]:
                title = printable(group.titles[stance])
                console.print(Text.assemble("  ", (f"{title}: ", "dim"), printable(", ".join(values))))
    for label in result.labels:
        color = codebook[label].color
        spans = result.evidence(label)
        console.print(Text.assemble("    ", (label, f"bold {color}"), (f"  {result.scores[label]:.2f}", "dim")))
        for span in spans:
            console.print(_quote(span, color))
    console.print()


def _quote(span: Span, color: str) -> Text:
    page = f" p. {span.page}" if span.page is not None else ""
    place = f"  [{span.start}:{span.end}{page}]"
    return Text.assemble("      “", (printable(" ".join(span.text.split())), color), "”", (place, "dim"))


def print_problem(problem: object) -> None:
    """Print an error or warning as one line on standard error, whatever the names of files in it hold."""
    print(f"whopays: {printable(' '.join(str(problem).splitlines()))}", file=sys.stderr)


def printable(text: str) -> str:
    """Text that cannot steer a terminal: control characters and bidirectional overrides become visible stand-ins."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
