"""Label attention block of labels by block of labels, in plain XLA: runs on any device, in bounded memory.

Nothing of size B x T x L or B x L x D (or B x L x F) ever exists, forward or backward: the forward pass saves the
log-sum-exp [B, L] of the scores, the backward pass recomputes each block's weights from it.

Arrays of a block keep the labels last ([B, T, C], [B, F, C]): every product then has its operands in the order in
which the CPU's matrix routine reads them, and the softmax over tokens is a sum over rows, vectorised over labels.

Callers pass hidden states whose padding is zero and lengths of at least 1 (api.py sees to both).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.lax import PrecisionLike

from axml_kernels import tiling
from axml_kernels.head import Head
from axml_kernels.reference import sum_dtype

# Finite, so that a difference of two masked scores is no NaN; its exponential is exactly zero.
MASKED = -1e30


class Plan(NamedTuple):
    """What is fixed while tracing: labels per block, precision of products, and what follows the average."""

    group: int
    block: int
    precision: PrecisionLike
    finish: "Finish"


# (parameters, average [B, G, C], precision) -> a block's result, labels on axis 1.
Finish = Callable[[Any, Array, PrecisionLike], Array]


def product(equation: str, x: Array, y: Array, precision: PrecisionLike) -> Array:
    """An einsum whose sums are float32 (float64 for float64)."""
    return jnp.einsum(
        equation, x, y, precision=precision, preferred_element_type=sum_dtype(x.dtype)
    )


def average_itself(_: Any, average: Array, _precision: PrecisionLike) -> Array:
    """For label_attention: m of the block, [B, C, D]."""
    return jnp.swapaxes(average, 1, 2)


def scores_from_projected(layers: Any, average: Array, precision: PrecisionLike) -> Array:
    """From the averaged projection m K1 [B, F, C] to the block's scores [B, C]."""
    kernels, biases, output, output_bias = layers
    z = jax.nn.relu(average + biases[0][None, :, None])
    for kernel, bias in zip(kernels, biases[1:], strict=True):
        z = product("bfc,fg->bgc", z.astype(kernel.dtype), kernel, precision)
        z = jax.nn.relu(z + bias[None, :, None])
    # A product and a sum, not a matrix product: that would want the labels first, at the price of a copy.
    return (z * output[None, :, None]).sum(axis=1) + output_bias


def scores_from_average(layers: Any, average: Array, precision: PrecisionLike) -> Array:
    """From the averaged hidden states m [B, D, C] to the block's scores [B, C]."""
    (kernel, *kernels), biases, output, output_bias = layers
    projected = product("bdc,df->bfc", average.astype(kernel.dtype), kernel, precision)
    return scores_from_projected((kernels, biases, output, output_bias), projected, precision)


def into_blocks(x: Array, size: int, axis: int) -> Array:
    """Split an axis into blocks, moved to the front: [..., L, ...] -> [N, ..., C, ...], zeros in the last one."""
    short = -x.shape[axis] % size
    x = jnp.pad(x, [(0, short if i == axis else 0) for i in range(x.ndim)])
    x = x.reshape(*x.shape[:axis], -1, size, *x.shape[axis + 1 :])
    return jnp.moveaxis(x, axis, 0)


def from_blocks(x: Array, whole: int, axis: int) -> Array:
    """The inverse of into_blocks; `axis` is that of the result, `whole` its size there."""
    x = jnp.moveaxis(x, 0, axis)
    x = x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])
    return lax.slice_in_dim(x, 0, whole, axis=axis)


def block_scores(hidden: Array, queries: Array, real: Array, precision: PrecisionLike) -> Array:
    """S of a block of labels, [B, T, C], padding masked."""
    scores = product("btd,cd->btc", hidden, queries, precision)
    return scores + jnp.where(real, 0.0, MASKED).astype(scores.dtype)[:, :, None]


def block_forward(
    plan: Plan, hidden: Array, values: Array, real: Array, layers: Any, queries: Array
) -> tuple[Array, Array]:
    """A block's result and its log-sum-exp [B, C]."""
    scores = block_scores(hidden, queries, real, plan.precision)
    most = scores.max(axis=1)
    weights = jnp.exp(scores - most[:, None, :])
    total = weights.sum(axis=1)
    average = product("btg,btc->bgc", values, weights.astype(values.dtype), plan.precision)
    average = average / total[:, None, :]
    return plan.finish(layers, average, plan.precision), most + jnp.log(total)


def real_tokens(hidden: Array, lengths: Array) -> Array:
    """Which tokens are no padding, [B, T]."""
    return jnp.arange(hidden.shape[1])[None, :] < lengths[:, None]


def forward(
    plan: Plan, hidden: Array, queries: Array, values: Array, lengths: Array, layers: Any
) -> tuple[Array, Array]:
    """The results of all blocks, labels on axis 1, and the log-sum-exp as [groups, N, B of a group, C]."""
    blocks = into_blocks(queries, plan.block, 0)

    def group(documents: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        hidden, values, lengths = documents
        step = partial(block_forward, plan, hidden, values, real_tokens(hidden, lengths), layers)
        results, log_sums = lax.map(step, blocks)
        return from_blocks(results, queries.shape[0], 1), log_sums

    documents = [into_blocks(x, plan.group, 0) for x in (hidden, values, lengths)]
    results, log_sums = lax.map(group, tuple(documents))
    return from_blocks(results, hidden.shape[0], 0), log_sums


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def attend(
    plan: Plan, hidden: Array, queries: Array, values: Array, lengths: Array, layers: Any
) -> Array:
    """finish(sum_t A[b,l,t] values[b,t]) for every label, labels on axis 1; never A as a whole."""
    return forward(plan, hidden, queries, values, lengths, layers)[0]


def attend_forward(
    plan: Plan, hidden: Array, queries: Array, values: Array, lengths: Array, layers: Any
) -> tuple[Array, tuple]:
    """Save the inputs and the log-sum-exp, nothing else."""
    results, log_sums = forward(plan, hidden, queries, values, lengths, layers)
    return results, (hidden, queries, values, lengths, layers, log_sums)


def block_backward(
    plan: Plan, hidden: Array, values: Array, real: Array, layers: Any, sums: tuple, block: tuple
) -> tuple[tuple, Array]:
    """Add a block's share to the sums over labels; return its share of the gradient of its queries."""
    d_hidden, d_values, d_layers = sums
    queries, d_queries, log_sum, gradient = block
    precision, dtype = plan.precision, hidden.dtype
    scores = block_scores(hidden, queries, real, precision)
    weights = jnp.exp(scores - log_sum[:, None, :])
    narrow = weights.astype(dtype)
    average = product("btg,btc->bgc", values, narrow, precision)
    _, pull = jax.vjp(lambda p, a: plan.finish(p, a, precision), layers, average)
    block_layers, d_average = pull(gradient)
    # sum_t A dA, which the softmax's gradient needs, is also average . d_average.
    drift = (average * d_average).sum(axis=1)
    d_average = d_average.astype(dtype)
    d_weights = product("btg,bgc->btc", values, d_average, precision)
    d_scores = (weights * (d_weights - drift[:, None, :])).astype(dtype)
    d_queries += product("btc,btd->cd", d_scores, hidden, precision)
    d_hidden += product("btc,cd->btd", d_scores, queries, precision)
    d_values += product("btc,bgc->btg", narrow, d_average, precision)
    return (d_hidden, d_values, jax.tree.map(jnp.add, d_layers, block_layers)), d_queries


def attend_backward(plan: Plan, saved: tuple, gradient: Array) -> tuple:
    """Every block's weights again, then the products of the chain rule.

    Sums over labels (of a group's hidden states) run along the inner loop, those over documents along the outer.
    """
    hidden, queries, values, lengths, layers, log_sums = saved
    wide = sum_dtype(hidden.dtype)
    blocks = into_blocks(queries, plan.block, 0)

    def group(sums: tuple, documents: tuple) -> tuple[tuple, tuple]:
        d_blocks, d_layers = sums
        hidden, values, lengths, log_sums, gradient = documents
        real = real_tokens(hidden, lengths)
        step = partial(block_backward, plan, hidden, values, real, layers)
        start = (jnp.zeros(hidden.shape, wide), jnp.zeros(values.shape, wide), d_layers)
        labels = (blocks, d_blocks, log_sums, into_blocks(gradient, plan.block, 1))
        (d_hidden, d_values, d_layers), d_blocks = lax.scan(step, start, labels)
        return (d_blocks, d_layers), (d_hidden, d_values)

    start = (jnp.zeros(blocks.shape, wide), jax.tree.map(jnp.zeros_like, layers))
    split = [into_blocks(x, plan.group, 0) for x in (hidden, values, lengths, gradient)]
    documents = (*split[:3], log_sums, split[3])
    (d_blocks, d_layers), (d_hidden, d_values) = lax.scan(group, start, documents)
    batch, num_labels = hidden.shape[0], queries.shape[0]
    return (
        from_blocks(d_hidden, batch, 0).astype(hidden.dtype),
        from_blocks(d_blocks, num_labels, 0).astype(queries.dtype),
        from_blocks(d_values, batch, 0).astype(values.dtype),
        None,
        d_layers,
    )


attend.defvjp(attend_forward, attend_backward)


def plan_scores(
    hidden: Array, queries: Array, head: Head, precision: PrecisionLike
) -> tuple[Plan, Array, Any]:
    """How label_scores goes through the blocks, what it averages, and the layers that follow."""
    batch, tokens, width = hidden.shape
    num_labels = queries.shape[0]
    wide = sum_dtype(hidden.dtype)
    kernels = tuple(kernel.astype(hidden.dtype) for kernel in head.kernels)
    rest = (
        tuple(bias.astype(wide) for bias in head.biases),
        head.output.astype(wide),
        head.output_bias.astype(wide),
    )
    tile = tiling.tile(batch, tokens, num_labels)
    if tiling.project_first(tokens, width, kernels[0].shape[1], num_labels):
        values = product("btd,df->btf", hidden, kernels[0], precision).astype(hidden.dtype)
        return Plan(*tile, precision, scores_from_projected), values, (kernels[1:], *rest)
    return Plan(*tile, precision, scores_from_average), hidden, (kernels, *rest)


def label_attention(
    hidden: Array, queries: Array, lengths: Array, precision: PrecisionLike = None
) -> Array:
    """m[b,l] = sum_t A[b,l,t] hidden[b,t] (eq. 4): [B, L, D]."""
    batch, tokens, _ = hidden.shape
    tile = tiling.tile(batch, tokens, queries.shape[0])
    return attend(
        Plan(*tile, precision, average_itself), hidden, queries, hidden, lengths, ()
    )


def label_scores(
    hidden: Array, queries: Array, lengths: Array, head: Head, precision: PrecisionLike = None
) -> Array:
    """Eq. (5) without the sigmoid: [B, L] logits."""
    plan, values, layers = plan_scores(hidden, queries, head, precision)
    return attend(plan, hidden, queries, values, lengths, layers)


def label_top_k(
    hidden: Array,
    queries: Array,
    lengths: Array,
    head: Head,
    k: int,
    precision: PrecisionLike = None,
) -> tuple[Array, Array]:
    """The first k of a stable sort of the scores, keeping [B, k] from block to block."""
    plan, values, layers = plan_scores(hidden, queries, head, precision)
    num_labels = queries.shape[0]
    block = max(plan.block, min(k, num_labels))
    real = real_tokens(hidden, lengths)

    def step(best: tuple[Array, Array], numbered: tuple[Array, Array]) -> tuple[tuple, None]:
        first, queries = numbered
        scores, _ = block_forward(plan, hidden, values, real, layers, queries)
        ids = first + jnp.arange(block, dtype=jnp.int32)[None, :]
        scores = jnp.where(ids < num_labels, scores, -jnp.inf)
        # top_k puts the lower index first among equals, but counts -0.0 as less than 0.0.
        top, place = lax.top_k(jnp.where(scores == 0, 0.0, scores), k)
        keys = jnp.concatenate([-best[0], -top], axis=1)
        ids = jnp.concatenate([best[1], first + place], axis=1)
        keys, ids = lax.sort((keys, ids), num_keys=2)
        return (-keys[:, :k], ids[:, :k]), None

    batch = hidden.shape[0]
    start = (
        jnp.full((batch, k), -jnp.inf, sum_dtype(hidden.dtype)),
        jnp.full((batch, k), jnp.iinfo(jnp.int32).max, jnp.int32),
    )
    blocks = into_blocks(queries, block, 0)
    firsts = jnp.arange(blocks.shape[0], dtype=jnp.int32) * block
    best, _ = lax.scan(step, start, (firsts, blocks))
    return best
