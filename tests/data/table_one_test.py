"""Table 1: five documents counted by hand, the published rows, and how they are compared."""

from pathlib import Path

import pytest

from axml_jax.data import table_one
from axml_jax.data.corpus import Document
from axml_jax.data.store import write_store
from axml_jax.data.text import tokenize
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


def test_each_document_is_read_once_and_passed_on() -> None:
    tally = table_one.Tally()
    for split, documents in SPLITS.items():
        assert list(tally.reading(split, iter(documents))) == documents
    assert tally.row("five") == BY_HAND
    for split in ("train", "test"):  # again, but it is counted once
        assert list(tally.reading(split, SPLITS[split])) == SPLITS[split]
    assert tally.row("five") == BY_HAND


def test_counting_without_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(table_one, "tokenize")
    tally = table_one.Tally(words=False)
    for split, documents in SPLITS.items():
        assert list(tally.reading(split, documents)) == documents
    assert tally.counts() == {"train_documents": 3, "test_documents": 2, "labels": 4}
    with pytest.raises(ValueError, match="words were not counted"):
        tally.row("five")


def test_a_store_by_hand(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", SPLITS, source="a test", vectors="none")
    assert table_one.row_of_store("five", store) == BY_HAND
    other = table_one.row_of_store("five", store, test="valid")
    assert other[2:] == (1, 4, 4, 1.0, 1.5, 2.0, 1.0)
    assert table_one.row_of_store("five", store, test="none")[2] == 0


def test_without_test_documents() -> None:
    tally = table_one.Tally()
    list(tally.reading("train", SPLITS["train"]))
    row = tally.row("x")
    assert (row.test_documents, row.words_per_test_document) == (0, None)
    header, lines = table_one.table_cells([row])
    assert header == ("", "x")
    assert [cell for _, cell in lines] == ["3", "0", "4", "2", "1.00", "1.50", "2.00", "-"]
    told = table_one.differences(row._asdict(), BY_HAND._asdict())
    assert [str(difference) for difference in told] == [
        "N_test is 0, 2 published",
        "L is 2, 4 published",
        "words/test document is -, 2.00 published",
    ]


def test_without_training_documents() -> None:
    tally = table_one.Tally()
    list(tally.reading("test", SPLITS["test"]))
    with pytest.raises(InputError, match=r"expected documents in the split 'train'.*read: test"):
        tally.row("x")


def test_the_published_rows_hold_together() -> None:
    assert list(table_one.PAPER) == ["RCV1", "EUR-Lex", "Wiki10-31K", "WikiLSHTC", "AmazonCat-13K"]
    for name, row in table_one.PAPER.items():
        assert row.name == name
        mean = row.train_documents * row.labels_per_document / row.labels
        # Labels that no training document has make the published mean larger, never much.
        sound = 0.995 * mean <= row.documents_per_label <= 1.05 * mean
        assert sound != ((name, "documents_per_label") in table_one.REMARKS), name


def differences(row: table_one.Row, published: table_one.Row) -> list[str]:
    found = table_one.differences(row._asdict(), published._asdict(), published.name)
    return [str(difference) for difference in found]


def test_counts_and_means_of_labels_differ_beyond_the_printed_decimals() -> None:
    published = table_one.PAPER["RCV1"]
    assert differences(published, published) == []
    near = published._replace(labels_per_document=3.1849, documents_per_label=729.666)
    assert differences(near, published) == []
    far = published._replace(train_documents=23_150, labels_per_document=3.1751 - 0.001)
    assert differences(far, published) == [
        "N_train is 23,150, 23,149 published",
        "labels/document is 3.17, 3.18 published",
    ]
    wiki = table_one.PAPER["Wiki10-31K"]
    (one,) = differences(wiki._replace(documents_per_label=8.52), wiki)
    assert "8.52, 18.64 published (the paper's two means stand in each other's" in one


def test_another_notion_of_a_word_is_no_difference_but_other_texts_are() -> None:
    published = table_one.PAPER["AmazonCat-13K"]
    text = (
        "The Council, having regard to the proposal of the Commission (and to the opinion of the "
        "Parliament), has adopted this well-known Regulation; it doesn't enter into force today."
    )
    words = len(tokenize(text)), len(text.split())
    assert words[0] > words[1]
    mean = published.words_per_train_document * words[0] / words[1]
    other = published._replace(words=9, words_per_train_document=mean)
    assert differences(other, published) == []
    stems = published._replace(words_per_train_document=123.0)
    assert differences(stems, published) == ["words/training document is 123.00, 246.61 published"]


def test_only_what_was_counted_is_compared() -> None:
    found = {"train_documents": 2, "labels": 3}
    told = table_one.differences(found, {"train_documents": 2, "test_documents": 5, "labels": 4})
    assert told == [table_one.Difference("labels", 3, 4)]


def test_the_cells_make_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    header, rows = table_one.table_cells([*table_one.PAPER.values(), BY_HAND])
    show_table(table_one.SOURCE, header, rows)
    shown = capsys.readouterr().out
    assert "arXiv:1811.01727v1" in shown
    assert header[4] == "WikiLSHTC"
    assert [row[0] for row in rows] == list(table_one.COLUMNS)
    assert [row[4] for row in rows] == ["456,886", "81,262", "346,299", "36,504", "1.86", "4.33",
                                        "122.74", "122.87"]  # fmt: skip
