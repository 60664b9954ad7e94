"""Near-duplicates between splits: all of them, their similarity exact, and no stranger."""

import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest

from axml_jax.data import shingles, twins
from axml_jax.data.opened import Split
from axml_jax.data.text import UNK

WORDS = 500


def split(documents: Sequence[Sequence[int]]) -> Split:
    offsets = np.concatenate([[0], np.cumsum([len(document) for document in documents])])
    none = np.zeros(0, np.int32), np.zeros(len(documents) + 1, np.int64)
    return Split(np.concatenate(documents).astype(np.int32), offsets, *none, num_labels=1)


def changed(document: Sequence[int], changes: int, rng: np.random.Generator) -> list[int]:
    copy = list(document)
    for place in rng.choice(len(copy), changes, replace=False):
        copy[place] = int(rng.integers(2, WORDS))
    return copy


def jaccard(a: Sequence[int], b: Sequence[int]) -> float:
    def windows(document: Sequence[int]) -> set[tuple[int, ...]]:
        filled = [*document, 0, 0][: max(3, len(document))]
        return {tuple(filled[i : i + 3]) for i in range(len(filled) - 2)}

    first, second = windows(a), windows(b)
    return len(first & second) / len(first | second)


@pytest.fixture(scope="module")
def documents() -> tuple[list[list[int]], list[list[int]]]:
    rng = np.random.default_rng(1)
    lengths = [1, 2, 3, 5, *rng.integers(6, 300, 196)]
    first = [rng.integers(2, WORDS, n).tolist() for n in lengths]
    second = [rng.integers(2, WORDS, 100).tolist() for _ in range(50)]
    for document in first[:150]:
        most = min(len(document) // 10, 12)
        second.append(changed(document, int(rng.integers(0, most + 1)), rng))
    second += [[UNK], [UNK, UNK, UNK]]
    return [*first, [UNK], [UNK, UNK, UNK]], second


@pytest.mark.parametrize("threshold", [0.7, 0.8, 1.0])
def test_twins_are_those_of_comparing_all_pairs(
    documents: tuple[list[list[int]], list[list[int]]],
    threshold: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = documents
    known = [[t for t in document if t != UNK] for document in first]
    expected = {}
    for i, document in enumerate(second):
        if set(document) != {UNK}:
            every = [jaccard(document, other) if known[j] else 0 for j, other in enumerate(first)]
            if max(every) >= threshold:
                expected[i] = max(every)
    assert 20 < len(expected) < 152
    for block in (1 << 21, 1000):  # in one block, and in many
        monkeypatch.setattr(shingles.blocks, "__defaults__", (block,))
        found = twins.between(split(second), split(first), WORDS, threshold)
        assert dict(zip(found.documents.tolist(), found.similarity.tolist(), strict=True)) == (
            pytest.approx(expected)
        )
        for i, j, similarity in zip(*found, strict=True):
            assert jaccard(second[i], first[j]) == pytest.approx(similarity)


def test_a_text_that_thousands_share_costs_little() -> None:
    same = [list(range(2, 30))] * 4000  # compared in pairs they would be 16 million
    found = twins.between(split(same), split(same), WORDS)
    assert found.documents.tolist() == list(range(4000))
    assert set(found.similarity.tolist()) == {1.0}
    equal = np.zeros(4000, np.uint64)
    pairs = twins._candidates(equal, equal, np.arange(4000))
    assert len(pairs) == 4000 * twins.MOST_CANDIDATES


def test_memory_does_not_grow_with_the_number_of_documents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shingles.blocks, "__defaults__", (100 * 129,))
    rng = np.random.default_rng(0)
    many = split([[int(word)] for word in rng.integers(2, WORDS, 2000)])
    peaks = []
    for count in (500, 2000):
        some = Split(
            many.tokens[:count], many.offsets[: count + 1], many.label_ids, many.label_offsets, 1
        )
        twins.band_keys(some, WORDS)  # what the first call imports is no part of it
        tracemalloc.start()
        keys = twins.band_keys(some, WORDS)
        peaks.append(tracemalloc.get_traced_memory()[1] - keys.nbytes)
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_both_ways_to_fill_empty_bins_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    lengths = rng.integers(1, 60, 200)
    short = split([rng.integers(2, WORDS, length).tolist() for length in lengths])
    keys = []
    for few in (0, 16, 100):
        monkeypatch.setattr(twins, "_FEW", few)
        keys.append(twins.band_keys(short, WORDS))
    np.testing.assert_array_equal(keys[0], keys[1])
    np.testing.assert_array_equal(keys[0], keys[2])


def test_bands_agree_as_often_as_the_sets_do() -> None:
    rng = np.random.default_rng(2)
    first = [rng.integers(2, WORDS, 60).tolist() for _ in range(300)]
    second = [changed(document, 4, rng) for document in first]
    similarity = np.array([jaccard(a, b) for a, b in zip(first, second, strict=True)])
    agree = twins.band_keys(split(first), WORDS) == twins.band_keys(split(second), WORDS)
    assert agree.mean() == pytest.approx((similarity**twins.ROWS).mean(), abs=0.02)
    strangers = twins.band_keys(split(first[1:]), WORDS) == twins.band_keys(
        split(second[:-1]), WORDS
    )
    assert not strangers.any()


@pytest.mark.parametrize("threshold", [0.69, 1.01, 0])
def test_a_threshold_out_of_range(threshold: float) -> None:
    one = split([[2]])
    with pytest.raises(ValueError, match=r"expected 0.7 to 1"):
        twins.between(one, one, WORDS, threshold)
