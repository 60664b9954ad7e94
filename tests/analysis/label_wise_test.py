"""AUC and AUPR label by label: by hand, by their definitions, beside scikit-learn."""

import re
import time
from itertools import combinations, pairwise, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from axml_jax.analysis import (
    LabelAreas,
    LabelGroup,
    group_means,
    label_areas,
    label_areas_from_lists,
    label_groups,
)


def slow_areas(scores: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """AUC over all pairs, average precision threshold by threshold."""
    pairs = [(s, t) for s in scores[true] for t in scores[~true]]
    auc = sum((s > t) + 0.5 * (s == t) for s, t in pairs) / len(pairs) if pairs else np.nan
    aupr, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        taken = scores >= threshold
        recall = (taken & true).sum() / true.sum()
        aupr += (recall - recall_before) * (taken & true).sum() / taken.sum()
        recall_before = recall
    return auc, aupr


def random_case(seed: int) -> tuple[np.ndarray, Any]:
    generator = np.random.default_rng(seed)
    scores = generator.integers(-3, 4, (25, 9)).astype(np.float64)  # many ties
    truth = generator.random((25, 9)) < generator.random(9)
    truth[0], truth[1] = True, False  # every label has both
    truth[:, 0], truth[:, 1] = True, False
    return scores, sp.csr_matrix(truth)


def test_by_hand() -> None:
    # Label 0: true 3, 1; false 2, 1 -> pairs 3>2, 3>1, 1<2, 1=1: 2.5 of 4.  From the highest:
    # 3 (1/1 at recall 1/2), 2, 1 together with the last (2/4 at recall 1).
    scores = np.array([[3.0], [2.0], [1.0], [1.0]])
    truth = sp.csr_matrix(np.array([[1], [0], [1], [0]]))
    areas = label_areas(scores, truth)
    np.testing.assert_array_equal(areas.labels, [0])
    np.testing.assert_allclose(areas.auc, [2.5 / 4])
    np.testing.assert_allclose(areas.aupr, [0.5 * 1 + 0.5 * 2 / 4])


@pytest.mark.parametrize("entries", [1, 60, 1 << 22])
def test_agrees_with_the_definitions(monkeypatch: pytest.MonkeyPatch, entries: int) -> None:
    monkeypatch.setattr("axml_jax.analysis.label_wise._BLOCK_ENTRIES", entries)
    scores, truth = random_case(entries)
    areas = label_areas(scores, truth, np.arange(9))
    dense = truth.toarray()
    assert np.isnan(areas.auc[:2]).all()  # all documents have label 0, none has label 1
    assert areas.aupr[0] == 1
    assert np.isnan(areas.aupr[1])
    for label in range(2, 9):
        expected = slow_areas(scores[:, label], dense[:, label])
        assert (areas.auc[label], areas.aupr[label]) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(label_areas(scores, truth).labels, [0, *range(2, 9)])


def test_agrees_with_scikit_learn() -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="of the extra baselines")
    scores, truth = random_case(5)
    dense = truth.toarray()
    areas = label_areas(scores, truth, np.arange(2, 9))
    for at, label in enumerate(areas.labels):
        true, column = dense[:, label], scores[:, label]
        assert areas.auc[at] == pytest.approx(sklearn_metrics.roc_auc_score(true, column))
        expected = sklearn_metrics.average_precision_score(true, column)
        assert areas.aupr[at] == pytest.approx(expected)


def test_a_file_of_scores_is_read_by_labels(tmp_path: Path) -> None:
    scores, truth = random_case(6)
    np.save(tmp_path / "scores.npy", scores, allow_pickle=False)
    mapped = np.load(tmp_path / "scores.npy", mmap_mode="r", allow_pickle=False)
    for found, expected in zip(label_areas(mapped, truth), label_areas(scores, truth), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_what_was_not_found_is_tied() -> None:
    # As `sources.write_all_logits` writes labels that a search did not reach.
    scores = np.array([[1.0], [-np.inf], [-np.inf], [-np.inf]])
    truth = sp.csr_matrix(np.array([[1], [1], [0], [0]]))
    found = label_areas(scores, truth)
    assert found.auc.tolist() == [(2 + 2 / 2) / 4]
    assert found.aupr.tolist() == [0.5 * 1 + 0.5 * 2 / 4]


@pytest.mark.parametrize("unlisted", ["tied", "last"])
def test_lists_that_hold_everything_are_exact(unlisted: str) -> None:
    scores, truth = random_case(7)
    rows, columns = np.indices(scores.shape)
    full = sp.csr_matrix((scores.ravel(), (rows.ravel(), columns.ravel())), scores.shape)
    assert full.nnz == scores.size  # zeros are stored
    whole = label_areas(scores, truth)
    listed = label_areas_from_lists(full, truth, unlisted=unlisted)
    for found, expected in zip(listed, whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("unlisted", ["tied", "last"])
def test_unlisted_documents_rank_below(unlisted: str) -> None:
    scores, truth = random_case(8)
    dense = truth.toarray()
    kept = np.random.default_rng(9).random(scores.shape) < 0.4
    kept[:, 4] = False
    rows, columns = np.nonzero(kept)
    lists = sp.csr_matrix((scores[kept], (rows, columns)), scores.shape)
    areas = label_areas_from_lists(lists, truth, np.arange(2, 9), unlisted)
    for at, label in enumerate(areas.labels):
        # Scores for what is not listed that say in so many words what is assumed.
        filled = np.where(kept[:, label], scores[:, label], -10.0)
        if unlisted == "last":
            missed = ~kept[:, label] & dense[:, label]
            filled[missed] = -20.0 - np.arange(missed.sum())
        expected = slow_areas(filled, dense[:, label])
        assert (areas.auc[at], areas.aupr[at]) == pytest.approx(expected, rel=1e-12)


def test_no_documents_listed_by_hand() -> None:
    truth = sp.csr_matrix(np.array([[1], [0], [0], [1]]))
    nothing = sp.csr_matrix((4, 1))
    tied = label_areas_from_lists(nothing, truth)
    assert (tied.auc[0], tied.aupr[0]) == (0.5, 0.5)
    last = label_areas_from_lists(nothing, truth, unlisted="last")
    # After the two false ones: 1 of 3, 2 of 4.
    assert (last.auc[0], last.aupr[0]) == (0.0, pytest.approx((1 / 3 + 2 / 4) / 2))


def test_last_is_the_least_of_all_orders() -> None:
    listed, truth = [2.0, 1.0, 1.0], sp.csr_matrix(np.array([[0, 1, 0, 1, 0, 1, 1]], bool).T)
    scores = sp.csr_matrix((listed, ([0, 1, 2], [0, 0, 0])), (7, 1))
    found = label_areas_from_lists(scores, truth, unlisted="last")
    true = truth.toarray()[:, 0]
    orders = [np.array([*listed, *order]) for order in permutations([0.0, -1.0, -2.0, -3.0])]
    least = np.min([slow_areas(order, true) for order in orders], axis=0)
    np.testing.assert_allclose((found.auc[0], found.aupr[0]), least, rtol=1e-12)


def test_groups_by_hand() -> None:
    # At least 2: 9, 5, 4, 4, 3, 2, 2 = 29 of 30; so far 9, 14, 22, 25, 29; thirds 9.7 and 19.3.
    counts = np.array([4, 9, 1, 2, 5, 3, 4, 2])
    first, second, third = label_groups(counts, at_least=2)
    assert first[:2] == (9, None)
    assert second[:2] == (4, 9)
    assert third[:2] == (2, 4)
    assert [group.labels.tolist() for group in (first, second, third)] == [
        [1],
        [4, 0, 6],
        [5, 3, 7],
    ]
    assert [group.share for group in (first, second, third)] == pytest.approx(
        [9 / 30, 13 / 30, 7 / 30]
    )


def test_groups_are_about_equal_and_keep_equal_frequencies_together() -> None:
    counts = np.random.default_rng(0).zipf(1.6, 3000)
    counts = np.minimum(counts, 400)
    groups = label_groups(counts)
    assert len(groups) == 3
    together = np.concatenate([group.labels for group in groups])
    np.testing.assert_array_equal(np.sort(together), np.flatnonzero(counts >= 5))
    for group in groups:
        assert counts[group.labels].min() == group.lowest
        assert group.below is None or counts[group.labels].max() < group.below
    kept = counts[counts >= 5].sum() / counts.sum()
    for group in groups:
        # No farther off than the occurrences of one frequency.
        frequencies, sizes = np.unique(counts[counts >= 5], return_counts=True)
        assert abs(group.share - kept / 3) <= (frequencies * sizes).max() / counts.sum()


@pytest.mark.parametrize("num_groups", [1, 2, 3, 4, 6])
def test_no_other_groups_are_more_even(num_groups: int) -> None:
    generator = np.random.default_rng(num_groups)
    cases = [generator.zipf(1.5, 40).clip(0, 60) for _ in range(20)]
    for counts in [np.array([100, 12, 11, 10]), np.array([10, 9, *[5] * 300]), *cases]:
        frequencies = np.unique(counts[counts >= 5])[::-1]
        groups = label_groups(counts, num_groups=num_groups)
        assert len(groups) == min(num_groups, len(frequencies))
        totals = np.array([f * (counts == f).sum() for f in frequencies])
        ways = (
            [totals[a:b].sum() for a, b in pairwise([0, *cuts, len(totals)])]
            for cuts in combinations(range(1, len(totals)), len(groups) - 1)
        )
        found = [int(counts[group.labels].sum()) for group in groups]
        assert np.var(found) == pytest.approx(min(np.var(way) for way in ways), abs=1e-6)


def test_groups_of_a_million_labels_take_no_time() -> None:
    counts = np.random.default_rng(0).zipf(1.4, 1_000_000).clip(0, 300_000)
    assert len(np.unique(counts)) > 10_000
    begin = time.process_time()
    assert len(label_groups(counts)) == 3
    assert time.process_time() - begin < 3, "half a second's work"


def test_few_frequencies_give_few_groups() -> None:
    assert [group.labels.tolist() for group in label_groups(np.array([7, 7, 7, 1]))] == [[0, 1, 2]]
    assert [g.labels.tolist() for g in label_groups(np.array([5, 8, 5]))] == [[1], [0, 2]]
    assert label_groups(np.array([1, 2, 0])) == []


def test_means_of_groups_leave_out_what_is_undefined() -> None:
    areas = LabelAreas(np.array([2, 5, 7]), np.array([0.5, np.nan, 0.9]), np.array([0.1, 0.2, 0.6]))
    groups = [
        LabelGroup(9, None, np.array([5, 7]), 0.5),
        LabelGroup(5, 9, np.array([2]), 0.5),
    ]
    assert group_means(areas, groups) == [pytest.approx((90, 40)), pytest.approx((50, 10))]
    with pytest.raises(ValueError, match="no areas for label 3"):
        group_means(areas, [LabelGroup(1, None, np.array([3]), 1.0)])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: label_areas(np.zeros((2, 3)), sp.csr_matrix((3, 3))), "should be [N, L]"),
        (lambda: label_areas(np.full((1, 1), np.nan), sp.csr_matrix([[1]])), "NaN"),
        (
            lambda: label_areas_from_lists(sp.csr_matrix([[np.nan]]), sp.csr_matrix([[1]])),
            "NaN, which has no rank",
        ),
        (lambda: label_areas(np.zeros((1, 1)), np.ones((1, 1))), "SciPy sparse matrix"),
        (
            lambda: label_areas_from_lists(sp.csr_matrix((1, 1)), sp.csr_matrix((1, 1)), None, "x"),
            "expected 'tied' or 'last'",
        ),
        (lambda: label_groups(np.zeros((1, 1))), "expected counts [L]"),
        (lambda: label_groups(np.zeros(1), at_least=0), "at_least 0"),
    ],
)
def test_refusals(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
