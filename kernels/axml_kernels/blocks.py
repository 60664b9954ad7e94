"""What a tile of `chunked` is made of: axes cut into blocks, masked scores, weighted averages.

The scores of a tile keep the labels last ([B, T, C]): the softmax over tokens is then a sum over
rows, vectorised over labels.  Queries keep their rows [C, D]: turned, forward takes a tenth longer.
"""

import jax.numpy as jnp
from jax import Array, lax
from jax.lax import PrecisionLike

from axml_kernels.reference import product, sum_dtype

# Finite, so that a difference of two masked scores is no NaN; its exponential is exactly zero.
MASKED = -1e30


def into_blocks(x: Array, size: int, axis: int) -> Array:
    """Cuts an axis into blocks, moved to the front: [..., L, ...] -> [N, ..., C, ...].

    Zeros fill the last block.
    """
    short = -x.shape[axis] % size
    x = jnp.pad(x, [(0, short if i == axis else 0) for i in range(x.ndim)])
    x = x.reshape(*x.shape[:axis], x.shape[axis] // size, size, *x.shape[axis + 1 :])
    return jnp.moveaxis(x, axis, 0)


def from_blocks(x: Array, whole: int, axis: int) -> Array:
    """The inverse of into_blocks; `axis` is that of the result, `whole` its size there."""
    x = jnp.moveaxis(x, 0, axis)
    x = x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])
    return lax.slice_in_dim(x, 0, whole, axis=axis)


def label_blocks(queries: Array, block: int) -> Array:
    """Queries [L, D] as blocks [N, C, D]."""
    return into_blocks(queries, block, 0)


def real_tokens(hidden: Array, lengths: Array) -> Array:
    """Which tokens are no padding, [B, T]; of an empty place in a group (length 0) the first."""
    return jnp.arange(hidden.shape[1])[None, :] < jnp.maximum(lengths, 1)[:, None]


def padding_mask(hidden: Array, lengths: Array) -> Array:
    """What to add to scores, [B, T]: zero for real tokens, MASKED for padding."""
    mask = jnp.where(real_tokens(hidden, lengths), 0.0, MASKED)
    return mask.astype(sum_dtype(hidden.dtype))


def tile_scores(hidden: Array, queries: Array, mask: Array, precision: PrecisionLike) -> Array:
    """S of a tile, [B, T, C], padding masked."""
    return product("btd,cd->btc", hidden, queries, precision) + mask[:, :, None]


def stand_ins(hidden: Array, lengths: Array) -> tuple[Array, Array]:
    """Hidden with each document's first state in the place of padding, and 1 for real tokens.

    Their scores need no mask: the maximum over all of them is that of the real ones.  It is the
    sums that leave the stand-ins out.  Spares forward a twentieth of its time on a CPU.
    """
    real = real_tokens(hidden, lengths)
    return jnp.where(real[:, :, None], hidden, hidden[:, :1]), real.astype(sum_dtype(hidden.dtype))


def kept_as_is(x: Array) -> Array:
    """Stops XLA from folding a transposition into the products that read x.

    On the CPU a folded one is slow, and in bfloat16 fails where loops of one turn are unrolled:
    "Unsupported element type for DotThunk" (jaxlib 0.10.2).
    """
    return lax.optimization_barrier(x)


def as_left_operand(values: Array) -> Array:
    """Values [B, T, G] as weighted_average reads them.

    The CPU's bfloat16 routine wants [B, G, T] and is then six times as fast, although its result
    must be turned; in float32 the values stay, and the result comes as it is wanted.
    """
    return kept_as_is(jnp.swapaxes(values, 1, 2)) if values.dtype.itemsize < 4 else values


def weighted_average(values: Array, weights: Array, precision: PrecisionLike) -> Array:
    """sum_t A[b,t,c] values[b,t,g] as [B, C, G], from as_left_operand(values)."""
    weights = weights.astype(values.dtype)
    if values.dtype.itemsize < 4:
        return jnp.swapaxes(kept_as_is(product("bgt,btc->bgc", values, weights, precision)), 1, 2)
    return product("btc,btg->bcg", weights, values, precision)


def averages(
    values: Array, scores: Array, real: Array, precision: PrecisionLike
) -> tuple[Array, Array]:
    """The averages [B, C, G] of as_left_operand(values), and the scores' log-sum-exp [B, C].

    Where `real` is zero, scores are those of stand-ins, and values must be zero.
    """
    most = scores.max(axis=1)
    weights = jnp.exp(scores - most[:, None, :])
    total = (weights * real[:, :, None]).sum(axis=1)
    average = weighted_average(values, weights, precision)
    return average / total[:, :, None], most + jnp.log(total)
