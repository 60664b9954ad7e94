"""The two loops over tiles of `chunked`, forward and backward, and their custom_vjp.

The outer loop runs over groups of documents, the inner one over blocks of labels, so that a
group's hidden states and the tile stay in the CPU's cache.  Knows nothing of heads.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.lax import PrecisionLike

from axml_kernels.blocks import (
    as_left_operand,
    averages,
    from_blocks,
    into_blocks,
    kept_as_is,
    label_blocks,
    padding_mask,
    stand_ins,
    tile_scores,
    weighted_average,
)
from axml_kernels.finish import Finish
from axml_kernels.reference import product, sum_dtype
from axml_kernels.tiling import Tile


class Plan(NamedTuple):
    """What is fixed while tracing: the tile, the products' precision, what follows the averages."""

    tile: Tile
    precision: PrecisionLike
    finish: Finish


class Inputs(NamedTuple):
    """What attention is computed from."""

    hidden: Array  # (B, T, D), zero at padding
    queries: Array  # (L, D)
    lengths: Any  # (B,) int32, at least 1; as a gradient None, which is zero
    kernel: Array | None  # (D, F): W1 where it comes first
    layers: Any  # the finish's


def like(gradients: Any, inputs: Any) -> Any:
    """Gradients with the dtypes of what they are of."""
    return jax.tree.map(lambda gradient, x: gradient.astype(x.dtype), gradients, inputs)


def project(hidden: Array, kernel: Array | None, precision: PrecisionLike) -> Array:
    """What is averaged, [B, T, G]: hidden, or hidden K1 where W1 comes first."""
    if kernel is None:
        return hidden
    return product("btd,df->btf", hidden, kernel, precision).astype(hidden.dtype)


def in_groups(plan: Plan, *arrays: Any) -> tuple[Array, ...]:
    """Arrays with documents on axis 0, cut into groups."""
    return tuple(into_blocks(x, plan.tile.group, 0) for x in arrays)


class TileForward:
    """A group of documents, ready for its blocks of labels."""

    def __init__(self, plan: Plan, hidden: Array, lengths: Array, kernel: Any, layers: Any) -> None:
        self.plan, self.layers = plan, layers
        self.hidden, self.real = stand_ins(hidden, lengths)
        self.values = as_left_operand(project(hidden, kernel, plan.precision))

    def __call__(self, queries: Array) -> tuple[Array, tuple[Array, Any]]:
        """A tile's result; its log-sum-exp [B, C] and what its finish keeps."""
        precision = self.plan.precision
        scores = product("btd,cd->btc", self.hidden, queries, precision)
        average, log_sum = averages(self.values, scores, self.real, precision)
        result, kept = self.plan.finish.forward(self.layers, average, precision)
        return result, (log_sum, self.plan.finish.packed(kept))


def forward(plan: Plan, keep: bool, inputs: Inputs) -> tuple[Array, Any]:
    """The results, labels on axis 1, and if `keep` what backward needs, [groups, blocks, ...]."""
    hidden, queries, lengths, kernel, layers = inputs
    blocks = label_blocks(queries, plan.tile.block)

    def group(documents: tuple[Array, Array]) -> tuple[Array, Any]:
        tile = TileForward(plan, *documents, kernel, layers)
        results, kept = lax.map(lambda block: tile(block) if keep else (tile(block)[0], ()), blocks)
        return from_blocks(results, queries.shape[0], 1), kept

    results, kept = lax.map(group, in_groups(plan, hidden, lengths))
    return from_blocks(results, hidden.shape[0], 0), kept


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def attend(plan: Plan, inputs: Inputs) -> Array:
    """finish(sum_t A[b,l,t] project(hidden)[b,t]) of all labels, on axis 1; never A as a whole."""
    return forward(plan, False, inputs)[0]


def attend_forward(plan: Plan, inputs: Inputs) -> tuple[Array, tuple[Inputs, Any]]:
    """Saves the inputs, the log-sum-exp and what the finish keeps."""
    results, kept = forward(plan, True, inputs)
    return results, (inputs, kept)


class Group(NamedTuple):
    """What the gradients of all tiles of a group of documents are made from."""

    hidden: Array  # (B, T, D)
    columns: Array  # (D, B T): made once, it spares a copy of every tile's score gradients
    values: Array  # as_left_operand
    weighted: Array  # (B, T, G), by the finish
    mask: Array  # (B, T)


class Sums(NamedTuple):
    """Sums over labels: gradients of a group's hidden states and values, shares of its layers."""

    hidden: Array
    values: Array
    shares: Any


def new_group(plan: Plan, hidden: Array, values: Array, lengths: Array, layers: Any) -> Group:
    """A group of documents from its hidden states and `project` of them."""
    return Group(
        hidden=hidden,
        columns=kept_as_is(hidden.reshape(-1, hidden.shape[2]).T),
        values=as_left_operand(values),
        weighted=plan.finish.weigh(layers, values),
        mask=padding_mask(hidden, lengths),
    )


def no_sums(plan: Plan, hidden: Array, values: Array, layers: Any) -> Sums:
    """Zeros."""
    wide = sum_dtype(hidden.dtype)
    start = plan.finish.start(layers)
    return Sums(jnp.zeros(hidden.shape, wide), jnp.zeros(values.shape, wide), start)


def add_tile(
    plan: Plan,
    group: Group,
    sums: Sums,
    queries: Array,
    attention: tuple[Array, Array, Array | None],
    e: Array,
    share: Any,
) -> tuple[Sums, Array]:
    """The chain rule from a tile's averages back: adds its share to the sums over labels.

    Args:
      plan, group, sums: See there.
      queries: The block's, [C, D].
      attention: A [B, T, C] but for a factor per label, the same in hidden's dtype, and that
        factor [B, C] (None: 1).
      e: [B, C, G] and
      share: as the finish's `backward` gives them.

    Returns:
      The sums, and what to add to the gradient of the block's queries, [D, C].
    """
    precision, dtype = plan.precision, group.hidden.dtype
    powers, narrow, factor = attention
    d_weights = product("btg,bcg->btc", group.weighted, e.astype(dtype), precision)
    # Not average . d_average, its equal: from the same weights, whose sum is one but for rounding,
    # the score gradients sum to zero.
    total = powers.sum(axis=1)
    drift = (powers * d_weights).sum(axis=1) / total
    d_scores = powers * (d_weights - drift[:, None, :])
    if factor is not None:
        d_scores, e = d_scores * factor[:, None, :], e * factor[:, :, None]
    d_scores = d_scores.astype(dtype)
    flat = d_scores.reshape(-1, d_scores.shape[2])
    d_queries = product("dr,rc->dc", group.columns, flat, precision)
    added = Sums(
        sums.hidden + product("btc,cd->btd", d_scores, queries, precision),
        sums.values + product("btc,bcg->btg", narrow, e.astype(dtype), precision),
        jax.tree.map(jnp.add, sums.shares, share),
    )
    return added, d_queries


def conclude(
    plan: Plan,
    group: Group,
    values: Array,
    kernel: Array | None,
    layers: Any,
    sums: Sums,
) -> tuple[Array, Array | None, Any]:
    """From a group's sums: its hidden states' gradient, its shares of the kernel's and layers'."""
    precision, dtype = plan.precision, group.hidden.dtype
    d_values, share = plan.finish.conclude(layers, values, sums.values, sums.shares)
    if kernel is None:
        return (sums.hidden + d_values).astype(dtype), None, share
    narrow = d_values.astype(dtype)
    d_hidden = sums.hidden + product("btf,df->btd", narrow, kernel, precision)
    flat = narrow.reshape(-1, narrow.shape[2])
    d_kernel = product("dr,rf->df", group.columns, flat, precision)
    return d_hidden.astype(dtype), d_kernel, share


def tile_backward(
    plan: Plan, group: Group, layers: Any, sums: Sums, block: tuple
) -> tuple[Sums, Array]:
    """Adds a tile's share to the group's sums over labels; returns the block's query gradient."""
    queries, d_queries, gradient, (log_sum, packed) = block
    scores = tile_scores(group.hidden, queries, group.mask, plan.precision)
    weights = jnp.exp(scores - log_sum[:, None, :])
    narrow = weights.astype(group.hidden.dtype)

    def average() -> Array:
        return weighted_average(group.values, narrow, plan.precision)

    kept = plan.finish.unpacked(layers, packed)
    e, share = plan.finish.backward(layers, gradient, kept, average, plan.precision)
    sums, more = add_tile(plan, group, sums, queries, (weights, narrow, None), e, share)
    return sums, d_queries + more


def attend_backward(
    plan: Plan, saved: tuple[Inputs, Any], gradient: Array
) -> tuple[tuple[Any, ...]]:
    """The chain rule tile by tile, each tile's weights recomputed from the log-sum-exp.

    Sums over labels run along the inner loop, sums over documents along the outer.
    """
    (hidden, queries, lengths, kernel, layers), kept = saved
    precision = plan.precision
    wide = sum_dtype(hidden.dtype)
    blocks = label_blocks(queries, plan.tile.block)

    def group_backward(sums: tuple, documents: tuple) -> tuple[tuple, Array]:
        d_blocks, d_kernel, d_layers = sums
        (hidden, lengths, gradient), kept = documents
        values = project(hidden, kernel, precision)
        group = new_group(plan, hidden, values, lengths, layers)
        of_labels, d_blocks = lax.scan(
            partial(tile_backward, plan, group, layers),
            no_sums(plan, hidden, values, layers),
            (blocks, d_blocks, into_blocks(gradient, plan.tile.block, 1), kept),
        )
        d_hidden, more, share = conclude(plan, group, values, kernel, layers, of_labels)
        d_kernel, d_layers = jax.tree.map(jnp.add, (d_kernel, d_layers), (more, share))
        return (d_blocks, d_kernel, d_layers), d_hidden

    d_kernel = None if kernel is None else jnp.zeros(kernel.shape, wide)
    d_layers = jax.tree.map(lambda x: jnp.zeros(x.shape, wide), layers)
    (d_blocks, d_kernel, d_layers), d_hidden = lax.scan(
        group_backward,
        (jnp.zeros((len(blocks), blocks.shape[2], blocks.shape[1]), wide), d_kernel, d_layers),
        (in_groups(plan, hidden, lengths, gradient), kept),
    )
    d_inputs = Inputs(
        hidden=from_blocks(d_hidden, hidden.shape[0], 0),
        queries=from_blocks(d_blocks, queries.shape[0], 1).T.astype(queries.dtype),
        lengths=None,
        kernel=None if d_kernel is None else d_kernel.astype(hidden.dtype),
        layers=like(d_layers, layers),
    )
    return (d_inputs,)


attend.defvjp(attend_forward, attend_backward)
