"""The encoded store: documents as word ids and label ids in a folder of memory-mapped arrays.

    store.json               description: version, counts, settings, sizes of files, fingerprint
    words.json, labels.json  the vocabulary and the label names, each a JSON list in order of id
    titles.json              what people call each label, or null, where titles were given
    vectors.npy              float32 [V, E], row PAD zeros, where there are any
    SPLIT/tokens.npy         int32 [tokens of all documents], one after another
    SPLIT/offsets.npy        int64 [N + 1]
    SPLIT/label_ids.npy      int32 [labels of all documents], ascending within each
    SPLIT/label_offsets.npy  int64 [N + 1]
    SPLIT/ids.json           document ids, where there are any

Document `i` of a split is `tokens[offsets[i]:offsets[i + 1]]`, its labels likewise.  The labels
seen in the split `train` come first, by name; then those only seen elsewhere, by name.  Before all
of them stand those of a base (`axml_jax.data.base`), where there is one.  Nothing in it is pickled,
and nothing in it is executed.  Knows nothing about models.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from axml_jax.data import vectors as word_vectors
from axml_jax.data.base import DECIDED, Base, read_base, refuse_decided
from axml_jax.data.corpus import Document
from axml_jax.data.description import FORMAT, TRAIN, VERSION, is_split_name
from axml_jax.data.encode import encode_splits
from axml_jax.data.opened import Split, Store, is_store, open_store
from axml_jax.data.store_files import (
    DESCRIPTION,
    IDS,
    LABELS,
    TITLES,
    VECTORS,
    WORDS,
    fingerprint,
)
from axml_jax.data.text import Vocabulary
from axml_jax.data.titles import Titles
from axml_jax.errors import InputError
from axml_jax.jsonio import file_sum, write_json

__all__ = [
    "SETTINGS",
    "TRAIN",
    "Split",
    "Store",
    "check_writable",
    "is_store",
    "open_store",
    "read_base",
    "write_store",
]

SETTINGS = ("vocabulary_size", "min_documents", "max_tokens", "vectors", "vector_width", "seed")
"""Arguments of `write_store` that the description of a store repeats."""


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
    label_titles: Titles | None = None,
    overwrite: bool = False,
    base: Base | str | Path | None = None,
) -> Store:
    """Encodes documents and writes them as a store.

    The folder appears under its name when all of it is written: until then it is a hidden folder
    beside it (`.NAME.*.partial`), which is removed where writing fails.  One that a killed process
    left stays: from another machine it cannot be told from one that is being written.

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
      label_titles: What people call the labels, as `axml_jax.data.titles.read_titles` gives it.
      overwrite: Whether a store at `path` may be replaced; anything else there never is.
      base: An earlier store or run (`read_base`) whose words and known labels keep their ids, and
        whose word vectors these are, if a store has any; a run keeps its own, which training from
        it begins with.  Words that it does not know are UNK.  The labels new in `train` follow its
        own.  Of the settings above only `max_tokens` can then be chosen.

    Returns:
      The store, opened.

    Raises:
      InputError: Something is at `path` already, or the documents, vectors or titles are not
        usable.
      ConfigError: A setting was chosen that is for the base to decide.
      ValueError: There is no split `train`, or another argument is out of range.
    """
    path = Path(path)
    if TRAIN not in splits:
        raise ValueError(f"expected a split {TRAIN!r} among {sorted(splits)}")
    for name in splits:
        if not is_split_name(name):
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
    if base is not None:
        defaults = write_store.__kwdefaults__ or {}
        refuse_decided(name for name in SETTINGS if settings[name] != defaults[name])
        base = base if isinstance(base, Base) else read_base(base)
        settings = {name: settings[name] for name in SETTINGS if name not in DECIDED}
    partial: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        name = tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        partial = Path(name)
        partial.chmod(0o777 & ~_umask())
        encoded = encode_splits(
            partial, splits, TRAIN, vocabulary_size, min_documents, max_tokens, base
        )
        encoded.vocabulary.save(partial / WORDS)
        write_json(partial / LABELS, encoded.label_names)
        for name, ids in encoded.ids.items():
            write_json(partial / name / IDS, ids)
        titles = _write_titles(partial, label_titles, base, encoded.label_names)
        words = encoded.vocabulary
        if base:
            about = _copy_vectors(partial, base)
        else:
            about = _write_vectors(partial, splits, vectors, words, vector_width, seed)
        files = sorted(file for file in partial.rglob("*") if file.is_file())
        description = {
            "format": FORMAT,
            "version": VERSION,
            "source": source,
            "settings": settings,
            "base": base and base.describe(),
            "words": len(encoded.vocabulary),
            "labels": len(encoded.label_names),
            "num_train_labels": encoded.num_train_labels,
            "splits": encoded.splits,
            "vectors": about,
            "titles": titles,
            "fingerprint": fingerprint(partial, encoded.splits),
            "files": {str(file.relative_to(partial)): file.stat().st_size for file in files},
        }
        write_json(partial / DESCRIPTION, description)
        _put_in_place(partial, path, overwrite)
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
    folder: Path,
    splits: Iterable[str],
    vectors: str | Path,
    vocabulary: Vocabulary,
    width: int,
    seed: int,
) -> dict[str, Any] | None:
    if vectors == "none":
        return None
    tokens = _tokens(folder, TRAIN)
    offsets = np.load(folder / TRAIN / "offsets.npy", allow_pickle=False)
    about: dict[str, Any]
    if vectors == "ppmi":
        matrix = word_vectors.ppmi_vectors(tokens, offsets, len(vocabulary), width, seed=seed)
        about = {"kind": "ppmi"}
    else:
        matrix, coverage = word_vectors.read_glove(vectors, vocabulary.words, seed=seed)
        about = {"kind": "file", "file": Path(vectors).name, **coverage.describe(tokens)}
        about["split_coverage"] = {
            name: coverage.describe(_tokens(folder, name))["token_coverage"] for name in splits
        }
    np.save(folder / VECTORS, matrix, allow_pickle=False)
    return {**about, "width": matrix.shape[1], "sha256": file_sum(folder / VECTORS)}


def _tokens(folder: Path, split: str) -> np.ndarray:
    return np.load(folder / split / "tokens.npy", mmap_mode="r", allow_pickle=False)


def _write_titles(
    folder: Path, titles: Titles | None, base: Base | None, names: Sequence[str]
) -> dict[str, Any] | None:
    """Writes the titles that are given and, where none is, the base's."""
    found = titles.of_labels(names) if titles else [None] * len(names)
    given = sum(title is not None for title in found)
    if base:
        pairs = zip(names, found, strict=True)
        found = [base.titles.get(name) if title is None else title for name, title in pairs]
    known = sum(title is not None for title in found)
    if not known:
        return None
    write_json(folder / TITLES, found)
    return {
        "file": Path(titles.file).name if titles else base and base.name,
        "labels_found": known,
        "from_base": known - given,
        "sha256": file_sum(folder / TITLES),
    }


def _copy_vectors(folder: Path, base: Base) -> dict[str, Any] | None:
    if base.vectors is None:
        return None
    np.save(folder / VECTORS, base.vectors, allow_pickle=False)
    about = {"kind": "base", "of": base.vectors_kind, "width": base.vectors.shape[1]}
    return {**about, "sha256": file_sum(folder / VECTORS)}


def _put_in_place(partial: Path, path: Path, overwrite: bool) -> None:
    """Renames `partial` to `path`; a store there steps aside first and is removed afterwards."""
    check_writable(path, overwrite)  # writing took its time: something may be there by now
    if not overwrite:
        partial.rename(path)  # fails where a folder that is not empty came in between
        return
    old = partial.with_suffix(".old")
    with contextlib.suppress(FileNotFoundError):
        path.rename(old)
    try:
        if os.path.lexists(old):
            check_writable(old, overwrite)  # what was moved, which nobody else can exchange now
        partial.rename(path)
    except BaseException:
        if os.path.lexists(old):
            old.rename(path)
        raise
    if old.is_symlink():
        old.unlink()  # and what it points to stays
    else:
        shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
