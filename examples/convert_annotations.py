"""Take labelled texts through every annotation format and back, and show that nothing is lost."""

from pathlib import Path
from tempfile import TemporaryDirectory

import whopays
from whopays.annotation import FORMATS, Annotation, annotation_format
from whopays.corpus.records import load_examples

corpus = Path(__file__).parents[1] / "corpus"
codebook = whopays.Codebook.load(corpus / "codebook.toml")
examples = load_examples(corpus / "data" / "seed.jsonl", codebook)
for name in FORMATS:
    tool = annotation_format(name)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"annotations{tool.suffix}"
        tool.write([Annotation(example) for example in examples], path, codebook)
        back = {example.id: example for example in tool.read(path, codebook, None).examples}
    same = all(back[e.id].text == e.text and back[e.id].spans == e.spans for e in examples)
    print(f"{name:15} {len(back)} texts, {'exact' if same else 'CHANGED'}")
