"""Systems beside one another: average ranks and p-values (Tables 2, 3), overlap (Table 4).

NumPy and SciPy only; knows nothing about models or files.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata, wilcoxon

from axml_jax.top_k import PAD, checked_ks

# Differences are compared after rounding: 80.1 - 80.0 and 55.1 - 55.0 are the same difference.
_DECIMALS = 9
# All signs of so many pairs are counted in some 20 ms.
_EXACT_UP_TO = 300


class Comparison(NamedTuple):
    """The Wilcoxon signed-rank test of paired results.

    Attributes:
      p_value: Two-sided.
      wins: Pairs in which the first is higher.
      losses: Pairs in which the second is.
      ties: Pairs without a difference, which the test leaves out.
    """

    p_value: float
    wins: int
    losses: int
    ties: int


def average_ranks(results: Float[np.ndarray, "R S"]) -> Float[np.ndarray, " S"]:
    """The mean rank of each system: 1 is best; equal results share the mean of their ranks.

    Args:
      results: [R, S], R results (a metric on a data set each) of S systems; higher is better.

    Returns:
      float64 [S].

    Raises:
      ValueError: It is not [R, S], empty, or not finite.
    """
    results = np.asarray(results, np.float64)
    if results.ndim != 2 or not results.size or not np.isfinite(results).all():
        raise ValueError(
            f"results should be [R, S], finite and not empty; their shape is {results.shape}."
        )
    return rankdata(-np.round(results, _DECIMALS), axis=1, method="average").mean(axis=0)


def compare_pairs(first: Float[np.ndarray, " R"], second: Float[np.ndarray, " R"]) -> Comparison:
    """Wilcoxon's signed-rank test: do two systems differ on the same data sets (or documents)?

    The paper pairs all values of one metric, P@1, P@3 and P@5 on five data sets: R = 15.  Terms of
    `metrics.per_document` are paired in the same way: R = N.

    Pairs without a difference are left out; differences of equal size share the mean of their
    ranks.  With up to 300 pairs that differ the p-value is exact, equal sizes or not: the part of
    all choices of signs whose sum of ranks is at least as far from its mean.  Beyond that it is the
    normal approximation with the variance of shared ranks (scipy.stats.wilcoxon).  With equal sizes
    throughout it is the sign test.  (The paper's p-values are looked up as if no two sizes were
    equal: against AnnexML in Table 2 it has 4.27e-3, here 4.09e-3; against Parabel in Table 3
    6.10e-4, here 5.49e-4; all others are the same.)

    Args:
      first, second: float [R], the results in the same order.

    Returns:
      The comparison; its p-value is 1 where no pair differs.

    Raises:
      ValueError: Other shapes, none at all, or values that are not finite.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.ndim != 1 or first.shape != second.shape or not first.size:
        raise ValueError(
            f"both should be [R] and not empty; their shapes are {first.shape}, {second.shape}."
        )
    differences = np.round(first - second, _DECIMALS)
    if not np.isfinite(differences).all():
        raise ValueError("the results are not all finite.")
    counts = (int((differences > 0).sum()), int((differences < 0).sum()))
    different = differences[differences != 0]
    p_value = 1.0
    if len(different):
        if len(different) <= _EXACT_UP_TO:
            p_value = _exact_p_value(different)
        else:
            p_value = float(wilcoxon(different, method="asymptotic").pvalue)
    return Comparison(p_value, *counts, len(differences) - sum(counts))


def overlap(
    first: Int[np.ndarray, "N K1"], second: Int[np.ndarray, "N K2"], k: int
) -> Float[np.ndarray, " N"]:
    """The part of the first k labels that two systems have in common, whatever their order.

        |first k of the one and first k of the other| / k

    A list shorter than k has fewer labels to share and is still divided by k.

    Args:
      first, second: int [N, K], each row a list without repetition, -1 after the last.
      k: The cut-off.

    Returns:
      float64 [N], 0 to 1; Table 4 has its mean in percent.

    Raises:
      ValueError: Different numbers of documents, or a k that is no cut-off.
    """
    (k,) = checked_ks((k,))
    if first.ndim != 2 or second.ndim != 2 or len(first) != len(second):
        raise ValueError(
            f"both should be [N, K] with one N; their shapes are {first.shape}, {second.shape}."
        )
    shared = np.zeros(len(first))
    for column in first[:, :k].T:
        shared += ((column[:, None] == second[:, :k]) & (column[:, None] != PAD)).any(axis=1)
    return shared / k


def _exact_p_value(differences: np.ndarray) -> float:
    """Two-sided, over all signs of the differences' ranks (SciPy's "exact" knows no equal ones).

    Rank by rank, a sum comes from the same sum without it or from the lesser one with it, each with
    a chance of a half.
    """
    # Shared ranks are halves.
    doubled = np.rint(2 * rankdata(np.abs(differences))).astype(np.int64)
    # The distribution is symmetric; its lower end adds up without loss.
    lower = int(min(doubled[differences > 0].sum(), doubled[differences < 0].sum()))
    chances = np.zeros(lower + 1)
    chances[0] = 1.0
    for rank in doubled:
        chances /= 2
        chances[rank:] = chances[rank:] + chances[:-rank]
    return min(1.0, 2.0 * float(chances.sum()))
