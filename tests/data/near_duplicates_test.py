"""Twins are found, all of them, and strangers are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from axml_jax.data import near_duplicates
from axml_jax.data.near_duplicates import groups, shingle_matrix, similar_pairs


def _shingles(text: str, width: int) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + width]) for i in range(len(words) - width + 1)}


@pytest.fixture
def texts() -> list[str]:
    rng = np.random.default_rng(0)
    made = [" ".join(map(str, rng.integers(0, 4, rng.integers(3, 12)))) for _ in range(60)]
    return [*made, made[0], made[0].upper()]


@pytest.mark.parametrize("rows", [1, 7, 1024])
def test_similarities_are_those_of_the_sets(
    texts: list[str], rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "_ROWS", rows)
    found = {
        (int(i), int(j)): float(similarity)
        for block in similar_pairs(shingle_matrix(texts, 2), 0.3)
        for i, j, similarity in zip(*block, strict=True)
    }
    expected = {}
    for i, first in enumerate(texts):
        for j in range(i + 1, len(texts)):
            a, b = _shingles(first, 2), _shingles(texts[j], 2)
            if len(a & b) / len(a | b) >= 0.3:
                expected[i, j] = len(a & b) / len(a | b)
    assert len(expected) > 20
    assert found == pytest.approx(expected)


def test_contained_texts_are_pairs() -> None:
    shingles = shingle_matrix(["a b c d", "x y a b c d z u v w", "p q r s"])
    i, j, _ = next(similar_pairs(shingles, 0.9, 1))
    assert (i.tolist(), j.tolist()) == ([0], [1])
    assert not len(next(similar_pairs(shingles, 0.9))[0])


def test_groups_are_connected_through_others() -> None:
    chain = ["a b c d e f g", "b c d e f g h", "c d e f g h i", "z y x w v u t"]
    numbers = groups(chain, threshold=0.6, contained=2, head=0)
    assert numbers[0] == numbers[1] == numbers[2] != numbers[3]
    assert len(set(groups(chain, threshold=0.9, contained=2, head=0).tolist())) == 4


def test_equal_heads_make_twins() -> None:
    head = " ".join(f"same{i}" for i in range(10))
    tails = [" ".join(f"{name}{i}" for i in range(40)) for name in "ab"]
    pair = [f"{head} {tail}" for tail in tails]
    assert len(set(groups(pair, contained=2, head=10).tolist())) == 1
    assert len(set(groups(pair, contained=2, head=0).tolist())) == 2


def test_short_and_empty_texts() -> None:
    numbers = groups(["", "one", "one", "two words"])
    assert numbers[1] == numbers[2]
    assert len(set(numbers.tolist())) == 3
    assert groups([]).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 0}, "threshold must lie in"),
        ({"threshold": 1.5}, "threshold must lie in"),
        ({"contained": 0}, "contained must be positive"),
        ({"width": 0}, "width must be at least 1"),
        ({"head": -1}, "head at least 0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        groups(["a"], **arguments)
