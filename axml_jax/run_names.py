"""The words and labels of a run folder, with the sums in run.json by which changes are found.

Knows nothing of weights.
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

from axml_jax import runs
from axml_jax.errors import InputError
from axml_jax.jsonio import file_sum, read_json, write_json
from axml_jax.progress import say

if TYPE_CHECKING:
    from axml_jax.data.store import Store

_FILES = ("words.json", "labels.json")
_SUMS = "sums"  # in run.json; a run from before there were any has none


def write_names(folder: pathlib.Path, store: Store) -> None:
    """Writes what prediction needs beside weights: words, and labels with their counts."""
    store.vocabulary.save(folder / "words.json")
    known = store.num_train_labels
    write_json(
        folder / "labels.json",
        {
            "names": store.label_names[:known],
            "titles": store.label_titles[:known],
            "train_counts": [int(count) for count in store.label_counts[:known]],
            "train_documents": len(store.splits["train"]),
        },
    )
    description = runs.read_description(folder)
    sums = {name: file_sum(folder / name) for name in _FILES}
    if description.get(_SUMS) != sums:
        write_json(folder / "run.json", {**description, _SUMS: sums})


def require_names(folder: pathlib.Path) -> None:
    """Refuses words and labels that are not what the run wrote.

    Raises:
      InputError: this is no run, or one of these files is missing, changed or damaged.
    """
    kept = runs.read_description(folder).get(_SUMS)
    for name in _FILES:
        file = folder / name
        digest = kept.get(name) if isinstance(kept, dict) else None
        if digest is None:
            read_json(file)
        elif not file.is_file() or file_sum(file) != digest:
            raise InputError(
                "this is not what the run wrote. The run's launch/train.py command, started "
                "again, writes it anew from the store; or put back a copy.",
                file=file,
            )


def mend_names(folder: pathlib.Path, store: Store) -> None:
    """Writes words and labels anew where they are no longer what the run wrote.

    Args:
      folder: The run folder.
      store: What the run was begun with, by its fingerprint.
    """
    try:
        require_names(folder)
    except InputError as error:
        say(f"{error.file} is damaged or changed: words and labels are written anew")
        write_names(folder, store)
