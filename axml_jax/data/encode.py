"""From documents to arrays of ids on disk, in one pass over the text.

The vocabulary is only known when all of the split `train` was seen.  Until then words get
provisional ids in order of appearance; afterwards the ids on disk are replaced.  Labels of all
splits are kept in memory (4 bytes each) until all their names are known.  Knows nothing about
vectors or models.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Sized
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from axml_jax.data.base import Base
from axml_jax.data.corpus import Document
from axml_jax.data.readers.documents import Documents
from axml_jax.data.text import UNK, Vocabulary, tokenize
from axml_jax.errors import InputError
from axml_jax.progress import progress

_BLOCK = 1 << 22  # elements replaced or sorted at a time


class Encoded(NamedTuple):
    """What `encode_splits` found out.

    Attributes:
      vocabulary: The words of the base, or else of the split `train`.
      label_names: Those of the base, then those of the split `train` by name, then the others by
        name.
      num_train_labels: How many of them are the base's or occur in the split `train`.
      splits: Counts for each split, fit for JSON.
      ids: Document ids of those splits that have any.
    """

    vocabulary: Vocabulary
    label_names: list[str]
    num_train_labels: int
    splits: dict[str, dict[str, Any]]
    ids: dict[str, list[str]]


class ArrayWriter:
    """Writes a one-dimensional .npy file piece by piece, its length unknown until the end."""

    def __init__(self, path: Path, dtype: type) -> None:
        self._dtype = np.dtype(dtype)
        self._file = path.open("wb", buffering=1 << 20)
        self.length = 0
        self._write_header()
        self._begin = self._file.tell()

    def write(self, values: np.ndarray) -> None:
        """Appends `values`."""
        self._file.write(values.astype(self._dtype, copy=False).data)
        self.length += len(values)

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                self._file.seek(0)
                self._write_header()  # NumPy leaves room in it for the first dimension to grow
                assert self._file.tell() == self._begin

    def _write_header(self) -> None:
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.length,)}
        np.lib.format.write_array_header_1_0(self._file, header)


class _Ids(dict[str, int]):
    """Gives every new key the next number."""

    def __init__(self, names: Iterable[str] = (), first: int = 0) -> None:
        super().__init__((name, number) for number, name in enumerate(names, start=first))
        self.first = first

    def __missing__(self, key: str) -> int:
        self[key] = number = len(self) + self.first
        return number


def _fault(text: object, labels: object, name: object, known: Mapping[str, int]) -> str:
    """What makes a document unusable, or "" for nothing; `known` labels are not looked at again."""
    if not isinstance(text, str):
        return f"its text should be a string, but it is of type {type(text).__name__}"
    if isinstance(labels, str) or not isinstance(labels, Collection):
        return f"its labels should be a tuple of names, but {labels!r} came"
    if _unwritable(name):
        return f"its id should be text that UTF-8 can hold, but it is {name!r}"
    # The type first: what is no string may not even be fit to be looked up.
    for label in labels:
        if not isinstance(label, str) or (label not in known and _unwritable(label)):
            return f"a label should be text that UTF-8 can hold, but it is {label!r}"
    return ""


def _unwritable(name: object) -> bool:
    """Whether a name is no text, or text with half of a surrogate pair, which no file can hold."""
    if not isinstance(name, str):
        return True
    if name.isascii():
        return False
    return any("\ud800" <= character <= "\udfff" for character in name)


class _SplitEncoder:
    """Writes tokens and offsets of one split and gathers its labels and counts."""

    def __init__(self, folder: Path, name: str, label_ids: _Ids) -> None:
        self.folder = folder / name
        self.folder.mkdir()
        self.name = name
        self._label_ids = label_ids
        self.labels = array("i")
        self.label_ends = array("q", [0])
        self.ids: list[str] = []
        self.skipped: dict[str, Any] = {}
        self.truncated = self.empty = self.repeated = self.tokens = 0
        self.distinct_unknown = 0

    def documents(
        self,
        documents: Iterable[Document],
        max_tokens: int,
        encode: Callable[[Sequence[str]], np.ndarray],
    ) -> None:
        """Reads all documents; `encode` turns words into ids.  Unusable ones raise InputError."""
        total = len(documents) if isinstance(documents, Sized) else None
        ends = array("q", [0])
        with ArrayWriter(self.folder / "tokens.npy", np.int32) as tokens:
            shown = progress(documents, f"reading {self.name}", total)
            for number, document in enumerate(shown, start=1):
                wrong = _fault(document.text, document.labels, document.id, self._label_ids)
                if wrong:
                    raise InputError(f"document {number} of the split {self.name!r}: {wrong}")
                words = tokenize(document.text)
                if max_tokens and len(words) > max_tokens:
                    del words[max_tokens:]
                    self.truncated += 1
                self.empty += not words
                tokens.write(encode(words))
                ends.append(tokens.length)
                labels = dict.fromkeys(document.labels)
                self.repeated += len(labels) < len(document.labels)
                self.labels.extend([self._label_ids[name] for name in labels])
                self.label_ends.append(len(self.labels))
                self.ids.append(document.id)
            self.tokens = tokens.length
        if isinstance(documents, Documents):  # which gave each label once
            self.repeated += documents.repeated_labels
            self.skipped = {
                reason: dataclasses.asdict(about) for reason, about in documents.skipped.items()
            }
        np.save(self.folder / "offsets.npy", np.frombuffer(ends, np.int64), allow_pickle=False)
        if len(ends) == 1:
            raise InputError(f"the split {self.name!r} has no documents")

    def replace_tokens(self, final: np.ndarray) -> None:
        """Replaces each id `i` on disk by `final[i]`."""
        tokens = np.load(self.folder / "tokens.npy", mmap_mode="r+", allow_pickle=False)
        for begin in range(0, len(tokens), _BLOCK):
            tokens[begin : begin + _BLOCK] = final[tokens[begin : begin + _BLOCK]]
        tokens.flush()

    def write_labels(self, final: np.ndarray) -> None:
        """Writes the labels under their final ids, ascending within each document."""
        ends = np.frombuffer(self.label_ends, np.int64)
        labels = final[np.frombuffer(self.labels, np.int32)]
        owner = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
        order = np.lexsort((labels, owner))
        np.save(self.folder / "label_ids.npy", labels[order], allow_pickle=False)
        np.save(self.folder / "label_offsets.npy", ends, allow_pickle=False)

    def summary(self, in_train: np.ndarray) -> dict[str, Any]:
        """Counts of what was read and written, fit for JSON.

        Args:
          in_train: bool [L], whether a label has a document in the split `train`.
        """
        ends = np.frombuffer(self.label_ends, np.int64)
        tokens = np.load(self.folder / "tokens.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(self.folder / "label_ids.npy", allow_pickle=False)
        distinct = np.unique(labels)
        return {
            "documents": len(ends) - 1,
            "tokens": self.tokens,
            "truncated_documents": self.truncated,
            "empty_documents": self.empty,
            "distinct_unknown_words": self.distinct_unknown,
            "unknown_tokens": int(np.count_nonzero(tokens == UNK)) - self.empty,
            "labels": len(labels),
            "distinct_labels": len(distinct),
            "labels_unseen_in_train": int(np.count_nonzero(~in_train[distinct])),
            "entries_unseen_in_train": int(np.count_nonzero(~in_train[labels])),
            "documents_without_labels": int(np.count_nonzero(np.diff(ends) == 0)),
            "documents_with_repeated_labels": self.repeated,
            "skipped": self.skipped,
            "ids": any(self.ids),
        }


def encode_splits(
    folder: Path,
    splits: Mapping[str, Iterable[Document]],
    train: str,
    vocabulary_size: int,
    min_documents: int,
    max_tokens: int,
    base: Base | None = None,
) -> Encoded:
    """Writes tokens, labels and their offsets of every split below `folder`.

    Args:
      folder: An empty folder.
      splits: Documents by split; each iterable is read once.
      train: The split that the vocabulary comes from.
      vocabulary_size: The most words kept, PAD and UNK among them.
      min_documents: Words in fewer documents of `train` are left out.
      max_tokens: Words kept of a document; 0 keeps all.
      base: Whose words and labels keep their ids; its words are then all there are.

    Returns:
      The vocabulary, the label names and the counts.

    Raises:
      InputError: A split without documents, a document whose text, id or labels are no text, or
        `train` without labels or without a word to keep.
    """
    label_ids = _Ids(base.label_names if base else ())
    num_known = len(label_ids)
    encoder = _SplitEncoder(folder, train, label_ids)
    if base:
        vocabulary = base.vocabulary
        _encode_known(encoder, splits[train], vocabulary, max_tokens)
    else:
        vocabulary = _encode_and_count(
            encoder, splits[train], vocabulary_size, min_documents, max_tokens
        )
    if not encoder.labels:
        raise InputError(f"no document of the split {train!r} has a label: nothing can be learned")
    num_train_labels = len(label_ids)
    encoders = [encoder]
    for name in splits:
        if name != train:
            encoder = _SplitEncoder(folder, name, label_ids)
            _encode_known(encoder, splits[name], vocabulary, max_tokens)
            encoders.append(encoder)

    names = list(label_ids)
    new, others = names[num_known:num_train_labels], names[num_train_labels:]
    label_names = names[:num_known] + sorted(new) + sorted(others)
    final = np.empty(len(names), np.int32)
    final[[label_ids[name] for name in label_names]] = np.arange(len(names))
    for encoder in encoders:
        encoder.write_labels(final)
    in_train = np.zeros(len(names), bool)  # not all labels of a base are
    in_train[final[np.frombuffer(encoders[0].labels, np.int32)]] = True
    summaries = {encoder.name: encoder.summary(in_train) for encoder in encoders}
    about = summaries[train]
    if base and about["unknown_tokens"] + about["empty_documents"] == about["tokens"]:
        raise InputError(
            f"the base {base.name} knows no word of the split {train!r}: is it of this language?"
        )
    ids = {encoder.name: encoder.ids for encoder in encoders if any(encoder.ids)}
    return Encoded(vocabulary, label_names, num_train_labels, summaries, ids)


def _encode_and_count(
    encoder: _SplitEncoder,
    documents: Iterable[Document],
    vocabulary_size: int,
    min_documents: int,
    max_tokens: int,
) -> Vocabulary:
    """Encodes documents by the vocabulary that is made of them, and returns it."""
    words = _Ids(first=UNK + 1)
    in_documents: Counter[str] = Counter()

    def encode(document: Sequence[str]) -> np.ndarray:
        in_documents.update(set(document))
        return np.array([words[word] for word in document] or [UNK], np.int32)

    encoder.documents(documents, max_tokens, encode)
    vocabulary = Vocabulary.from_counts(in_documents, vocabulary_size, min_documents)
    if len(vocabulary) == UNK + 1 and encoder.labels:
        raise InputError(
            f"no word of the split {encoder.name!r} occurs in {min_documents} documents or more: "
            "nothing is left to learn from"
        )
    final = np.full(len(words) + UNK + 1, UNK, np.int32)
    for number, word in enumerate(vocabulary.words[UNK + 1 :], start=UNK + 1):
        final[words[word]] = number
    encoder.replace_tokens(final)
    encoder.distinct_unknown = len(words) - (len(vocabulary) - (UNK + 1))
    return vocabulary


def _encode_known(
    encoder: _SplitEncoder, documents: Iterable[Document], vocabulary: Vocabulary, max_tokens: int
) -> None:
    """Encodes documents by a vocabulary that is there."""
    known = frozenset(vocabulary.words)
    unknown: set[str] = set()

    def encode(document: Sequence[str]) -> np.ndarray:
        unknown.update(set(document) - known)
        return vocabulary.encode_words(document)

    encoder.documents(documents, max_tokens, encode)
    encoder.distinct_unknown = len(unknown)
