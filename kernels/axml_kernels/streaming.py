"""The best labels so far, kept from one block of labels to the next.

Equal scores go to the lower label id.  Knows nothing of where scores come from.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax


class Best(NamedTuple):
    """The k best of the labels seen, best first."""

    logits: Array  # (B, k)
    ids: Array  # (B, k) int32


def no_best(batch: int, k: int, dtype: jnp.dtype) -> Best:
    """Nothing seen yet: an id above all others loses every tie against a label."""
    nobody = jnp.full((batch, k), jnp.iinfo(jnp.int32).max, jnp.int32)
    return Best(jnp.full((batch, k), -jnp.inf, dtype), nobody)


def merged(best: Best, scores: Array, ids: Array, counts: Array) -> Best:
    """The best of those so far and of scores [B, C >= k] of labels ids [C] where `counts` [C].

    No id counts that was seen before, and ids ascend.
    """
    k = best.ids.shape[1]
    scores = jnp.where(counts[None, :], scores, -jnp.inf)
    # top_k puts the lower index first among equals, but takes -0.0 for less than 0.0.
    top, place = lax.top_k(jnp.where(scores == 0, 0.0, scores), k)
    logits = jnp.concatenate([best.logits, top], axis=1)
    ids = jnp.concatenate([best.ids, ids[place]], axis=1)
    return Best(*first_of(logits, ids, k))


def first_of(logits: Array, ids: Array, k: int) -> tuple[Array, Array]:
    """The k best of logits [B, N] with their ids [B, N], as a descending sort has them.

    What is not a number comes first: nothing hides it.
    """
    keys = jnp.where(jnp.isnan(logits), -jnp.inf, -logits)
    _, ids, logits = lax.sort((keys, ids, logits), num_keys=2)
    return logits[:, :k], ids[:, :k]
