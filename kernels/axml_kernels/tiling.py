"""Tile sizes and the order of projection: every measured constant of this package in one place.

A tile is a group of documents times a block of labels; its scores are [group, T, block]. Knows nothing of arrays:
integers in, integers out.
"""

from typing import NamedTuple

# CPU: scores of one tile, 2 MB in float32, so that a tile's arrays live in the second-level caches of two cores.
CPU_SCORES = 512 * 1024
CPU_LABELS = 512
# Elsewhere: all documents at once, some 40 MB of scores, so that a tile's products fill the device.
DEVICE_SCORES = 40 * 500 * 512
# Blocks are whole vectors: 16 float32 fill an AVX-512 register.
LABEL_MULTIPLE = 16


class Tile(NamedTuple):
    """Documents of a group and labels of a block."""

    group: int
    block: int


def tile(batch: int, tokens: int, num_labels: int, platform: str) -> Tile:
    """The tile of `chunked`: equal parts, as few as the bound on a tile's scores allows."""
    if platform == "cpu":
        most = max(LABEL_MULTIPLE, min(CPU_LABELS, CPU_SCORES // tokens))
        block = equal_parts(num_labels, most, LABEL_MULTIPLE)
        return Tile(equal_parts(batch, max(1, CPU_SCORES // (tokens * block)), 1), block)
    most = max(LABEL_MULTIPLE, DEVICE_SCORES // (max(1, batch) * tokens))
    return Tile(max(1, batch), equal_parts(num_labels, most, LABEL_MULTIPLE))


def equal_parts(whole: int, most: int, multiple: int) -> int:
    """The size of equal parts of at most about `most`, a multiple of `multiple` unless one part is enough."""
    if whole <= most:
        return max(1, whole)
    parts = -(-whole // most)
    return -(-whole // (parts * multiple)) * multiple


def project_first(tokens: int, width: int, features: int, num_labels: int) -> bool:
    """Whether averaging hidden K1 takes fewer operations than averaging hidden and then applying K1.

    Per document L T (D + F) + T D F against L (2 T D + D F) multiplications.
    """
    first = num_labels * tokens * (width + features) + tokens * width * features
    last = num_labels * (2 * tokens * width + width * features)
    return first < last
