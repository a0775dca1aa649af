"""whopays beside its peers: the same training text, the same held-out texts, one run.

    python benchmarks/peers.py --base-mpnet FOLDER --work build/peers [--peers lexicon,tfidf] [--gold NAME=FILE ...]

Every peer is fitted on the splits train, statements, contrast, retold and seed, tuned as its documentation advises, with
thresholds chosen by the same means as whopays' (`peer_models`, `peer_spacy` and `lexicon` say how); whopays' model folders
are taken as they are, and it is said whether they were fitted on the same files. Scored: the held-out passages, whole
documents and retold passages, and any further gold file. Fitted peers and their predictions are kept in ``--work``, so that
an interrupted run goes on. Speed is measured afresh, each system in turns with whopays. Needs the `train` and `benchmark`
extras; ``--base-mpnet`` is a sentence-transformers folder of all-mpnet-base-v2, without which the peers on it are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from peer_models import SetFitOptions
from peer_runs import Settings, fitted, peers, predicted, size_on_disk, tagged_by_whopays, timed
from peer_spacy import SpacyOptions
from peer_tables import Cost, Scored, cost_table, lead_table, quality_table, score
from whopays.codebook import Codebook
from whopays.corpus.checking import is_document, load_corpus
from whopays.corpus.markup import Example
from whopays.corpus.records import load_examples

CORPUS = Path(__file__).parents[1] / "corpus"
TRAINED_ON = ("train", "statements", "contrast", "retold", "seed")


def main() -> None:
    """Fit, tag, score, time, and print the tables."""
    options = _options()
    codebook = Codebook.load(CORPUS / "codebook.toml")
    models = {_title(folder): folder for folder in options.model or [CORPUS.parent / "models" / "default"]}
    settings = Settings(
        CORPUS / "codebook.toml",
        models,
        options.base_mpnet,
        SetFitOptions(steps=options.setfit_steps, shots=options.setfit_shots),
        SpacyOptions(category_steps=options.spacy_steps, span_steps=options.spacy_steps),
        options.threads,
    )
    names = _names(options.peers, list(peers(settings)))
    splits = load_corpus(CORPUS, codebook)
    train, sets = [e for name in TRAINED_ON for e in splits[name]], _sets(splits, options.gold, codebook)
    if options.limit:
        train, sets = _limited(train, options.limit), {k: _limited(v, options.limit) for k, v in sets.items()}
    _refuse_known(train, sets)
    _introduce(options, models, train, sets)

    texts = {title: [e.text for e in gold] for title, gold in sets.items()}
    spans = {title: tagged_by_whopays(title, settings, texts) for title in models}
    folders: dict[str, Path] = dict(models)
    made = {name: peers(settings)[name]() for name in names}
    system, fits = {**{title: title for title in models}, **{p.title: name for name, p in made.items()}}, {}
    for name, peer in made.items():
        store, fits[peer.title] = fitted(name, settings, train, options.work, _say)
        spans[peer.title] = predicted(name, settings, store, texts, _say)
        folders[peer.title] = store.model
    scored: dict[str, dict[str, Scored]] = {
        title: {who: score(gold, found[title], codebook.ids) for who, found in spans.items()}
        for title, gold in sets.items()
    }
    evidence = {peer.title: peer.evidence for peer in made.values()}
    for title, rows in scored.items():
        print(f"\n**{title}**, {len(sets[title])} texts\n\n{quality_table(rows, list(models), evidence)}", flush=True)
    print("\n¹ This peer finds no evidence by itself: the whole sentence counts as its evidence.")
    print(
        f"\n**Against the best peer** of each set, best on that very set\n\n{lead_table(scored, list(models))}",
        flush=True,
    )

    first = next(iter(models))
    timed_texts = _limited(sets["held-out passages"], options.speed_texts)
    costs = {}
    for title, folder in folders.items():
        _say(f"{title}: timing ...")
        place = None if title in models else folder
        speed = timed(system[title], settings, place, first, [e.text for e in timed_texts], options.rounds)
        seconds = fits[title].seconds if title in fits else None
        costs[title] = Cost(speed.sentences, speed.ratio, size_on_disk(folder), speed.memory, seconds)
    print(
        f"\n**Cost**: {options.rounds} rounds over {len(timed_texts)} held-out passages, {options.threads} threads, each system "
        f"in turns with {first} (ratio: median of the rounds); memory of a process that loads the model and tags them\n"
    )
    print(cost_table(costs, first))
    print("\nHow the peers were fitted:\n")
    for title, fit in fits.items():
        print(f"- {title}: {fit.said}")
    if options.output:
        _write(options.output, scored, costs, {title: fit.said for title, fit in fits.items()}, len(train))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--peers", help="names with commas between (default: all): lexicon, tfidf, spacy, frozen-minilm, ..."
    )
    parser.add_argument("--work", type=Path, default=Path("build/peers"), help="fitted peers and their predictions")
    parser.add_argument(
        "--model", type=Path, action="append", help="a model folder of whopays; may be given several times"
    )
    parser.add_argument("--base-mpnet", type=Path, help="sentence-transformers folder of all-mpnet-base-v2")
    parser.add_argument("--gold", action="append", default=[], metavar="NAME=FILE", help="further gold to score on")
    parser.add_argument("--setfit-steps", type=int, default=SetFitOptions.steps, help="contrastive steps of 16 pairs")
    parser.add_argument("--setfit-shots", type=int, default=SetFitOptions.shots, help="sentences for each label")
    parser.add_argument(
        "--spacy-steps", type=int, default=SpacyOptions.span_steps, help="training steps of each component at most"
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5, help="of the timing")
    parser.add_argument("--speed-texts", type=int, default=60)
    parser.add_argument("--limit", type=int, help="so many texts of every split only: to see whether it runs")
    parser.add_argument("--output", type=Path, help="the figures as JSON")
    return parser.parse_args()


def _names(wanted: str | None, known: Sequence[str]) -> list[str]:
    names = wanted.split(",") if wanted else list(known)
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"--peers: found {', '.join(unknown)}, expected some of {', '.join(known)}.")
    return names


def _title(folder: Path) -> str:
    return "whopays" if folder.resolve().name == "default" else f"whopays ({folder.resolve().name})"


def _sets(
    splits: Mapping[str, Sequence[Example]], further: Sequence[str], codebook: Codebook
) -> dict[str, list[Example]]:
    sets = {
        "held-out passages": [e for e in splits["heldout"] if not is_document(e)],
        "held-out documents": [e for e in splits["heldout"] if is_document(e)],
        "held-out retold passages": list(splits["retold-heldout"]),
    }
    for entry in further:
        name, found, file = entry.partition("=")
        if not found or name in sets:
            raise SystemExit(f"--gold: found {entry!r}, expected NAME=FILE with a new name.")
        sets[name] = load_examples(file, codebook)
    return sets


def _limited(examples: Sequence[Example], size: int) -> list[Example]:
    order = np.random.default_rng(0).permutation(len(examples))[:size]
    return [examples[index] for index in sorted(order)]


def _refuse_known(train: Sequence[Example], sets: Mapping[str, Sequence[Example]]) -> None:
    known = {example.text for example in train}
    for title, gold in sets.items():
        if seen := [example.id for example in gold if example.text in known]:
            raise SystemExit(f"{title}: {', '.join(seen[:5])} stand in the training text; score on other texts.")


def _introduce(
    options: argparse.Namespace,
    models: Mapping[str, Path],
    train: Sequence[Example],
    sets: Mapping[str, Sequence[Example]],
) -> None:
    if options.limit:
        print(f"SMOKE RUN: at most {options.limit} texts of every split. The figures mean nothing.\n")
    print(f"Training text of the peers: {len(train)} texts ({', '.join(TRAINED_ON)}).")
    files = {f"{name}.jsonl": hashlib.sha256((CORPUS / "data" / f"{name}.jsonl").read_bytes()) for name in TRAINED_ON}
    ours = {name: digest.hexdigest()[:16] for name, digest in files.items()}
    for title, folder in models.items():
        data = json.loads((folder / "model.json").read_text(encoding="utf-8"))["settings"].get("data", {})
        same = (
            "the same files"
            if data == ours
            else f"OTHER files ({', '.join(k for k in data if data[k] != ours.get(k))} differ)"
        )
        print(f"{title}: fitted on {same}.")
    print(f"Scored: {', '.join(f'{len(gold)} {title}' for title, gold in sets.items())}.", flush=True)


def _write(
    path: Path,
    scored: Mapping[str, Mapping[str, Scored]],
    costs: Mapping[str, Cost],
    said: Mapping[str, str],
    texts: int,
) -> None:
    result: dict[str, Any] = {"training_texts": texts, "fits": said, "costs": {k: asdict(v) for k, v in costs.items()}}
    result["sets"] = {
        title: {
            who: {"wrong": row.wrong, "free_sentences": row.free_sentences, **row.evaluation.to_dict()}
            for who, row in rows.items()
        }
        for title, rows in scored.items()
    }
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
