"""Metrics label by label: areas under curves, and their means over groups of labels (Table 6).

NumPy and SciPy only; knows nothing about models or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from axml_jax.analysis.label_groups import LabelGroup
from axml_jax.metric_terms import checked_truth

_BLOCK_ENTRIES = 1 << 22  # scores of a block of labels: tens of MB


class LabelAreas(NamedTuple):
    """Areas under the curves of some labels, 0 to 1.

    Attributes:
      labels: Label ids.
      auc: Area under the receiver operating characteristic; NaN where it is undefined.
      aupr: Area under the precision-recall curve, as average precision.
    """

    labels: Int[np.ndarray, " C"]
    auc: Float[np.ndarray, " C"]
    aupr: Float[np.ndarray, " C"]


def label_areas(
    scores: Float[np.ndarray, "N L"], truth: Any, labels: Int[np.ndarray, " C"] | None = None
) -> LabelAreas:
    """AUC and AUPR of labels from all scores, exactly; blocks of labels are read one by one.

    With P documents that have the label and Q that have not,

        AUC  = (pairs of such documents in which the first has the higher score
               + half of those with equal scores) / (P Q)
        AUPR = sum over different scores s, from the highest, of
               (recall at s - recall before s) * precision at s

    where the documents at s are those with a score of at least s.  (scikit-learn: roc_auc_score,
    average_precision_score.)

    Args:
      scores: [N, L], logits or probabilities; a memory-mapped file may be larger than memory.  One
        in the order of labels (an [L, N] file's transpose) is read once, another once a block.
      truth: SciPy sparse [N, L]; an entry that is not zero is a true label.
      labels: The labels wanted; None for those that occur.

    Returns:
      The areas; AUC is NaN for a label that all documents have, both for one that none has.

    Raises:
      ValueError: Shapes that do not fit, or a NaN among the scores.
    """
    columns, labels = _columns(truth, labels, scores.shape)
    num_documents = scores.shape[0]
    auc, aupr = np.empty(len(labels)), np.empty(len(labels))
    step = max(1, _BLOCK_ENTRIES // max(num_documents, 1))
    for begin in range(0, len(labels), step):
        block = np.asarray(scores[:, labels[begin : begin + step]])
        if np.isnan(block).any():
            raise ValueError("a score is NaN, which has no rank.")
        for at, column in enumerate(block.T, start=begin):
            true = np.zeros(num_documents, bool)
            true[_rows(columns, labels[at])] = True
            auc[at], aupr[at] = _areas(*_by_score(column, true))
    return LabelAreas(labels, auc, aupr)


def label_areas_from_lists(
    scores: Any,
    truth: Any,
    labels: Int[np.ndarray, " C"] | None = None,
    unlisted: str = "tied",
) -> LabelAreas:
    """AUC and AUPR of labels from the best labels of each document alone.

    What a label's score is where it is not listed is unknown.  Assumed is that it lies below every
    score that the label is listed with, and among those documents that all are equal ("tied": the
    order is chance), or that the true ones come last, one by one ("last": the least that the areas
    can be under this assumption, for no two documents share a rank there).
    Lists cut at K are no ranking of a label's documents: a label may be listed with a low score in
    one document and not with a higher one in another, where more labels fit.  The figures of two
    systems compare only at one K.

    Args:
      scores: SciPy sparse [N, L]; every stored entry, zeros too, is a prediction.
      truth, labels: As for `label_areas`.
      unlisted: "tied" or "last".

    Returns:
      As `label_areas`, which it equals where everything is listed.

    Raises:
      ValueError: Shapes that do not fit, a NaN, or another word for `unlisted`.
    """
    if unlisted not in ("tied", "last"):
        raise ValueError(f"unlisted is {unlisted!r}: expected 'tied' or 'last'.")
    columns, labels = _columns(truth, labels, scores.shape)
    num_documents = scores.shape[0]
    listed = sp.csc_matrix(scores)
    if np.isnan(listed.data).any():
        raise ValueError("a score is NaN, which has no rank.")
    auc, aupr = np.empty(len(labels)), np.empty(len(labels))
    for at, label in enumerate(labels):
        true_rows = _rows(columns, label)
        span = slice(listed.indptr[label], listed.indptr[label + 1])
        hits = np.isin(listed.indices[span], true_rows)
        true, false = _by_score(listed.data[span], hits)
        missed = len(true_rows) - true.sum()
        others = num_documents - len(true_rows) - false.sum()
        if unlisted == "tied":
            true, false = np.append(true, missed), np.append(false, others)
        else:
            true = np.concatenate([true, [0], np.ones(missed, np.int64)])
            false = np.concatenate([false, [others], np.zeros(missed, np.int64)])
        auc[at], aupr[at] = _areas(true, false)
    return LabelAreas(labels, auc, aupr)


def group_means(areas: LabelAreas, groups: Sequence[LabelGroup]) -> list[tuple[float, float]]:
    """The mean AUC and AUPR over the labels of each group, in percent; NaN left out.

    Raises:
      ValueError: A label of a group has no area.
    """
    place = {int(label): at for at, label in enumerate(areas.labels)}
    means = []
    for group in groups:
        missing = [int(label) for label in group.labels if int(label) not in place]
        if missing:
            raise ValueError(f"there are no areas for label {missing[0]}.")
        chosen = [place[int(label)] for label in group.labels]
        pair = [values[chosen] for values in (areas.auc, areas.aupr)]
        auc, aupr = (_mean(values[~np.isnan(values)]) for values in pair)
        means.append((100 * auc, 100 * aupr))
    return means


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _columns(truth: Any, labels: Any, shape: tuple[int, ...]) -> tuple[Any, np.ndarray]:
    columns = checked_truth(truth).astype(bool).tocsc()
    columns.sum_duplicates()
    columns.eliminate_zeros()
    if columns.shape != tuple(shape):
        raise ValueError(f"scores and truth should be [N, L]: {tuple(shape)}, {columns.shape}.")
    occurring = np.flatnonzero(np.diff(columns.indptr))
    return columns, occurring if labels is None else np.asarray(labels, np.int64)


def _rows(columns: Any, label: int) -> np.ndarray:
    return columns.indices[columns.indptr[label] : columns.indptr[label + 1]]


def _by_score(scores: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Documents with and without the label at each different score, highest first."""
    order = np.argsort(scores)[::-1]
    ranked = scores[order]
    # Not their differences: two infinities, of labels that were not found, are equal as well.
    begins = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1])[: len(order)])
    with_label = np.add.reduceat(true[order].astype(np.int64), begins) if len(order) else begins
    sizes = np.diff(np.append(begins, len(order)))
    return with_label, sizes - with_label


def _areas(true: np.ndarray, false: np.ndarray) -> tuple[float, float]:
    """AUC and average precision of documents in steps of falling score."""
    positives, negatives = true.sum(), false.sum()
    if positives == 0:
        return float("nan"), float("nan")
    found, wrong = np.cumsum(true), np.cumsum(false)
    precision = found / np.maximum(found + wrong, 1)
    aupr = float((true * precision).sum() / positives)
    if negatives == 0:
        return float("nan"), aupr
    # Products of two counts: beyond int64 only with billions of documents.
    better = (false * (found - true)).sum() + (false * true).sum() / 2
    return float(better / (positives * negatives)), aupr
