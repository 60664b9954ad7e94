"""Which padded lengths a training compiles for.  Knows lengths only, neither tokens nor batches."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

# Lengths are multiples of this, which vector units like; coarser where documents are so long that
# there would be more choices than `_CHOICES`.
_GRAIN = 8
_CHOICES = 256


def bucket_lengths(lengths: Int[np.ndarray, " N"], max_tokens: int, count: int) -> tuple[int, ...]:
    """Chooses at most `count` padded lengths that leave the least padding.

    Every document is padded to the smallest chosen length that holds it.  Of all choices among
    multiples of 8 (coarser above 2,048 tokens) and the length of the longest document, this one
    computes the fewest tokens; it is found by dynamic programming over the last length chosen.

    Args:
      lengths: [N], tokens per document before cutting.
      max_tokens: Tokens kept of a document.
      count: How many lengths to choose, 1 or more.

    Returns:
      Increasing lengths; the last is that of the longest document after cutting.
    """
    cut = np.minimum(lengths, max_tokens)
    longest = int(cut.max(initial=1))
    grain = _GRAIN * -(-longest // (_GRAIN * _CHOICES))
    rounded = np.minimum(-(-cut.astype(np.int64) // grain) * grain, longest)
    edges, documents = np.unique(rounded, return_counts=True)
    if len(edges) <= count:
        return tuple(int(edge) for edge in edges) or (longest,)
    ends = np.cumsum(documents)
    # cost[i, j]: tokens computed for the documents of edges i to j, all padded to edge j.
    cost = (ends - (ends - documents)[:, None]) * edges.astype(np.float64)
    cost[np.tri(len(edges), k=-1, dtype=bool)] = np.inf
    # fewest[j]: tokens up to edge j, which is chosen; firsts[n][j]: where its own documents begin.
    fewest, firsts = cost[0], []
    for _ in range(count - 1):
        totals = np.append(0, fewest[:-1])[:, None] + cost
        firsts.append(totals.argmin(axis=0))
        fewest = totals.min(axis=0)
    # There are more edges than lengths to choose: each one chosen saves something, so that the
    # documents of an edge begin at 0 for the first only.
    chosen, last = [], len(edges) - 1
    for first in reversed(firsts):
        chosen.append(int(edges[last]))
        last = int(first[last]) - 1
    return tuple(sorted([*chosen, int(edges[last])]))
