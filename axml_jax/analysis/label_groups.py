"""Groups of labels of like frequency and even totals (Table 6).  NumPy only; knows no models."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Int


class LabelGroup(NamedTuple):
    """Labels of like frequency.

    Attributes:
      lowest: Occurrences of the rarest of them.
      below: They all occur less often than this; None for the most frequent group.
      labels: Label ids, most frequent first.
      share: Their part of all occurrences of all labels, 0 to 1.
    """

    lowest: int
    below: int | None
    labels: Int[np.ndarray, " C"]
    share: float


def label_groups(
    counts: Int[np.ndarray, " L"], at_least: int = 5, num_groups: int = 3
) -> list[LabelGroup]:
    """Parts labels by frequency into groups of total occurrence as equal as possible.

    Labels of at least `at_least` occurrences are taken, and labels of equal frequency stay
    together.  Of all ways to cut their frequencies into `num_groups` the one is taken whose totals
    have the least sum of squared deviations from their mean; of equally good ones that whose last
    cut lies nearest to the most frequent, and so on with the cut before.

    Args:
      counts: [L], occurrences of each label in the split that is scored.
      at_least: Rarer labels are left out.
      num_groups: How many groups; one per frequency where there are fewer frequencies.

    Returns:
      The groups, most frequent first.

    Raises:
      ValueError: counts is not [L], or a number is below 1.
    """
    counts = np.asarray(counts, np.int64)
    if counts.ndim != 1 or at_least < 1 or num_groups < 1:
        raise ValueError(
            f"expected counts [L] and numbers of at least 1, got the shape {counts.shape}, "
            f"at_least {at_least} and num_groups {num_groups}."
        )
    frequencies, sizes = np.unique(counts[counts >= at_least], return_counts=True)
    frequencies, sizes = frequencies[::-1], sizes[::-1]
    if not len(frequencies):
        return []
    edges = _even_edges(frequencies * sizes, min(num_groups, len(frequencies)))
    order = np.argsort(-counts, kind="stable")
    groups = []
    for begin, end in pairwise(edges):
        lowest = int(frequencies[end - 1])
        below = int(frequencies[begin - 1]) if begin else None
        members = (counts >= lowest) & (counts < (below if below else counts.max() + 1))
        share = float(counts[members].sum() / counts.sum())
        groups.append(LabelGroup(lowest, below, order[members[order]], share))
    return groups


def _even_edges(totals: np.ndarray, num_groups: int) -> list[int]:
    """Where groups of neighbours begin and end whose sums of totals are the most even."""
    # As their mean is given, the least squared deviations are the least squares.
    so_far = np.concatenate([[0.0], np.cumsum(totals, dtype=np.float64)])
    least = np.square(so_far)  # of the groups so far, the last of which ends here
    begins = []  # by group from the second: where it best begins, by its end
    for group in range(1, num_groups):
        least, begin = _with_another(least, so_far, group)
        begins.append(begin)
    edges = [len(totals)]
    for begin in reversed(begins):
        edges.append(int(begin[edges[-1]]))
    return [0, *reversed(edges)]


def _with_another(
    least: np.ndarray, so_far: np.ndarray, group: int
) -> tuple[np.ndarray, np.ndarray]:
    """The least squares with one group more, and where it best begins, by its end."""
    squares, begin = np.full(len(so_far), np.inf), np.zeros(len(so_far), np.int64)
    # A later end never has an earlier best begin, for squares are convex: the end in the middle
    # halves the begins that are left to try for the ends on either side.
    waiting = [(group + 1, len(so_far), group, len(so_far) - 1)]
    while waiting:
        first, last, low, high = waiting.pop()
        end = (first + last) // 2
        tried = slice(low, min(high + 1, end))
        sums = least[tried] + np.square(so_far[end] - so_far[tried])
        begin[end] = low + int(np.argmin(sums))
        squares[end] = sums[begin[end] - low]
        if first < end:
            waiting.append((first, end, low, int(begin[end])))
        if end + 1 < last:
            waiting.append((end + 1, last, int(begin[end]), high))
    return squares, begin
