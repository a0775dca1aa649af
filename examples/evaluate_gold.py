"""Score the model on labelled texts, with 95 % bootstrap intervals over documents."""

from pathlib import Path

import whopays
from whopays.corpus.records import load_examples
from whopays.evaluation.evaluating import evaluate, format_evaluation

tagger = whopays.load()
gold = load_examples(Path(__file__).parents[1] / "corpus" / "data" / "heldout.jsonl", tagger.codebook)
print(format_evaluation(evaluate(gold[:60], tagger, samples=200)))
