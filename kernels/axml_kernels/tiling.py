"""Tile sizes and the order of projection: every measured constant of this package in one place.

A tile is a group of documents times a block of labels; its scores are [group, T, block]. Knows nothing of arrays:
integers in, integers out.
"""

from typing import NamedTuple

# CPU: a group's hidden states and a tile's scores together fill the second-level caches (2 MB a core). Measured on
# two cores, float32, T = 128..500, D = F = 128..512: 500 to 1000 tokens by 512 labels; one document alone is slower.
CPU_TOKENS = 768
CPU_SCORES = 1024 * 1024
CPU_LABELS = 512
# Elsewhere: all documents at once, some 40 MB of scores, so that a tile's products fill the device.
DEVICE_SCORES = 40 * 500 * 512
# Blocks are whole vectors: 16 float32 fill an AVX-512 register.
LABEL_MULTIPLE = 16
# What a multiplication costs with W1 last, as a multiple of one with W1 first: it makes more passes over memory.
LAST_COST = 1.25


class Tile(NamedTuple):
    """Documents of a group and labels of a block."""

    group: int
    block: int


def tile(batch: int, tokens: int, num_labels: int, platform: str) -> Tile:
    """The tile of `chunked` for a batch on a platform ("cpu" or another)."""
    batch, tokens = max(1, batch), max(1, tokens)
    if platform == "cpu":
        group = group_size(batch, max(2, round(CPU_TOKENS / tokens)))
        return Tile(group, block_size(num_labels, min(CPU_LABELS, CPU_SCORES // (group * tokens))))
    return Tile(batch, block_size(num_labels, DEVICE_SCORES // (batch * tokens)))


def group_size(batch: int, aim: int) -> int:
    """Of sizes around `aim`, the one that leaves the fewest places empty in the last group; then the nearest."""
    if batch <= aim:
        return batch
    sizes = range(max(1, aim - aim // 3), min(batch, aim + aim // 3) + 1)
    return min(sizes, key=lambda size: (-batch % size, abs(size - aim)))


def block_size(num_labels: int, most: int) -> int:
    """Equal blocks of whole vectors, as few as `most` labels a block allow."""
    blocks = -(-num_labels // max(LABEL_MULTIPLE, most))
    return -(-num_labels // (blocks * LABEL_MULTIPLE)) * LABEL_MULTIPLE


def project_first(tokens: int, width: int, features: int, num_labels: int) -> bool:
    """Whether to average hidden K1 rather than to apply K1 to averages: by multiplications.

    L T (D + F) + T D F a document against L (2 T D + D F), the latter at LAST_COST.
    """
    first = num_labels * tokens * (width + features) + tokens * width * features
    last = num_labels * (2 * tokens * width + width * features)
    return first < LAST_COST * last
