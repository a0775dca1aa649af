"""How a model behaves on the CheckList cases of the tests, by kind and capability.

    python benchmarks/behaviour.py [--model FOLDER] [--failures FILE]

Prints a table with the share of cases that are right; for invariance also the share of flips, and for direction the share that is
right when only the changed text is looked at. Failures go to a Markdown list in FILE, or to standard output without one.
The cases (`tests/checklist`) are a test and must never be reused as training text.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from checklist.cases import KINDS, Outcome, all_cases, digest, floors, judge
from whopays.tagger import load


def main() -> None:
    """Print the table, then the failures or where they were written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="model folder (default: the model that comes with the package)")
    parser.add_argument("--failures", type=Path, help="write the failures to this file instead of printing them")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    tagger = load(options.model or "default", threads=options.threads)
    cases = all_cases()
    outcomes = judge(tagger, cases)
    print(f"{len(cases)} cases ({digest(cases)[:12]}), model {tagger.model_id}\n")
    print(table(outcomes))
    listed = failures(outcomes)
    if options.failures:
        options.failures.write_text(listed, encoding="utf-8")
    else:
        print(f"\n{listed}", end="")


def table(outcomes: Sequence[Outcome]) -> str:
    """Markdown: one row for each kind, with its aim and floor, followed by one for each of its capabilities."""
    lines = ["| kind | capability | cases | right | note |", "|---|---|---|---|---|"]
    for kind in KINDS:
        own = [outcome for outcome in outcomes if outcome.case.kind == kind]
        held = floors()[kind]
        note = f"asked {held['asked']:.0%}, floor {held['floor']:.0%}; {_also(kind, own)}".rstrip("; ")
        lines.append(f"| **{kind}** | all | {len(own)} | **{_right(own):.1%}** | {note} |")
        for capability in dict.fromkeys(outcome.case.capability for outcome in own):
            part = [outcome for outcome in own if outcome.case.capability == capability]
            lines.append(f"| {kind} | {capability} | {len(part)} | {_right(part):.1%} | {_also(kind, part)} |")
    return "\n".join(lines)


def failures(outcomes: Sequence[Outcome]) -> str:
    """Markdown: every case that is not right, under its kind and capability."""
    lines = []
    failed = [outcome for outcome in outcomes if outcome.problem]
    for kind, capability in dict.fromkeys((o.case.kind, o.case.capability) for o in failed):
        lines += ["", f"## {kind}: {capability}", ""]
        for outcome in failed:
            case = outcome.case
            if (case.kind, case.capability) == (kind, capability):
                texts = [repr(text)[1:-1] for text in (case.before, case.text) if text]
                lines.append(f"- *{' → '.join(texts)}* {outcome.problem}")
    return "\n".join(["# Failures", *lines, ""])


def _right(outcomes: Sequence[Outcome]) -> float:
    return sum(not outcome.problem for outcome in outcomes) / len(outcomes)


def _also(kind: str, outcomes: Sequence[Outcome]) -> str:
    if kind == "invariance":
        labelled = [outcome for outcome in outcomes if outcome.found_before]
        return f"{1 - _right(outcomes):.1%} flips, {1 - _right(labelled):.1%} of texts with labels"
    if kind == "direction":
        after = sum(o.case.must <= o.found and not o.case.must_not & o.found for o in outcomes) / len(outcomes)
        return f"{after:.1%} by the changed text alone"
    return ""


if __name__ == "__main__":
    main()
