"""The data sets of a study of the paper's tables: what they are called, where from, how large.

Knows nothing about systems and settings, nor how a step is done.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from axml_jax.data.builders.catalogue import DATASETS
from axml_jax.data.builders.named import open_dataset
from axml_jax.data.corpus import Document
from axml_jax.data.opened import Store, is_store
from axml_jax.data.readers.layouts import find_splits
from axml_jax.data.readers.opening import Opened, open_splits
from axml_jax.data.store_files import file_sum
from axml_jax.data.table_one import PAPER
from axml_jax.errors import ConfigError
from benchmarks import paper_published as published


class DataSet(NamedTuple):
    """A data set of the study.

    Attributes:
      name: What it is called in tables and folders.
      path: A prepared store, or a folder in a known layout; None for one that is known by name.
      paper: What the paper calls it; None where it has no figures of it.
    """

    name: str
    path: Path | None
    paper: str | None

    @property
    def is_prepared(self) -> bool:
        """Whether it is a store already."""
        return self.path is not None and is_store(self.path)


def read_data(values: Sequence[str]) -> list[DataSet]:
    """Data sets as the command line names them: NAME, FOLDER or NAME=FOLDER.

    Raises:
      ConfigError: There is no such folder or name, or two have one name.
    """
    found = []
    for value in values:
        name, _, path = value.rpartition("=")
        if not name and value in DATASETS:
            name, path = value, ""
        if path and not Path(path).is_dir():
            raise ConfigError(
                f"--data has {value!r}, but there is no folder {path}; known by name are "
                f"{', '.join(DATASETS)}."
            )
        name = name or Path(path).resolve().name
        found.append(DataSet(name, Path(path) if path else None, published.data_set_of(name)))
    refuse_twice("--data", [folder_name(data.name) for data in found])
    return found


def folder_name(name: str) -> str:
    """A name as that of a folder."""
    return re.sub(r"[^\w.+-]+", "_", name).lstrip(".") or "_"


class Size(NamedTuple):
    """How large a data set is: documents to train on and to predict, labels, words of each."""

    train: int
    test: int
    labels: int
    words: float


def size_of(data: DataSet, store: Store | None, test: str) -> Size | None:
    """How large a data set is.

    From its store, or, before there is one, by a pass over files that are here, or from the
    paper's Table 1; None where nobody knows before it is fetched.
    """
    if store is not None:
        split = store.splits["train"]
        words = len(split.tokens) / len(split)
        return Size(len(split), len(store.splits[test]), len(store.label_names), words)
    if data.path is not None or data.name == "pydocs":
        return _counted(open_data(data).documents, test)
    if data.paper is None:
        return None
    row = PAPER[data.paper]
    return Size(row.train_documents, row.test_documents, row.labels, row.words_per_train_document)


def open_data(data: DataSet) -> Opened:
    """The documents of a data set that is no store yet.

    Raises:
      ConfigError, InputError: As `named.open_dataset`, `find_splits` and `open_splits`.
    """
    if data.path is None:
        return open_dataset(data.name)
    return open_splits(find_splits(data.path))


def source_sum(folder: Path) -> str:
    """SHA-256 over names and contents of the files that `open_data` reads in a folder.

    Raises:
      InputError: As `find_splits`.
    """
    layout = find_splits(folder)
    named = [path for files in layout.splits.values() for path in files if path is not None]
    named += [layout.label_file] if layout.label_file else []
    files = [f for p in named for f in (sorted(p.rglob("*")) if p.is_dir() else [p]) if f.is_file()]
    lines = "".join(f"{file.relative_to(folder)} {file_sum(file)}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _counted(documents: Mapping[str, Iterable[Document]], test: str) -> Size | None:
    counts: Counter[str] = Counter()
    labels: set[str] = set()
    for split in {"train", test} & documents.keys():
        for document in documents[split]:
            counts[split] += 1
            counts["words"] += len(document.text.split())
            labels.update(document.labels)
    both = counts["train"] + counts[test]
    return Size(counts["train"], counts[test], len(labels), counts["words"] / max(both, 1))


def refuse_twice(flag: str, names: Sequence[str]) -> None:
    """Refuses a name that stands there twice."""
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ConfigError(f"{flag}: {min(twice)!r} stands there twice; give each its own name.")
