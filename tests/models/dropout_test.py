"""Dropout: its rate, its scale, and what its mask does and does not depend on."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from axml_jax.models.dropout import document_dropout

B, T, D = 4, 50, 32


@pytest.fixture(scope="module")
def keys() -> jax.Array:
    return jax.random.split(jax.random.key(3), B)


dropout = jax.jit(document_dropout, static_argnames=("site", "rate"))


def mask(keys: jax.Array, shape: tuple[int, ...] = (B, T, D), site: int = 0) -> np.ndarray:
    return np.asarray(dropout(jnp.ones(shape), keys, site, 0.5))


def test_a_half_is_kept_and_doubled(keys: jax.Array) -> None:
    dropped = mask(keys)
    assert set(np.unique(dropped)) == {0.0, 2.0}
    for of_document in dropped.reshape(B, -1):
        share = (of_document > 0).mean()
        assert abs(share - 0.5) < 5 * 0.5 / np.sqrt(T * D)


@pytest.mark.parametrize(("rate", "kept"), [(0.3, 179), (0.1, 230), (0.999, 1)])
def test_the_scale_is_of_the_share_really_kept(keys: jax.Array, rate: float, kept: int) -> None:
    dropped = np.asarray(dropout(jnp.ones((B, T, D)), keys, 0, rate))
    share = kept / 256
    assert set(np.unique(dropped)) == {0.0, np.float32(1 / share)}
    assert abs((dropped > 0).mean() - share) < 5 * np.sqrt(share * (1 - share) / dropped.size)


def test_elements_of_one_random_word_are_independent(keys: jax.Array) -> None:
    kept = (mask(keys) > 0).reshape(-1, 4).astype(float)
    correlation = np.corrcoef(kept.T)
    assert np.abs(correlation - np.eye(4)).max() < 5 / np.sqrt(len(kept))


def test_documents_and_sites_have_masks_of_their_own(keys: jax.Array) -> None:
    of_documents = mask(keys)
    for one in range(B):
        for other in range(one):
            assert 0.4 < (of_documents[one] == of_documents[other]).mean() < 0.6
    assert 0.4 < (of_documents == mask(keys, site=1)).mean() < 0.6


def test_a_mask_does_not_depend_on_batch_or_padding(keys: jax.Array) -> None:
    together = mask(keys)
    order = np.array([2, 0, 3, 1])
    np.testing.assert_array_equal(mask(keys[order]), together[order])
    np.testing.assert_array_equal(mask(keys[1:2], (1, T, D)), together[1:2])
    np.testing.assert_array_equal(mask(keys, (B, 77, D))[:, :T], together)


def test_a_width_that_no_word_divides(keys: jax.Array) -> None:
    narrow = mask(keys, (B, 5, 3))
    np.testing.assert_array_equal(mask(keys, (B, 6, 3))[:, :5], narrow)


def test_raw_keys_equal_typed_ones(keys: jax.Array) -> None:
    np.testing.assert_array_equal(mask(jax.random.key_data(keys)), mask(keys))


def test_rate_zero_changes_nothing(keys: jax.Array) -> None:
    x = jnp.arange(B * T * D, dtype=jnp.float32).reshape(B, T, D)
    np.testing.assert_array_equal(document_dropout(x, keys, 0, 0.0), x)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_refuses_what_is_no_rate(keys: jax.Array, rate: float) -> None:
    with pytest.raises(ValueError, match=rf"lies in \[0, 1\); it is {rate}"):
        document_dropout(jnp.ones((B, T, D)), keys, 0, rate)
