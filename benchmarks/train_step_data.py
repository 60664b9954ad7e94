"""Named shapes of whole models, and random documents and weights of a shape.

Knows nothing of who computes with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from axml_jax.data.batches import Batch, TrainBatches
from axml_jax.data.buckets import bucket_lengths
from axml_jax.data.store import Split
from benchmarks.paper_documents import DATA_SETS


class Shape(NamedTuple):
    """A model and its batches.

    Attributes:
      batch: B.
      tokens: T; longer documents are cut.
      num_words: V, with the padding.
      word_width: E.
      hidden: H.
      num_labels: L.
      layers: Widths F of the shared layers.
      mean_words: Words of a document before cutting, on average.
      mean_labels: Labels of a document, on average.
    """

    batch: int
    tokens: int
    num_words: int
    word_width: int
    hidden: int
    num_labels: int
    layers: tuple[int, ...]
    mean_words: float
    mean_labels: float


def of_data_set(
    name: str, tokens: int, num_words: int, hidden: int, layers: tuple[int, ...]
) -> Shape:
    """A shape with the labels and the means of a row of Table 1."""
    words, labels, num_labels = DATA_SETS[name]
    return Shape(40, tokens, num_words, 300, hidden, num_labels, layers, words, labels)


SHAPES = {
    "eurlex": of_data_set("EUR-Lex", 500, 50_000, 256, (256,)),
    "amazoncat": of_data_set("AmazonCat-13K", 500, 500_000, 512, (512, 256)),
    "wikilshtc": of_data_set("WikiLSHTC", 256, 500_000, 512, (512, 256)),
    "pydocs": Shape(40, 256, 50_000, 300, 128, 2_000, (256,), 100.0, 3.0),
    # What a test can compute.
    "tiny": Shape(4, 12, 50, 8, 6, 11, (5, 4), 6.0, 2.0),
}
# Standard deviation of the logarithm of a document's number of words.  The paper tells the means
# alone; this spread is an assumption.
SPREAD = 0.8


def draw_documents(shape: Shape, count: int, ragged: bool, seed: int = 0) -> Split:
    """Random documents: word r is as frequent as 1 / r, labels are all alike.

    Args:
      shape: The shape.
      count: Documents.
      ragged: Whether lengths are log-normal around `mean_words`, cut at T; all are T otherwise.
      seed: Of the random numbers.

    Returns:
      They as a split of a store.
    """
    random = np.random.default_rng(seed)
    lengths = np.full(count, shape.tokens)
    if ragged:
        drawn = random.lognormal(np.log(shape.mean_words) - SPREAD**2 / 2, SPREAD, count)
        lengths = np.clip(np.rint(drawn), 1, shape.tokens).astype(np.int64)
    # The logarithm of the rank is uniform; id 0 is the padding.
    ranks = np.exp(random.random(int(lengths.sum())) * np.log(shape.num_words))
    tokens = np.clip(ranks, 1, shape.num_words - 1).astype(np.int32)
    wanted = 1 + random.poisson(max(shape.mean_labels - 1, 0), count)
    labels = [
        np.sort(random.choice(shape.num_labels, min(n, shape.num_labels), replace=False))
        for n in wanted
    ]
    return Split(
        tokens,
        _offsets(lengths),
        np.concatenate(labels).astype(np.int32),
        _offsets([len(some) for some in labels]),
        shape.num_labels,
    )


def _offsets(lengths: Any) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def bucketed(split: Split, shape: Shape, buckets: int, pool_batches: int) -> TrainBatches:
    """Batches as axml_jax trains on them: documents of like length together, few padded lengths."""
    lengths = bucket_lengths(split.lengths, shape.tokens, buckets)
    return _batches(split, shape, lengths, pool_batches)


def plain(split: Split, shape: Shape) -> TrainBatches:
    """Batches in random order, each padded to its longest document."""
    return _batches(split, shape, range(1, shape.tokens + 1), 1)


def _batches(split: Split, shape: Shape, lengths: Sequence[int], pool_batches: int) -> TrainBatches:
    return TrainBatches(
        split,
        np.arange(len(split)),
        num_labels=shape.num_labels,
        batch_size=shape.batch,
        pool_batches=pool_batches,
        buckets=tuple(lengths),
        seed=0,
    )


def one_epoch(batches: TrainBatches) -> list[Batch]:
    """All batches of the first epoch."""
    return list(batches.from_step(0, batches.steps_per_epoch))
