"""The command line: argument parsing only. Heavy imports wait until a command needs them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from whopays.errors import WhopaysError

FORMATS = ("jsonl", "csv", "parquet", "html")
ENGINES = ("local", "ray")
OK, SOME_FAILED, WRONG_USAGE = 0, 1, 2

_EXAMPLES = """\
examples:
  whopays tag report.pdf                       who pays, with quoted evidence
  whopays tag reports/ --output tags.csv       a folder; the format follows the file name
  whopays tag reports/ --output run/           many documents: tables, report, problems; goes on by --resume
  echo "Students now pay $5,500." | whopays tag -
  whopays review reports/ --format label-studio --output tasks.json
  whopays init mycodebook/                     labels of your own; then: whopays train
  whopays evaluate gold.jsonl                  F1 with intervals, for documents, sentences and evidence
  whopays evaluate gold.jsonl --output eval.html        the same as a report, with curves and the worst mistakes
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 all done, 1 some documents failed, 2 wrong usage."""
    options = build_parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except WhopaysError as error:
        from whopays.writers.terminal import print_problem

        print_problem(error)
        return WRONG_USAGE
    except KeyboardInterrupt:
        print("whopays: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (`head`, say) has gone; nothing is wrong, and nothing more can be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line, with all commands."""
    parser = argparse.ArgumentParser(
        prog="whopays",
        description="Who pays for training and credentials, and how: tags policy text and quotes its evidence.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"whopays {version('whopays')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    tag = commands.add_parser("tag", help="tag documents, folders, tables or standard input")
    tag.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="files or folders (PDF, HTML, DOCX, text, tables), or - for standard input",
    )
    tag.add_argument(
        "--output",
        metavar="FILE",
        help="write results there instead of to standard output; a folder (run/) holds a run",
    )
    tag.add_argument(
        "--format", choices=FORMATS, help="default: by the name of FILE, else text on a terminal and jsonl in a pipe"
    )
    _add_model(tag)
    tag.add_argument("--threads", type=_positive, metavar="N", help="sentences scored at once (default: all cores)")
    batch = tag.add_argument_group("for a run folder", "with --output run/, which then gets all formats")
    batch.add_argument("--resume", action="store_true", help="go on with the run that the folder holds")
    batch.add_argument("--workers", type=_positive, metavar="N", help="processes that tag (default: one a core)")
    batch.add_argument("--engine", choices=ENGINES, help=f"what runs them (default: {ENGINES[0]}; ray: a cluster)")
    batch.add_argument("--time-limit", type=_positive, metavar="S", help="seconds to read a document (default: 120)")
    batch.add_argument("--memory-limit", type=_positive, metavar="MB", help="to read a file in (default: 1000)")
    tag.set_defaults(run=_tag)

    evaluate = commands.add_parser("evaluate", help="score the model on labelled texts")
    evaluate.add_argument(
        "gold", metavar="GOLD.jsonl", help='one {"id", "text", "spans": [{"label", "start", "end"}]} a line'
    )
    _add_model(evaluate)
    evaluate.add_argument("--output", metavar="FILE", help="write there instead of to standard output")
    evaluate.add_argument(
        "--format", choices=("text", "json", "html"), help="default: by the name of FILE, else text; html is a report"
    )
    evaluate.set_defaults(run=_evaluate)

    init = commands.add_parser("init", help="begin a codebook of your own: a folder with a template and labelled texts")
    init.add_argument("folder", metavar="FOLDER", help="a new or empty folder")
    init.set_defaults(run=_init)
    _add_train(commands)
    _add_review(commands)
    _add_convert(commands)

    export = commands.add_parser("export-transformers", help="write a model as a folder that transformers loads")
    export.add_argument("folder", metavar="FOLDER", help="the folder to write")
    export.add_argument("--model", default="default", metavar="NAME", help="default, small, or a model folder")
    export.add_argument(
        "--onnx", action="store_true", help="write the encoder for ONNX Runtime too, so that whopays loads the folder"
    )
    export.set_defaults(run=_export)

    corpus = commands.add_parser("corpus", help="compile and check a corpus of marked passages")
    actions = corpus.add_subparsers(required=True, metavar="ACTION")
    for name, text in (
        ("compile", "text/<split>/*.txt -> data/<split>.jsonl"),
        ("check", "counts, and problems if any"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("folder", help="the corpus folder")
        action.set_defaults(run=_compile if name == "compile" else _check)
    return parser


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model", default="default", metavar="NAME", help="default, small (quicker, weaker), or a model folder"
    )
    command.add_argument(
        "--precision", type=float, metavar="P", help="give a label only with this precision, such as 0.9 (costs recall)"
    )


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    train = commands.add_parser("train", help="make a model for a codebook from labelled texts")
    train.add_argument(
        "--corpus", nargs="+", required=True, metavar="FILE.jsonl", help="labelled texts, as for evaluate"
    )
    train.add_argument("--codebook", required=True, metavar="FILE.toml", help="the label scheme")
    train.add_argument("--output", required=True, metavar="FOLDER", help="the model folder to write")
    train.add_argument(
        "--encoder",
        metavar="NAME",
        help="the encoder of default or small, or a folder with encoder.onnx and tokenizer.json (default: default)",
    )
    train.add_argument("--name", default="custom", help="the model's name (default: custom)")
    train.add_argument("--held-out", metavar="FILE.jsonl", help="labelled texts to score the finished model on")
    train.add_argument(
        "--no-cross-validation",
        dest="cross_validation",
        action="store_false",
        help="do not measure the fit on unseen texts (for thousands of texts, much quicker)",
    )
    tuning = train.add_argument_group("tuning the encoder first", "slower; needs the train extra")
    tuning.add_argument(
        "--fine-tune",
        action="store_true",
        help="tune the encoder, too; --encoder is then default, small or a model folder",
    )
    tuning.add_argument("--base", metavar="FOLDER", help="tune this transformers encoder, not one of whopays' own")
    tuning.add_argument(
        "--epochs", type=_positive, metavar="N", help="passes over the corpus (default: 3, with --base 10)"
    )
    train.set_defaults(run=_train)


_ANNOTATION_FORMATS = ("corpus", "label-studio", "doccano", "prodigy", "web-annotation", "brat", "bio")
_UNITS = ("code-points", "utf-16")


def _add_review(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    review = commands.add_parser("review", help="pick passages for people to annotate, or take their answers")
    review.add_argument("paths", nargs="*", metavar="PATH", help="files or folders to pick passages from, as for tag")
    review.add_argument("--gold", nargs="+", default=[], metavar="FILE.jsonl", help="labelled texts to pick from, too")
    review.add_argument("--answers", nargs="+", metavar="FILE", help="take answers from the tool instead of picking")
    review.add_argument("--format", choices=_ANNOTATION_FORMATS, required=True, help="the tool that people use")
    review.add_argument("--output", metavar="FILE", help="where passages go; with --answers, the corpus file to write")
    review.add_argument("--count", type=_positive, default=50, metavar="N", help="passages to pick (default: 50)")
    review.add_argument("--model", default="default", metavar="NAME", help="default, small, or a model folder")
    review.add_argument("--other-model", metavar="NAME", help="prefer passages on which this model disagrees")
    review.add_argument(
        "--suggest", action="store_true", help="show the model's spans, to be corrected (default: none)"
    )
    review.add_argument("--prefer", metavar="NAME", help="with --answers: whose answer counts where people differ")
    review.add_argument("--offsets", choices=_UNITS, help="with --answers: what the tool counts, if not the usual")
    review.set_defaults(run=_review)


def _add_convert(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    convert = commands.add_parser("convert", help="convert annotations from one tool's format to another's")
    convert.add_argument("input", metavar="IN", help="a file, or a folder for brat and web-annotation")
    convert.add_argument("--from", dest="source", choices=_ANNOTATION_FORMATS, required=True, metavar="FORMAT")
    convert.add_argument(
        "--to",
        dest="target",
        choices=_ANNOTATION_FORMATS,
        required=True,
        metavar="FORMAT",
        help=", ".join(_ANNOTATION_FORMATS),
    )
    convert.add_argument("--output", required=True, metavar="OUT", help="the file or folder to write")
    convert.add_argument("--codebook", metavar="FILE.toml", help="the label scheme (default: whopays' own)")
    convert.add_argument("--annotator", metavar="NAME", help="keep this person's readings only")
    convert.add_argument("--from-offsets", choices=_UNITS, help="what offsets in IN count, if not the usual")
    convert.add_argument("--to-offsets", choices=_UNITS, help="what offsets in OUT shall count, if not the usual")
    convert.set_defaults(run=_convert)


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {value}, expected 1 or more")
    return number


def _tag(options: argparse.Namespace) -> int:
    from whopays.errors import UsageError
    from whopays.tagging import RunOptions, is_run_folder, run, run_folder

    of_run = RunOptions(options.engine, options.workers, options.resume, options.time_limit, options.memory_limit)
    if is_run_folder(options.output):
        for name, value in (("--format", options.format), ("--threads", options.threads)):
            if value is not None:
                raise UsageError(f"found {name} with a run folder, which has all formats and --workers; leave it out.")
        return run_folder(options.paths, options.output, options.model, options.precision, of_run)
    if of_run.given():
        raise UsageError(
            f"found {', '.join(of_run.given())} without a run folder; end --output in /, as in --output run/."
        )
    return run(options.paths, options.output, options.format, options.model, options.threads, options.precision)


def _evaluate(options: argparse.Namespace) -> int:
    from whopays.scoring import run

    return run(options.gold, options.output, options.format, options.model, options.precision)


def _init(options: argparse.Namespace) -> int:
    from pathlib import Path

    from whopays.starter import start

    for path in start(options.folder):
        print(path)
    print(f"Next: edit the codebook, then train as {Path(options.folder) / 'README.md'} says.", file=sys.stderr)
    return OK


def _train(options: argparse.Namespace) -> int:
    from whopays.errors import UsageError

    common = {"name": options.name, "cross_validation": options.cross_validation, "held_out": options.held_out}
    if not options.fine_tune:
        from whopays.training.training import train

        given = [name for name in ("base", "epochs") if getattr(options, name) is not None]
        if given:
            raise UsageError(f"found --{', --'.join(given)} without --fine-tune; add it, or leave that out.")
        print(train(options.corpus, options.codebook, options.output, options.encoder, **common), end="")
        return OK
    from pathlib import Path

    from whopays.training.tuned import OwnTuning, train_tuned

    if options.encoder is not None and options.base is not None:
        raise UsageError("found --encoder and --base, expected one encoder to tune; leave one of them out.")
    base = None if options.base is None else Path(options.base)
    tuning = OwnTuning(options.encoder or OwnTuning.encoder, base, options.epochs)
    print(train_tuned(options.corpus, options.codebook, options.output, tuning, **common), end="")
    return OK


def _export(options: argparse.Namespace) -> int:
    from whopays.training.float_export import export_transformers

    print(export_transformers(options.folder, options.model, options.onnx))
    return OK


def _review(options: argparse.Namespace) -> int:
    from pathlib import Path

    from whopays.errors import UsageError
    from whopays.review.reviewing import Review, take_answers, write_review

    if options.answers:
        report, problems = take_answers(
            options.answers, options.format, options.output, options.model, options.prefer, options.offsets
        )
        print(report, end="")
        _warn(problems)
        return OK
    if options.output is None:
        raise UsageError("review needs --output, the file or folder to write passages to; give one.")
    review = Review(
        options.paths,
        options.gold,
        Path(options.output),
        options.format,
        options.count,
        options.model,
        options.other_model,
        options.suggest,
    )
    picked, problems = write_review(review)
    for item in picked:
        print(f"{item.worth:.2f}  {item.example.id}: {'; '.join(item.reasons) or 'unlike the others'}")
    _warn(problems)
    return SOME_FAILED if problems else OK


def _convert(options: argparse.Namespace) -> int:
    from pathlib import Path

    from whopays.annotation import Conversion
    from whopays.review.reviewing import run_conversion

    conversion = Conversion(
        Path(options.input),
        options.source,
        Path(options.output),
        options.target,
        options.from_offsets,
        options.to_offsets,
        options.annotator,
    )
    summary, skipped = run_conversion(conversion, options.codebook)
    print(summary, end="")
    _warn(skipped)
    return OK


def _warn(problems: Sequence[str]) -> None:
    from whopays.writers.terminal import print_problem

    for problem in problems:
        print_problem(problem)


def _compile(options: argparse.Namespace) -> int:
    from whopays.corpus.compiling import compile_corpus, corpus_codebook

    for split, count in compile_corpus(options.folder, corpus_codebook(options.folder)).items():
        print(f"{split}: {count} passages")
    return OK


def _check(options: argparse.Namespace) -> int:
    from whopays.corpus.checking import check_corpus

    report, problems = check_corpus(options.folder)
    print(report)
    for problem in problems:
        print(f"whopays: {problem}", file=sys.stderr)
    return SOME_FAILED if problems else OK
