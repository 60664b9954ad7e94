"""What the tiles of `chunked` are made of: cutting axes into blocks, a block's scores and weights.

Arrays of a tile keep the labels last ([B, T, C], [B, F, C]), queries come as [D, C]: nearly every product then has its
operands in the order in which a matrix routine reads them, and the softmax over tokens is a sum over rows,
vectorised over labels.
"""

import jax.numpy as jnp
from jax import Array, lax
from jax.lax import PrecisionLike

from axml_kernels.reference import sum_dtype

# Finite, so that a difference of two masked scores is no NaN; its exponential is exactly zero.
MASKED = -1e30


def product(equation: str, x: Array, y: Array, precision: PrecisionLike) -> Array:
    """An einsum whose sums are float32 (float64 for float64)."""
    return jnp.einsum(
        equation, x, y, precision=precision, preferred_element_type=sum_dtype(x.dtype)
    )


def into_blocks(x: Array, size: int, axis: int) -> Array:
    """Cut an axis into blocks, moved to the front: [..., L, ...] -> [N, ..., C, ...]; zeros fill the last."""
    short = -x.shape[axis] % size
    x = jnp.pad(x, [(0, short if i == axis else 0) for i in range(x.ndim)])
    x = x.reshape(*x.shape[:axis], -1, size, *x.shape[axis + 1 :])
    return jnp.moveaxis(x, axis, 0)


def from_blocks(x: Array, whole: int, axis: int) -> Array:
    """The inverse of into_blocks; `axis` is that of the result, `whole` its size there."""
    x = jnp.moveaxis(x, 0, axis)
    x = x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])
    return lax.slice_in_dim(x, 0, whole, axis=axis)


def label_blocks(queries: Array, block: int) -> Array:
    """Queries [L, D] as blocks [N, D, C]."""
    return into_blocks(queries.T, block, 1)


def padding_mask(hidden: Array, lengths: Array) -> Array:
    """What to add to scores, [B, T]: zero for real tokens, MASKED for padding."""
    real = jnp.arange(hidden.shape[1])[None, :] < lengths[:, None]
    return jnp.where(real, 0.0, MASKED).astype(sum_dtype(hidden.dtype))


def scores(hidden: Array, queries: Array, mask: Array, precision: PrecisionLike) -> Array:
    """S of a tile, [B, T, C], padding masked."""
    return product("btd,dc->btc", hidden, queries, precision) + mask[:, :, None]


def averages(values: Array, scores: Array, precision: PrecisionLike) -> tuple[Array, Array]:
    """sum_t A[b,t,c] values[b,g,t] as [B, G, C], and the log-sum-exp [B, C] of the scores."""
    most = scores.max(axis=1)
    weights = jnp.exp(scores - most[:, None, :])
    total = weights.sum(axis=1)
    average = product("bgt,btc->bgc", values, weights.astype(values.dtype), precision)
    return average / total[:, None, :], most + jnp.log(total)


def token_major(hidden: Array) -> Array:
    """hidden as [D, B T]: made once per group, it spares a copy of every tile's score gradients."""
    return hidden.reshape(-1, hidden.shape[2]).T


def query_gradient(hidden: Array, d_scores: Array, precision: PrecisionLike) -> Array:
    """sum_bt hidden[b,t,d] dS[b,t,c] as [D, C], from token_major(hidden)."""
    d_scores = d_scores.reshape(-1, d_scores.shape[2])
    return product("dr,rc->dc", hidden, d_scores, precision)
