"""Label attention as the paper defines it, every intermediate array in full: what the other implementations are
measured against. Knows nothing of memory or speed.

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


def attention_weights(
    hidden: Array, queries: Array, lengths: Array, precision: PrecisionLike = None
) -> Array:
    """A = softmax over the real tokens of S, S[b,l,t] = hidden[b,t] . queries[l] (eq. 4): [B, L, T]."""
    scores = jnp.einsum(
        "btd,ld->blt",
        hidden,
        queries,
        precision=precision,
        preferred_element_type=sum_dtype(hidden.dtype),
    )
    real = jnp.arange(hidden.shape[1])[None, :] < lengths[:, None]
    return jax.nn.softmax(scores, axis=-1, where=real[:, None, :])


def label_attention(
    hidden: Array, queries: Array, lengths: Array, precision: PrecisionLike = None
) -> Array:
    """m[b,l] = sum_t A[b,l,t] hidden[b,t] (eq. 4): [B, L, D]."""
    weights = attention_weights(hidden, queries, lengths, precision).astype(hidden.dtype)
    return jnp.einsum(
        "blt,btd->bld",
        weights,
        hidden,
        precision=precision,
        preferred_element_type=sum_dtype(hidden.dtype),
    )


def label_scores(
    hidden: Array, queries: Array, lengths: Array, head: Head, precision: PrecisionLike = None
) -> Array:
    """Eq. (5) without the sigmoid: [B, L] logits."""
    dtype = sum_dtype(hidden.dtype)
    z = label_attention(hidden, queries, lengths, precision)
    for kernel, bias in zip(head.kernels, head.biases, strict=True):
        z = z.astype(hidden.dtype)
        z = jnp.einsum("bld,df->blf", z, kernel, precision=precision, preferred_element_type=dtype)
        z = jax.nn.relu(z + bias.astype(dtype)[None, None, :])
    score = jnp.einsum("blf,f->bl", z, head.output.astype(dtype), precision=precision)
    return score + head.output_bias.astype(dtype)


def label_top_k(
    hidden: Array,
    queries: Array,
    lengths: Array,
    head: Head,
    k: int,
    precision: PrecisionLike = None,
) -> tuple[Array, Array]:
    """The first k of a stable sort of the scores, best first: logits [B, k] and label ids [B, k]."""
    scores = label_scores(hidden, queries, lengths, head, precision)
    ids = jnp.argsort(scores, axis=-1, descending=True, stable=True)[:, :k].astype(jnp.int32)
    return jnp.take_along_axis(scores, ids, axis=-1), ids
