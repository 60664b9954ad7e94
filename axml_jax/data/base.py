"""What a new store takes from an earlier store or run: words, known labels, word vectors.

Whatever was learned under these ids then fits the new documents.  Knows nothing about weights.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxtyping import Float32
from numpy import ndarray

from axml_jax import run_names, runs
from axml_jax.data.opened import is_store, open_store
from axml_jax.data.text import Vocabulary
from axml_jax.data.titles import require_titles
from axml_jax.errors import ConfigError, InputError
from axml_jax.jsonio import read_json

DECIDED = ("vocabulary_size", "min_documents", "vectors", "vector_width", "seed")
"""Settings of `write_store` that a base leaves nothing to decide for."""


class Base(NamedTuple):
    """An earlier store or run, as much of it as a new store takes over.

    Attributes:
      name: Name of its folder.
      fingerprint: The store's; of a run, that of the store it was trained on.
      vocabulary: Its words.
      label_names: The labels that its model knows, in order of id.
      titles: What people call its labels, by name, where it knows.
      vectors: The store's word vectors, or None: those of a run were trained and stay there.
      vectors_kind: Where those are from: "ppmi" or "file"; None without any.
    """

    name: str
    fingerprint: str
    vocabulary: Vocabulary
    label_names: list[str]
    titles: dict[str, str]
    vectors: Float32[ndarray, "V E"] | None
    vectors_kind: str | None

    def describe(self) -> dict[str, Any]:
        """For the description of the new store, fit for JSON."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "labels": len(self.label_names),
        }


def refuse_decided(given: Iterable[str]) -> None:
    """Refuses settings of a new store that are for its base to decide.

    Args:
      given: Names of the settings that somebody has chosen.

    Raises:
      ConfigError: Some of them are among DECIDED.
    """
    if refused := [f"--{name}" for name in given if name in DECIDED]:
        raise ConfigError(
            f"{', '.join(refused)} cannot be had with --base: words and word vectors are the "
            "base's. Leave one of the two out."
        )


def read_base(path: str | os.PathLike[str], given: Iterable[str] = ()) -> Base:
    """Reads a store or a run as a base.

    Args:
      path: Its folder.
      given: See `refuse_decided`.

    Raises:
      ConfigError: A setting that is for the base to decide.
      InputError: The folder is neither a store nor a run, or it is damaged.
    """
    refuse_decided(given)
    path = Path(path)
    name = path.resolve().name
    if is_store(path):
        store = open_store(path)
        known = store.label_names[: store.num_train_labels]
        titles = _by_name(store.label_names, store.label_titles)
        about = store.description["vectors"] or {"kind": None}
        kind = about.get("of", about["kind"])
        words = store.vocabulary
        return Base(name, store.fingerprint, words, known, titles, store.vectors, kind)
    if not (path / "run.json").is_file():
        what = "it is neither a store nor a run" if path.exists() else "there is no such folder"
        raise InputError(
            f"{what}; --base takes a folder that launch/prepare.py --out or launch/train.py --run "
            "has made",
            file=path,
        )
    fingerprint = runs.read_description(path)["data"].get("fingerprint")
    labels = read_json(path / "labels.json")
    names = labels.get("names") if isinstance(labels, dict) else None
    if not isinstance(names, list) or not all(isinstance(label, str) for label in names):
        raise InputError("'names' is no list of label names", file=path / "labels.json")
    if not isinstance(fingerprint, str):
        raise InputError("'data' names no fingerprint", file=path / "run.json")
    called = labels.get("titles") or [None] * len(names)
    require_titles(called, len(names), path / "labels.json")
    words = Vocabulary.load(path / "words.json")
    run_names.require_names(path)
    return Base(name, fingerprint, words, names, _by_name(names, called), None, None)


def _by_name(names: Sequence[str], titles: Sequence[str | None]) -> dict[str, str]:
    """The titles that there are."""
    return {name: title for name, title in zip(names, titles, strict=True) if title}
