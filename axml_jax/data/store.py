"""The encoded store: documents as word ids and label ids in a folder of memory-mapped arrays.

    store.json               description: version, counts, settings, sizes of the files, fingerprint
    words.json  labels.json  the vocabulary and the label names, each a JSON list in order of id
    SPLIT/tokens.npy         int32 [tokens of all documents]     SPLIT/offsets.npy        int64 [N + 1]
    SPLIT/label_ids.npy      int32 [labels of all documents]     SPLIT/label_offsets.npy  int64 [N + 1]
    SPLIT/ids.json           document ids, where there are any
    vectors.npy              float32 [V, E], row PAD zeros, where there are any

Document `i` of a split is `tokens[offsets[i]:offsets[i + 1]]`, its labels likewise, ascending.  The
labels seen in the split `train` come first, by name; then those only seen elsewhere, by name.
Nothing in it is pickled, and nothing in it is executed.  Knows nothing about models.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from jaxtyping import Float32, Int32, Int64

from axml_jax.data import vectors as word_vectors
from axml_jax.data.corpus import Document
from axml_jax.data.encode import encode_splits
from axml_jax.data.text import Vocabulary
from axml_jax.errors import InputError

FORMAT = "axml_jax.store"
VERSION = 1
DESCRIPTION = "store.json"
WORDS = "words.json"
LABELS = "labels.json"
VECTORS = "vectors.npy"
ARRAYS = {"tokens": np.int32, "offsets": np.int64, "label_ids": np.int32, "label_offsets": np.int64}
TRAIN = "train"

_REMEDY = "write the store anew with launch/prepare.py"


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
    """

    def __init__(
        self,
        path: Path,
        description: dict[str, Any],
        vocabulary: Vocabulary,
        label_names: list[str],
        splits: dict[str, Split],
        vectors: Float32[np.ndarray, "V E"] | None,
    ) -> None:
        self.path = path
        self.description = description
        self.vocabulary = vocabulary
        self.label_names = label_names
        self.splits = splits
        self.vectors = vectors

    @property
    def num_train_labels(self) -> int:
        """How many of the labels, the first ones, are seen in the split `train`."""
        return self.description["num_train_labels"]

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, over words, labels and splits.

        It is the same wherever the same documents were prepared in the same way.  Word vectors,
        whose last bits differ between machines, have a sum of their own in the description.
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
                f"the content no longer has the fingerprint it was written with; {_REMEDY}",
                file=self.path,
            )
        about = self.description["vectors"]
        if about is not None and file_sum(self.path / VECTORS) != about["sha256"]:
            raise InputError(f"the word vectors were changed; {_REMEDY}", file=self.path / VECTORS)


def split_files(split: str, has_ids: bool) -> list[str]:
    """Names of a split's files within the folder of the store."""
    names = [f"{split}/{name}.npy" for name in ARRAYS]
    return [*names, f"{split}/ids.json"] if has_ids else names


def file_sum(path: Path) -> str:
    """SHA-256 of one file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(path: Path, splits: dict[str, Any]) -> str:
    """SHA-256 over names and contents of all files that hold words, labels and splits."""
    names = [WORDS, LABELS]
    for split in sorted(splits):
        names += split_files(split, splits[split]["ids"])
    lines = "".join(f"{name} {file_sum(path / name)}\n" for name in names)
    return hashlib.sha256(lines.encode()).hexdigest()


def open_store(path: str | Path) -> Store:
    """Opens a store; arrays stay on disk until they are used.

    Args:
      path: The folder that `write_store` made.

    Returns:
      The store.

    Raises:
      InputError: There is no store, it is of another version, or a file is missing or cut short.
    """
    path = Path(path)
    description = _read_description(path)
    for name, size in description["files"].items():
        file = path / name
        if not file.is_file():
            raise InputError(f"this file of the store is missing; {_REMEDY}", file=file)
        if file.stat().st_size != size:
            found = file.stat().st_size
            raise InputError(f"expected {size} bytes, found {found}; {_REMEDY}", file=file)
    vocabulary = Vocabulary.load(path / WORDS)
    label_names = _read_json(path / LABELS)
    splits = {}
    for name, about in description["splits"].items():
        arrays = {key: _read_array(path / name / f"{key}.npy", ARRAYS[key]) for key in ARRAYS}
        ids = _read_json(path / name / "ids.json") if about["ids"] else None
        splits[name] = Split(**arrays, num_labels=len(label_names), ids=ids)
    has_vectors = description["vectors"] is not None
    vectors = _read_array(path / VECTORS, np.float32) if has_vectors else None
    return Store(path, description, vocabulary, label_names, splits, vectors)


def write_store(
    path: str | Path,
    splits: Mapping[str, Iterable[Document]],
    *,
    source: str,
    vocabulary_size: int = 500_000,
    min_documents: int = 1,
    max_tokens: int = 0,
    vectors: str | Path = "ppmi",
    vector_width: int = 300,
    seed: int = 0,
    overwrite: bool = False,
) -> Store:
    """Encodes documents and writes them as a store.

    The folder appears under its name when all of it is written: until then it is a hidden folder
    beside it (`.NAME.*.partial`), which is removed where writing fails.

    Args:
      path: The folder to make.
      splits: Documents by name of the split, each iterable read once.  `train` must be among them;
        the vocabulary comes from it alone.
      source: Where the documents are from, for the description.
      vocabulary_size: V at most, PAD and UNK among them.
      min_documents: Words in fewer documents of `train` are left out.
      max_tokens: Words kept of a document; 0 keeps all.
      vectors: `ppmi` to make word vectors from the split `train`, `none`, or the path of a file in
        GloVe's text format.
      vector_width: E of vectors made here; those of a file have the file's.
      seed: Of the vectors' random parts.
      overwrite: Whether a store at `path` may be replaced; anything else there never is.

    Returns:
      The store, opened.

    Raises:
      InputError: Something is at `path` already, or the documents or the vectors are not usable.
      ValueError: There is no split `train`, or another argument is out of range.
    """
    path = Path(path)
    if TRAIN not in splits:
        raise ValueError(f"expected a split {TRAIN!r} among {sorted(splits)}")
    for name in splits:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise ValueError(f"the split {name!r} cannot be the name of a folder")
    if max_tokens < 0:
        raise ValueError(f"max_tokens is {max_tokens}: expected 0 (no limit) or more")
    check_writable(path, overwrite)
    settings = {
        "vocabulary_size": vocabulary_size,
        "min_documents": min_documents,
        "max_tokens": max_tokens,
        "vectors": str(vectors),
        "vector_width": vector_width,
        "seed": seed,
    }
    partial: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        name = tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        partial = Path(name)
        partial.chmod(0o777 & ~_umask())
        encoded = encode_splits(partial, splits, TRAIN, vocabulary_size, min_documents, max_tokens)
        encoded.vocabulary.save(partial / WORDS)
        _write_json(partial / LABELS, encoded.label_names)
        for name, ids in encoded.ids.items():
            _write_json(partial / name / "ids.json", ids)
        about = _write_vectors(partial, vectors, encoded.vocabulary, vector_width, seed)
        files = sorted(file for file in partial.rglob("*") if file.is_file())
        description = {
            "format": FORMAT,
            "version": VERSION,
            "source": source,
            "settings": settings,
            "words": len(encoded.vocabulary),
            "labels": len(encoded.label_names),
            "num_train_labels": encoded.num_train_labels,
            "splits": encoded.splits,
            "vectors": about,
            "fingerprint": fingerprint(partial, encoded.splits),
            "files": {str(file.relative_to(partial)): file.stat().st_size for file in files},
        }
        _write_json(partial / DESCRIPTION, description)
        _put_in_place(partial, path)
    except OSError as error:
        raise InputError(f"the store cannot be written: {error}", file=path) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
    return open_store(path)


def check_writable(path: str | Path, overwrite: bool) -> None:
    """Refuses a place where a store must not be written.

    Raises:
      InputError: Something is there, unless it is a store and `overwrite` allows to replace it.
    """
    path = Path(path)
    if not os.path.lexists(path):
        return
    if not is_store(path):
        raise InputError("this is no store and is left alone; choose another place", file=path)
    if not overwrite:
        raise InputError(
            "there is a store already; choose another place, or replace it with --overwrite",
            file=path,
        )


def _write_vectors(
    folder: Path, vectors: str | Path, vocabulary: Vocabulary, width: int, seed: int
) -> dict[str, Any] | None:
    if vectors == "none":
        return None
    tokens = np.load(folder / TRAIN / "tokens.npy", mmap_mode="r", allow_pickle=False)
    offsets = np.load(folder / TRAIN / "offsets.npy", allow_pickle=False)
    about: dict[str, Any]
    if vectors == "ppmi":
        matrix = word_vectors.ppmi_vectors(tokens, offsets, len(vocabulary), width, seed=seed)
        about = {"kind": "ppmi"}
    else:
        matrix, coverage = word_vectors.read_glove(vectors, vocabulary.words, seed=seed)
        about = {"kind": "file", "file": Path(vectors).name, **coverage.describe(tokens)}
    np.save(folder / VECTORS, matrix, allow_pickle=False)
    return {**about, "width": matrix.shape[1], "sha256": file_sum(folder / VECTORS)}


def _put_in_place(partial: Path, path: Path) -> None:
    """Renames `partial` to `path`; a store there steps aside first and is removed afterwards."""
    old = partial.with_suffix(".old")
    if path.exists():
        path.rename(old)
    partial.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _write_json(file: Path, value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1)
    file.write_text(text + "\n", encoding="utf-8")


def is_store(path: str | Path) -> bool:
    """Whether a folder holds a store's description, of whatever version."""
    try:
        description = json.loads((Path(path) / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(description, dict) and description.get("format") == FORMAT


def _read_description(path: Path) -> dict[str, Any]:
    file = path / DESCRIPTION
    if not file.is_file():
        what = "the folder is no store: it has no store.json" if path.is_dir() else "no such folder"
        raise InputError(f"{what}; make one with launch/prepare.py --out {path}", file=path)
    description = _read_json(file)
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise InputError("this file does not describe a store of axml_jax", file=file)
    if description.get("version") != VERSION:
        found = description.get("version")
        raise InputError(
            f"the store is of version {found!r}, this program reads version {VERSION}; {_REMEDY}",
            file=file,
        )
    return description


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"no readable JSON ({error}); {_REMEDY}", file=file) from error


def _read_array(file: Path, dtype: type) -> np.ndarray:
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"no readable array ({error}); {_REMEDY}", file=file) from error
    if array.dtype != dtype:
        expected = np.dtype(dtype).name
        raise InputError(f"expected {expected}, found {array.dtype}; {_REMEDY}", file=file)
    return array
