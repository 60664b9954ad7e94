"""Table 1: five documents counted by hand, the published rows, and how they are compared."""

from pathlib import Path

import pytest

from axml_jax.data import table_one
from axml_jax.data.corpus import Document
from axml_jax.data.store import write_store
from axml_jax.errors import InputError
from axml_jax.tables import show_table

SPLITS = {
    "train": [
        Document("The cat; the dog.", ("a", "b", "a")),  # 4 words, 2 labels
        Document("a dog", ("a",)),  # 2 words
        Document("...", ()),  # none
    ],
    "valid": [Document("bird", ("v",))],
    "test": [Document("one two three", ("a", "z")), Document("dog", ("z",))],
}
# Words the, cat, dog, a; labels a, b, v, z; 3 entries of 2 labels in training.
BY_HAND = table_one.Row("five", 3, 2, 4, 4, 1.0, 1.5, 2.0, 2.0)


def test_documents_by_hand() -> None:
    assert table_one.row_of_documents("five", SPLITS) == BY_HAND


def test_each_document_is_read_once_and_passed_on() -> None:
    tally = table_one.Tally()
    for split, documents in SPLITS.items():
        assert list(tally.reading(split, iter(documents))) == documents
    assert tally.row("five") == BY_HAND


def test_a_store_by_hand(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", SPLITS, source="a test", vectors="none")
    assert table_one.row_of_store("five", store) == BY_HAND
    other = table_one.row_of_store("five", store, test="valid")
    assert other[2:] == (1, 4, 4, 1.0, 1.5, 2.0, 1.0)
    assert table_one.row_of_store("five", store, test="none")[2] == 0


def test_without_test_documents() -> None:
    row = table_one.row_of_documents("x", {"train": SPLITS["train"]})
    assert (row.test_documents, row.words_per_test_document) == (0, None)
    _, (cells,) = table_one.table_cells([row])
    assert cells == ("x", "3", "0", "4", "2", "1.00", "1.50", "2.00", "-")
    told = table_one.differences(row, BY_HAND)
    assert [difference.field for difference in told] == [
        "test_documents",
        "labels",
        "words_per_test_document",
    ]


def test_without_training_documents() -> None:
    with pytest.raises(InputError, match=r"expected documents in the split 'train'.*read: test"):
        table_one.row_of_documents("x", {"test": SPLITS["test"]})


def test_the_published_rows_hold_together() -> None:
    assert list(table_one.PAPER) == ["RCV1", "EUR-Lex", "Wiki10-31K", "WikiLSHTC", "AmazonCat-13K"]
    for name, row in table_one.PAPER.items():
        assert row.name == name
        mean = row.train_documents * row.labels_per_document / row.labels
        # Labels that no training document has make the published mean larger, never much.
        sound = 0.995 * mean <= row.documents_per_label <= 1.05 * mean
        assert sound != ((name, "documents_per_label") in table_one.REMARKS), name


def test_differences_are_what_differs_beyond_the_printed_decimals() -> None:
    published = table_one.PAPER["RCV1"]
    assert table_one.differences(published, published) == []
    near = published._replace(labels_per_document=3.1849, words_per_train_document=267.505)
    assert table_one.differences(near, published) == []
    far = published._replace(train_documents=23_150, labels_per_document=3.1751 - 0.001)
    found = table_one.differences(far, published)
    assert [str(difference) for difference in found] == [
        "N_train is 23,150, 23,149 in the paper",
        "labels/document is 3.17, 3.18 in the paper",
    ]
    wiki = table_one.PAPER["Wiki10-31K"]
    (one,) = table_one.differences(wiki._replace(documents_per_label=8.52), wiki)
    assert "8.52, 18.64 in the paper (the paper's two means stand in each other's" in str(one)


def test_the_cells_make_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    header, rows = table_one.table_cells([*table_one.PAPER.values(), BY_HAND])
    show_table(table_one.SOURCE, header, rows)
    shown = capsys.readouterr().out
    assert "arXiv:1811.01727v1" in shown
    assert rows[3] == ("WikiLSHTC", "456,886", "81,262", "346,299", "36,504", "1.86", "4.33",
                       "122.74", "122.87")  # fmt: skip
