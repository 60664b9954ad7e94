"""The binary cross entropy of all labels tile by tile, its gradient in the same visit to each tile.

The derivative of this loss by a score needs no other score.  So a tile's gradients are made as soon
as its scores are there, and nothing waits for a backward pass: no score, no log-sum-exp is saved
and no attention is computed a second time.  Saved are the gradients themselves.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from axml_kernels.blocks import from_blocks, label_blocks, tile_scores, weighted_average
from axml_kernels.cross_entropy import Truth, document_costs, weighted
from axml_kernels.reference import sum_dtype
from axml_kernels.tiles import (
    Group,
    Inputs,
    Plan,
    Sums,
    TileForward,
    add_tile,
    conclude,
    in_groups,
    like,
    new_group,
    no_sums,
    project,
)


def first_labels(blocks: Array, truth: Truth) -> Array:
    """The id of each block's first label, [blocks]."""
    return truth.labels[0] + jnp.arange(len(blocks), dtype=jnp.int32) * blocks.shape[1]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def loss(plan: Plan, inputs: Inputs, truth: Truth) -> Array:
    """sum_b weights[b] of what document b costs (`document_costs`); never A as a whole."""
    hidden, queries, lengths, kernel, layers = inputs
    blocks = label_blocks(queries, plan.tile.block)

    def group(documents: tuple[Array, Array, Array]) -> Array:
        hidden, lengths, label_ids = documents
        tile = TileForward(plan, hidden, lengths, kernel, layers)

        def block(numbered: tuple[Array, Array]) -> Array:
            first, queries = numbered
            return document_costs(tile(queries)[0], label_ids, first, truth.labels[1])

        return lax.map(block, (first_labels(blocks, truth), blocks)).sum(axis=0)

    costs = lax.map(group, in_groups(plan, hidden, lengths, truth.label_ids))
    return weighted(from_blocks(costs, len(hidden), 0), truth.weights)


def tile_loss(
    plan: Plan,
    group: Group,
    layers: Any,
    truth: tuple[Array, Array, Array],
    carried: tuple[Sums, Array],
    block: tuple[Array, Array, Array],
) -> tuple[tuple[Sums, Array], Array]:
    """Adds a tile's gradients and costs to the group's; returns the block's query gradient."""
    sums, costs = carried
    first, queries, d_queries = block
    label_ids, weights, end = truth
    scores = tile_scores(group.hidden, queries, group.mask, plan.precision)
    powers = jnp.exp(scores - scores.max(axis=1)[:, None, :])
    narrow = powers.astype(group.hidden.dtype)
    factor = 1 / powers.sum(axis=1)
    average = weighted_average(group.values, narrow, plan.precision) * factor[:, :, None]
    result, kept = plan.finish.forward(layers, average, plan.precision)
    cost, pull = jax.vjp(lambda s: document_costs(s, label_ids, first, end), result)
    (gradient,) = pull(weights)
    e, share = plan.finish.backward(layers, gradient, kept, lambda: average, plan.precision)
    sums, more = add_tile(plan, group, sums, queries, (powers, narrow, factor), e, share)
    return (sums, costs + cost), d_queries + more


def loss_forward(plan: Plan, inputs: Inputs, truth: Truth) -> tuple[Array, tuple[Any, ...]]:
    """The loss, and as what is saved its gradients by the inputs and by the documents' weights."""
    hidden, queries, lengths, kernel, layers = inputs
    wide = sum_dtype(hidden.dtype)
    blocks = label_blocks(queries, plan.tile.block)
    firsts, end = first_labels(blocks, truth), truth.labels[1]

    def one_group(sums: tuple, documents: tuple) -> tuple[tuple, tuple[Array, Array]]:
        d_blocks, d_kernel, d_layers = sums
        hidden, lengths, label_ids, weights = documents
        values = project(hidden, kernel, plan.precision)
        group = new_group(plan, hidden, values, lengths, layers)
        (of_labels, costs), d_blocks = lax.scan(
            partial(tile_loss, plan, group, layers, (label_ids, weights, end)),
            (no_sums(plan, hidden, values, layers), jnp.zeros(len(lengths), wide)),
            (firsts, blocks, d_blocks),
        )
        d_hidden, more, share = conclude(plan, group, values, kernel, layers, of_labels)
        d_kernel, d_layers = jax.tree.map(jnp.add, (d_kernel, d_layers), (more, share))
        return (d_blocks, d_kernel, d_layers), (d_hidden, costs)

    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, wide), (kernel, layers))
    d_blocks = jnp.zeros((len(blocks), blocks.shape[2], blocks.shape[1]), wide)
    documents = in_groups(plan, hidden, lengths, truth.label_ids, truth.weights.astype(wide))
    (d_blocks, d_kernel, d_layers), (d_hidden, costs) = lax.scan(
        one_group, (d_blocks, *zeros), documents
    )
    costs = from_blocks(costs, len(hidden), 0)
    saved = (
        from_blocks(d_hidden, len(hidden), 0),
        from_blocks(d_blocks, len(queries), 1).T.astype(queries.dtype),
        None if d_kernel is None else d_kernel.astype(hidden.dtype),
        like(d_layers, layers),
        jnp.where(truth.weights != 0, costs, 0).astype(truth.weights.dtype),
    )
    return weighted(costs, truth.weights), saved


def loss_backward(plan: Plan, saved: tuple[Any, ...], gradient: Array) -> tuple[Inputs, Truth]:
    """Everything saved, times the gradient that reaches the loss."""
    del plan
    d_hidden, d_queries, d_kernel, d_layers, costs = jax.tree.map(
        lambda x: (x * gradient).astype(x.dtype), saved
    )
    return Inputs(d_hidden, d_queries, None, d_kernel, d_layers), Truth(None, costs, None)


loss.defvjp(loss_forward, loss_backward)
