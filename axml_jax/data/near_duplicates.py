"""Groups of texts that share most of their word sequences.

Exact, not sampled: the Jaccard similarity of every pair of texts that share a shingle is computed
through one sparse product, which misses no pair, but grows faster than the number of texts: beyond
tens of thousands see `axml_jax.data.twins`.  Knows nothing about where the texts come from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components

from axml_jax.data.shingles import shingles

_WORD = re.compile(r"\w+")
_ROWS = 1024  # rows of one block of the product: bounds memory at a few hundred MB


def shingle_matrix(texts: Sequence[str], width: int = 3) -> scipy.sparse.csr_matrix:
    """Which sequences of `width` lower-case words each text contains.

    Args:
      texts: N texts.
      width: Words of one shingle; a shorter text is one shingle, filled up.

    Returns:
      int32 [N, shingles] of zeros and ones.
    """
    if not texts:
        return scipy.sparse.csr_matrix((0, 0), dtype=np.int32)
    vocabulary: dict[str, int] = {}
    words: list[int] = []
    offsets = [0]
    for text in texts:
        found = _WORD.findall(text.lower()) or [""]
        words += [vocabulary.setdefault(word, len(vocabulary) + 1) for word in found]
        offsets.append(len(words))
    codes, begins = shingles(np.array(words), np.array(offsets), len(vocabulary) + 1, width)
    rows = np.repeat(np.arange(len(texts)), np.diff(begins))
    _, columns = np.unique(codes, return_inverse=True)
    pairs = np.unique(np.stack([rows, columns.reshape(-1)]), axis=1)
    ones = np.ones(pairs.shape[1], np.int32)
    shape = (len(texts), int(pairs[1].max()) + 1)
    return scipy.sparse.csr_matrix((ones, (pairs[0], pairs[1])), shape=shape)


def similar_pairs(
    shingles: scipy.sparse.csr_matrix, threshold: float, contained: float = 1.1
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs (i, j), i < j, of near-duplicates, in blocks of rows.

    Args:
      shingles: int32 [N, shingles] of zeros and ones; with a and b the sets of two rows, a pair is
      threshold: one with |a & b| / |a | b| at least this, or
      contained: one with |a & b| / min(|a|, |b|) at least this (above 1: never).

    Yields:
      i (int64), j (int64) and |a & b| / |a | b| (float64) of a block's pairs.
    """
    sizes = np.asarray(shingles.sum(axis=1)).reshape(-1)
    transposed = shingles.T.tocsr()
    for start in range(0, shingles.shape[0], _ROWS):
        product = (shingles[start : start + _ROWS] @ transposed).tocoo()
        i, j = product.row.astype(np.int64) + start, product.col.astype(np.int64)
        upper = i < j
        i, j, shared = i[upper], j[upper], product.data[upper]
        jaccard = shared / (sizes[i] + sizes[j] - shared)
        keep = (jaccard >= threshold) | (shared >= contained * np.minimum(sizes[i], sizes[j]))
        yield i[keep], j[keep], jaccard[keep]


def groups(
    texts: Sequence[str],
    *,
    threshold: float = 0.5,
    contained: float = 0.8,
    head: int = 128,
    width: int = 3,
) -> np.ndarray:
    """Connected components of the near-duplicate relation.

    Two texts are near-duplicates when their sets of shingles, or those of their first `head` words
    (what a model that truncates sees of them), have a Jaccard similarity of at least `threshold`,
    or when the share `contained` of the smaller set is in the larger one.

    Args:
      texts: N texts.
      threshold: Smallest Jaccard similarity of twins, in (0, 1].
      contained: Smallest contained share of twins, above 0; above 1 this counts for nothing.
      head: Words compared separately; 0 compares whole texts only.
      width: Words of one shingle.

    Returns:
      int32 [N], the number of each text's group; equal numbers mean the same group.

    Raises:
      ValueError: An argument is out of its range.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie in (0, 1], got {threshold}.")
    if contained <= 0:
        raise ValueError(f"contained must be positive, got {contained}.")
    if width < 1 or head < 0:
        raise ValueError(f"width must be at least 1 and head at least 0, got {width} and {head}.")
    if not texts:
        return np.zeros(0, np.int32)
    versions = [texts]
    if head:
        versions.append([" ".join(_WORD.findall(text)[:head]) for text in texts])
    pairs = [
        pair
        for version in versions
        for pair in similar_pairs(shingle_matrix(version, width), threshold, contained)
    ]
    i, j = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    links = scipy.sparse.coo_matrix((np.ones(len(i), np.int8), (i, j)), shape=(len(texts),) * 2)
    return np.asarray(connected_components(links, directed=False)[1], np.int32)
