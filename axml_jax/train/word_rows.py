"""Adam for the rows of the word table that a batch touches; the others do not even move in memory.

The step differentiates with respect to the gathered rows of the batch's distinct words [U, E], U
fixed by the batch's shape, and scatters what becomes of them into the tables [V, E], which it was
given for keeps: no other array of that size exists, and over several devices only ids [B, T] and
row gradients [U, E] travel.  Knows nothing of models or losses.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array
from jaxtyping import Float, Int

# As in optax.adam.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class RowMoments(struct.PyTreeNode):
    """Adam's state of a table.

    Attributes:
      first: The running mean of gradients, m.
      second: That of their squares, v.
      count: int32 [], the steps that moved anything, n: what was passed over is not counted, as
        optax does not count it for the other parameters.
    """

    first: Float[Array, "V E"]
    second: Float[Array, "V E"]
    count: Int[Array, ""]


class RowMeans(struct.PyTreeNode):
    """A running mean of a table over steps, of which each row is brought up to date when needed.

    Attributes:
      mean: The mean of each row as of step `settled`.
      settled: int32 [V], the step.
    """

    mean: Float[Array, "V E"]
    settled: Int[Array, " V"]


def touched(
    token_ids: Int[Array, "B T"], num_words: int, axes: str | tuple[str, ...]
) -> tuple[Int[Array, " U"], Int[Array, "B T"]]:
    """The distinct words of all devices' token ids, the same on each device.

    Args:
      token_ids: [B, T] int32, one device's share.
      num_words: V.
      axes: The mapped axes over which the batch is split.

    Returns:
      words: int32 [U], U = min(V, devices B T + 1): increasing, word 0 (the padding) always first,
        filled up with V.
      places: int32 [B, T], where each of this device's tokens has its word in `words`; U for an id
        outside [0, V), which no row of a table of U has either.
    """
    known = (token_ids >= 0) & (token_ids < num_words)
    everywhere = jax.lax.all_gather(jnp.where(known, token_ids, 0), axes).reshape(-1)
    padding = jnp.zeros((1,), token_ids.dtype)
    words = jnp.unique(
        jnp.concatenate([padding, everywhere]),
        size=min(num_words, everywhere.size + 1),
        fill_value=num_words,
    )
    places = jnp.searchsorted(words, token_ids).astype(jnp.int32)
    return words, jnp.where(known, places, len(words))


def gather(table: Array, words: Int[Array, " U"]) -> Array:
    """The rows of these words; zeros for fillers."""
    # Unique are those that the table has: fillers, all the same number, lie beyond it and are
    # neither read nor, below, written.
    return table.at[words].get(
        mode="fill", fill_value=0, unique_indices=True, indices_are_sorted=True
    )


def scatter(table: Array, words: Int[Array, " U"], rows: Array) -> Array:
    """The table with these rows; in place where the step may keep the table."""
    return table.at[words].set(rows, mode="drop", unique_indices=True, indices_are_sorted=True)


def no_moments(table: Float[Array, "V E"]) -> RowMoments:
    """The state before the first step."""
    return RowMoments(jnp.zeros_like(table), jnp.zeros_like(table), count=jnp.zeros((), jnp.int32))


def adam(
    table: Float[Array, "V E"],
    moments: RowMoments,
    words: Int[Array, " U"],
    rows: Float[Array, "U E"],
    gradient: Float[Array, "U E"],
    rate: Array | float,
) -> tuple[Float[Array, "V E"], RowMoments, Float[Array, "U E"]]:
    """One step of PyTorch's SparseAdam: Adam on the touched rows, the others' moments rest.

    Of touched rows m <- m + (1 - beta_1)(g - m), v <- v + (1 - beta_2)(g^2 - v) and
    x <- x - rate sqrt(1 - beta_2^n) / (1 - beta_1^n) m / (sqrt(v) + epsilon), n the number of steps
    of the whole run, this one included.

    Args:
      table: Word vectors.
      moments: Of the table.
      words: The touched rows, as `touched` gives them.
      rows: What the table holds there.
      gradient: By those rows.
      rate: Learning rate.

    Returns:
      The new table, the new moments, and the new rows [U, E].
    """
    first = gather(moments.first, words)
    second = gather(moments.second, words)
    first += (1 - BETA_1) * (gradient - first)
    second += (1 - BETA_2) * (gradient * gradient - second)
    count = moments.count + 1
    n = count.astype(jnp.float32)
    size = rate * jnp.sqrt(1 - BETA_2**n) / (1 - BETA_1**n)
    rows = rows - size * first / (jnp.sqrt(second) + EPSILON)
    moments = RowMoments(
        scatter(moments.first, words, first), scatter(moments.second, words, second), count
    )
    return scatter(table, words, rows), moments, rows


def no_means(table: Float[Array, "V E"]) -> RowMeans:
    """The state before the first step; a copy, since a step keeps both."""
    return RowMeans(jnp.copy(table), jnp.zeros(table.shape[:1], jnp.int32))


def running_means(
    means: RowMeans,
    words: Int[Array, " U"],
    before: Float[Array, "U E"],
    after: Float[Array, "U E"],
    step: Int[Array, ""],
    window: int,
) -> RowMeans:
    """The mean of `state.running_mean` after a step that moved these rows.

    Args:
      means: Of the table.
      words: The touched rows.
      before: What they were since they were settled.
      after: What the step made of them.
      step: int32 [], the step's number, from 1.
      window: Steps, 1 or more.

    Returns:
      The means, with the touched rows settled at `step`.
    """
    settled = gather(means.settled, words)
    mean = _settle(gather(means.mean, words), before, settled, step - 1, window)
    mean += (after - mean) / jnp.minimum(step, window).astype(jnp.float32)
    return RowMeans(
        scatter(means.mean, words, mean),
        scatter(means.settled, words, jnp.full_like(settled, step)),
    )


def settled_means(
    means: RowMeans, table: Float[Array, "V E"], step: Int[Array, ""], window: int
) -> Float[Array, "V E"]:
    """The running mean of every row after `step` steps."""
    return _settle(means.mean, table, means.settled, step, window)


def _settle(mean: Array, value: Array, since: Array, until: Array, window: int) -> Array:
    """The mean after steps `since` + 1 .. `until`, in which the rows had this value.

    Each of them takes the mean's distance to the value times 1 - 1 / min(step, window).
    """
    head = jnp.minimum(since, window) / jnp.minimum(jnp.maximum(until, 1), window)
    beyond = jnp.maximum(until, window) - jnp.maximum(since, window)
    share = math.log1p(-1 / window) if window > 1 else -jnp.inf
    left = head * jnp.where(beyond > 0, jnp.exp(beyond * share), 1)
    left = jnp.where(until > since, left, 1).astype(mean.dtype)
    return value + left[:, None] * (mean - value)


def split(params: Any) -> tuple[Any, Array]:
    """The parameters without the word table, and the table."""
    rest = {name: value for name, value in params.items() if name != "words"}
    return rest, params["words"]["vectors"]


def joined(rest: Any, table: Array) -> Any:
    """The inverse of `split`; with rows [U, E] for the table, what a model of U words reads."""
    return {**rest, "words": {"vectors": table}}
