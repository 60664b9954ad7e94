"""From encoded documents to batches of fixed shapes, in an order that a seed decides.

An epoch's order depends on (seed, epoch) alone, so that a run continues at any step
without replaying what came before.  Documents of like length may be put together
(`pool_batches`) and padded to one of a few lengths (`axml_jax.data.buckets`).  Labels
stay lists of ids: the loss reads the logits at them and needs no dense target.  Knows
nothing about models or devices.
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


def epoch_order(
    padded: np.ndarray, batch_size: int, pool_batches: int, seed: int, epoch: int
) -> np.ndarray:
    """The order of one epoch: a random permutation, grouped by padded length within windows.

    Windows of `pool_batches` batches are cut from a random permutation and grouped by padded
    length; the batches of all windows are then shuffled.  Within a group the order stays random:
    to sort by length itself would save nothing more, and would put texts of one kind, which are
    often of one length, into one batch.  A batch that is not full stays last, so that its filler
    rows never stand between documents.

    Args:
      padded: int [N], the padded length of each document, or its place among the buckets.
      batch_size: Documents per batch.
      pool_batches: Batches per window; 1 leaves the random permutation as it is.
      seed: Of the run.
      epoch: 0-based.

    Returns:
      int64 [N]: documents in order; batch i is rows i * batch_size onwards.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(padded))
    if pool_batches == 1:
        return order
    full = len(order) - len(order) % batch_size
    window = pool_batches * batch_size
    pooled = [
        part[np.argsort(padded[part], kind="stable")]
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
    lengths[: len(documents)] = [len(document) for document in documents]
    np.minimum(lengths, buckets[-1], out=lengths)
    padded = next(bucket for bucket in buckets if bucket >= lengths.max())
    token_ids = np.full((rows, padded), PAD, np.int32)
    # A slice each: on a mapped file that is faster than to gather all tokens by their places.
    for row, document, length in zip(token_ids, documents, lengths.tolist(), strict=False):
        row[:length] = document[:length]
    return token_ids, lengths


class Padding(NamedTuple):
    """How much of what an epoch computes is padding.

    Attributes:
      share: Of all tokens of its batches, the share that is no document's.
      share_without_buckets: The same with every batch padded to the longest length.
    """

    share: float
    share_without_buckets: float


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
        # Plain arrays over the same mapped files: a slice of a memmap takes ten times as long.
        self._tokens, self._label_ids = np.asarray(split.tokens), np.asarray(split.label_ids)
        self._offsets = np.asarray(split.offsets)
        self._label_offsets = np.asarray(split.label_offsets)
        self._members = members
        self._num_labels = num_labels
        self._batch_size = batch_size
        self._pool_batches = pool_batches
        self._buckets = tuple(buckets)
        self._seed = seed
        self._rows = range(batch_size)[rows or slice(None)]
        self._lengths = np.minimum(split.lengths[members], self._buckets[-1])
        self._padded = np.asarray(self._buckets)[np.searchsorted(self._buckets, self._lengths)]
        self._width = max(1, int(np.diff(split.label_offsets)[members].max(initial=0)))
        self.steps_per_epoch = -(-len(members) // batch_size)

    def from_step(self, step: int, end: int) -> Iterator[Batch]:
        """Yields the batches of steps `step` to `end` - 1, over as many epochs as it takes."""
        order, ordered_epoch = np.empty(0, np.int64), -1
        for now in range(step, end):
            epoch, index = divmod(now, self.steps_per_epoch)
            if epoch != ordered_epoch:
                order, ordered_epoch = self._order(epoch), epoch
            first = index * self._batch_size
            yield self._batch(order[first : first + self._batch_size], first)

    def documents(self, step: int) -> np.ndarray:
        """int64: the documents of the split that are the whole batch of `step`, from 0."""
        epoch, index = divmod(step, self.steps_per_epoch)
        first = index * self._batch_size
        documents: np.ndarray = self._members[self._order(epoch)[first : first + self._batch_size]]
        return documents

    def padding(self) -> Padding:
        """The share of padding in the first epoch; others differ by their order only."""
        ordered = self._padded[self._order(0)]
        longest = np.maximum.reduceat(ordered, np.arange(0, len(ordered), self._batch_size))
        real = int(self._lengths.sum(dtype=np.int64))
        computed = self._batch_size * int(longest.sum(dtype=np.int64))
        without = self._batch_size * self.steps_per_epoch * self._buckets[-1]
        return Padding(1 - real / computed, 1 - real / without)

    def _order(self, epoch: int) -> np.ndarray:
        return epoch_order(self._padded, self._batch_size, self._pool_batches, self._seed, epoch)

    def _batch(self, places: np.ndarray, first: int) -> Batch:
        """The batch of the members at these places, the first of which is `first` in the epoch."""
        padded = int(self._padded[places].max())  # the whole batch's
        places = places[self._rows.start : self._rows.stop]
        rows, documents = len(self._rows), self._members[places]
        begins = self._offsets[documents]
        ends = begins + self._lengths[places]
        token_ids, lengths = pad_documents(
            [
                self._tokens[begin:end]
                for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
            ],
            rows,
            [padded],
        )
        return Batch(
            token_ids=token_ids,
            lengths=lengths,
            label_ids=self._padded_labels(documents),
            weights=(np.arange(rows) < len(documents)).astype(np.float32),
            positions=first + np.arange(self._rows.start, self._rows.stop, dtype=np.int32),
        )

    def _padded_labels(self, documents: np.ndarray) -> np.ndarray:
        """int32 [B, P]: the labels of each document, padded with the number of labels."""
        begins = self._label_offsets[documents]
        counts = self._label_offsets[documents + 1] - begins
        # The documents' labels in a row: place in `label_ids` less place in the row, and back.
        ends = np.cumsum(counts)
        found = self._label_ids[
            np.repeat(begins - (ends - counts), counts) + np.arange(counts.sum())
        ]
        label_ids = np.full((len(self._rows), self._width), self._num_labels, np.int32)
        # Ascending, so that those without an output come last and turn into padding.
        label_ids[: len(documents)][np.arange(self._width) < counts[:, None]] = np.minimum(
            found, self._num_labels
        )
        return label_ids
