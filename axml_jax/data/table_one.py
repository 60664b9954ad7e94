"""Table 1 of the paper: how large a data set is, for any store or any documents.

Counts are of documents as they were read.  Means per document and per label are of the split
`train`, as the paper's are: RCV1's 729.67 documents per label are 23,149 x 3.18 over the 101 of its
103 labels that occur in training.  Knows nothing about models or file formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from axml_jax.data.corpus import Document
from axml_jax.data.description import TRAIN
from axml_jax.data.opened import Split, Store
from axml_jax.data.text import UNK, tokenize
from axml_jax.errors import InputError

TEST = "test"
SOURCE = "Table 1 of arXiv:1811.01727v1"
_NO_FIGURE = "-"


class Row(NamedTuple):
    """A row of Table 1.

    Attributes:
      name: The data set.
      train_documents: N_train.
      test_documents: N_test; 0 where there is no test split.
      words: D, the number of different words in the training documents.
      labels: L, the number of different labels in all splits.
      labels_per_document: Mean over training documents.
      documents_per_label: Mean over the labels that training documents have.
      words_per_train_document: Mean, before texts are cut.
      words_per_test_document: Mean, before texts are cut; None where there is no test split.
    """

    name: str
    train_documents: int
    test_documents: int
    words: int
    labels: int
    labels_per_document: float
    documents_per_label: float
    words_per_train_document: float
    words_per_test_document: float | None


COLUMNS = ("N_train", "N_test", "D", "L", "labels/document", "documents/label",
           "words/training document", "words/test document")  # fmt: skip
"""What the columns of a table of rows are called, the name's aside; in the order of `Row`."""

COUNTS = ("train_documents", "test_documents", "labels")
"""The fields that must be the published ones where all of a data set was read."""

_WORD_MEANS = ("words_per_train_document", "words_per_test_document")
# Texts split into words otherwise, at hyphens or with punctuation as words, differ by some tenths;
# texts cut short, or stems without stop words for articles, by more.
_WORDS_APART = 0.25

PAPER = {
    row.name: row
    for row in (
        Row("RCV1", 23_149, 781_265, 47_236, 103, 3.18, 729.67, 267.51, 276.52),
        Row("EUR-Lex", 15_449, 3_865, 186_104, 3_956, 5.30, 7.79, 1248.58, 1230.40),
        Row("Wiki10-31K", 14_146, 6_616, 101_938, 30_938, 8.52, 18.64, 2484.30, 2425.45),
        Row("WikiLSHTC", 456_886, 81_262, 346_299, 36_504, 1.86, 4.33, 122.74, 122.87),
        Row("AmazonCat-13K", 1_186_239, 306_782, 203_882, 13_330, 5.04, 448.57, 246.61, 245.98),
    )
}
"""The rows as `SOURCE` prints them, slips of the pen included; see `REMARKS`."""

_EXCHANGED = "the paper's two means stand in each other's column: 14,146 x 18.64 / 30,938 = 8.52"
REMARKS = {
    ("EUR-Lex", "documents_per_label"): "no mean over training: 15,449 x 5.30 / 3,956 = 20.70",
    ("Wiki10-31K", "labels_per_document"): _EXCHANGED,
    ("Wiki10-31K", "documents_per_label"): _EXCHANGED,
    ("WikiLSHTC", "documents_per_label"): "no mean over training: 456,886 x 1.86 / 36,504 = 23.28",
}
"""What is odd about a published figure, by data set and field."""


def column(field: str) -> str:
    """What the column of a field of `Row` is called."""
    return COLUMNS[Row._fields.index(field) - 1]


class Difference(NamedTuple):
    """A figure that is not the published one.

    Attributes:
      field: Which, as `Row` names it.
      found: What was counted; None where there was nothing to count.
      published: What its publisher, or the paper, says.
      remark: What is odd about the published figure, or "".
    """

    field: str
    found: float | None
    published: float
    remark: str = ""

    def __str__(self) -> str:
        told = f"{column(self.field)} is {_cell(self.found)}, {_cell(self.published)} published"
        return f"{told} ({self.remark})" if self.remark else told


class Tally:
    """Counts documents while they are read: one pass, no document is kept.

    Args:
      train: The split that means and words are of.
      test: The split counted as N_test.
      words: Whether words are counted, which takes as long as encoding the texts.
    """

    def __init__(self, train: str = TRAIN, test: str = TEST, words: bool = True) -> None:
        self._train, self._test, self._counts_words = train, test, words
        self._documents: dict[str, int] = {}
        self._words: dict[str, int] = {}
        self._labels: set[str] = set()
        self._train_labels: set[str] = set()
        self._train_entries = 0
        self._vocabulary: set[str] = set()

    def reading(self, split: str, documents: Iterable[Document]) -> Iterator[Document]:
        """The same documents, counted as they pass; a split that is read again counts once."""
        self._documents[split] = self._words[split] = 0
        if split == self._train:
            self._train_entries = 0
        for document in documents:
            labels = set(document.labels)
            self._documents[split] += 1
            self._labels |= labels
            if split == self._train:
                self._train_labels |= labels
                self._train_entries += len(labels)
            if self._counts_words:
                words = tokenize(document.text)
                self._words[split] += len(words)
                if split == self._train:
                    self._vocabulary.update(words)
            yield document

    def counts(self) -> dict[str, int]:
        """The `COUNTS` of what was read so far."""
        found = (
            self._documents.get(self._train, 0),
            self._documents.get(self._test, 0),
            len(self._labels),
        )
        return dict(zip(COUNTS, found, strict=True))

    def row(self, name: str) -> Row:
        """The row of what was read so far.

        Args:
          name: What the data set is called.

        Raises:
          InputError: No training document was read.
          ValueError: Words were not counted.
        """
        if not self._counts_words:
            raise ValueError("words were not counted, and the row has means of them")
        documents = self._documents.get(self._train, 0)
        if not documents:
            raise InputError(
                f"expected documents in the split {self._train!r}, which Table 1 is about; splits "
                f"read: {', '.join(self._documents) or 'none'}"
            )
        tests = self._documents.get(self._test, 0)
        return Row(
            name,
            documents,
            tests,
            len(self._vocabulary),
            len(self._labels),
            self._train_entries / documents,
            self._train_entries / max(len(self._train_labels), 1),
            self._words[self._train] / documents,
            self._words[self._test] / tests if tests else None,
        )


def row_of_store(name: str, store: Store, test: str = TEST) -> Row:
    """The row of an opened store, of what it holds: words left out or cut off are not counted.

    D is the size of its vocabulary, so it is below that of the documents where rare words were left
    out; `Store.description` says in `settings` whether words were, and in each split's
    `truncated_documents` whether texts were cut.

    Args:
      name: What the data set is called.
      store: The store.
      test: The split counted as N_test; it may be missing.
    """
    train = store.splits[TRAIN]
    tested = store.splits.get(test)
    entries = len(train.label_ids)
    return Row(
        name,
        len(train),
        0 if tested is None else len(tested),
        len(store.vocabulary) - (UNK + 1),
        len(store.label_names),
        entries / len(train),
        entries / int(np.count_nonzero(store.label_counts)),
        _mean_words(store, TRAIN, train),
        None if tested is None else _mean_words(store, test, tested),
    )


def _mean_words(store: Store, name: str, split: Split) -> float:
    # A document without words holds one unknown word in its place.
    empty = store.description["splits"][name]["empty_documents"]
    return (len(split.tokens) - empty) / len(split)


def differences(
    found: Mapping[str, float | None], published: Mapping[str, float | None], name: str = ""
) -> list[Difference]:
    """Where figures are not the published ones, in the order of the columns.

    D is not compared: the paper's is of the bags of words published with most of its data sets.

    Args:
      found: What was counted, by field of `Row`.
      published: What should have been; of these fields, those that `found` has are compared.
      name: The data set, as the paper calls it, for `REMARKS`.

    Returns:
      What differs: counts by any number, means of labels by more than the two printed decimals
      allow, means of words by more than another notion of a word explains, a quarter.
    """
    told = []
    for field in Row._fields[1:]:
        here, there = found.get(field), published.get(field)
        if field not in found or there is None or field == "words":
            continue
        most = 0.0
        if field in _WORD_MEANS:
            most = _WORDS_APART * there
        elif field not in COUNTS:
            # Half a unit of the last printed decimal, and the rounding of binary fractions.
            most = 0.005 + 1e-9
        if here is None or not abs(here - there) <= most:
            told.append(Difference(field, here, there, REMARKS.get((name, field), "")))
    return told


def table_cells(rows: Iterable[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The header and the rows as text, for `axml_jax.tables.show_table`.

    A data set is a column here, so that the table fits a terminal.
    """
    names, *figures = zip(*rows, strict=True)
    lines = [(title, *map(_cell, row)) for title, row in zip(COLUMNS, figures, strict=True)]
    return ("", *names), lines


def _cell(value: float | None) -> str:
    if value is None:
        return _NO_FIGURE
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
