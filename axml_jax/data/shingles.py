"""Word sequences of a fixed width as numbers, and documents as sets of them.

Knows nothing about where the word ids come from.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int, UInt64

from axml_jax.data.text import PAD

_BLOCK = 1 << 21  # words of one block: bounds memory at about 100 MB


def shingles(
    tokens: Int[np.ndarray, " tokens"],
    offsets: Int[np.ndarray, " N+1"],
    num_words: int,
    width: int = 3,
) -> tuple[UInt64[np.ndarray, " shingles"], Int[np.ndarray, " N+1"]]:
    """The sequences of `width` words of each document, as numbers.

    Equal sequences have equal numbers; different ones have different numbers while
    num_words ** width is at most 2**64 (three words out of 2.6 million), and equal ones only by
    accident beyond that.

    Args:
      tokens: Word ids of all documents, one after another; none is PAD.
      offsets: Where each document begins within `tokens`, and the end of the last; rising.
      num_words: V, more than any id.
      width: Words of one shingle; a shorter document is one shingle, filled up with PAD.

    Returns:
      The numbers of all documents, one after another, and where each document's begin.
    """
    offsets = np.asarray(offsets, np.int64)
    lengths = np.diff(offsets)
    ends = np.repeat(offsets[1:], lengths)
    at = np.arange(offsets[0], offsets[-1], dtype=np.int64)
    filled = np.full(len(at) + width - 1, PAD, np.uint64)
    filled[: len(at)] = tokens[offsets[0] : offsets[-1]]
    codes = np.zeros(len(at), np.uint64)
    for shift in range(width):
        codes *= np.uint64(num_words)
        codes += np.where(at + shift < ends, filled[shift : shift + len(at)], np.uint64(PAD))
    # The windows that end within the document, or its first where it is shorter than one.
    kept = at + width <= ends
    kept[offsets[:-1] - offsets[0]] = True
    begins = np.zeros(len(offsets), np.int64)
    np.cumsum(np.maximum(lengths - width + 1, 1), out=begins[1:])
    return codes[kept], begins


def blocks(offsets: Int[np.ndarray, " N+1"], most: int = _BLOCK) -> Iterator[tuple[int, int]]:
    """Cuts documents into runs of at most `most` words, or of one document that has more.

    Args:
      offsets: Where each document begins, and the end of the last.
      most: Words of a run.

    Yields:
      (first, end): the documents first to end - 1.
    """
    first, documents = 0, len(offsets) - 1
    while first < documents:
        end = int(np.searchsorted(offsets, offsets[first] + most, side="right")) - 1
        end = min(max(end, first + 1), documents)
        yield first, end
        first = end
