"""Shingles of encoded documents against Python's tuples, and blocks of documents."""

import numpy as np
import pytest

from axml_jax.data.shingles import blocks, shingles


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_shingles_are_the_windows_of_each_document(width: int) -> None:
    rng = np.random.default_rng(0)
    lengths = np.array([1, 2, 3, 1, 7, 12, 4])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    tokens = rng.integers(1, 4, offsets[-1]).astype(np.int32)
    codes, begins = shingles(tokens, offsets, 4, width)
    numbers: dict[tuple[int, ...], int] = {}
    for i in range(len(lengths)):
        document = tokens[offsets[i] : offsets[i + 1]].tolist()
        document += [0] * (width - len(document))
        windows = [tuple(document[at : at + width]) for at in range(len(document) - width + 1)]
        found = codes[begins[i] : begins[i + 1]].tolist()
        assert len(found) == len(windows)
        for window, code in zip(windows, found, strict=True):
            assert numbers.setdefault(window, code) == code
    assert len(set(numbers.values())) == len(numbers)
    # A part of the documents gives that part of the numbers.
    some, ends = shingles(tokens, offsets[2:5], 4, width)
    np.testing.assert_array_equal(some, codes[begins[2] : begins[4]])
    np.testing.assert_array_equal(ends, begins[2:5] - begins[2])


def test_three_words_of_a_large_vocabulary_have_numbers_of_their_own() -> None:
    words = 2_600_000
    tokens = np.array([words - 1, words - 1, words - 1, words - 1, words - 1, words - 2])
    codes, _ = shingles(tokens, np.array([0, 3, 6]), words)
    assert [int(code) for code in codes] == [
        ((words - 1) * words + words - 1) * words + words - 1,
        ((words - 1) * words + words - 1) * words + words - 2,
    ]


def test_blocks_cover_all_documents_and_hold_no_more_than_asked() -> None:
    offsets = np.array([0, 3, 4, 20, 22, 27, 30])
    assert list(blocks(offsets, 5)) == [(0, 2), (2, 3), (3, 4), (4, 5), (5, 6)]
    assert list(blocks(offsets, 100)) == [(0, 6)]
    assert list(blocks(offsets, 1)) == [(i, i + 1) for i in range(6)]
