"""Selects the best labels of each document from a matrix of scores: the lists metrics are made of.

The convention holds everywhere: best first, equal scores by the lower label index, -1 after the
last prediction of a short list.  Needs NumPy and SciPy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from axml_jax.errors import InputError

PAD = -1

_BLOCK_ENTRIES = 1 << 20  # scores (or predictions) looked at together: some tens of MB


def top_k_from_scores(
    scores: Float[np.ndarray, "N L"], k: int
) -> tuple[Int[np.ndarray, "N k"], Float[np.ndarray, "N k"]]:
    """Selects the k best labels of each document from a dense matrix.

    Args:
      scores: [N, L], logits or probabilities; -inf means not predicted.
      k: Length of the lists.

    Returns:
      label_ids int32 [N, k], best first, ties to the lower label index, -1 after the last
      prediction; and their scores (-inf there), float64 for float64 and integers, else float32.

    Raises:
      InputError: A score is NaN; the message names the row.
    """
    (k,) = checked_ks((k,))
    scores = np.asarray(scores)
    if scores.ndim != 2:
        raise ValueError(f"scores should be [N, L], but its shape is {scores.shape}.")
    num_documents, num_labels = scores.shape
    kept = min(k, num_labels)
    dtype = _score_dtype(scores.dtype)
    best, best_scores = _empty_lists(num_documents, k, dtype)
    for rows in row_blocks(num_documents, num_labels):
        block = scores[rows].astype(dtype)
        _refuse_nan(np.isnan(block).any(axis=1), rows.start)
        if kept == 0:
            continue
        chosen = np.nonzero(_k_highest(block, kept))[1].reshape(-1, kept)  # ascending in a row
        chosen_scores = np.take_along_axis(block, chosen, axis=1)
        order = np.argsort(-chosen_scores, axis=1, kind="stable")
        best[rows, :kept] = np.take_along_axis(chosen, order, axis=1)
        best_scores[rows, :kept] = np.take_along_axis(chosen_scores, order, axis=1)
    best[best_scores == -np.inf] = PAD
    return best, best_scores


def top_k_from_sparse(
    scores: Any, k: int
) -> tuple[Int[np.ndarray, "N k"], Float[np.ndarray, "N k"]]:
    """Selects the k best labels of each document from a sparse matrix of scores.

    Only stored entries are predictions; a stored zero or negative score is one too.

    Args:
      scores: SciPy sparse [N, L]; a stored -inf means not predicted.
      k: Length of the lists.

    Returns:
      As `top_k_from_scores`.

    Raises:
      InputError: A score is NaN or a label is stored twice in a row; the message names the row.
    """
    (k,) = checked_ks((k,))
    # COO cannot be used on the way: its conversion would add up the scores of a repeated label.
    if not sp.issparse(scores) or scores.format != "csr":
        raise ValueError(f"scores should be a SciPy csr matrix, but it is {describe(scores)}.")
    num_documents = scores.shape[0]
    best, best_scores = _empty_lists(num_documents, k, _score_dtype(scores.dtype))
    mean_length = -(-scores.nnz // max(num_documents, 1))
    for rows in row_blocks(num_documents, mean_length):
        offsets = scores.indptr[rows.start : rows.stop + 1].astype(np.int64)
        entries = slice(offsets[0], offsets[-1])
        columns = scores.indices[entries]
        values = scores.data[entries].astype(best_scores.dtype)
        owners = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        nan_rows = np.zeros(len(offsets) - 1, bool)
        nan_rows[owners[np.isnan(values)]] = True
        _refuse_nan(nan_rows, rows.start)
        order = np.lexsort((columns, owners))
        twice = (np.diff(columns[order]) == 0) & (np.diff(owners[order]) == 0)
        if twice.any():
            at = order[np.argmax(twice)]
            raise predicted_twice(rows.start + owners[at], columns[at])
        order = np.lexsort((columns, -values, owners))
        ranks = np.arange(len(order)) - (offsets - offsets[0])[owners]
        kept = ranks < k
        best[rows][owners[kept], ranks[kept]] = columns[order][kept]
        best_scores[rows][owners[kept], ranks[kept]] = values[order][kept]
    best[best_scores == -np.inf] = PAD
    return best, best_scores


def row_blocks(num_rows: int, width: int) -> Iterator[slice]:
    """Yields slices of rows that hold about a million entries each."""
    step = max(1, _BLOCK_ENTRIES // max(width, 1))
    for start in range(0, num_rows, step):
        yield slice(start, min(start + step, num_rows))


def checked_ks(ks: Sequence[int]) -> tuple[int, ...]:
    """Returns the distinct cut-offs in their order; ValueError if one is no cut-off."""
    if not len(ks) or any(isinstance(k, bool) or k != int(k) or k < 1 for k in ks):
        raise ValueError(f"k should be whole numbers of at least 1, but it is {tuple(ks)}.")
    return tuple(dict.fromkeys(int(k) for k in ks))


def predicted_twice(row: int, label: int) -> InputError:
    """The error for a list that names a label twice."""
    return InputError(
        f"Row {row} of the predictions holds label {label} twice; each label can be predicted "
        f"once for a document: merge its scores first."
    )


def describe(thing: Any) -> str:
    """The type of something that is not what it should be, for an error message."""
    name = type(thing).__name__
    return f"{name} ({thing.format})" if sp.issparse(thing) else name


def _k_highest(block: np.ndarray, k: int) -> np.ndarray:
    """True for exactly k entries of each row, those at the boundary by lower column."""
    width = block.shape[1]
    threshold = np.partition(block, width - k, axis=1)[:, width - k, None]
    chosen = block >= threshold
    crowded = np.flatnonzero(chosen.sum(axis=1) > k)
    if len(crowded):
        above = block[crowded] > threshold[crowded]
        equal = block[crowded] == threshold[crowded]
        room = k - above.sum(axis=1, keepdims=True)
        chosen[crowded] = above | (equal & (np.cumsum(equal, axis=1) <= room))
    return chosen


def _refuse_nan(rows: np.ndarray, first_row: int) -> None:
    if rows.any():
        raise InputError(
            f"Row {first_row + np.argmax(rows)} of the scores holds a NaN, which has no rank."
        )


def _empty_lists(rows: int, k: int, dtype: np.dtype[Any]) -> tuple[np.ndarray, np.ndarray]:
    return np.full((rows, k), PAD, np.int32), np.full((rows, k), -np.inf, dtype)


def _score_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    # float32 holds float16 and bfloat16 exactly; float64 every integer that counts something.
    wide = dtype.kind in "iub" or (dtype.kind == "f" and dtype.itemsize > 4)
    return np.dtype(np.float64 if wide else np.float32)
