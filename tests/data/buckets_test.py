"""The padded lengths that leave the least padding."""

import itertools

import numpy as np
import pytest

from axml_jax.data.buckets import bucket_lengths


def computed(lengths: np.ndarray, buckets: tuple[int, ...]) -> int:
    """Tokens computed when every document is padded to the smallest bucket that holds it."""
    cut = np.minimum(lengths, buckets[-1])
    return sum(min(bucket for bucket in buckets if bucket >= length) for length in cut)


@pytest.mark.parametrize(
    ("lengths", "max_tokens", "count", "expected"),
    [
        ([3, 5, 30], 500, 1, (30,)),
        ([3, 5, 30], 16, 1, (16,)),
        # 5 is rounded up to 8.
        ([3, 5, 30], 500, 2, (8, 30)),
        # Whichever way the short ones lie: it is the long one that is kept apart, or not.
        ([8] * 5 + [16] * 5 + [80], 500, 2, (16, 80)),
        ([8] * 5 + [72] * 5 + [80], 500, 2, (8, 80)),
        ([4, 4, 4, 4], 500, 4, (4,)),
        ([7], 500, 3, (7,)),
        ([], 500, 3, (1,)),
    ],
)
def test_by_hand(
    lengths: list[int], max_tokens: int, count: int, expected: tuple[int, ...]
) -> None:
    assert bucket_lengths(np.array(lengths, np.int32), max_tokens, count) == expected


@pytest.mark.parametrize("seed", range(4))
def test_no_other_choice_computes_fewer_tokens(seed: int) -> None:
    random = np.random.default_rng(seed)
    lengths = random.lognormal(3.5, 0.9, 200).astype(np.int32) + 1
    longest = min(int(lengths.max()), 77)
    multiples = range(8, longest, 8)
    for count in range(1, 6):
        fewest = min(
            computed(lengths, (*others, longest))
            for others in itertools.combinations(multiples, count - 1)
        )
        buckets = bucket_lengths(lengths, 77, count)
        assert len(buckets) <= count
        assert buckets[-1] == longest
        assert set(buckets[:-1]) <= set(multiples)
        assert computed(lengths, buckets) == fewest


def test_enough_buckets_leave_only_rounding() -> None:
    lengths = np.arange(1, 100)
    assert bucket_lengths(lengths, 60, 64) == (8, 16, 24, 32, 40, 48, 56, 60)


def test_long_documents_have_coarser_choices() -> None:
    # 20,000 tokens: 256 multiples of 80.
    lengths = np.random.default_rng(0).integers(1, 20_001, 3_000)
    lengths[0] = 20_000
    buckets = bucket_lengths(lengths, 10**6, 5)
    assert len(buckets) == 5
    assert buckets[-1] == 20_000
    assert all(bucket % 80 == 0 for bucket in buckets)
    # Even lengths: about every fifth.
    np.testing.assert_allclose(buckets, [4000, 8000, 12000, 16000, 20000], atol=400)
