"""What a study of the paper's tables consists of: data sets and systems.

Knows nothing about settings, nor how a step is done.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from axml_jax.config import MODELS
from axml_jax.data.builders.catalogue import DATASETS
from axml_jax.data.builders.named import open_dataset
from axml_jax.data.corpus import Document
from axml_jax.data.opened import Store, is_store
from axml_jax.data.readers.layouts import find_splits
from axml_jax.data.readers.opening import Opened, open_splits
from axml_jax.data.table_one import PAPER
from axml_jax.errors import ConfigError
from benchmarks import paper_published as published

CONSENSUS = "consensus"


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


class System(NamedTuple):
    """What predicts.

    Attributes:
      key: As the command line and folders have it.
      shown: As tables have it.
      parts: The keys of the systems that a consensus joins; () for others.
      files: Prediction files by data set; {} for what is trained here.
    """

    key: str
    shown: str
    parts: tuple[str, ...] = ()
    files: Mapping[str, Path] = {}

    @property
    def is_trained(self) -> bool:
        """Whether it is a model of this project."""
        return not self.parts and not self.files


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
    _refuse_twice("--data", [folder_name(data.name) for data in found])
    return found


def read_systems(
    methods: Sequence[str], predictions: Sequence[str], data: Sequence[DataSet]
) -> list[System]:
    """Systems as the command line names them.

    Args:
      methods: Values of config.model.name, and `consensus` or `consensus:A+B`.
      predictions: DATA:SYSTEM=FILE, files that other systems brought.
      data: The study's data sets.

    Returns:
      What is trained, what was brought, what is joined, each in the order given.

    Raises:
      ConfigError: An unknown method, part or data set, a missing file, or one name twice.
    """
    known = [data_set.name for data_set in data]
    brought: dict[str, dict[str, Path]] = {}
    for value in predictions:
        match = re.fullmatch(r"([^:]+):([^=]+)=(.+)", value)
        if not match or match[1] not in known or not Path(match[3]).is_file():
            raise ConfigError(
                f"--predictions has {value!r}; expected DATA:SYSTEM=FILE with a data set of --data "
                f"({', '.join(known)}) and a file that is there."
            )
        brought.setdefault(match[2], {})[match[1]] = Path(match[3])
    trained = [method for method in methods if not method.startswith(CONSENSUS)]
    for method in trained:
        if method not in MODELS:
            raise ConfigError(
                f"--methods has {method!r}; expected {', '.join(MODELS)}, {CONSENSUS} or "
                f"{CONSENSUS}:A+B."
            )
    systems = [System(method, published.SHOWN[method]) for method in trained]
    systems += [System(n, published.method_of(n), files=files) for n, files in brought.items()]
    keys = [system.key for system in systems]
    for method in methods:
        if method.startswith(CONSENSUS):
            systems.append(_consensus(method, {system.key: system for system in systems}))
    _refuse_twice("--methods and --predictions", [folder_name(s.key) for s in systems])
    _refuse_twice("--methods and --predictions", [s.shown for s in systems])
    if not keys:
        raise ConfigError("name a method to train, or predictions that were brought.")
    return systems


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


def _consensus(method: str, systems: Mapping[str, System]) -> System:
    parts = tuple(method.partition(":")[2].split("+")) if ":" in method else ()
    if method != CONSENSUS and (len(parts) < 2 or not method.startswith(f"{CONSENSUS}:")):
        raise ConfigError(f"--methods has {method!r}; expected {CONSENSUS} or {CONSENSUS}:A+B.")
    parts = parts or ("attention_xml", "parabel")
    missing = [part for part in parts if part not in systems or systems[part].parts]
    if missing:
        raise ConfigError(
            f"--methods has {method!r}, but no {missing[0]!r}, which it joins; there are "
            f"{', '.join(systems) or 'none'}."
        )
    if set(parts) == {"attention_xml", "parabel"}:
        return System(CONSENSUS, "Consensus", parts)
    joined = " and ".join(systems[part].shown for part in parts)
    return System(f"{CONSENSUS}+{'+'.join(parts)}", f"Consensus of {joined}", parts)


def _refuse_twice(flag: str, names: Sequence[str]) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ConfigError(f"{flag}: {min(twice)!r} stands there twice; give each its own name.")
