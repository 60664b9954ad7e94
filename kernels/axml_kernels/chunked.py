"""Label attention tile by tile, in plain XLA: runs on any device, in bounded memory.

A tile is a group of documents times a block of labels. The outer loop runs over groups, the inner one over blocks, so
that a group's hidden states and the tile stay in the CPU's cache. Nothing of size B x T x L or B x L x D (or
B x L x F) ever exists, forward or backward: forward saves the log-sum-exp of the scores [B, L] (and, with one fully
connected layer, another [B, L] and F bits per score), backward recomputes each tile's weights from it.

Callers pass hidden states whose padding is zero and lengths of at least 1 (api.py sees to both).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.lax import PrecisionLike

from axml_kernels import tiling
from axml_kernels.blocks import (
    averages,
    from_blocks,
    into_blocks,
    label_blocks,
    padding_mask,
    product,
    scores,
)
from axml_kernels.finish import Finish, Layers, One, Plain, Stack
from axml_kernels.head import Head
from axml_kernels.reference import sum_dtype
from axml_kernels.tiling import Tile

PLAIN, STACK, ONE = Plain(), Stack(), One()


class Plan(NamedTuple):
    """What is fixed while tracing: the tile, the precision of products, and what follows the averages."""

    tile: Tile
    precision: PrecisionLike
    finish: Finish


def project(hidden: Array, kernel: Array | None, precision: PrecisionLike) -> Array:
    """What is averaged: hidden, or hidden K1 [B, T, F] where W1 comes first."""
    if kernel is None:
        return hidden
    return product("btd,df->btf", hidden, kernel, precision).astype(hidden.dtype)


def tile_forward(
    plan: Plan, hidden: Array, values: Array, mask: Array, layers: Any, queries: Array
) -> tuple[Array, tuple[Array, tuple[Array, ...]]]:
    """A tile's result, its log-sum-exp [B, C], and what the finish keeps."""
    average, log_sum = averages(
        values, scores(hidden, queries, mask, plan.precision), plan.precision
    )
    result, kept = plan.finish.forward(layers, average, plan.precision)
    return result, (log_sum, kept)


def forward(
    plan: Plan,
    keep: bool,
    hidden: Array,
    queries: Array,
    lengths: Array,
    kernel: Array | None,
    layers: Any,
) -> tuple[Array, Any]:
    """The results, labels on axis 1, and where `keep` what backward needs, [groups, blocks, ...]."""
    blocks = label_blocks(queries, plan.tile.block)

    def group(documents: tuple[Array, Array]) -> tuple[Array, Any]:
        hidden, lengths = documents
        values = jnp.swapaxes(project(hidden, kernel, plan.precision), 1, 2)
        step = partial(tile_forward, plan, hidden, values, padding_mask(hidden, lengths), layers)
        results, kept = lax.map(lambda block: step(block) if keep else (step(block)[0], ()), blocks)
        return from_blocks(results, queries.shape[0], 1), kept

    documents = (into_blocks(hidden, plan.tile.group, 0), into_blocks(lengths, plan.tile.group, 0))
    results, kept = lax.map(group, documents)
    return from_blocks(results, hidden.shape[0], 0), kept


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def attend(
    plan: Plan,
    hidden: Array,
    queries: Array,
    lengths: Array,
    kernel: Array | None,
    layers: Any,
) -> Array:
    """finish(sum_t A[b,l,t] project(hidden)[b,t]) for every label, labels on axis 1; never A as a whole."""
    return forward(plan, False, hidden, queries, lengths, kernel, layers)[0]


def attend_forward(
    plan: Plan,
    hidden: Array,
    queries: Array,
    lengths: Array,
    kernel: Array | None,
    layers: Any,
) -> tuple[Array, tuple]:
    """Save the inputs, the log-sum-exp and what the finish keeps."""
    results, kept = forward(plan, True, hidden, queries, lengths, kernel, layers)
    return results, (hidden, queries, lengths, kernel, layers, kept)


class Group(NamedTuple):
    """What the backward tiles of a group of documents share."""

    hidden: Array  # (B, T, D)
    columns: Array  # (D, B T): made once, it spares a copy of every tile's score gradients
    values: Array  # (B, T, G)
    weighted: Array  # (B, T, G)
    mask: Array  # (B, T)


def tile_backward(
    plan: Plan, group: Group, layers: Any, sums: tuple, block: tuple
) -> tuple[tuple, Array]:
    """Add a tile's share to the sums over labels; return its block's query gradient with its share."""
    d_hidden, d_values, d_layers = sums
    queries, d_queries, gradient, (log_sum, kept) = block
    precision, dtype = plan.precision, group.hidden.dtype
    tile_scores = scores(group.hidden, queries, group.mask, precision)
    weights = jnp.exp(tile_scores - log_sum[:, None, :])
    narrow = weights.astype(dtype)

    def average() -> Array:
        return product("bgt,btc->bgc", group.values, narrow, precision)

    e, drift, share = plan.finish.backward(layers, gradient, kept, average, precision)
    e = e.astype(dtype)
    d_weights = product("btg,bgc->btc", group.weighted, e, precision)
    d_scores = (weights * (d_weights - drift[:, None, :])).astype(dtype)
    flat = d_scores.reshape(-1, d_scores.shape[2])
    d_queries += product("dr,rc->dc", group.columns, flat, precision)
    d_hidden += product("btc,dc->btd", d_scores, queries, precision)
    d_values += product("btc,bgc->btg", narrow, e, precision)
    return (d_hidden, d_values, jax.tree.map(jnp.add, d_layers, share)), d_queries


def attend_backward(plan: Plan, saved: tuple, gradient: Array) -> tuple:
    """The chain rule tile by tile: sums over labels in the inner loop, over documents in the outer."""
    hidden, queries, lengths, kernel, layers, kept = saved
    precision = plan.precision
    wide = sum_dtype(hidden.dtype)
    blocks = label_blocks(queries, plan.tile.block)

    def group_backward(sums: tuple, documents: tuple) -> tuple[tuple, Array]:
        d_blocks, d_kernel, d_layers = sums
        hidden, lengths, gradient, kept = documents
        values = project(hidden, kernel, precision)
        group = Group(
            hidden,
            hidden.reshape(-1, hidden.shape[2]).T,
            jnp.swapaxes(values,1,2),
            plan.finish.weigh(layers, values),
            padding_mask(hidden, lengths),
        )
        start = (
            jnp.zeros(hidden.shape, wide),
            jnp.zeros(values.shape, wide),
            plan.finish.start(layers),
        )
        labels = (blocks, d_blocks, into_blocks(gradient, plan.tile.block, 1), kept)
        step = partial(tile_backward, plan, group, layers)
        (d_hidden, d_values, share), d_blocks = lax.scan(step, start, labels)
        d_values, share = plan.finish.conclude(layers, values, d_values, share)
        d_layers = jax.tree.map(jnp.add, d_layers, share)
        if kernel is None:
            return (d_blocks, None, d_layers), (d_hidden + d_values).astype(hidden.dtype)
        narrow = d_values.astype(hidden.dtype)
        d_hidden += product("btf,df->btd", narrow, kernel, precision)
        flat = narrow.reshape(-1, narrow.shape[2])
        d_kernel += product("dr,rf->df", group.columns, flat, precision)
        return (d_blocks, d_kernel, d_layers), d_hidden.astype(hidden.dtype)

    start = (
        jnp.zeros(blocks.shape, wide),
        None if kernel is None else jnp.zeros(kernel.shape, wide),
        jax.tree.map(lambda x: jnp.zeros(x.shape, wide), layers),
    )
    documents = [into_blocks(x, plan.tile.group, 0) for x in (hidden, lengths, gradient)]
    (d_blocks, d_kernel, d_layers), d_hidden = lax.scan(group_backward, start, (*documents, kept))
    return (
        from_blocks(d_hidden, hidden.shape[0], 0),
        from_blocks(d_blocks, queries.shape[0], 1).T.astype(queries.dtype),
        None,
        None if kernel is None else d_kernel.astype(kernel.dtype),
        jax.tree.map(lambda d, x: d.astype(x.dtype), d_layers, layers),
    )


attend.defvjp(attend_forward, attend_backward)


def plan_scores(
    hidden: Array, queries: Array, head: Head, precision: PrecisionLike
) -> tuple[Plan, Array | None, Layers]:
    """How label_scores goes through the tiles, the kernel to apply before averaging, and the layers after."""
    batch, tokens, width = hidden.shape
    num_labels = queries.shape[0]
    wide = sum_dtype(hidden.dtype)
    kernels = tuple(kernel.astype(hidden.dtype) for kernel in head.kernels)
    layers = Layers(
        kernels,
        tuple(bias.astype(wide) for bias in head.biases),
        head.output.astype(wide),
        head.output_bias.astype(wide),
    )
    tile = tiling.tile(batch, tokens, num_labels, jax.default_backend())
    if not tiling.project_first(tokens, width, kernels[0].shape[1], num_labels):
        return Plan(tile, precision, STACK), None, layers
    layers = layers._replace(kernels=kernels[1:])
    return Plan(tile, precision, STACK if layers.kernels else ONE), kernels[0], layers


def label_attention(
    hidden: Array, queries: Array, lengths: Array, precision: PrecisionLike = None
) -> Array:
    """m[b,l] = sum_t A[b,l,t] hidden[b,t] (eq. 4): [B, L, D]."""
    tile = tiling.tile(*hidden.shape[:2], queries.shape[0], jax.default_backend())
    return attend(Plan(tile, precision, PLAIN), hidden, queries, lengths, None, ())


def label_scores(
    hidden: Array, queries: Array, lengths: Array, head: Head, precision: PrecisionLike = None
) -> Array:
    """Eq. (5) without the sigmoid: [B, L] logits."""
    plan, kernel, layers = plan_scores(hidden, queries, head, precision)
    return attend(plan, hidden, queries, lengths, kernel, layers)


def label_top_k(
    hidden: Array,
    queries: Array,
    lengths: Array,
    head: Head,
    k: int,
    precision: PrecisionLike = None,
) -> tuple[Array, Array]:
    """The first k of a stable sort of the scores, keeping [B, k] from block to block."""
    plan, kernel, layers = plan_scores(hidden, queries, head, precision)
    num_labels = queries.shape[0]
    block = max(plan.tile.block, k)
    blocks = label_blocks(queries, block)
    firsts = jnp.arange(blocks.shape[0], dtype=jnp.int32) * block

    def group(documents: tuple[Array, Array]) -> tuple[Array, Array]:
        hidden, lengths = documents
        values = jnp.swapaxes(project(hidden, kernel, precision), 1, 2)
        tile = partial(tile_forward, plan, hidden, values, padding_mask(hidden, lengths), layers)

        def step(best: tuple[Array, Array], numbered: tuple[Array, Array]) -> tuple[tuple, None]:
            first, queries = numbered
            score, _ = tile(queries)
            ids = first + jnp.arange(block, dtype=jnp.int32)[None, :]
            score = jnp.where(ids < num_labels, score, -jnp.inf)
            # top_k puts the lower index first among equals, but takes -0.0 for less than 0.0.
            top, place = lax.top_k(jnp.where(score == 0, 0.0, score), k)
            keys = jnp.concatenate([-best[0], -top], axis=1)
            ids = jnp.concatenate([best[1], first + place], axis=1)
            keys, ids = lax.sort((keys, ids), num_keys=2)
            return (-keys[:, :k], ids[:, :k]), None

        # An id above all others loses every tie against a label.
        start = (
            jnp.full((plan.tile.group, k), -jnp.inf, sum_dtype(hidden.dtype)),
            jnp.full((plan.tile.group, k), jnp.iinfo(jnp.int32).max, jnp.int32),
        )
        return lax.scan(step, start, (firsts, blocks))[0]

    documents = (into_blocks(hidden, plan.tile.group, 0), into_blocks(lengths, plan.tile.group, 0))
    logits, ids = lax.map(group, documents)
    return from_blocks(logits, hidden.shape[0], 0), from_blocks(ids, hidden.shape[0], 0)
