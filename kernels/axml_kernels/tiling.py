"""Tile sizes of `chunked`, and the order of projection, with the constants measured for them.

A tile is a group of documents times a block of labels; its scores are [group, T, block].
Knows nothing of arrays: integers in, integers out.
"""

import math
from typing import NamedTuple

from axml_kernels import target

# CPU: a group's hidden states and a tile's scores are what the second-level caches hold of each
# core's share.  Measured on two cores with MEASURED_CACHE bytes each, in float32, T = 128..500 and
# D, F = 128..512: about 1200 tokens by 1000 labels; half as many of either take 3 to 15 % longer.
# One document alone is a third slower: its products lose their batch axis.
# benchmarks/cpu_tiles.py measures it again, there or elsewhere.
MEASURED_CACHE = 2 << 20
CPU_TOKENS = 1200
CPU_LABELS = 1024
CPU_SCORES = 1280 * CPU_LABELS
# Other caches get tiles as much larger or smaller, within what a cache of a core can be.
SMALLEST_CACHE, LARGEST_CACHE = 1 << 18, 1 << 23
# CPU: where neither the scores nor the averages have more numbers (8 MB in float32), `reference`
# beats tiles: at B = 40, T = 256, L = 90 by 1.5 forward and 1.75 with gradient.
CPU_SMALL = 2**21
# Elsewhere, unmeasured: some 20 MB of scores, 320 of the blocks of 128 x 128 that
# products are made of, so that each fills a large card twice.  A group's gradients are summed in
# float32: all documents at once would take 50 to 140 MB more at the paper's larger shapes.
DEVICE_TOKENS = 5_000
DEVICE_SCORES = DEVICE_TOKENS * 1024
# Blocks are whole vectors: 16 float32 fill an AVX-512 register.
LABEL_MULTIPLE = 16
# CPU: what a multiplication costs with W1 last in multiples of one with W1 first, which makes fewer
# passes over memory and, with one layer, recomputes less in the backward pass.
CPU_LAST_COST = 1.25


class Tile(NamedTuple):
    """Documents of a group and labels of a block."""

    group: int
    block: int


def tile(
    batch: int, tokens: int, num_labels: int, platform: str, cache: int = MEASURED_CACHE
) -> Tile:
    """The tile of `chunked` on a platform ("cpu" or another).

    Args:
      batch, tokens, num_labels: B, T, L.
      platform: JAX's name.
      cache: Bytes of a CPU core's second-level cache.
    """
    if platform != "cpu":
        group = group_size(batch, max(2, round(DEVICE_TOKENS / tokens)))
        return Tile(group, block_size(num_labels, DEVICE_SCORES // (group * tokens)))
    # Of a tile's two sides each, so that the scores grow as the cache does.
    side = math.sqrt(min(max(cache, SMALLEST_CACHE), LARGEST_CACHE) / MEASURED_CACHE)
    group = group_size(batch, max(2, round(side * CPU_TOKENS / tokens)))
    most = round(side * side * CPU_SCORES) // (group * tokens)
    return Tile(group, block_size(num_labels, min(round(side * CPU_LABELS), most)))


def is_small(batch: int, tokens: int, width: int, num_labels: int) -> bool:
    """Whether a CPU does best to keep every array in full: B x T x L and B x L x D."""
    return batch * num_labels * max(tokens, width) <= CPU_SMALL


def group_size(batch: int, aim: int) -> int:
    """Of the sizes around `aim` the one that leaves the fewest places empty in the last group."""
    if batch <= aim:
        return batch
    sizes = range(max(2, aim - aim // 3), min(batch, aim + aim // 3) + 1)
    return min(sizes, key=lambda size: (-batch % size, abs(size - aim)))


def block_size(num_labels: int, most: int) -> int:
    """The size of equal blocks of whole vectors, as few as `most` labels a block allow."""
    blocks = -(-num_labels // max(LABEL_MULTIPLE, most))
    return -(-num_labels // (blocks * LABEL_MULTIPLE)) * LABEL_MULTIPLE


def project_first(tokens: int, width: int, features: int, num_labels: int) -> bool:
    """Whether to average hidden K1 rather than to apply K1 to averages, by multiplications.

    L T (D + F) + T D F a document against L (2 T D + D F), the latter at CPU_LAST_COST on a CPU.
    """
    first = num_labels * tokens * (width + features) + tokens * width * features
    last = num_labels * (2 * tokens * width + width * features)
    return first < last * (CPU_LAST_COST if target.current().platform == "cpu" else 1)
