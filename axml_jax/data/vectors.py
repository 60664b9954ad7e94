"""Word vectors to begin with: read from a file in GloVe's text format, or made from the text.

Either way row PAD is zeros and every other row is finite.  Knows nothing about documents as files,
labels or models.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from axml_jax.data.corpus import read_byte_lines
from axml_jax.data.ppmi import ppmi_vectors
from axml_jax.data.text import PAD, UNK
from axml_jax.errors import InputError
from axml_jax.progress import progress

__all__ = ["Coverage", "ppmi_vectors", "read_glove"]

_NUMBER = re.compile(rb"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf)", re.IGNORECASE)
_SHOWN = 60
_WIDEST = 1 << 16
_LARGEST = 1e15  # the sum of squares of a million such is a float32
_HEADER = re.compile(rb"\d+ \d+")


class Coverage(NamedTuple):
    """Which words of a vocabulary were found in a file of vectors.

    Attributes:
      found: bool [V]; PAD and UNK are never found.
      lower_cased: Words found only under another case (`Paris` for `paris`).
    """

    found: np.ndarray
    lower_cased: int

    def describe(self, tokens: np.ndarray) -> dict[str, Any]:
        """Counts fit for JSON, with the share of `tokens` (ids, int32) whose word was found."""
        return {
            "words_found": int(self.found.sum()),
            "words_lower_cased": self.lower_cased,
            "token_coverage": float(np.mean(self.found[tokens])) if len(tokens) else 0.0,
        }


def read_glove(
    path: str | Path, words: Sequence[str], seed: int = 0
) -> tuple[Float32[np.ndarray, "V E"], Coverage]:
    """Reads the vectors of `words` from a file in GloVe's text format, line by line.

    A row is a word and E numbers, separated by single spaces; E is what the first row has.  The
    word may hold spaces (as some do in the 840B file).  A first line of two whole numbers, as
    word2vec and fastText write it, is passed over.  `.gz` and `.xz` are read directly.  Where a
    word stands twice, the first row counts; where a word of the vocabulary (lower case) stands only
    in other cases, the first of those.  Numbers are read in rows of words of the vocabulary only.

    Args:
      path: The file.
      words: The vocabulary, PAD and UNK first.
      seed: Of the vectors of words not in the file.

    Returns:
      The vectors: row PAD zeros, row UNK the mean of the vectors found; words not in the file are
      normal with mean zero and the standard deviation of those found in each dimension.
      And the coverage.

    Raises:
      InputError: A row with another width, a number that is none or not finite (with file and
        line), or no word found at all.
    """
    ids = {word.encode(): i for i, word in enumerate(words) if i > UNK}
    rows: dict[int, np.ndarray] = {}
    other_case: dict[int, np.ndarray] = {}
    width = 0
    lines = progress(read_byte_lines(path), "reading vectors", unit="words")
    for number, line in enumerate(lines, start=1):
        line = line.rstrip(b" \t")
        if number == 1 and _HEADER.fullmatch(line):
            continue
        if not width:
            width = _first_width(line, path, number)
        if line.count(b" ") != width:
            word = _spaced_word(line, width, path, number)
        else:
            word = line[: line.index(b" ")]
        target, into = ids.get(word), rows
        if target is None and not word.islower():
            target, into = ids.get(word.decode("utf-8", "replace").lower().encode()), other_case
        if target is not None and target not in into:
            into[target] = _parse(line, width, path, number)
    if not width:
        raise InputError("the file holds no vectors", file=path)
    lower_cased = other_case.keys() - rows.keys()
    rows = other_case | rows
    if not rows:
        raise InputError(
            f"none of the {len(words)} words of the vocabulary is in this file; is it a file of "
            "word vectors for this language?",
            file=path,
        )
    found = np.zeros(len(words), bool)
    found[list(rows)] = True
    matrix = np.empty((len(words), width), np.float32)
    matrix[list(rows)] = np.stack(list(rows.values()))
    spread = matrix[found].std(0)
    random = np.random.default_rng(seed)
    missing = random.standard_normal((int((~found).sum()), width), dtype=np.float32)
    matrix[~found] = missing * spread[None, :]
    matrix[UNK] = matrix[found].mean(0)
    matrix[PAD] = 0
    return matrix, Coverage(found, len(lower_cased))


def _first_width(line: bytes, path: str | Path, number: int) -> int:
    """Counts the numbers at the end of the first row; its first field is a word whatever it is."""
    width = 0
    for field in reversed(line.split(b" ")[1:]):
        if not _NUMBER.fullmatch(field):
            break
        width += 1
    if not width:
        raise InputError(
            f"expected a word and its numbers, separated by single spaces, found {_short(line)}",
            file=path,
            line=number,
        )
    if width > _WIDEST:
        raise InputError(
            f"expected a word and its vector, found {width:,} numbers, more than {_WIDEST:,}; does "
            "each word have its own line?",
            file=path,
            line=number,
        )
    return width


def _spaced_word(line: bytes, width: int, path: str | Path, number: int) -> bytes:
    """The word of a row that has not just `width` spaces: it may hold some itself."""
    fields = line.split(b" ")
    surplus = fields[1:-width]
    if len(fields) <= width or any(_NUMBER.fullmatch(field) for field in surplus):
        count = len(fields) - 1
        raise InputError(
            f"expected a word and {width} numbers as in the first row, found {count} fields after "
            f"the word: {_short(line)}",
            file=path,
            line=number,
        )
    return b" ".join(fields[:-width])


def _parse(line: bytes, width: int, path: str | Path, number: int) -> np.ndarray:
    fields = line.rsplit(b" ", width)[1:]
    try:
        with np.errstate(over="ignore"):  # 1e39 becomes infinite and is refused below
            row = np.array([float(field) for field in fields]).astype(np.float32)
    except ValueError as error:
        raise InputError(f"expected {width} numbers: {error}", file=path, line=number) from error
    if not (np.abs(row) < _LARGEST).all():  # so that NaN fails it too
        bad = fields[int(np.flatnonzero(~(np.abs(row) < _LARGEST))[0])].decode("utf-8", "replace")
        raise InputError(
            f"a vector holds {bad[:_SHOWN]}: expected finite numbers below {_LARGEST:g}",
            file=path,
            line=number,
        )
    return row


def _short(line: bytes) -> str:
    text = line[:_SHOWN].decode("utf-8", "replace")
    return repr(text + "..." if len(line) > _SHOWN else text)
