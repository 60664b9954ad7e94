"""Statistics of a store against counting by hand, and the tables that show them."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from axml_jax.data import statistics, statistics_tables, table_one
from axml_jax.data.corpus import Document
from axml_jax.data.store import Store, open_store, write_store
from axml_jax.data.titles import Titles

# Words by document: 4, 2, 6, none; labels: 1, 2, 1, 0.
TRAIN = [
    Document("the cat sat down", ("a",), "one"),
    Document("the dog", ("a", "b"), "two"),
    Document("a rare word that nobody knows", ("c",), "three"),
    Document("...", (), "four"),
]
# Two of five words known, none, all of six.
TEST = [
    Document("the new dog was new", ("a", "z"), "five"),
    Document("unheard unseen", ("z",), "six"),
    Document("a rare word that nobody knows", ("c", "y"), "seven"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("statistics") / "store"
    titles = Titles("titles.json", {"a": "an \x1b[31m animal", "z": "zoo"}, None)
    splits = {"train": TRAIN, "test": TEST}
    return write_store(path, splits, source="by hand", vectors="none", label_titles=titles)


@pytest.fixture(scope="module")
def found(store: Store) -> dict[str, Any]:
    return statistics.gather(store, "by $hand", (3, 100, 3))


def test_table_one_is_that_of_the_documents(found: dict[str, Any]) -> None:
    row = table_one.Row(**found["table_one"])
    tally = table_one.Tally()
    for split, documents in {"train": TRAIN, "test": TEST}.items():
        assert len(list(tally.reading(split, documents))) == len(documents)
    assert row == tally.row("by $hand")
    assert (row.train_documents, row.test_documents, row.words, row.labels) == (4, 3, 11, 5)
    assert row.documents_per_label == pytest.approx(4 / 3)


def test_lengths_and_labels(found: dict[str, Any]) -> None:
    train, test = found["splits"]["train"], found["splits"]["test"]
    assert (train["documents"], train["words"], test["words"]) == (4, 12, 13)
    assert train["words_per_document"] == {
        "mean": 3.0, "min": 1, "p5": 1, "p25": 1, "median": 2, "p75": 4, "p95": 6, "max": 6,
    }  # fmt: skip
    assert train["labels_per_document"]["mean"] == 1.0
    assert train["labels_per_document"]["max"] == 2
    assert (train["documents_without_words"], train["documents_without_labels"]) == (1, 1)
    assert test["labels_per_document"]["min"] == 1


def test_what_is_cut(found: dict[str, Any]) -> None:
    at_3, at_100 = found["splits"]["train"]["cut"]
    assert (at_3["cut_off"], at_100["cut_off"]) == (3, 100)
    # One word of the first document and three of the third; the empty one counts as one word.
    assert (at_3["documents"], at_3["words"]) == (2, 4)
    assert at_3["documents_share"] == 0.5
    assert at_3["words_share"] == pytest.approx(4 / 13)
    assert (at_100["documents"], at_100["words"]) == (0, 0)


def test_coverage(found: dict[str, Any]) -> None:
    train, test = (found["splits"][name]["coverage"] for name in ("train", "test"))
    assert train == {
        "words_known": 1.0,
        "distinct_words_known": 11,
        "distinct_words_known_share": 1.0,
        "vocabulary_share": 1.0,
        "words_with_vector": None,
    }
    assert test["words_known"] == pytest.approx(8 / 13)
    assert test["distinct_words_known"] == 8
    assert test["distinct_words_known_share"] == pytest.approx(8 / 12)
    assert test["vocabulary_share"] == pytest.approx(8 / 11)


def test_unseen_labels(found: dict[str, Any]) -> None:
    assert found["splits"]["train"]["unseen"]["labels"] == 0
    assert found["splits"]["test"]["unseen"] == {
        "labels": 2, "labels_share": 0.5, "entries": 3, "entries_share": pytest.approx(3 / 5),
    }  # fmt: skip


def test_labels_by_frequency(found: dict[str, Any]) -> None:
    about = found["documents_per_label"]
    assert about["distribution"] == [[1, 2], [2, 1]]
    assert (about["rare_labels"], about["rare_share"], about["head_labels"]) == (3, 1.0, 1)
    assert about["head_entries_share"] == 0.5
    frequent = [(one["label"], one["documents"]) for one in found["most_frequent_labels"]]
    assert frequent == [("a", 2), ("b", 1), ("c", 1)]
    assert [one["label"] for one in found["rarest_labels"]] == ["b", "c", "a"]
    assert found["most_frequent_labels"][0]["title"] == "an \x1b[31m animal"


def test_head_and_tail_by_hand() -> None:
    counts = np.array([100, 50, 6, 5, 5, 4, 3, 2, 1, 1] * 2)
    about = statistics.documents_per_label(counts)
    assert (about["rare_labels"], about["rare_share"]) == (14, 0.7)
    assert about["rare_entries_share"] == pytest.approx(21 / 177)
    assert about["head_entries_share"] == pytest.approx(200 / 354)
    assert about["median"] == 4
    assert [1, 4] in about["distribution"]


def test_near_duplicates_between_splits(found: dict[str, Any]) -> None:
    (pair,) = found["near_duplicates"]
    assert (pair["split"], pair["other"], pair["documents"], pair["identical"]) == (
        "test", "train", 1, 1,
    )  # fmt: skip
    assert pair["documents_share"] == pytest.approx(1 / 3)
    assert pair["pairs"] == [{"document": "seven", "twin": "three", "similarity": 1.0}]


def test_every_pair_of_splits_is_compared(tmp_path: Path) -> None:
    some = [document._replace(id="") for document in TRAIN]
    splits = {"train": some, "valid": TEST[:2], "test": some[2:3]}
    store = write_store(tmp_path / "store", splits, source="", vectors="none")
    pairs = statistics.gather(store, "")["near_duplicates"]
    assert [(pair["split"], pair["other"], pair["documents"]) for pair in pairs] == [
        ("valid", "train", 0), ("test", "train", 1), ("test", "valid", 0),
    ]  # fmt: skip
    assert pairs[1]["pairs"][0]["twin"] == "document 3"


def test_all_documents_are_in_the_histogram(found: dict[str, Any]) -> None:
    histogram = found["length_histogram"]
    assert histogram["edges"] == [1, 2, 3, 4, 5, 6, 7]
    assert histogram["documents"] == {"train": [1, 1, 0, 1, 0, 1], "test": [0, 1, 0, 0, 1, 1]}


def test_a_store_of_single_words(tmp_path: Path) -> None:
    one = {"train": [Document("word", ("a",))]}
    found = statistics.gather(write_store(tmp_path / "s", one, source="", vectors="none"), "x")
    assert found["length_histogram"] == {"edges": [1, 2], "documents": {"train": [1]}}
    assert found["near_duplicates"] == []


def test_vectors_of_a_file_and_made_here(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_text("the 1 2\ndog 3 4\n")
    splits = {"train": TRAIN, "test": TEST}
    store = write_store(tmp_path / "a", splits, source="", vectors=tmp_path / "glove.txt")
    found = statistics.gather(store, "")["splits"]
    # "the" twice, "dog" once; of 13, for the empty document is one unknown word.
    assert found["train"]["coverage"]["words_with_vector"] == pytest.approx(3 / 13)
    assert found["test"]["coverage"]["words_with_vector"] == pytest.approx(2 / 13)
    store = write_store(tmp_path / "b", splits, source="", vector_width=4)
    assert store.vectors is not None
    known = sum(bool(np.any(store.vectors[token])) for token in store.splits["test"].tokens)
    unknown = int(np.count_nonzero(store.splits["test"].tokens == 1))
    found = statistics.gather(store, "")["splits"]
    expected = sum(
        bool(np.any(store.vectors[token])) for token in store.splits["test"].tokens if token > 1
    )
    assert known >= expected
    assert unknown == 5
    assert found["test"]["coverage"]["words_with_vector"] == pytest.approx(expected / 13)


def test_small_blocks_count_the_same(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = statistics.gather(store, "x")
    monkeypatch.setattr(statistics, "_BLOCK", 2)
    assert statistics.gather(store, "x") == whole


def test_a_store_from_before_unknown_words_were_counted(store: Store, tmp_path: Path) -> None:
    path = shutil.copytree(store.path, tmp_path / "old")
    description = json.loads((path / "store.json").read_text())
    for about in description["splits"].values():
        del about["distinct_unknown_words"]
    (path / "store.json").write_text(json.dumps(description))
    coverage = statistics.gather(open_store(path), "x")["splits"]["test"]["coverage"]
    assert coverage["distinct_words_known_share"] is None
    assert coverage["distinct_words_known"] == 8


def test_everything_is_shown_and_nothing_commands_the_terminal(
    found: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    statistics_tables.show(json.loads(json.dumps(found)))
    shown = capsys.readouterr().out
    for text in (
        "by $hand", "documents/label", "1.33", "words, test", "words lost at 3 words",
        "61.54%", "3 labels (100.0%) have at most 5 training documents",
        "1 documents of test (33.33%) have a near-duplicate in train", "1 of 1 shown",
        r"an \x1b[31m animal (a)",
    ):  # fmt: skip
        assert text in shown
    lines = ["".join(c if c.isalnum() or c == "." else " " for c in x).split() for x in
             shown.splitlines()]  # fmt: skip
    header = lines.index(["test", "its", "twin", "in", "train", "similarity"])
    assert ["seven", "three", "1.00"] in lines[header:]
    assert "words with a vector" not in shown
    assert all(character.isprintable() or character == "\n" for character in shown)


def test_the_row_says_what_it_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = write_store(
        tmp_path / "s", {"train": TRAIN}, source="", vectors="none", min_documents=2, max_tokens=5
    )
    statistics_tables.show(statistics.gather(store, "cut"))
    shown = " ".join(capsys.readouterr().out.split())
    assert "D without words of fewer than 2 documents; texts were cut at 5 words" in shown
