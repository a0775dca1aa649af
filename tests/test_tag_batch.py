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


def test_a_first_batch_without_claims_leaves_the_columns_their_types(tagger: Tagger) -> None:
    quiet = [TEXTS[0], "It rained.", "", "He sang."]
    data = Dataset.from_dict({"text": [*quiet, *TEXTS]})
    with pytest.raises(
        TypeError, match="null"
    ):  # what it is good for; if datasets mends this, say less in the how-to page
        data.map(tagger.tag_batch, batched=True, batch_size=4)
    features = tagger.batch_features(data)
    tagged = data.map(tagger.tag_batch, batched=True, batch_size=4, features=features)
    assert tagged.features == features
    assert tagged["labels"][:] == [list(tagger.tag(text).labels) for text in data["text"]]
    assert any(tagged["labels"][4:])
    rest = data.select(range(4)).map(tagger.tag_batch, batched=True, features=features)
    assert datasets.concatenate_datasets([tagged, rest]).num_rows == 12


def test_features_are_those_that_datasets_finds_where_every_list_is_filled(tagger: Tagger) -> None:
    row = tagger.tag(TEXTS[1]).to_dict()
    names = [*tagger.codebook.fields, "labels", "scores", "spans", "model", "version"]
    full = {name: [row[name] or ["x"]] for name in names}
    assert Dataset.from_dict({"text": TEXTS[1:2], **full}).features == tagger.batch_features(
        datasets.Features({"text": datasets.Value("string")})
    )


def test_streamed_datasets_and_typed_columns_are_tagged_too(tagger: Tagger) -> None:
    kinds = datasets.Features({"text": datasets.Value("string"), "kind": datasets.ClassLabel(names=["a", "b"])})
    data = Dataset.from_dict({"text": TEXTS, "kind": [0, 1, 0, 1]}, features=kinds)
    stream = data.to_iterable_dataset()
    options: dict[str, Any] = {"batched": True, "batch_size": 1, "fn_kwargs": {"prefix": "p_"}}
    for source in (data, stream):
        features = tagger.batch_features(source, prefix="p_")
        tagged = source.map(tagger.tag_batch, features=features, **options)
        assert tagged.features["kind"] == kinds["kind"]
        assert [row["p_labels"] for row in tagged] == [list(tagger.tag(text).labels) for text in TEXTS]
    with pytest.raises(UsageError, match="found no features in a IterableDataset"):
        tagger.batch_features(datasets.IterableDataset.from_generator(lambda: iter([{"text": "a"}])))
    with pytest.raises(UsageError, match="the batch has the columns p_labels already"):
        tagger.batch_features(datasets.Features({"p_labels": datasets.Value("string")}), "p_")


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
