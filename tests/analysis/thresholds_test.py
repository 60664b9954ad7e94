"""Thresholds: against all that could be chosen, and drawn towards the common one."""

import re
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from axml_jax.analysis import Thresholds, choose_thresholds, decide


def lists(dense: np.ndarray) -> Any:
    """A sparse matrix of what is no NaN, zeros stored."""
    rows, columns = np.nonzero(~np.isnan(dense))
    return sp.csr_matrix((dense[rows, columns], (rows, columns)), dense.shape)


def f1(given: np.ndarray, true: np.ndarray) -> float:
    return 2 * (given & true).sum() / max(given.sum() + true.sum(), 1)


def test_by_hand() -> None:
    # 3 is true, 2 false, 1 true, and a true document does not list the label.  Taking all three:
    # F1 = 4 / (3 + 3); taking one: 2 / (1 + 3); so all, from the lowest score, 1.
    scores = lists(np.array([[3.0], [2.0], [1.0], [np.nan]]))
    truth = sp.csr_matrix(np.array([[1], [0], [1], [1]]))
    assert choose_thresholds(scores, truth).common == 1.0
    # With the second gone false too, one is best: midway between 3 and 2.
    truth = sp.csr_matrix(np.array([[1], [0], [0], [0]]))
    assert choose_thresholds(scores, truth) == (2.5, np.array([2.5]))


@pytest.mark.parametrize("seed", range(4))
def test_no_other_threshold_is_better(seed: int) -> None:
    generator = np.random.default_rng(seed)
    dense = generator.integers(-4, 5, (30, 6)).astype(float)
    dense[generator.random(dense.shape) < 0.4] = np.nan
    true = generator.random(dense.shape) < 1 / (1 + np.exp(-np.nan_to_num(dense, nan=-2.0)))
    found = choose_thresholds(lists(dense), sp.csr_matrix(true), shrinkage=0.0)
    candidates = np.arange(-5, 6) - 0.25
    whole = [f1(dense >= candidate, true) for candidate in candidates]
    assert f1(dense >= found.common, true) == pytest.approx(max(whole))
    for label in range(6):
        column, right = dense[:, label], true[:, label]
        each = [f1(column >= candidate, right) for candidate in candidates]
        assert f1(column >= found.by_label[label], right) == pytest.approx(max(each))


def test_rare_labels_are_drawn_to_the_common_threshold() -> None:
    dense = np.array([[5.0, 9.0, 7.0], [4.0, 1.0, np.nan], [0.0, 0.0, 3.0], [-1.0, 0.0, 2.0]])
    true = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]], bool)
    own = choose_thresholds(lists(dense), sp.csr_matrix(true), shrinkage=0.0)
    np.testing.assert_allclose(own.by_label, [2.0, 5.0, own.common])  # label 2 is never true
    drawn = choose_thresholds(lists(dense), sp.csr_matrix(true), shrinkage=1.0)
    expected = [(2 * 2.0 + own.common) / 3, (5.0 + own.common) / 2, own.common]
    np.testing.assert_allclose(drawn.by_label, expected)
    np.testing.assert_allclose(
        choose_thresholds(lists(dense), sp.csr_matrix(true), 1e12).by_label, own.common
    )


def test_decisions_reach_their_thresholds_and_leave_the_scores_alone() -> None:
    scores = lists(np.array([[1.0, 0.0, np.nan], [np.nan, -1.0, 2.0]]))
    given = decide(scores, Thresholds(0.0, np.array([1.0, 0.0, 3.0])))
    np.testing.assert_array_equal(given.toarray(), [[1, 1, 0], [0, 0, 0]])
    assert given.nnz == 2
    assert scores.nnz == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shrinkage": -1.0}, "shrinkage should be a number of at least 0"),
        ({"shrinkage": np.inf}, "shrinkage should be a number of at least 0, but it is inf"),
        ({"scores": lists(np.array([[np.inf]]))}, "not all finite"),
        ({"truth": sp.csr_matrix((1, 1))}, "no true label is listed"),
        ({"truth": sp.csr_matrix((2, 1))}, "both should be [N, L]"),
    ],
)
def test_refusals(change: dict[str, Any], message: str) -> None:
    arguments = {"scores": sp.csr_matrix([[1.0]]), "truth": sp.csr_matrix([[1]])} | change
    with pytest.raises(ValueError, match=re.escape(message)):
        choose_thresholds(**arguments)
    with pytest.raises(ValueError, match="thresholds of 2"):
        decide(sp.csr_matrix([[1.0]]), Thresholds(0.0, np.zeros(2)))
