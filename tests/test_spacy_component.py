"""The spaCy component, with the real spaCy: any tokenizer, batches, processes, disk, and displaCy."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from whopays.errors import ModelError, UsageError
from whopays.integrations.spacy import WhopaysComponent, render
from whopays.tagger import Tagger

CLAIM = "😀 Students now pay $5,500 a year.\r\n\r\nFirms pass the cost on to work\u00aders, e\u0301tudiants too."
NOTHING = "The museum opens at nine."


class Whitespace:
    """The tokenizer of spaCy's documentation: words between single spaces."""

    def __init__(self, vocab: Vocab) -> None:
        self.vocab = vocab

    def __call__(self, text: str) -> Doc:
        return Doc(self.vocab, words=text.split(" "))


class Characters(Whitespace):
    def __call__(self, text: str) -> Doc:
        return Doc(self.vocab, words=list(text), spaces=[False] * len(text))


class OneToken(Whitespace):
    def __call__(self, text: str) -> Doc:
        return Doc(self.vocab, words=[text] if text else [], spaces=[False] if text else [])


@pytest.fixture(scope="module")
def nlp(tagger: Tagger) -> Language:
    nlp = spacy.blank("en")
    component = nlp.add_pipe("whopays", config={"model": "small"})
    assert isinstance(component, WhopaysComponent)
    component._tagger = tagger
    return nlp


def same(docs: Iterable[Doc], expected: Iterable[Doc]) -> bool:
    return [json.dumps(doc.user_data["whopays"]) for doc in docs] == [
        json.dumps(doc.user_data["whopays"]) for doc in expected
    ]


def test_a_doc_has_spans_with_scores_and_document_scores_and_the_exact_result(nlp: Language, tagger: Tagger) -> None:
    doc, result = nlp(CLAIM), tagger.tag(CLAIM)
    assert result.spans
    assert doc._.whopays == result
    assert doc.cats == dict(result.scores)
    group = doc.spans["whopays"]
    assert [span.label_ for span in group] == [span.label for span in result.spans]
    assert list(group.attrs["scores"]) == list(np.float32([span.score for span in result.spans]))


@pytest.mark.parametrize("tokenizer", [None, Whitespace, Characters, OneToken])
@pytest.mark.parametrize("language", ["en", "xx"])
def test_spans_are_widened_to_whole_tokens_of_any_tokenizer_and_exact_offsets_are_kept(
    language: str, tokenizer: type[Whitespace] | None, tagger: Tagger
) -> None:
    nlp = spacy.blank(language)
    nlp.add_pipe("whopays")._tagger = tagger  # type: ignore[attr-defined]
    if tokenizer is not None:
        nlp.tokenizer = tokenizer(nlp.vocab)
    doc = nlp(CLAIM)
    assert doc._.whopays.spans
    assert doc._.whopays == tagger.tag(doc.text)
    tokens = {(span.start_char, span.end_char, span.label_) for span in doc.spans["whopays"]}
    for span in doc._.whopays.spans:
        assert doc.text[span.start : span.end] == span.text
        wide = [(a, b) for a, b, label in tokens if label == span.label and a <= span.start and span.end <= b]
        assert wide
        a, b = min(wide, key=lambda place: place[1] - place[0])
        touched = [t for t in doc if t.idx < span.end and span.start < t.idx + len(t)]
        assert (a, b) == (touched[0].idx, touched[-1].idx + len(touched[-1]))


@pytest.mark.parametrize("text", ["", " \n", NOTHING])
def test_a_text_without_claims_has_no_spans_and_is_tagged_all_the_same(nlp: Language, text: str) -> None:
    doc = nlp(text)
    assert (len(doc.spans["whopays"]), doc._.whopays.labels) == (0, ())
    assert spacy.blank("en")(text)._.whopays is None


def test_pipe_gives_what_single_calls_give_in_order(nlp: Language) -> None:
    texts = [CLAIM, NOTHING, "", "The state cut its grants."] * 3
    assert same(nlp.pipe(texts, batch_size=5), [nlp(text) for text in texts])


def test_docs_travel_between_processes(nlp: Language) -> None:
    texts = [CLAIM, NOTHING, CLAIM]
    assert same(nlp.pipe(texts, batch_size=1, n_process=2), [nlp(text) for text in texts])


def test_docs_that_fail_go_to_the_error_handler(nlp: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    component = WhopaysComponent()

    class Broken:
        def tag_all(self, texts: list[str]) -> None:
            raise ModelError("broken")

    component._tagger = Broken()  # type: ignore[assignment]
    docs = [nlp.make_doc(NOTHING)]
    with pytest.raises(ModelError, match="broken"):
        list(component.pipe(docs))
    failed: list[Doc] = []
    component.set_error_handler(lambda name, proc, docs, error: failed.extend(docs))  # type: ignore[arg-type, return-value]
    assert list(component.pipe(docs)) == []
    assert failed == docs


def test_docs_survive_bytes_doc_bins_and_pickle(nlp: Language) -> None:
    doc = nlp(CLAIM)
    (binned,) = DocBin(docs=[doc], store_user_data=True).get_docs(nlp.vocab)
    assert binned._.whopays == doc._.whopays
    for copy in (Doc(nlp.vocab).from_bytes(doc.to_bytes()), pickle.loads(pickle.dumps(doc))):
        assert copy._.whopays == doc._.whopays
        assert [str(span) for span in copy.spans["whopays"]] == [str(span) for span in doc.spans["whopays"]]
        assert list(copy.spans["whopays"].attrs["scores"]) == list(doc.spans["whopays"].attrs["scores"])


def test_a_pipeline_survives_disk_and_bytes_and_pickle(nlp: Language, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path / "saved")
    assert not (tmp_path / "saved" / "whopays" / "model").exists()
    copies = [spacy.load(tmp_path / "saved"), spacy.blank("en")]
    copies[1].add_pipe("whopays", config={"model": "small"})
    copies[1].from_bytes(nlp.to_bytes())
    for copy in copies:
        assert same([copy(CLAIM)], [nlp(CLAIM)])
    component = pickle.loads(pickle.dumps(nlp.get_pipe("whopays")))
    assert same([component(nlp.make_doc(CLAIM))], [nlp(CLAIM)])


def test_a_pipeline_with_a_model_of_its_own_brings_it_along(model_copy: Path, tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("whopays", config={"model": str(model_copy), "spans_key": "sc"})
    nlp.to_disk(tmp_path / "saved")
    packed = nlp.to_bytes()
    expected = nlp(CLAIM)
    model_copy.rename(tmp_path / "moved-away")
    loaded = spacy.load(tmp_path / "saved")
    unpacked = spacy.blank("en")
    unpacked.add_pipe("whopays")
    unpacked.from_bytes(packed)
    for copy in (loaded, unpacked):
        doc = copy(CLAIM)
        assert [str(span) for span in doc.spans["sc"]] == [str(span) for span in expected.spans["sc"]]


@pytest.mark.parametrize("key", ["codebook", "model"])
def test_a_pipeline_saved_with_another_model_or_codebook_says_so(nlp: Language, tmp_path: Path, key: str) -> None:
    nlp.to_disk(tmp_path)
    cfg = tmp_path / "whopays" / "cfg"
    cfg.write_text(json.dumps({**json.loads(cfg.read_text()), key: "other"}))
    if key == "codebook":
        with pytest.raises(ModelError, match="the pipeline was saved with the codebook other"):
            spacy.load(tmp_path)
    else:
        with pytest.warns(UserWarning, match="the pipeline was saved with the model other"):
            assert spacy.load(tmp_path)(CLAIM)._.whopays.labels


def test_displacy_shows_the_evidence_in_the_codebooks_colors(nlp: Language, tagger: Tagger) -> None:
    doc = nlp(CLAIM)
    html = render(doc, tagger.codebook, page=True)
    assert html.startswith("<!DOCTYPE html>")
    for label in doc._.whopays.labels:
        assert label in html
        assert tagger.codebook[label].color in html
    assert "museum" in render(nlp(NOTHING), tagger.codebook)
    assert "<script>" not in render(nlp("<script> Students now pay $5,500 a year."), tagger.codebook)
    with pytest.raises(UsageError, match="the doc has no spans under 'whopays'"):
        render(spacy.blank("en")(CLAIM), tagger.codebook)


def test_the_integration_imports_spacy_without_torch() -> None:
    code = "import sys, whopays.integrations.spacy; print('spacy' in sys.modules, 'torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert (run.stderr, run.stdout.strip()) == ("", "True False")
