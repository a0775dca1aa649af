"""What a fit tells people: the report on the terminal and the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from whopays.codebook import Codebook
from whopays.corpus.markup import Example
from whopays.evaluation.evaluating import Evaluation
from whopays.evaluation.metrics import Score
from whopays.training.fitting import Fit, FitOptions

# With fewer texts that carry a label, its scores are hardly more than an example.
FEW = 20


def fit_table(report: dict[str, dict[str, float]], options: FitOptions) -> str:
    """The table of a fit without cross-validation, by label."""
    rows = [f"{'label':<18}{'positive sentences':>19}{'threshold':>11}{'F1, unseen':>16}"]
    for label, row in report.items():
        few = "  too few examples: never given" if row["positive_sentences"] < max(options.min_positive, 2) else ""
        rows.append(f"{label:<18}{row['positive_sentences']:>19}{row['threshold']:>11.2f}{row['f1']:>16.3f}{few}")
    return "\n".join(rows) + "\n"


def unseen_table(
    report: dict[str, dict[str, float]],
    unseen: Evaluation,
    examples: Sequence[Example],
    options: FitOptions,
    settings: Mapping[str, Any],
) -> str:
    """The table of a cross-validated fit: by label, texts that carry it, threshold, scores and what to think of them."""
    width = max(len("label"), *map(len, report)) + 2
    lines = [
        f"{_method(unseen, settings)}:",
        "",
        f"{'label':<{width}}{'texts':>6}{'threshold':>11}{'precision':>11}{'recall':>8}{'F1':>7}{'95 % interval':>16}",
    ]
    for label, row in report.items():
        count, never = _texts(label, examples), row["threshold"] > 1
        threshold = "never" if never else f"{row['threshold']:.2f}"
        told = f"  {note}" if (note := _note(count, never, options)) else ""
        lines.append(f"{label:<{width}}{count:>6}{threshold:>11}{_scores(unseen.documents[label])}{told}")
    for key in ("micro", "macro"):
        lines.append(f"{key:<{width}}{'':>17}{_scores(unseen.documents[key])}")
    lines.append("")
    for title, table in (("sentences", unseen.sentences), ("evidence words", unseen.words)):
        lines.append(f"{title + ', micro':<{width + 17}}{_scores(table['micro'])}")
    if unseen.false_alarms is not None:
        lines += ["", f"texts without claims that got a label: {unseen.false_alarms:.1%}"]
    return "\n".join(lines) + "\n"


def model_card(
    name: str, codebook: Codebook, examples: Sequence[Example], fit: Fit, settings: Mapping[str, Any]
) -> str:
    """The card of a fitted model: its data, its settings, and what was measured where thresholds were chosen."""
    free = sum(not example.spans for example in examples)
    points = fit.curves.at(fit.heads.threshold)
    rows = "\n".join(
        f"| {label} | {row['positive_sentences']:.0f} | {row['threshold']:.2f} | {point.precision:.2f} | {point.recall:.2f} "
        f"| {row['f1']:.2f} |"
        for (label, row), point in zip(fit.report.items(), points, strict=True)
    )
    data = "\n".join(f"- `{file}`, SHA-256 {digest}…" for file, digest in settings["data"].items())
    parts = settings["calibration_texts"]
    unseen = f"{parts} texts kept from the fit" if parts else f"{settings['folds']}-fold out-of-fold scores"
    tuned = settings.get("tuned_on")
    history = f"\n\n{_history(tuned)}" if tuned else ""
    gate = settings["gate"]
    told = (
        f"The gate lets {gate['passed']:.0%} of their sentences pass, {gate['labelled_passed']:.1%} of those with a label, and "
        f"{gate['found_passed']:.1%} of those in which the heads rightly find one."
        if gate
        else "The gate is open: too few sentences in which the heads find a label to fit one."
    )
    return f"""# {name}

A tagger for the codebook *{codebook.title}* ({codebook.name} {codebook.version}, {codebook.hash}). Fitted by `whopays train`.

Data: {len(examples)} texts, {free} of them without any claim, {settings["sentences"]} sentences.

{data}

Settings: logistic regression on sentence vectors (C = {settings["sentence_c"]}) and on token vectors inside labelled
sentences (C = {settings["token_c"]}), Platt scaling and thresholds on {unseen}, seed {settings["seed"]}. {told}{history}

The figures below are for sentences of the same unseen texts, on which the thresholds were chosen: an upper bound, not a test.

| label | positive sentences | threshold | precision | recall | F1 |
|---|---|---|---|---|---|
{rows}
"""


def _history(tuned: Mapping[str, Any]) -> str:
    """How an encoder that was tuned on came about; the keys are those of `train`."""
    told = f"The encoder was last tuned on from that of `{tuned['from']}`, on {tuned['texts']} texts"
    if "known" in tuned:
        told += f", {tuned['known']} of which the corpus of then had"
    return f"{told}. It stands at {tuned['share']:.0%} of the way from that one to the one tuned on."


def validation_section(unseen: Evaluation, settings: Mapping[str, Any]) -> str:
    """The card's section on cross-validated scores."""
    return f"""
## On texts that the fit had not seen

{_method(unseen, settings)}. Labels of whole texts; 95 % bootstrap intervals of F1 over texts.

{_markdown(unseen)}"""


def held_out_section(tested: Evaluation, file: str) -> str:
    """The card's section on a held-out file."""
    return f"""
## On held-out texts

`{file}`, {tested.size} texts. Labels of whole texts; 95 % bootstrap intervals of F1 over texts.

{_markdown(tested)}"""


def scores_record(evaluation: Evaluation) -> dict[str, Any]:
    """The scores of whole texts as JSON, rounded, for the manifest."""
    rows = {key: asdict(score) for key, score in evaluation.documents.items()}
    return {
        "texts": evaluation.size,
        "documents": {key: {name: round(value, 3) for name, value in row.items()} for key, row in rows.items()},
    }


def _method(unseen: Evaluation, settings: Mapping[str, Any]) -> str:
    how = f"{settings['folds']}-fold cross-validation, thresholds and calibration chosen inside the folds"
    if settings["calibration_texts"]:
        return f"{how}, over the {unseen.size} texts that were kept from tuning the encoder"
    return f"{how}, over {unseen.size} texts"


def _texts(label: str, examples: Sequence[Example]) -> int:
    return sum(label in example.labels for example in examples)


def _note(texts: int, never: bool, options: FitOptions) -> str:
    if never:
        return (
            f"too few examples: never given (needs {max(options.min_positive, 2)} sentences with it, and some without)"
        )
    return f"few examples: under {FEW} texts say little" if texts < FEW else ""


def _scores(score: Score) -> str:
    interval = f"{score.low:.2f} to {score.high:.2f}"
    return f"{score.precision:>11.2f}{score.recall:>8.2f}{score.f1:>7.2f}{interval:>16}"


def _markdown(evaluation: Evaluation) -> str:
    rows = [
        f"| {key} | {score.support} | {score.precision:.2f} | {score.recall:.2f} | {score.f1:.2f} "
        f"| {score.low:.2f} to {score.high:.2f} |"
        for key, score in evaluation.documents.items()
    ]
    alarms = evaluation.false_alarms
    told = "" if alarms is None else f"\n\nTexts without claims that got a label: {alarms:.1%}."
    head = "| label | texts | precision | recall | F1 | 95 % interval |\n|---|---|---|---|---|---|\n"
    return head + "\n".join(rows) + told + "\n"
