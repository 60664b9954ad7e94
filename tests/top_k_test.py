"""Selecting the best labels from scores: order, ties, short lists, errors."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from axml_jax.errors import InputError
from axml_jax.metrics import top_k_from_scores, top_k_from_sparse


def sorted_lists(scores: np.ndarray, k: int) -> np.ndarray:
    """The convention in one line: sort by (score descending, label ascending)."""
    lists = []
    for row in np.asarray(scores, np.float64):
        order = sorted(range(len(row)), key=lambda label: (-row[label], label))
        order = [label for label in order if row[label] != -np.inf][:k]
        lists.append(order + [-1] * (k - len(order)))
    return np.array(lists)


def test_by_hand() -> None:
    scores = np.array([[0.5, 2.0, 2.0, -1.0], [0.0, 0.0, -0.0, 0.0], [-np.inf, 1.0, -np.inf, 3.0]])
    ids, best = top_k_from_scores(scores, 3)
    np.testing.assert_array_equal(ids, [[1, 2, 0], [0, 1, 2], [3, 1, -1]])
    np.testing.assert_array_equal(best, [[2.0, 2.0, 0.5], [0.0, 0.0, 0.0], [3.0, 1.0, -np.inf]])
    assert ids.dtype == np.int32


@pytest.mark.parametrize("k", [1, 4, 9, 12])
@pytest.mark.parametrize("entries", [1, 50, 1 << 20])
def test_dense_and_sparse_agree_with_a_sort(
    monkeypatch: pytest.MonkeyPatch, k: int, entries: int
) -> None:
    monkeypatch.setattr("axml_jax.top_k._BLOCK_ENTRIES", entries)
    rng = np.random.default_rng(k)
    scores = rng.integers(-2, 3, (30, 9)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.3] = -np.inf
    expected = sorted_lists(scores, k)
    ids, best = top_k_from_scores(scores, k)
    np.testing.assert_array_equal(ids, expected)
    # Stored in a shuffled order: a tie still goes to the lower label index, and a zero counts.
    rows, columns = np.nonzero(scores > -np.inf)
    order = np.lexsort((rng.random(len(rows)), rows))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=30))])
    data = scores[rows, columns][order]
    sparse = sp.csr_matrix((data, columns[order], offsets), shape=scores.shape)
    sparse_ids, sparse_best = top_k_from_sparse(sparse, k)
    np.testing.assert_array_equal(sparse_ids, expected)
    np.testing.assert_array_equal(sparse_best, best)
    assert sparse_best.dtype == best.dtype == np.float32


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        (np.float16, np.float32),
        (np.float64, np.float64),
        (np.int64, np.float64),
        (bool, np.float64),
        (np.uint8, np.float64),
    ],
)
def test_types_of_scores(dtype: Any, kept: Any) -> None:
    scores = np.array([[0, 1, 1, 0]], dtype)
    ids, best = top_k_from_scores(scores, 3)
    np.testing.assert_array_equal(ids, [[1, 2, 0]])
    assert best.dtype == kept
    if dtype is not np.float16:  # which SciPy does not store
        sparse_ids, sparse_best = top_k_from_sparse(sp.csr_array(scores), 3)
        np.testing.assert_array_equal(sparse_ids, [[1, 2, -1]])
        assert sparse_best.dtype == kept


def test_scores_close_in_float64_keep_their_order() -> None:
    ids, _ = top_k_from_scores(np.array([[1.0, 1.0 + 1e-12]]), 2)
    np.testing.assert_array_equal(ids, [[1, 0]])


def test_the_caller_s_matrix_stays_as_it_is() -> None:
    sparse = sp.csr_matrix((np.array([1.0, 2.0]), [1, 0], [0, 2]), shape=(1, 3))
    top_k_from_sparse(sparse, 2)
    np.testing.assert_array_equal(sparse.indices, [1, 0])


def test_stored_minus_infinity_is_no_prediction() -> None:
    sparse = sp.csr_matrix((np.array([-np.inf, -5.0]), [0, 1], [0, 2]), shape=(1, 3))
    np.testing.assert_array_equal(top_k_from_sparse(sparse, 2)[0], [[1, -1]])


def test_no_documents_and_no_labels() -> None:
    assert top_k_from_scores(np.empty((0, 4)), 2)[0].shape == (0, 2)
    assert top_k_from_sparse(sp.csr_matrix((0, 4)), 2)[0].shape == (0, 2)
    np.testing.assert_array_equal(top_k_from_scores(np.empty((1, 0)), 2)[0], [[-1, -1]])
    np.testing.assert_array_equal(top_k_from_sparse(sp.csr_matrix((2, 4)), 1)[0], [[-1], [-1]])


@pytest.mark.parametrize("entries", [1, 1 << 20])
def test_nan_is_an_error_that_names_the_row(monkeypatch: pytest.MonkeyPatch, entries: int) -> None:
    monkeypatch.setattr("axml_jax.top_k._BLOCK_ENTRIES", entries)
    scores = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, np.nan]])
    with pytest.raises(InputError, match="Row 2 of the scores holds a NaN"):
        top_k_from_scores(scores, 1)
    with pytest.raises(InputError, match="Row 2 of the scores holds a NaN"):
        top_k_from_sparse(sp.csr_matrix(scores), 1)


@pytest.mark.parametrize("entries", [1, 1 << 20])
def test_a_label_stored_twice_names_the_row(monkeypatch: pytest.MonkeyPatch, entries: int) -> None:
    monkeypatch.setattr("axml_jax.top_k._BLOCK_ENTRIES", entries)
    scores = sp.csr_matrix((np.arange(5.0), [0, 1, 2, 1, 2], [0, 2, 5]), shape=(2, 3))
    with pytest.raises(InputError, match="Row 1 of the predictions holds label 2 twice"):
        top_k_from_sparse(scores, 1)


@pytest.mark.parametrize(
    ("select", "scores", "k", "message"),
    [
        (top_k_from_scores, np.ones((2, 3)), 0, "at least 1, but it is (0,)"),
        (top_k_from_scores, np.ones(3), 1, "scores should be [N, L], but its shape is (3,)"),
        (top_k_from_sparse, np.ones((2, 3)), 1, "a SciPy csr matrix, but it is ndarray"),
        (top_k_from_sparse, sp.coo_matrix((2, 3)), 1, "but it is coo_matrix (coo)"),
    ],
)
def test_arguments_that_do_not_fit(
    select: Callable[..., Any], scores: Any, k: int, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        select(scores, k)
