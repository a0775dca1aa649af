"""Everything that is claimed of a model's quality, on texts that it has not learnt from.

    python benchmarks/quality.py [--model default] [--gold NAME=FILE.jsonl] [--only NAME]

Held-out passages, whole documents and contrast pairs of the corpus, passages by authors of whom no passage was learnt, and any
further gold given. Micro- and macro-F1 over the labels with 95 % bootstrap intervals over texts, evidence, wrong tags,
calibration, faithfulness. The seed documents are not here: the shipped model has learnt from them; `seed_lodo.py` leaves
them out.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from whopays.corpus.checking import is_document, load_corpus
from whopays.corpus.markup import Example
from whopays.corpus.records import load_examples
from whopays.corpus.sentences import labelled_sentences
from whopays.evaluation.calibration import expected_calibration_error
from whopays.evaluation.evaluating import evaluate_spans
from whopays.evaluation.faithfulness import faithfulness
from whopays.evaluation.metrics import Score, scores
from whopays.tagger import Tagger, load

CORPUS = Path(__file__).parents[1] / "corpus"
# With fewer sentences that carry a label, its calibration error says little.
SUPPORT = 20
# Faithfulness and calibration read the texts several times more.
MOST_IN_DETAIL = 1000


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--precision", type=float)
    parser.add_argument("--no-gate", action="store_true")
    parser.add_argument("--gold", action="append", default=[], metavar="NAME=FILE.jsonl")
    parser.add_argument("--only", action="append", metavar="NAME", help="these of the corpus' sets, by title")
    options = parser.parse_args()
    tagger = load(options.model, precision=options.precision, gate=not options.no_gate)
    sets = gold_sets(load_corpus(CORPUS, tagger.codebook))
    if unknown := set(options.only or ()) - set(sets):
        parser.error(f"no set is called {', '.join(sorted(unknown))}; there are {', '.join(sets)}.")
    if options.only:
        sets = {name: sets[name] for name in options.only}
    for item in options.gold:
        name, _, file = item.partition("=")
        sets[name] = load_examples(file, tagger.codebook)
    print(f"{tagger.model_id}\n")
    print(
        "| texts | | P | R | micro-F1 | macro-F1 | sentences | evidence, words | evidence, IOU 0.5 | claim-free texts tagged |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    details = [table(name, examples, tagger) for name, examples in sets.items()]
    print("\n" + "\n\n".join(details))


def gold_sets(splits: Mapping[str, Sequence[Example]]) -> dict[str, Sequence[Example]]:
    """The corpus' texts from which no model has learnt, by title."""
    held_out, fresh, dense = (splits[name] for name in ("heldout", "fresh", "dense"))
    return {
        "held-out passages": [example for example in held_out if not is_document(example)],
        "held-out documents": [example for example in held_out if is_document(example)],
        "everyday documents": splits["documents-heldout"],
        "held-out contrast pairs": splits["contrast-heldout"],
        "held-out retold passages": splits["retold-heldout"],
        "held-out retold pairs": splits["retold-contrast-heldout"],
        "fresh retold passages": [example for example in fresh if not example.attributes.get("change")],
        "fresh retold pairs": [example for example in fresh if example.attributes.get("pair")],
        "dense passages": [example for example in dense if not example.attributes.get("change")],
        "dense pairs": [example for example in dense if example.attributes.get("pair")],
    }


def table(name: str, examples: Sequence[Example], tagger: Tagger) -> str:
    """Print the set's row; returns its tables, without faithfulness and calibration for more than `MOST_IN_DETAIL` texts."""
    labels = tagger.codebook.ids
    predicted = [result.spans for result in tagger.tag_all([example.text for example in examples])]
    evaluation = evaluate_spans(examples, predicted, labels)
    micro, macro = evaluation.documents["micro"], evaluation.documents["macro"]
    alarms = "" if evaluation.false_alarms is None else f"{evaluation.false_alarms:.0%}"
    print(
        f"| {name} | {len(examples)} | {micro.precision:.2f} | {micro.recall:.2f} | {_with_interval(micro)} | "
        f"{_with_interval(macro)} | {evaluation.sentences['micro'].f1:.2f} | {_with_interval(evaluation.words['micro'])} | "
        f"{_with_interval(evaluation.spans['micro'])} | {alarms} |",
        flush=True,
    )
    lines = [f"### {name}", "", _wrong_tags(examples, predicted)]
    if pairs := _pairs(examples, predicted):
        lines.append(pairs)
    head = ["label", "P", "R", "F1", "support"]
    errors: dict[str, str] = {}
    if len(examples) > MOST_IN_DETAIL:
        lines.append("Faithfulness and calibration are left out for so many texts.")
    else:
        found = faithfulness([example.text for example in examples], tagger)
        lines.append(
            f"Faithfulness of {found.tags} tags: sufficiency {found.sufficiency:.2f} ({found.kept:.0%} kept by the evidence "
            f"alone), comprehensiveness {found.comprehensiveness:.2f} ({found.lost:.0%} gone without it)."
        )
        head, errors = [*head, "ECE of sentences"], _calibration(examples, tagger)
    lines += ["", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for label in labels:
        score = evaluation.documents[label]
        cells = [label, f"{score.precision:.2f}", f"{score.recall:.2f}", _with_interval(score), str(score.support)]
        lines.append(f"| {' | '.join([*cells, errors[label]] if errors else cells)} |")
    return "\n".join(lines)


def _with_interval(score: Score) -> str:
    return f"{score.f1:.2f} ({score.low:.2f} to {score.high:.2f})"


def _wrong_tags(examples: Sequence[Example], predicted: Sequence[Sequence[object]]) -> str:
    """Labels given to sentences without claims; a text may have such a label by another of its sentences."""
    wrong = foreign = free = 0
    for example, spans in zip(examples, predicted, strict=True):
        gold = labelled_sentences(example.text, example.spans)
        given = labelled_sentences(example.text, spans)  # type: ignore[arg-type]
        for (_, right), (_, tagged) in zip(gold, given, strict=True):
            if not right:
                free += 1
                wrong += len(tagged)
                foreign += len(set(tagged) - example.labels)
    thousands = max(free, 1) / 1000
    return (
        f"{wrong} wrong tags on {free} claim-free sentences, {wrong / thousands:.1f} in 1,000; {foreign} of them "
        f"({foreign / thousands:.1f}) are of labels that the text does not have at all."
    )


def _pairs(examples: Sequence[Example], predicted: Sequence[Sequence[object]]) -> str:
    """How many contrast pairs have both members exactly right; macro and micro say little there."""
    right: dict[str, list[bool]] = {}
    for example, spans in zip(examples, predicted, strict=True):
        if pair := example.attributes.get("pair"):
            found = frozenset(span.label for span in spans)  # type: ignore[attr-defined]
            right.setdefault(pair, []).append(found == example.labels)
    # A set of sources without their twins has one member of each pair.
    right = {pair: both for pair, both in right.items() if len(both) > 1}
    if not right:
        return ""
    counts = np.array([[[all(both), 1, 1]] for both in right.values()], dtype=float)
    share = scores(counts, ["pair"])["pair"]
    members = sum(map(sum, right.values())) / sum(map(len, right.values()))
    return f"Both members right: {_with_interval(share)} of {len(right)} pairs; {members:.2f} of the members."


def _calibration(examples: Sequence[Example], tagger: Tagger) -> dict[str, str]:
    """Expected calibration error of sentence scores by label, "" without enough support."""
    gold, scored = [], []
    for example in examples:
        rows = labelled_sentences(example.text, example.spans)
        for (_, labels), prediction in zip(rows, tagger.predict_sentences(example.text), strict=True):
            gold.append([label in labels for label in tagger.codebook.ids])
            scored.append(prediction.scores)
    g, s = np.array(gold), np.array(scored)
    return {
        label: f"{expected_calibration_error(s[:, i], g[:, i]):.3f}" if g[:, i].sum() >= SUPPORT else ""
        for i, label in enumerate(tagger.codebook.ids)
    }


if __name__ == "__main__":
    main()
