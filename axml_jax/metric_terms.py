"""What `axml_jax.metrics` counts with: checked lists, a binary truth, hits and ideal gains.

Needs NumPy and SciPy; knows nothing about models, texts or files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from axml_jax.errors import InputError
from axml_jax.top_k import PAD, describe, predicted_twice


def find_hits(ids: np.ndarray, truth: Any) -> np.ndarray:
    """1.0 where a predicted label is true; `truth` must be `binary`'s, so that its keys ascend."""
    num_labels = truth.shape[1]
    owners = np.repeat(np.arange(truth.shape[0], dtype=np.int64), np.diff(truth.indptr))
    true_keys = owners * num_labels + truth.indices
    if not len(true_keys):
        return np.zeros(ids.shape)
    keys = np.arange(len(ids), dtype=np.int64)[:, None] * num_labels + ids
    found = np.minimum(np.searchsorted(true_keys, keys), len(true_keys) - 1)
    return ((true_keys[found] == keys) & (ids != PAD)).astype(np.float64)


def ideal_gains(truth: Any, inverse: np.ndarray, longest: int) -> np.ndarray:
    """The inverse propensities of each document's true labels, highest first, [n, longest]."""
    offsets = truth.indptr.astype(np.int64)
    owners = np.repeat(np.arange(truth.shape[0]), np.diff(offsets))
    weights = inverse[truth.indices]
    weights = weights[np.lexsort((-weights, owners))]
    ranks = np.arange(len(weights)) - offsets[owners]
    kept = ranks < longest
    gains = np.zeros((truth.shape[0], longest))
    gains[owners[kept], ranks[kept]] = weights[kept]
    return gains


def binary(truth: Any, first_row: int) -> Any:
    """The truth without duplicates and zeros; what is left is true.  Rows of NaN are refused."""
    block = truth.astype(np.float64)  # a copy: the caller's matrix stays as it is
    block.sum_duplicates()
    block.eliminate_zeros()
    nan_rows = np.zeros(block.shape[0], bool)
    nan_rows[np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))[np.isnan(block.data)]] = 1
    if nan_rows.any():
        raise InputError(f"Row {first_row + np.argmax(nan_rows)} of the truth holds a NaN.")
    return block


def check_lists(ids: np.ndarray, num_labels: int, first_row: int) -> None:
    """Refuses labels out of range, after a -1, or predicted twice in a row, which is named."""
    wrong = (ids < PAD) | (ids >= num_labels)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise InputError(
            f"Row {first_row + row} of the predictions holds label {ids[row, column]}, but labels "
            f"are numbered 0 to {num_labels - 1} (-1 pads a short list)."
        )
    late = (ids[:, :-1] == PAD) & (ids[:, 1:] != PAD)
    if late.any():
        raise InputError(
            f"Row {first_row + np.argwhere(late)[0, 0]} of the predictions goes on after a -1, "
            f"which pads a short list and therefore stands at its end only."
        )
    narrow = np.int32 if num_labels <= np.iinfo(np.int32).max else np.int64  # half the time
    ordered = np.sort(ids.astype(narrow), axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != PAD)
    if twice.any():
        row, column = np.argwhere(twice)[0]
        raise predicted_twice(first_row + row, ordered[row, column])


def checked_truth(truth: Any) -> Any:
    """The truth as CSR; ValueError for what is not a sparse matrix."""
    if not sp.issparse(truth):
        raise ValueError(f"The truth should be a SciPy sparse matrix, but it is {describe(truth)}.")
    return truth.tocsr()
