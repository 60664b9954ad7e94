"""P@k, nDCG@k, R@k, RP@k, PSP@k, PSnDCG@k: eqs. (7), (8) and their propensity-scored kin.

Predictions are `label_ids`, int [N, K], best first; -1 pads a short list.  The truth is a SciPy
sparse matrix [N, L].  With y(j) = 1 if the j-th predicted label is true, |y| the number of true
labels, p the propensity of a label, and sums over j = 1..k, one document contributes

    P@k     sum y(j) / k                                                                 eq. (7)
    nDCG@k  sum y(j) / log(j + 1) / I(k),  I(k) = sum over j <= min(k, |y|) of 1 / log(j + 1)   (8)
    R@k     sum y(j) / |y|
    RP@k    sum y(j) / min(k, |y|)                       R-precision of Chalkidis et al. (2019)
    PSP@k   sum y(j) / p(j) / k                                        numerator and ideal, below
    PSnDCG@k  sum y(j) / p(j) / log(j + 1) / I(k)                      numerator and ideal, below

The first four are averaged over documents.  The last two are divided by the best that could have
been reached, as pyxclib does: the sum over documents of the term above, divided by the sum over
documents of the same term for the ideal list (the document's true labels, least propensity first).
Everything is a percentage, 0 to 100.

Conventions.  P@k and PSP@k divide by k even where fewer labels exist or were predicted.  A document
without true labels counts zero and stays in the mean.  The truth is made binary: duplicate entries
are summed, and what is not zero is true.  Labels never seen in training stay in the truth.  Equal
scores rank by the lower label index.  A label predicted twice, an index out of range and a NaN are
errors that name the row.  The base of the logarithm cancels in nDCG.

Work is done in blocks of documents, so that memory does not grow with N.  Needs NumPy and SciPy;
knows nothing about models, texts or files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from axml_jax.metric_terms import binary, check_lists, checked_truth, find_hits, ideal_gains
from axml_jax.top_k import (
    PAD,
    checked_ks,
    row_blocks,
    top_k_from_scores,
    top_k_from_sparse,
)

__all__ = [
    "DEFAULT_KS",
    "IDEAL",
    "PAD",
    "PROPENSITY_CONSTANTS",
    "MetricAccumulator",
    "aggregate",
    "evaluate",
    "inverse_propensities",
    "most_frequent_labels",
    "per_document",
    "propensity_constants",
    "top_k_from_scores",
    "top_k_from_sparse",
]

IDEAL = " ideal"  # suffix of the denominators in `per_document`
DEFAULT_KS = (1, 3, 5)

# (A, B) of Jain et al. (2016), estimated on Wikipedia and Amazon; the first is for all others.
PROPENSITY_CONSTANTS = {"default": (0.55, 1.5), "wikipedia": (0.5, 0.4), "amazon": (0.6, 2.6)}

Terms = dict[str, np.ndarray]


def evaluate(
    label_ids: Int[np.ndarray, "N K"],
    truth: Any,
    ks: Sequence[int] = DEFAULT_KS,
    *,
    inverse_propensities: Float[np.ndarray, " L"] | None = None,
) -> dict[str, float]:
    """Computes every metric of this module (the formulas stand at its head).

    Args:
      label_ids: int [N, K], predicted labels, best first, -1 after the end of a short list.
      truth: SciPy sparse [N, L]; an entry that is not zero is a true label.
      ks: The cut-offs; one larger than K counts the missing predictions as wrong.
      inverse_propensities: float [L], 1 / p, from `inverse_propensities`; None leaves out PSP@k
        and PSnDCG@k.

    Returns:
      Percentages by name: "P@1", "P@3", ..., "nDCG@5", "R@5", "RP@5", "PSP@5", "PSnDCG@5".

    Raises:
      InputError: A row predicts a label twice, or one outside 0..L-1, or after a -1.
      ValueError: Shapes or types that do not fit together.
    """
    truth = checked_truth(truth)
    accumulator = MetricAccumulator(truth.shape[1], ks, inverse_propensities=inverse_propensities)
    accumulator.update(label_ids, truth)
    return accumulator.result()


def per_document(
    label_ids: Int[np.ndarray, "N K"],
    truth: Any,
    ks: Sequence[int] = DEFAULT_KS,
    *,
    inverse_propensities: Float[np.ndarray, " L"] | None = None,
) -> dict[str, np.ndarray]:
    """Computes the metrics' terms document by document, for intervals and paired comparisons.

    Args:
      label_ids, truth, ks, inverse_propensities: As for `evaluate`.

    Returns:
      float64 [N] by name.  The mean of "P@5" is the metric, in percent.  For the propensity-scored
      ones the metric is a ratio of sums: `x["PSP@5"].sum() / x["PSP@5 ideal"].sum()`;
      `aggregate` knows this.

    Raises:
      InputError, ValueError: As for `evaluate`.
    """
    truth = checked_truth(truth)
    scorer = _Scorer(truth.shape[1], ks, inverse_propensities)
    blocks = list(scorer.blocks(label_ids, truth, 0))
    if not blocks:
        return {name: np.zeros(0) for name in scorer.names()}
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def aggregate(terms: Mapping[str, Float[np.ndarray, " N"]]) -> dict[str, float]:
    """Turns the terms of `per_document` into the metrics of `evaluate`.

    Args:
      terms: float [N] by name.

    Returns:
      Percentages by name.

    Raises:
      ValueError: There are no documents.
    """
    sums = {name: float(np.sum(values)) for name, values in terms.items()}
    return _ratios(sums, len(next(iter(terms.values()), ())))


class MetricAccumulator:
    """`evaluate`, block by block: for predictions that do not fit into memory.

    Args:
      num_labels: L.
      ks, inverse_propensities: As for `evaluate`.

    Attributes:
      num_documents: Documents seen so far.
    """

    def __init__(
        self,
        num_labels: int,
        ks: Sequence[int] = DEFAULT_KS,
        *,
        inverse_propensities: Float[np.ndarray, " L"] | None = None,
    ) -> None:
        self._scorer = _Scorer(num_labels, ks, inverse_propensities)
        self._sums = dict.fromkeys(self._scorer.names(), 0.0)
        self.num_documents = 0

    def update(self, label_ids: Int[np.ndarray, "N K"], truth: Any) -> None:
        """Adds documents.

        Args:
          label_ids, truth: As for `evaluate`.

        Raises:
          InputError, ValueError: As for `evaluate`; nothing was added then.  Rows are numbered
            from the first document ever added.
        """
        sums = dict(self._sums)
        for terms in self._scorer.blocks(label_ids, checked_truth(truth), self.num_documents):
            for name, values in terms.items():
                sums[name] += float(values.sum())
        self._sums = sums
        self.num_documents += truth.shape[0]

    def result(self) -> dict[str, float]:
        """The metrics over all documents added so far, as `evaluate` returns them."""
        return _ratios(self._sums, self.num_documents)


def propensity_constants(data_set: str = "") -> tuple[float, float]:
    """Chooses A and B by the name of the data set.

    "wikipedia" holds for names that begin with "wiki", except Wiki10-31K; "amazon" for names that
    begin with "amazon", except AmazonCat-13K.  The two exceptions are scored with the default in
    the published tables.

    Args:
      data_set: For instance "WikiLSHTC-325K"; case and punctuation do not matter.

    Returns:
      (A, B).
    """
    name = "".join(character for character in data_set.lower() if character.isalnum())
    for family, exception in (("wiki", "wiki10"), ("amazon", "amazoncat")):
        if name.startswith(family) and not name.startswith(exception):
            return PROPENSITY_CONSTANTS["wikipedia" if family == "wiki" else "amazon"]
    return PROPENSITY_CONSTANTS["default"]


def inverse_propensities(
    label_counts: Int[np.ndarray, " L"], num_train_documents: int, a: float = 0.55, b: float = 1.5
) -> Float[np.ndarray, " L"]:
    """Computes 1 / p = 1 + C exp(-A log(n + B)), C = (log N - 1)(B + 1)^A (Jain et al. 2016).

    Args:
      label_counts: [L], n, training documents per label; 0 for a label never seen in training.
      num_train_documents: N, training documents, those without labels included.
      a, b: A and B; see `propensity_constants`.

    Returns:
      float64 [L], at least 1.

    Raises:
      ValueError: Fewer than 3 training documents (C would be negative), a count below 0 or above
        N, A below 0 or B not above 0.
    """
    counts = np.asarray(label_counts, np.float64)
    if counts.ndim != 1:
        raise ValueError(f"label_counts should be [L], but its shape is {counts.shape}.")
    if num_train_documents < 3:
        raise ValueError(
            f"Propensities need at least 3 training documents, but there are "
            f"{num_train_documents}: C = (log N - 1)(B + 1)^A would be negative."
        )
    if not (a >= 0 and b > 0 and np.isfinite(a) and np.isfinite(b)):
        raise ValueError(f"Propensities need A >= 0 and B > 0, but A is {a} and B is {b}.")
    if not np.all((counts >= 0) & (counts <= num_train_documents)):
        raise ValueError(
            f"label_counts should lie in 0..{num_train_documents}, the number of training "
            f"documents, but they reach from {counts.min()} to {counts.max()}."
        )
    c = (np.log(num_train_documents) - 1.0) * (b + 1.0) ** a
    return 1.0 + c * np.exp(-a * np.log(counts + b))


def most_frequent_labels(label_counts: Int[np.ndarray, " L"], k: int) -> Int[np.ndarray, " k"]:
    """Lists the labels of the most training documents: the baseline that reads no text.

    Args:
      label_counts: [L], training documents per label.
      k: How many to list.

    Returns:
      int32 [k], most frequent first, ties to the lower index, -1 where fewer labels were seen;
      `np.broadcast_to(ids, (N, k))` predicts it for every document.
    """
    counts = np.asarray(label_counts, np.float64)
    return top_k_from_scores(np.where(counts > 0, counts, -np.inf)[None], k)[0][0]


class _Scorer:
    """Computes the terms of a block of documents."""

    def __init__(self, num_labels: int, ks: Sequence[int], inverse: Any) -> None:
        self.num_labels = num_labels
        self.ks = checked_ks(ks)
        self.inverse = None if inverse is None else np.asarray(inverse, np.float64)
        if self.inverse is not None:
            if self.inverse.shape != (num_labels,):
                raise ValueError(
                    f"inverse_propensities should be [{num_labels}], one for each label, but its "
                    f"shape is {self.inverse.shape}."
                )
            if not (np.isfinite(self.inverse).all() and (self.inverse > 0).all()):
                raise ValueError("inverse_propensities should be finite and above zero.")
        self.discounts = 1.0 / np.log2(np.arange(max(self.ks)) + 2.0)

    def names(self) -> list[str]:
        metrics = ["P", "nDCG", "R", "RP"]
        if self.inverse is not None:
            metrics += ["PSP", "PSnDCG"]
        plain = [f"{metric}@{k}" for metric in metrics for k in self.ks]
        return plain + [f"{name}{IDEAL}" for name in plain if name.startswith("PS")]

    def blocks(self, label_ids: Any, truth: Any, first_row: int) -> Iterator[Terms]:
        label_ids = np.asarray(label_ids)
        if label_ids.ndim != 2 or label_ids.dtype.kind not in "iu":
            raise ValueError(
                f"label_ids should be integers [N, K], but they are {label_ids.dtype} of shape "
                f"{label_ids.shape}."
            )
        if truth.shape != (len(label_ids), self.num_labels):
            raise ValueError(
                f"The truth should be [{len(label_ids)}, {self.num_labels}], one row for each row "
                f"of label_ids and one column for each label, but its shape is {truth.shape}."
            )
        mean_size = -(-truth.nnz // max(len(label_ids), 1))
        for rows in row_blocks(len(label_ids), max(label_ids.shape[1], max(self.ks), mean_size)):
            ids = label_ids[rows].astype(np.int64)
            check_lists(ids, self.num_labels, first_row + rows.start)
            yield self._terms(ids[:, : max(self.ks)], binary(truth[rows], first_row + rows.start))

    def _terms(self, ids: np.ndarray, truth: Any) -> Terms:
        at_k = np.asarray(self.ks) - 1
        longest = max(self.ks)
        hits = np.zeros((len(ids), longest))
        hits[:, : ids.shape[1]] = find_hits(ids, truth)
        sizes = np.diff(truth.indptr).astype(np.int64)
        # I(k) of eq. (8); the 1 instead of 0 leaves a document without labels at 0 / 1.
        table = np.concatenate([[1.0], np.cumsum(self.discounts)])
        best = table[np.minimum(sizes[:, None], np.asarray(self.ks))]
        counted = np.cumsum(hits, axis=1)[:, at_k]
        values = {
            "P": counted / np.asarray(self.ks),
            "nDCG": np.cumsum(hits * self.discounts, axis=1)[:, at_k] / best,
            "R": counted / np.maximum(sizes, 1)[:, None],
            "RP": counted / np.clip(sizes[:, None], 1, np.asarray(self.ks)),
        }
        ideals: Terms = {}
        if self.inverse is not None:
            gains = hits  # no longer needed as it was
            gains[:, : ids.shape[1]] *= self.inverse[np.maximum(ids, 0)]
            ideal = ideal_gains(truth, self.inverse, longest)
            for part, gained in ((values, gains), (ideals, ideal)):
                part["PSP"] = np.cumsum(gained, axis=1)[:, at_k] / np.asarray(self.ks)
                part["PSnDCG"] = np.cumsum(gained * self.discounts, axis=1)[:, at_k] / best
        terms = {
            f"{name}@{k}": 100.0 * value[:, column]
            for name, value in values.items()
            for column, k in enumerate(self.ks)
        }
        for name, value in ideals.items():
            for column, k in enumerate(self.ks):
                terms[f"{name}@{k}{IDEAL}"] = value[:, column]
        return terms


def _ratios(sums: Mapping[str, float], num_documents: int) -> dict[str, float]:
    if num_documents == 0:
        raise ValueError("There are no documents to evaluate.")
    result = {}
    for name, total in sums.items():
        if not name.endswith(IDEAL):
            whole = sums.get(name + IDEAL, float(num_documents))
            result[name] = total / whole if whole else 0.0  # no document has a true label
    return result
