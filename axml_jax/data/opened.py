"""An opened store: what training, evaluation and prediction read.

`axml_jax.data.store` describes the format, writes it, and offers these names too.  Knows nothing
about tokenizing or models.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from jaxtyping import Float32, Int32, Int64

from axml_jax.data.description import FORMAT, TRAIN, read_description
from axml_jax.data.store_files import (
    ARRAYS,
    DESCRIPTION,
    IDS,
    LABELS,
    REMEDY,
    TITLES,
    VECTORS,
    WORDS,
    fingerprint,
    read_array,
)
from axml_jax.data.text import Vocabulary
from axml_jax.errors import InputError
from axml_jax.jsonio import file_sum, read_json


class Split:
    """The documents of one split, in the order they were read.

    Attributes:
      tokens: Word ids of all documents, one after another.
      offsets: Where each document begins, and the end of the last.
      label_ids: Label ids of all documents, ascending within each.
      label_offsets: Where the labels of each document begin, and the end of the last.
      num_labels: L, the number of labels in the whole store.
      ids: Document ids, or None.
    """

    def __init__(
        self,
        tokens: Int32[np.ndarray, " tokens"],
        offsets: Int64[np.ndarray, " N+1"],
        label_ids: Int32[np.ndarray, " entries"],
        label_offsets: Int64[np.ndarray, " N+1"],
        num_labels: int,
        ids: list[str] | None = None,
    ) -> None:
        self.tokens = tokens
        self.offsets = offsets
        self.label_ids = label_ids
        self.label_offsets = label_offsets
        self.num_labels = num_labels
        self.ids = ids

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @functools.cached_property
    def lengths(self) -> Int32[np.ndarray, " N"]:
        """Tokens in each document, at least 1."""
        return np.diff(self.offsets).astype(np.int32)

    def document(self, i: int) -> Int32[np.ndarray, " T"]:
        """Word ids of document `i`."""
        return self.tokens[self.offsets[i] : self.offsets[i + 1]]

    def labels(self, i: int) -> Int32[np.ndarray, " labels"]:
        """Label ids of document `i`, ascending."""
        return self.label_ids[self.label_offsets[i] : self.label_offsets[i + 1]]

    def label_matrix(self, num_labels: int | None = None) -> scipy.sparse.csr_matrix:
        """Who has which label.

        Args:
          num_labels: Columns; None for every label of the store.  Labels beyond are left out: with
            `Store.num_train_labels` that is what a model can be trained on.

        Returns:
          A sparse matrix [N, num_labels] of float32 ones, indices sorted.
        """
        num_labels = self.num_labels if num_labels is None else num_labels
        indices, indptr = np.asarray(self.label_ids), np.asarray(self.label_offsets)
        if num_labels < self.num_labels:
            kept = indices < num_labels
            before = np.concatenate([[0], np.cumsum(kept)])
            indices, indptr = indices[kept], before[indptr]
        ones = np.ones(len(indices), np.float32)
        return scipy.sparse.csr_matrix((ones, indices, indptr), shape=(len(self), num_labels))


class Store:
    """An opened store; see `open_store`.

    Attributes:
      path: Its folder.
      description: What store.json says.
      vocabulary: The words.
      label_names: Names of the labels in order of id, those seen in training first.
      splits: The splits by name.
      vectors: Word vectors [V, E], memory-mapped, or None.
      label_titles: What people call each label, in order of id; None for one without a title.
    """

    def __init__(
        self,
        path: Path,
        description: dict[str, Any],
        vocabulary: Vocabulary,
        label_names: list[str],
        splits: dict[str, Split],
        vectors: Float32[np.ndarray, "V E"] | None,
        label_titles: list[str | None] | None = None,
    ) -> None:
        self.path = path
        self.description = description
        self.vocabulary = vocabulary
        self.label_names = label_names
        self.splits = splits
        self.vectors = vectors
        self.label_titles = label_titles or [None] * len(label_names)

    @property
    def num_train_labels(self) -> int:
        """How many of the labels, the first ones, are seen in the split `train`."""
        return self.description["num_train_labels"]

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, over words, labels and splits.

        It is the same wherever the same documents were prepared in the same way.  Word vectors,
        whose last bits differ between machines, and titles of labels, which change nothing that is
          learned, have sums of their own in the description.
        """
        return self.description["fingerprint"]

    @functools.cached_property
    def label_counts(self) -> Int64[np.ndarray, " L"]:
        """Documents of the split `train` with each label."""
        ids = self.splits[TRAIN].label_ids
        return np.bincount(ids, minlength=len(self.label_names)).astype(np.int64)

    def verify(self) -> None:
        """Reads every file and compares it with the sums taken when the store was written.

        Raises:
          InputError: A file was changed or damaged.
        """
        if fingerprint(self.path, self.description["splits"]) != self.fingerprint:
            raise InputError(
                f"the content no longer has the fingerprint it was written with; {REMEDY}",
                file=self.path,
            )
        about = self.description["vectors"]
        if about is not None and file_sum(self.path / VECTORS) != about["sha256"]:
            raise InputError(f"the word vectors were changed; {REMEDY}", file=self.path / VECTORS)
        about = self.description.get("titles")
        if about is not None and file_sum(self.path / TITLES) != about["sha256"]:
            raise InputError(f"the titles were changed; {REMEDY}", file=self.path / TITLES)


def open_store(path: str | Path) -> Store:
    """Opens a store; arrays stay on disk until they are used.

    Args:
      path: The folder that `write_store` made.

    Returns:
      The store.

    Raises:
      InputError: There is no store, it is of another version, its description is damaged, or a
        file is missing, cut short or at odds with another.
    """
    path = Path(path)
    description = read_description(path)
    for name, size in description["files"].items():
        file = path / name
        if not file.is_file():
            raise InputError(f"this file of the store is missing; {REMEDY}", file=file)
        if file.stat().st_size != size:
            found = file.stat().st_size
            raise InputError(f"expected {size} bytes, found {found}; {REMEDY}", file=file)
    vocabulary = Vocabulary.load(path / WORDS)
    if len(vocabulary) != description["words"]:
        expected, found = description["words"], len(vocabulary)
        raise InputError(f"expected {expected} words, found {found}; {REMEDY}", file=path / WORDS)
    label_names = _read_names(path / LABELS, description["labels"])
    splits = {}
    for name, about in description["splits"].items():
        arrays = {key: read_array(path / name / f"{key}.npy", ARRAYS[key], 1) for key in ARRAYS}
        _require_documents(path / name, arrays, about, len(label_names))
        ids = _read_names(path / name / IDS, about["documents"]) if about["ids"] else None
        splits[name] = Split(**arrays, num_labels=len(label_names), ids=ids)
    has_vectors = description["vectors"] is not None
    vectors = read_array(path / VECTORS, np.float32, 2) if has_vectors else None
    if vectors is not None and vectors.shape != (len(vocabulary), description["vectors"]["width"]):
        raise InputError(
            f"expected a vector of {description['vectors']['width']} numbers for each of "
            f"{len(vocabulary)} words, found the shape {vectors.shape}; {REMEDY}",
            file=path / VECTORS,
        )
    titles = _read_titles(path, description.get("titles"), len(label_names))
    return Store(path, description, vocabulary, label_names, splits, vectors, titles)


def _require_documents(
    folder: Path, arrays: dict[str, np.ndarray], about: dict[str, Any], num_labels: int
) -> None:
    """Refuses arrays that are no documents; tokens are not read, for they are many."""
    # A document has a word at least, but perhaps no label.
    for values, places, rises in (
        ("tokens", "offsets", np.greater),
        ("label_ids", "label_offsets", np.greater_equal),
    ):
        begin = arrays[places]
        if not (
            len(begin) == about["documents"] + 1
            and begin[0] == 0
            and begin[-1] == len(arrays[values])
            and bool(rises(begin[1:], begin[:-1]).all())
        ):
            raise InputError(
                f"expected where each of {about['documents']} documents begins in {values}.npy and "
                f"the last one ends, in ascending order; {REMEDY}",
                file=folder / f"{places}.npy",
            )
    ids = arrays["label_ids"]
    if len(ids) and not (ids.min() >= 0 and ids.max() < num_labels):
        raise InputError(
            f"expected numbers of labels, 0 to {num_labels - 1}, found {ids.min()} to {ids.max()}; "
            f"{REMEDY}",
            file=folder / "label_ids.npy",
        )


def is_store(path: str | Path) -> bool:
    """Whether a folder holds a store's description, of whatever version."""
    try:
        description = json.loads((Path(path) / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(description, dict) and description.get("format") == FORMAT


def _read_titles(path: Path, about: dict[str, Any] | None, count: int) -> list[str | None] | None:
    if about is None:
        return None
    titles = read_json(path / TITLES, REMEDY)
    if (
        not isinstance(titles, list)
        or not all(title is None or isinstance(title, str) for title in titles)
        or len(titles) != count
    ):
        raise InputError(
            f"expected a JSON list of {count} titles, null for none; {REMEDY}", file=path / TITLES
        )
    return titles


def _read_names(file: Path, count: int) -> list[str]:
    names = read_json(file, REMEDY)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"expected a JSON list of names; {REMEDY}", file=file)
    if len(names) != count:
        raise InputError(f"expected {count} names, found {len(names)}; {REMEDY}", file=file)
    return names
