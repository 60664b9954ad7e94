"""A threshold for each label, for those who must decide and not only rank.

NumPy and SciPy only; knows nothing about models or files.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from axml_jax.analysis.calibration import listed_hits
from axml_jax.metric_terms import binary, checked_truth


class Thresholds(NamedTuple):
    """What a score must reach for its label to be given.

    Attributes:
      common: The threshold that serves all labels together best.
      by_label: float64 [L], each label's own, drawn towards the common one.
    """

    common: float
    by_label: Float[np.ndarray, " L"]


def choose_thresholds(scores: Any, truth: Any, shrinkage: float = 10.0) -> Thresholds:
    """Chooses thresholds on validation documents.

    The common threshold maximises F1 = 2 TP / (2 TP + FP + FN) over all pairs of documents and
    labels (micro F1), a label's best one t* that of its own documents.  A label with n true
    documents gets

        (n t* + shrinkage common) / (n + shrinkage)

    for the best threshold of a few documents is mostly chance: with n = `shrinkage` it is half its
    own.  A label without a true listed document gets the common one.  Thresholds lie midway between
    two neighbouring scores, the lowest at the lowest score, the highest of several equally good.

    Args:
      scores: SciPy sparse [N, L]; every stored entry, zeros too, is a prediction, a true label
        that is not listed is missed.  Logits are better than probabilities, of which the mean of
        two near 1 says little.
      truth: SciPy sparse [N, L]; an entry that is not zero is a true label.
      shrinkage: In documents; 0 for each label's own best.

    Returns:
      The thresholds, for scores of the same kind.

    Raises:
      ValueError: Shapes that do not fit, a shrinkage below 0 or infinite, scores that are not
        finite, or no true label is listed at all.
    """
    if not 0 <= shrinkage < float("inf"):
        raise ValueError(f"shrinkage should be a number of at least 0, but it is {shrinkage}.")
    listed = sp.csr_matrix(scores)
    if not np.isfinite(listed.data).all():
        raise ValueError("the scores are not all finite.")
    hits = listed_hits(listed, truth)
    if not hits.any():
        raise ValueError("no true label is listed: there is nothing to choose a threshold by.")
    positives = np.bincount(binary(checked_truth(truth), 0).indices, minlength=listed.shape[1])
    common, _ = _best(listed.data, hits, int(positives.sum()))
    order = np.argsort(listed.indices, kind="stable")
    labels = listed.indices[order]
    ends = np.searchsorted(labels, np.arange(listed.shape[1] + 1))
    by_label = np.full(listed.shape[1], common)
    for label in np.unique(labels[hits[order]]):
        chosen = order[ends[label] : ends[label + 1]]
        own, _ = _best(listed.data[chosen], hits[chosen], int(positives[label]))
        count = positives[label]
        by_label[label] = (count * own + shrinkage * common) / (count + shrinkage)
    return Thresholds(common, by_label)


def decide(scores: Any, thresholds: Thresholds) -> sp.csr_matrix:
    """Gives each document the listed labels that reach their thresholds.

    Args:
      scores: SciPy sparse [N, L], of the kind that the thresholds were chosen with.
      thresholds: Of `choose_thresholds`.

    Returns:
      A sparse matrix [N, L] of ones.

    Raises:
      ValueError: Another number of labels.
    """
    listed = sp.csr_matrix(scores, copy=True)
    if listed.shape[1] != len(thresholds.by_label):
        raise ValueError(
            f"there are scores of {listed.shape[1]} labels, thresholds of "
            f"{len(thresholds.by_label)}."
        )
    given = listed.data >= thresholds.by_label[listed.indices]
    listed.data = given.astype(np.float32)
    listed.eliminate_zeros()
    return listed


def _best(scores: np.ndarray, hits: np.ndarray, positives: int) -> tuple[float, float]:
    """The threshold of the highest F1, and that F1."""
    order = np.argsort(scores)[::-1]
    ordered = scores[order]
    found = np.cumsum(hits[order])
    # F1 = 2 TP / (predicted + positives), where all scores from here on up are taken.
    f1 = 2 * found / (np.arange(1, len(ordered) + 1) + positives)
    ends = np.append(np.diff(ordered) != 0, True)  # equal scores are taken or left together
    place = np.flatnonzero(ends)[int(np.argmax(f1[ends]))]
    below = ordered[place + 1] if place + 1 < len(ordered) else ordered[place]
    return float((ordered[place] + below) / 2), float(f1[place])
