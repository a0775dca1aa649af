"""`tagger.tag_batch` with the real `datasets`: columns, cache, processes; and pickling a tagger."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import Dataset
from datasets.fingerprint import Hasher

import whopays
from whopays.errors import ModelError, UsageError
from whopays.tagger import Tagger

TEXTS = ["The museum opens at nine.", "Students now pay $5,500 a year.", "", "The state cut its grants. 😀"]


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """Texts in a file, since only datasets with a file are cached."""
    Dataset.from_dict({"text": TEXTS, "id": list("abcd")}).save_to_disk(str(tmp_path / "data"))
    return datasets.load_from_disk(str(tmp_path / "data"))


def test_a_dataset_gets_the_columns_of_results(data: Dataset, tagger: Tagger) -> None:
    tagged = data.map(tagger.tag_batch, batched=True)
    assert tagged["text"][:] == TEXTS
    for row, result in zip(tagged, tagger.tag_all(TEXTS), strict=True):
        expected = result.to_dict()
        assert {name: row[name] for name in ("payers", "labels", "scores", "spans", "model")} == {
            name: expected[name] for name in ("payers", "labels", "scores", "spans", "model")
        }


def test_the_second_time_nothing_is_tagged(data: Dataset, tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    first = data.map(tagger.tag_batch, batched=True)
    assert first.cache_files

    def refuse(self: Tagger, texts: Any) -> None:
        raise AssertionError("tagged again")

    again = whopays.load("small", threads=2)
    monkeypatch.setattr(Tagger, "tag_all", refuse)
    second = data.map(again.tag_batch, batched=True)
    assert second.cache_files == first.cache_files
    assert second[:] == first[:]


def test_equal_taggers_have_equal_hashes_and_other_models_another(tagger: Tagger, model_copy: Path) -> None:
    assert Hasher.hash(whopays.load("small", threads=2).tag_batch) == Hasher.hash(tagger.tag_batch)
    assert Hasher.hash(whopays.load(model_copy, threads=2).tag_batch) != Hasher.hash(tagger.tag_batch)


def test_processes_give_the_same(data: Dataset, tagger: Tagger) -> None:
    parallel = data.map(tagger.tag_batch, batched=True, num_proc=2)
    assert parallel["labels"][:] == data.map(tagger.tag_batch, batched=True)["labels"][:]


def test_columns_may_have_other_names_and_a_prefix(tagger: Tagger) -> None:
    gold = Dataset.from_dict({"body": TEXTS, "labels": [["x"]] * 4})
    tagged = gold.map(tagger.tag_batch, batched=True, fn_kwargs={"column": "body", "prefix": "predicted_"})
    assert tagged["labels"][0] == ["x"]
    assert tagged["predicted_labels"][1] == list(tagger.tag(TEXTS[1]).labels)


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        ({"body": ["a"]}, "found the columns body, expected 'text'; name yours with column="),
        ({"text": ["a"], "labels": [[]]}, "the batch has the columns labels already; give prefix="),
        ({"text": [None]}, "found NoneType, expected a str"),
    ],
)
def test_a_batch_that_cannot_be_tagged_is_refused(batch: dict[str, list[Any]], reason: str, tagger: Tagger) -> None:
    with pytest.raises(UsageError, match=reason):
        tagger.tag_batch(batch)


def test_a_tagger_is_pickled_by_its_folder_and_checked(tagger: Tagger, model_copy: Path, tmp_path: Path) -> None:
    copy = pickle.loads(pickle.dumps(tagger))
    assert copy.tag(TEXTS[1]) == tagger.tag(TEXTS[1])
    pickled = pickle.dumps(whopays.load(model_copy))
    assert len(pickled) < 1000
    model_copy.rename(tmp_path / "gone")
    with pytest.raises(ModelError):
        pickle.loads(pickled)
    with pytest.raises(UsageError, match=r"only a tagger made by whopays\.load\(\) can be pickled"):
        pickle.dumps(Tagger(tagger._model))
