"""From encoded documents to batches of fixed shapes, in an order that a seed decides.

An epoch's order depends on (seed, epoch) alone, so that a run continues at any step
without replaying what came before.  Documents of like length may be put together
(`pool_batches`) and padded to one of a few lengths (`bucket_lengths`).  Knows nothing
about models or devices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from axml_jax.data.text import PAD

if TYPE_CHECKING:
    from axml_jax.data.store import Split


class Batch(NamedTuple):
    """One training batch; rows past the last real document have weight 0.

    Attributes:
      token_ids: int32 [B, T], padded with PAD at the end.
      lengths: int32 [B], tokens that are real; at least 1.
      label_ids: int32 [B, P], padded with the number of labels (which no label bears).
      weights: float32 [B], 1 for a document, 0 for a filler row.
      positions: int32 [B], the document's place in the epoch's order.
    """

    token_ids: np.ndarray
    lengths: np.ndarray
    label_ids: np.ndarray
    weights: np.ndarray
    positions: np.ndarray


def bucket_lengths(lengths: np.ndarray, max_tokens: int, count: int) -> tuple[int, ...]:
    """Chooses at most `count` padded lengths for documents of these lengths.

    The boundaries are even quantiles of the lengths, rounded up to a multiple of 8; the
    last holds the longest document after cutting at `max_tokens`.

    Args:
      lengths: int [N], tokens per document before cutting.
      max_tokens: Tokens kept of a document.
      count: How many lengths to choose, 1 or more.

    Returns:
      Increasing lengths, the last at most max_tokens.
    """
    cut = np.minimum(lengths, max_tokens)
    longest = int(cut.max(initial=1))
    quantiles = np.quantile(cut, np.arange(1, count) / count, method="higher") if len(cut) else []
    chosen = {min(longest, -(-int(edge) // 8) * 8) for edge in quantiles}
    return tuple(sorted(chosen | {longest}))


def epoch_order(
    lengths: np.ndarray, batch_size: int, pool_batches: int, seed: int, epoch: int
) -> np.ndarray:
    """The order of one epoch: a random permutation, grouped by length within windows.

    Windows of `pool_batches` batches are cut from a random permutation and sorted by
    length; the batches of all windows are then shuffled.  A batch that is not full
    stays last, so that its filler rows never stand between documents.

    Args:
      lengths: int [N], tokens per document.
      batch_size: Documents per batch.
      pool_batches: Batches per window; 1 leaves the random permutation as it is.
      seed: Of the run.
      epoch: 0-based.

    Returns:
      int64 [N]: documents in order; batch i is rows i * batch_size onwards.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths))
    if pool_batches == 1:
        return order
    full = len(order) - len(order) % batch_size
    window = pool_batches * batch_size
    pooled = [
        part[np.argsort(lengths[part], kind="stable")]
        for part in (order[i : min(i + window, full)] for i in range(0, full, window))
    ]
    batches = np.concatenate([*pooled, order[:0]]).reshape(-1, batch_size)
    return np.concatenate([random.permutation(batches).reshape(-1), order[full:]])


def pad_documents(
    documents: Sequence[np.ndarray], rows: int, buckets: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Pads documents to the smallest bucket that holds them all, cutting at the largest.

    Args:
      documents: int32 token ids, one array a document.
      rows: Rows of the result; missing ones are filled with one PAD token.
      buckets: Increasing padded lengths.

    Returns:
      token_ids int32 [rows, T] and lengths int32 [rows].
    """
    lengths = np.ones(rows, np.int32)
    lengths[: len(documents)] = [min(len(document), buckets[-1]) for document in documents]
    padded = next(bucket for bucket in buckets if bucket >= lengths.max())
    token_ids = np.full((rows, padded), PAD, np.int32)
    for row, document in enumerate(documents):
        token_ids[row, : lengths[row]] = document[: lengths[row]]
    return token_ids, lengths


class TrainBatches:
    """The batches of a training part, addressed by step.

    Args:
      split: Where the documents are.
      members: int [N], the documents of `split` that are trained on.
      num_labels: L; label ids from L on (never seen in training) are left out.
      batch_size, pool_batches, seed: See `epoch_order`.
      buckets: See `bucket_lengths`.
      rows: Which rows of each batch to make; all by default.  Their padded length is that of
        the whole batch, of whose other documents only the lengths are read.
    """

    def __init__(
        self,
        split: Split,
        members: np.ndarray,
        *,
        num_labels: int,
        batch_size: int,
        pool_batches: int,
        buckets: Sequence[int],
        seed: int,
        rows: slice | None = None,
    ) -> None:
        self._split = split
        self._members = members
        self._num_labels = num_labels
        self._batch_size = batch_size
        self._pool_batches = pool_batches
        self._buckets = tuple(buckets)
        self._seed = seed
        self._rows = range(batch_size)[rows or slice(None)]
        self._lengths = np.minimum(split.lengths[members], self._buckets[-1])
        self._width = max(1, int(np.diff(split.label_offsets)[members].max(initial=0)))
        self.steps_per_epoch = -(-len(members) // batch_size)

    def from_step(self, step: int, end: int) -> Iterator[Batch]:
        """Yields the batches of steps `step` to `end` - 1, over as many epochs as it takes."""
        order, ordered_epoch = np.empty(0, np.int64), -1
        for now in range(step, end):
            epoch, index = divmod(now, self.steps_per_epoch)
            if epoch != ordered_epoch:
                order = epoch_order(
                    self._lengths, self._batch_size, self._pool_batches, self._seed, epoch
                )
                ordered_epoch = epoch
            first = index * self._batch_size
            yield self._batch(order[first : first + self._batch_size], first)

    def _batch(self, chosen: np.ndarray, first: int) -> Batch:
        longest = self._lengths[chosen].max()
        documents = self._members[chosen[self._rows.start : self._rows.stop]]
        rows = len(self._rows)
        token_ids, lengths = pad_documents(
            [self._split.document(int(i)) for i in documents],
            rows,
            [next(bucket for bucket in self._buckets if bucket >= longest)],
        )
        label_ids = np.full((rows, self._width), self._num_labels, np.int32)
        for row, i in enumerate(documents):
            labels = self._split.labels(int(i))
            labels = labels[labels < self._num_labels]
            label_ids[row, : len(labels)] = labels
        return Batch(
            token_ids=token_ids,
            lengths=lengths,
            label_ids=label_ids,
            weights=(np.arange(rows) < len(documents)).astype(np.float32),
            positions=first + np.arange(self._rows.start, self._rows.stop, dtype=np.int32),
        )
