"""Several systems as one: the consensus of eq. (9), and the mean of logits over several seeds.

Both take ranked lists (`axml_jax.baselines.predictions.Predictions`) of the same documents and
labels, whoever made them.  NumPy and SciPy only; knows nothing about files.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from scipy.special import log_expit

from axml_jax.baselines.choices import LOGIT, SCORE
from axml_jax.baselines.predictions import Predictions, not_probabilities
from axml_jax.errors import InputError

# log(1 - P) of P = 1 and of P = 0: beyond those of the float64 next to 1, and next to 0.
_CERTAIN = -54 * np.log(2.0)
_IMPOSSIBLE = -float(np.finfo(np.float64).tiny)


def consensus(sources: Sequence[Predictions], top_k: int | None = None) -> Predictions:
    """P = 1 - prod over sources of (1 - P_source), eq. (9).

    What is ranked is log(1 - P), the sum of the sources' log(1 - P_source): with logits
    log sigmoid(-logit), which tells labels apart whose P round to 1.  A label that a source does
    not list counts P_source = 0 there.  Of probabilities alone, 1 and 0 are taken for the next
    that float64 could hold (1 - 2^-54, 2e-308), so that their order stays.

    Args:
      sources: Two or more, with logits or probabilities.
      top_k: Labels kept of a document; None for all that any source lists.

    Returns:
      The consensus with its logit, log(P / (1 - P)).  Equal ones stay in the order of the first
      source that tells them apart, else of the label index.

    Raises:
      InputError: A source has scores that are no probabilities.
      ValueError: Fewer than two sources, or of different documents or labels.
    """
    merged = _Merged(sources)
    total = np.zeros(merged.size)
    for source, entries in zip(sources, merged.entries, strict=True):
        total[entries] += _log_complement(source)
    # log P = log(1 - exp(total)) and log(1 - P) = total.
    return merged.ranked(-total, np.log(-np.expm1(total)) - total, top_k)


def mean_logits(sources: Sequence[Predictions], top_k: int | None = None) -> Predictions:
    """The mean of the sources' logits: of one model trained with several seeds.

    A label that a source does not list counts there what the last label of its list has, the most
    that it can have; a source with an empty list has no say for that document.

    Args:
      sources: Two or more, with logits.
      top_k: Labels kept of a document; None for all that any source lists.

    Returns:
      The mean logits; ties as in `consensus`.

    Raises:
      InputError: A source has no logits.
      ValueError: Fewer than two sources, or of different documents or labels.
    """
    for source in sources:
        require_joinable(source, mean_logits.__name__)
    merged = _Merged(sources)
    total, counted = np.zeros(merged.size), np.zeros(merged.size)
    for source, entries in zip(sources, merged.entries, strict=True):
        filled = np.diff(source.offsets) > 0
        last = np.zeros(len(source))
        last[filled] = source.scores[source.offsets[1:][filled] - 1]
        logits = last[merged.rows]
        logits[entries] = source.scores
        heard = filled[merged.rows]
        total += np.where(heard, logits, 0.0)
        counted += heard
    mean = total / counted  # an entry comes from some source, whose list is not empty
    return merged.ranked(mean, mean, top_k)


def require_joinable(source: Predictions, combine: str) -> None:
    """Tells before there are others whether a source can be joined with them.

    Args:
      source: Predictions.
      combine: "consensus" or "mean_logits".

    Raises:
      InputError: Its scores are none that this takes.
    """
    if combine == mean_logits.__name__ and source.kind != LOGIT:
        raise InputError(
            f"the mean of logits needs logits; found the kind {source.kind!r}.",
            file=source.source or None,
        )
    if source.kind == SCORE:
        raise InputError(not_probabilities(source), file=source.source or None)


class _Merged:
    """The (document, label) pairs that any source lists, by document and label.

    Attributes:
      rows, label_ids: int64 [size], the pairs.
      entries: For each source the place of its entries among the pairs.
    """

    def __init__(self, sources: Sequence[Predictions]) -> None:
        if len(sources) < 2:
            raise ValueError(f"an ensemble needs two sources or more; {len(sources)} came.")
        shapes = [(len(source), source.num_labels) for source in sources]
        if len(set(shapes)) > 1:
            raise ValueError(f"the sources are of different documents or labels: {shapes}.")
        self.num_documents, self.num_labels = shapes[0]
        keys = [source.rows() * self.num_labels + source.label_ids for source in sources]
        pairs = np.unique(np.concatenate(keys))
        self.size = len(pairs)
        self.rows, self.label_ids = np.divmod(pairs, max(self.num_labels, 1))
        self.entries = [np.searchsorted(pairs, key) for key in keys]
        self._ranks = []
        for source, entries in zip(sources, self.entries, strict=True):
            ranks = np.full(self.size, self.num_labels)
            ranks[entries] = source.ranks()
            self._ranks.append(ranks)

    def ranked(
        self,
        order_by: Float64[np.ndarray, " size"],
        logits: Float64[np.ndarray, " size"],
        top_k: int | None,
    ) -> Predictions:
        """The pairs of each document, highest `order_by` first."""
        order = np.lexsort((self.label_ids, *self._ranks[::-1], -order_by, self.rows))
        # Not logits[order]: where rounding has two logits the other way round, they change places.
        scores = logits[np.lexsort((-logits, self.rows))]
        counts = np.bincount(self.rows, minlength=self.num_documents)
        ends = np.cumsum(counts)
        top_k = self.num_labels if top_k is None else top_k
        kept = np.arange(self.size) - (ends - counts)[self.rows] < top_k
        order = order[kept]
        offsets = np.concatenate([[0], np.cumsum(np.minimum(counts, top_k))]).astype(np.int64)
        ids = self.label_ids[order].astype(np.int32)
        return Predictions(offsets, ids, scores[kept], self.num_labels, LOGIT)


def _log_complement(source: Predictions) -> Float64[np.ndarray, " entries"]:
    """log(1 - P), below 0."""
    require_joinable(source, consensus.__name__)
    if source.kind == LOGIT:
        return np.minimum(log_expit(-source.scores), _IMPOSSIBLE)
    with np.errstate(divide="ignore"):
        return np.clip(np.log1p(-source.scores), _CERTAIN, _IMPOSSIBLE)
