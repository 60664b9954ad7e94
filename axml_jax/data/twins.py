"""Documents of one split that have a near-duplicate in another.

Candidates come from minima of hashed shingles: documents that agree in all minima of at least one
band of them (locality-sensitive hashing).  Each candidate's Jaccard similarity is then computed
from the two sets themselves, so that no pair is reported that is none.  One pass over either split,
a quarter of a kilobyte a document.  Knows nothing about labels or models.

Reference: Broder, "On the resemblance and containment of documents", 1997; Shrivastava, "Optimal
densification for fast and accurate minwise hashing", 2017.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, UInt64

from axml_jax.data.opened import Split
from axml_jax.data.shingles import blocks, shingles
from axml_jax.data.text import UNK
from axml_jax.progress import bar

BANDS = 32
ROWS = 4  # minima of a band; a pair of similarity J shares one with 1 - (1 - J**ROWS)**BANDS
LOWEST = 0.7  # by which 1 pair in 6,000 is missed; at 0.8, one in 20 million
MOST_CANDIDATES = 8  # of one document in one band, or a text that many share would take forever
_BINS = BANDS * ROWS
_FEW = 16
_SEED = 0
_NONE = np.uint64(2**64 - 1)
_MIX = np.uint64(0x9E3779B97F4A7C15)


class Twins(NamedTuple):
    """Near-duplicates of a split's documents in another split, as far as they were found.

    Attributes:
      documents: Places of the documents that have one, rising.
      others: For each of them the place of the most similar document in the other split.
      similarity: Their Jaccard similarities.
    """

    documents: Int64[np.ndarray, " found"]
    others: Int64[np.ndarray, " found"]
    similarity: Float64[np.ndarray, " found"]


def band_keys(
    split: Split, num_words: int, width: int = 3, what: str = ""
) -> UInt64[np.ndarray, "bands N"]:
    """A number for each band of each document; near-duplicates agree in some.

    The hashes of a document's shingles fall into as many bins as there are minima, and a bin's
    minimum is one of them; an empty bin takes that of another one, chosen by the bin's own order.

    Args:
      split: N documents.
      num_words: V.
      width: Words of one shingle.
      what: Named in the progress bar.
    """
    keys = np.empty((BANDS, len(split)), np.uint64)
    orders = np.random.default_rng(_SEED).permuted(
        np.tile(np.arange(_BINS), (_BINS, 1)), axis=1
    )  # for each bin, where to look next
    with bar(f"hashing {what}".strip(), len(split)) as advance:
        # Of a short document the minima weigh more than its words.
        for first, end in blocks(split.offsets + _BINS * np.arange(len(split) + 1)):
            codes, begins = shingles(split.tokens, split.offsets[first : end + 1], num_words, width)
            minima = _minima(codes, begins)
            _fill(minima, orders)
            key = minima[:, ::ROWS].copy()
            for row in range(1, ROWS):
                key = _mixed(key * _MIX + minima[:, row::ROWS])
            keys[:, first:end] = key.T
            advance(end - first)
    return keys


def between(
    split: Split,
    other: Split,
    num_words: int,
    threshold: float = 0.8,
    *,
    keys: UInt64[np.ndarray, "bands N"] | None = None,
    other_keys: UInt64[np.ndarray, "bands M"] | None = None,
    width: int = 3,
) -> Twins:
    """Which documents of a split have a near-duplicate in another split, and which one.

    Near-duplicates have sets of word sequences with a Jaccard similarity |a & b| / |a | b| of at
    least `threshold`.  Words outside of the vocabulary all count as the same one; documents
    without a known word are left out.

    Args:
      split: N documents.
      other: M documents that they are compared with.
      num_words: V.
      threshold: Smallest similarity, from 0.7 (of pairs just there one in 6,000 is missed) to 1.
      keys: `band_keys` of `split`, where they are known already.
      other_keys: Those of `other`.
      width: Words of one shingle.

    Raises:
      ValueError: `threshold` is out of range.
    """
    if not LOWEST <= threshold <= 1:
        raise ValueError(f"the threshold is {threshold}: expected {LOWEST} to 1")
    keys = band_keys(split, num_words, width) if keys is None else keys
    other_keys = band_keys(other, num_words, width) if other_keys is None else other_keys
    best = np.zeros(len(split))
    partner = np.full(len(split), -1, np.int64)
    seen = np.zeros(0, np.int64)
    with bar("comparing likely twins", BANDS, "bands") as advance:
        for mine, theirs in zip(keys, other_keys, strict=True):
            pairs = _candidates(mine, theirs, np.flatnonzero(best < 1))
            pairs = np.setdiff1d(pairs, seen, assume_unique=True)
            seen = np.union1d(seen, pairs)
            _compare(split, other, num_words, width, threshold, pairs, best, partner)
            # An identical document cannot be outdone, and its other pairs need not be remembered.
            seen = seen[best[seen // len(other)] < 1]
            advance(1)
    found = np.flatnonzero(best >= threshold)
    return Twins(found, partner[found], best[found])


def _mixed(values: np.ndarray) -> np.ndarray:
    """Spreads 64-bit numbers evenly: the last step of MurmurHash3."""
    values = values ^ (values >> np.uint64(33))
    values *= np.uint64(0xFF51AFD7ED558CCD)
    values ^= values >> np.uint64(33)
    values *= np.uint64(0xC4CEB9FE1A85EC53)
    values ^= values >> np.uint64(33)
    return values


def _minima(codes: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """The smallest hash of each document in each bin, [documents, bins]; _NONE in an empty one."""
    documents = len(begins) - 1
    hashes = _mixed(codes + _MIX)
    owner = np.repeat(np.arange(documents), np.diff(begins))
    bins = (hashes % np.uint64(_BINS)).astype(np.int64)
    minima = np.full(documents * _BINS, _NONE, np.uint64)
    np.minimum.at(minima, owner * _BINS + bins, hashes)
    return minima.reshape(documents, _BINS)


def _fill(minima: np.ndarray, orders: np.ndarray) -> None:
    """Gives each empty bin the minimum of the first full one in its order."""
    whole = minima.copy()
    full = whole != _NONE
    counts = np.count_nonzero(full, axis=1)
    # Where few are full, look which of them comes first; else look along the order, which is short.
    ranks = np.argsort(orders, axis=1).astype(np.uint8)
    for count in range(1, _FEW + 1):
        rows = np.flatnonzero(counts == count)
        among = np.nonzero(full[rows])[1].reshape(len(rows), count)
        first = np.take_along_axis(among, np.argmin(ranks[:, among], axis=2).T, axis=1)
        minima[rows] = np.where(full[rows], whole[rows], whole[rows[:, None], first])
    rows, bins = np.nonzero(~full & (counts > _FEW)[:, None])
    for step in range(_BINS):
        if not len(rows):
            return
        value = whole[rows, orders[bins, step]]
        minima[rows, bins] = value
        left = value == _NONE
        rows, bins = rows[left], bins[left]


def _candidates(mine: np.ndarray, theirs: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Pairs with equal keys as mine * len(theirs) + theirs, rising; a few for each of `wanted`."""
    order = np.argsort(theirs, kind="stable")
    ordered = theirs[order]
    first = np.searchsorted(ordered, mine[wanted], side="left")
    counts = np.searchsorted(ordered, mine[wanted], side="right") - first
    counts = np.minimum(counts, MOST_CANDIDATES)
    begins = np.cumsum(counts) - counts
    at = np.repeat(first - begins, counts) + np.arange(int(counts.sum()))
    return np.sort(np.repeat(wanted, counts) * len(theirs) + order[at])


def _compare(
    split: Split,
    other: Split,
    num_words: int,
    width: int,
    threshold: float,
    pairs: np.ndarray,
    best: np.ndarray,
    partner: np.ndarray,
) -> None:
    """Raises `best` and sets `partner` where a pair is more similar than what was found so far."""
    last, mine = -1, np.zeros(0, np.uint64)
    for i, j in zip(*(side.tolist() for side in np.divmod(pairs, len(other))), strict=True):
        if i != last:
            last, mine = i, _set(split, i, num_words, width)
        if best[i] == 1:
            continue
        theirs = _set(other, j, num_words, width)
        sizes = sorted((len(mine), len(theirs)))
        # The similarity is at most the ratio of the sizes.
        if not sizes[0] or sizes[0] < max(threshold, best[i]) * sizes[1]:
            continue
        shared = len(np.intersect1d(mine, theirs, assume_unique=True))
        similarity = shared / (sizes[0] + sizes[1] - shared)
        if similarity > best[i]:
            best[i], partner[i] = similarity, j


def _set(split: Split, i: int, num_words: int, width: int) -> np.ndarray:
    """The different shingles of a document, none where no word of it is known."""
    document = split.document(i)
    if not (document != UNK).any():
        return np.zeros(0, np.uint64)
    return np.unique(shingles(document, np.array([0, len(document)]), num_words, width)[0])
