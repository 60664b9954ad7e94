"""Stores that take words, labels and vectors from an earlier store or run."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from axml_jax import runs
from axml_jax.data import statistics, statistics_tables, summary
from axml_jax.data.base import read_base
from axml_jax.data.corpus import Document
from axml_jax.data.store import Store, open_store, write_store
from axml_jax.errors import ConfigError, InputError

EARLIER = [
    Document("the cat sat", ("m", "z")),
    Document("a dog ran", ("b",)),
    Document("the dog sat", ("z",)),
]
# "b" has no document here, "a" and "n" are new, "c" and "late" are in the split test only.
LATER = [Document("the wolf sat", ("z", "n")), Document("a cat", ("m", "a")), Document("wolf", ())]
LATER_TEST = [Document("dog wolf", ("late", "n")), Document("cat", ("c", "b"))]


@pytest.fixture
def earlier(tmp_path: Path) -> Store:
    splits = {"train": EARLIER, "test": [Document("cat", ("late",))]}
    return write_store(tmp_path / "earlier", splits, source="", vector_width=3)


def write(path: Path, base: Any, **others: Any) -> Store:
    splits = {"train": LATER, "test": LATER_TEST}
    return write_store(path, splits, source="later", base=base, **others)


def test_words_and_labels_keep_their_ids(earlier: Store, tmp_path: Path) -> None:
    assert earlier.label_names == ["b", "m", "z", "late"]
    store = write(tmp_path / "later", earlier.path)
    assert store.vocabulary.words == earlier.vocabulary.words
    assert store.label_names == ["b", "m", "z", "a", "n", "c", "late"]
    assert store.num_train_labels == 5
    assert store.label_counts.tolist() == [0, 1, 1, 1, 1, 0, 0]
    words = store.vocabulary.words
    tokens = [[words[t] for t in store.splits["train"].document(i)] for i in range(3)]
    assert tokens == [["the", "<unk>", "sat"], ["a", "cat"], ["<unk>"]]
    assert [store.splits["train"].labels(i).tolist() for i in range(3)] == [[2, 4], [1, 3], []]
    assert [store.splits["test"].labels(i).tolist() for i in range(2)] == [[4, 6], [0, 5]]
    about = store.description["splits"]
    assert about["train"]["unknown_tokens"] == 2
    # "b", which the base knows, has no document here either.
    assert about["test"]["labels_unseen_in_train"] == 3
    assert about["test"]["entries_unseen_in_train"] == 3
    np.testing.assert_array_equal(store.vectors, earlier.vectors)
    assert store.description["vectors"]["kind"] == "base"
    assert store.description["vectors"]["of"] == "ppmi"
    again = write(tmp_path / "again", store.path)
    assert again.description["vectors"]["of"] == "ppmi"
    assert store.description["vectors"]["sha256"] == earlier.description["vectors"]["sha256"]
    assert store.description["base"] == {
        "name": "earlier",
        "fingerprint": earlier.fingerprint,
        "labels": 3,
    }
    store.verify()


def test_a_base_of_a_base(earlier: Store, tmp_path: Path) -> None:
    second = write(tmp_path / "second", earlier.path, max_tokens=2)
    assert second.splits["train"].lengths.tolist() == [2, 2, 1]
    third = write_store(
        tmp_path / "third", {"train": [Document("cat", ("c",))]}, source="", base=second.path
    )
    # Its model does not know what only stood in the split test.
    assert third.label_names == ["b", "m", "z", "a", "n", "c"]
    assert third.num_train_labels == 6


def test_a_store_without_vectors_leaves_none(tmp_path: Path) -> None:
    write_store(tmp_path / "bare", {"train": EARLIER}, source="", vectors="none")
    assert write(tmp_path / "later", tmp_path / "bare").vectors is None


def test_a_run_is_a_base_with_the_fingerprint_of_its_store(
    tiny_run: Path, tiny_store: Store, tmp_path: Path
) -> None:
    labels = runs.read_json(tiny_run / "labels.json")["names"]
    document = Document("flags and the command line", (labels[1], "aaa new"))
    store = write_store(tmp_path / "later", {"train": [document]}, source="", base=tiny_run)
    assert store.vocabulary.words == tiny_store.vocabulary.words
    assert store.label_names == [*labels, "aaa new"]
    assert store.splits["train"].labels(0).tolist() == [1, len(labels)]
    assert store.vectors is None
    assert store.description["base"]["fingerprint"] == tiny_store.fingerprint


def test_the_summary_tells_what_is_new(
    earlier: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary.show(write(tmp_path / "later", earlier.path))
    shown = " ".join(capsys.readouterr().out.split())
    assert f"words and labels of earlier (fingerprint {earlier.fingerprint[:16]})" in shown
    assert "2 of 6 words of the training texts are unknown to it" in shown
    assert "2 labels are new, 3 known, 1 of these without a training document here" in shown
    assert "vectors of width 3 of the base" in shown


@pytest.mark.parametrize(
    ("setting", "value"),
    [("vocabulary_size", 9), ("min_documents", 2), ("vectors", "none"), ("vector_width", 2)],
)
def test_what_the_base_decides_cannot_be_chosen(
    earlier: Store, tmp_path: Path, setting: str, value: Any
) -> None:
    with pytest.raises(ConfigError, match=rf"--{setting} cannot be had with --base"):
        write_store(
            tmp_path / "later",
            {"train": map(pytest.fail, ["documents were read"])},
            source="",
            base=earlier.path,
            **{setting: value},
        )
    assert not (tmp_path / "later").exists()


def test_what_is_no_base_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: there is no such folder; --base takes"):
        read_base(tmp_path / "nowhere")
    with pytest.raises(InputError, match="it is neither a store nor a run"):
        write(tmp_path / "later", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("labels.json", lambda labels: labels.update(names=["a", 1]), "no list of label names"),
        ("run.json", lambda run: run["data"].pop("fingerprint"), "names no fingerprint"),
        ("run.json", lambda run: run.update(format="else"), "not written by axml_jax"),
    ],
)
def test_a_damaged_run_is_no_base(
    file: str, change: Any, message: str, tiny_run: Path, tmp_path: Path
) -> None:
    for name in ("run.json", "words.json", "labels.json"):
        shutil.copy(tiny_run / name, tmp_path)
    content = runs.read_json(tmp_path / file)
    change(content)
    runs.write_json(tmp_path / file, content)
    with pytest.raises(InputError, match=message):
        read_base(tmp_path)


def test_documents_that_the_base_cannot_read_are_refused(earlier: Store, tmp_path: Path) -> None:
    for documents, message in (
        ([Document("loup chien", ("z",)), Document("...", ())], "knows no word of the split"),
        ([Document("the cat", ())], "nothing can be learned"),
    ):
        with pytest.raises(InputError, match=message):
            write_store(tmp_path / "later", {"train": documents}, source="", base=earlier.path)
        assert not (tmp_path / "later").exists()


@pytest.mark.parametrize(
    "wrong", [3, {}, {"name": "x", "fingerprint": "y", "labels": 1}, {"labels": 6}]
)
def test_a_damaged_description_of_the_base_is_told(
    earlier: Store, tmp_path: Path, wrong: Any
) -> None:
    store = write(tmp_path / "later", earlier.path)
    file = store.path / "store.json"
    description = json.loads(file.read_text())
    if isinstance(wrong, dict) and set(wrong) == {"labels"}:
        wrong = {**description["base"], **wrong}
    description["base"] = wrong
    file.write_text(json.dumps(description))
    with pytest.raises(InputError, match="'base' does not describe a store or run"):
        open_store(store.path)


def test_statistics_count_what_is_here(earlier: Store, tmp_path: Path) -> None:
    store = write(tmp_path / "later", earlier.path)
    found = statistics.gather(store, "later")
    assert found["splits"]["test"]["unseen"] == {
        "labels": 3, "labels_share": 3 / 4, "entries": 3, "entries_share": 3 / 4,
    }  # fmt: skip
    # One document each; "b" has none and is no label of these documents.
    assert found["documents_per_label"]["min"] == 1
    assert found["documents_per_label"]["mean"] == found["table_one"]["documents_per_label"] == 1
    assert {about["label"] for about in found["rarest_labels"]} == {"m", "z", "a", "n"}
    known = [word for word in ("the", "sat", "a", "cat") if word in earlier.vocabulary]
    assert earlier.vectors is not None
    has_vector = [bool(np.any(earlier.vectors[earlier.vocabulary.id(w)])) for w in known]
    shares = found["splits"]["train"]["coverage"]
    assert shares["words_with_vector"] == pytest.approx(sum(has_vector) / 6)
    statistics_tables.show(found)


@pytest.mark.parametrize("titles", [5, ["only one"], [1, 2, 3]])
def test_damaged_titles_of_a_run_are_told(titles: Any, tiny_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    labels = json.loads((run / "labels.json").read_text())
    (run / "labels.json").write_text(json.dumps({**labels, "titles": titles}))
    with pytest.raises(InputError, match=r"'titles' should be a list of \d+ texts"):
        read_base(run)
