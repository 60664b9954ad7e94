"""Label attention as the paper defines it, every intermediate array in full.

What the other implementations are measured against.  Knows nothing of memory or speed.

Callers pass hidden states whose padding is zero and lengths of at least 1 (api.py sees to both).
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import PrecisionLike

from axml_kernels.head import Head


def sum_dtype(dtype: jnp.dtype) -> jnp.dtype:
    """The dtype of sums and results: float32, or float64 where the inputs are."""
    return jnp.promote_types(dtype, jnp.float32)


def product(equation: str, x: Array, y: Array, precision: PrecisionLike) -> Array:
    """An einsum whose sums and result are float32 (float64 for float64)."""
    wide = sum_dtype(x.dtype)
    return jnp.einsum(equation, x, y, precision=precision, preferred_element_type=wide)


def attention_weights(
    hidden: Array, queries: Array, lengths: Array, precision: PrecisionLike = None
) -> Array:
    """A of eq. (4), [B, T, L]: the softmax over real tokens of hidden[b,t] . queries[l]."""
    scores = each_row(hidden, queries.T, precision)
    real = jnp.arange(hidden.shape[1])[None, :] < lengths[:, None]
    return jax.nn.softmax(scores, axis=1, where=real[:, :, None])


def label_attention(
    hidden: Array, queries: Array, lengths: Array, precision: PrecisionLike = None
) -> Array:
    """m[b,l] = sum_t A[b,l,t] hidden[b,t] (eq. 4), [B, L, D]."""
    weights = attention_weights(hidden, queries, lengths, precision)
    return product("btl,btd->bld", weights.astype(hidden.dtype), hidden, precision)


def label_scores(
    hidden: Array, queries: Array, lengths: Array, head: Head, precision: PrecisionLike = None
) -> Array:
    """Eq. (5) without its sigmoid, [B, L] logits."""
    dtype, wide = hidden.dtype, sum_dtype(hidden.dtype)
    z = label_attention(hidden, queries, lengths, precision)
    for kernel, bias in zip(head.kernels, head.biases, strict=True):
        z = each_row(z.astype(dtype), kernel.astype(dtype), precision)
        z = jax.nn.relu(z + bias.astype(wide)[None, None, :])
    return each_row(z, head.output.astype(wide)[:, None], precision)[:, :, 0] + head.output_bias


def each_row(x: Array, y: Array, precision: PrecisionLike) -> Array:
    """x [B, N, D] times y [D, M] as one plain matrix product, forward and backward."""
    rows = product("nd,dm->nm", x.reshape(-1, x.shape[2]), y, precision)
    return rows.reshape(*x.shape[:2], -1)


def label_top_k(
    hidden: Array,
    queries: Array,
    lengths: Array,
    head: Head,
    k: int,
    precision: PrecisionLike = None,
) -> tuple[Array, Array]:
    """The first k of a stable sort of the scores, best first: logits and label ids, [B, k]."""
    scores = label_scores(hidden, queries, lengths, head, precision)
    ids = jnp.argsort(scores, axis=-1, descending=True, stable=True)[:, :k].astype(jnp.int32)
    return jnp.take_along_axis(scores, ids, axis=-1), ids
