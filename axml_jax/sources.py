"""The predictions of a run, or of a file, for a split of a store: one door for both.

Knows the run folder, the store and prediction files; not what is done with the predictions.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int

from axml_jax.baselines.choices import Reading
from axml_jax.baselines.predictions import Predictions, from_lists, read_predictions
from axml_jax.data.corpus import MAX_LABELS_LINE, read_lines
from axml_jax.data.store import Split, Store
from axml_jax.errors import InputError
from axml_jax.model import Model
from axml_jax.progress import bar, progress, say

# Logits of a block of documents: 128 MB.  A block's part of a label is written as a whole, and the
# longer it is, the fewer times a page of the file is.
_BLOCK_ENTRIES = 1 << 25


def documents_of(data: Store, split: str) -> Split:
    """The documents of a split, one or more; InputError where there is no such split."""
    if split not in data.splits:
        raise InputError(
            f"the store has no split {split!r}; it has {', '.join(data.splits)}.", file=data.path
        )
    return data.splits[split]


def require_same_ids(model: Model, data: Store) -> None:
    """Refuses a store of another vocabulary or label set than the model's."""
    known = len(model.label_names)
    if (
        data.label_names[:known] != model.label_names
        or data.vocabulary.words != model.vocabulary.words
    ):
        raise InputError(
            "this store has another vocabulary or other labels than the run; score the run on "
            "the store it was trained on, or on one prepared with the same training texts.",
            file=data.path,
        )


def from_model(
    model: Model,
    data: Store,
    split: str,
    top_k: int,
    chosen: Int[np.ndarray, " N"] | None = None,
) -> Predictions:
    """Predicts a split.

    Args:
      model: A model of this store's words and labels.
      data: The store.
      split: Its split.
      top_k: Labels wanted of each document; fewer where the model has fewer.
      chosen: Documents of the split wanted; None for all.

    Returns:
      Logits, in the label ids of the store.

    Raises:
      InputError: As `documents_of` and `require_same_ids`.
    """
    require_same_ids(model, data)
    documents = documents_of(data, split)
    top_k = min(top_k, len(model.label_names))
    wanted = range(len(documents)) if chosen is None else chosen.tolist()
    answers = model.predict_ids(map(documents.document, wanted), top_k)
    rows = list(progress(answers, f"predicting {split}", len(wanted)))
    logits, label_ids = (np.stack(part) for part in zip(*rows, strict=True))
    return from_lists(label_ids, logits, len(data.label_names))


def write_all_logits(
    model: Model,
    data: Store,
    split: str,
    path: str | os.PathLike[str],
    labels: Int[np.ndarray, " C"],
) -> Float32[np.ndarray, "N C"]:
    """Writes a model's logits for whole labels to a file that may be larger than memory.

    Nothing is ranked; a block of documents (128 MB) is in memory beside what the model needs.

    Args:
      model, data, split: As for `from_model`.
      path: A .npy file, label by label: what reads it by labels reads it once.
      labels: The labels wanted, ids of the store.

    Returns:
      The file, memory-mapped, [N, C]; -inf for labels that the model does not know or not find.
    """
    require_same_ids(model, data)
    documents = documents_of(data, split)
    shape = (len(labels), len(documents))
    written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    known = labels < len(model.label_names)
    ids = np.where(known, labels, 0)
    step = min(len(documents), max(1, _BLOCK_ENTRIES // max(len(labels), 1)))
    block = np.empty((step, len(labels)), np.float32)
    with bar(f"scoring all labels of {split}", len(documents)) as advance:
        for begin in range(0, len(documents), step):
            end = min(begin + step, len(documents))
            some = [documents.document(i) for i in range(begin, end)]
            for places, logits in model.all_logits(some):
                block[places] = np.where(known, logits[:, ids], -np.inf)
                advance(len(places))
            written[:, begin:end] = block[: end - begin].T
    written.flush()
    return written.T


def from_file(
    path: str | os.PathLike[str], data: Store, split: str, reading: Reading | None = None
) -> Predictions:
    """Reads a prediction file for a split and says on standard error what it was taken for.

    Raises:
      InputError: As `documents_of` and `read_predictions`.
    """
    reading = reading or Reading()
    names: Sequence[str] | None = None
    if reading.own_names is not None:
        names = [
            line.strip() for line in read_lines(pathlib.Path(reading.own_names), MAX_LABELS_LINE)
        ]
    predictions = read_predictions(
        path,
        data.label_names,
        len(documents_of(data, split)),
        num_train_labels=data.num_train_labels,
        format=reading.format,
        labels=reading.labels,
        own_names=names,
        kind=reading.scores,
        assumed=reading.assumed,
    )
    say(f"{os.fspath(path)}: {predictions.taken_for}")
    return predictions


def names_of(paths: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Short names for tables: of file or folder, or the whole path where two are the same."""
    short = [pathlib.Path(os.path.abspath(path)).name for path in paths]
    whole = [os.fspath(path) for path in paths]
    return [name if short.count(name) == 1 else whole[i] for i, name in enumerate(short)]
