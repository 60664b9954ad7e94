"""The public operations: argument checks, zeroing of padding, choice of implementation.

Knows nothing of how an implementation computes.
"""

from difflib import get_close_matches
from types import ModuleType

import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import PrecisionLike
from jaxtyping import Float, Int

from axml_kernels import chunked, reference
from axml_kernels.head import Head

# An implementation is a module with label_attention, label_scores and label_top_k; None: known, not in this version.
IMPLEMENTATIONS: dict[str, ModuleType | None] = {
    "reference": reference,
    "chunked": chunked,
    "pallas": None,
}
DEFAULT = "chunked"


def label_attention(
    hidden: Float[Array, "B T D"],
    queries: Float[Array, "L D"],
    lengths: Int[Array, "B"],
    *,
    implementation: str | None = None,
    precision: PrecisionLike = None,
) -> Float[Array, "B L D"]:
    """Average the tokens of each document once per label, by that label's attention.

    m[b,l] = sum_t A[b,l,t] hidden[b,t], with A[b,l] the softmax over the first lengths[b] tokens of
    S[b,l,t] = hidden[b,t] . queries[l] (paper, eq. 4).

    Args:
        hidden: encoder states, (B, T, D); what stands at t >= lengths[b] changes nothing.
        queries: one attention vector per label, (L, D), of hidden's dtype.
        lengths: real tokens per document, (B,) int32; 0 counts as one token of zeros, more than T as T.
        implementation: "reference", "chunked" or None, which chooses.
        precision: of the matrix products, as jax.lax's.

    Returns:
        m, (B, L, D), float32 (float64 for float64).

    Raises:
        ValueError: shapes or dtypes do not fit, or the implementation is unknown.
        NotImplementedError: the implementation is not in this version.
    """
    chosen = implementation_named(implementation)
    check(hidden, queries, lengths)
    hidden, lengths = without_padding(hidden, lengths)
    return chosen.label_attention(hidden, queries, lengths, precision)


def label_scores(
    hidden: Float[Array, "B T D"],
    queries: Float[Array, "L D"],
    lengths: Int[Array, "B"],
    head: Head,
    *,
    implementation: str | None = None,
    precision: PrecisionLike = None,
) -> Float[Array, "B L"]:
    """Score every label of every document: attention, shared fully connected layers, shared output.

    z = relu(m K1 + b1), then relu(z K2 + b2) with a second layer; score[b,l] = z . output + output_bias
    (paper, eq. 5, without its sigmoid), m as in label_attention.

    Args:
        hidden: encoder states, (B, T, D); what stands at t >= lengths[b] changes nothing.
        queries: one attention vector per label, (L, D), of hidden's dtype.
        lengths: real tokens per document, (B,) int32; 0 counts as one token of zeros, more than T as T.
        head: the layers that all labels share.
        implementation: "reference", "chunked" or None, which chooses.
        precision: of the matrix products, as jax.lax's.

    Returns:
        Logits, (B, L), float32 (float64 for float64).

    Raises:
        ValueError: shapes or dtypes do not fit, or the implementation is unknown.
        NotImplementedError: the implementation is not in this version.
    """
    chosen = implementation_named(implementation)
    check(hidden, queries, lengths)
    check_head(hidden, head)
    hidden, lengths = without_padding(hidden, lengths)
    return chosen.label_scores(hidden, queries, lengths, head, precision)


def label_top_k(
    hidden: Float[Array, "B T D"],
    queries: Float[Array, "L D"],
    lengths: Int[Array, "B"],
    head: Head,
    k: int,
    *,
    implementation: str | None = None,
    precision: PrecisionLike = None,
) -> tuple[Float[Array, "B k"], Int[Array, "B k"]]:
    """The k best labels of every document, without the scores of the others.

    The first k of a stable descending sort of label_scores: among equal scores the lower label id first.

    Args:
        hidden: encoder states, (B, T, D); what stands at t >= lengths[b] changes nothing.
        queries: one attention vector per label, (L, D), of hidden's dtype.
        lengths: real tokens per document, (B,) int32; 0 counts as one token of zeros, more than T as T.
        head: the layers that all labels share.
        k: labels to keep, 1 to L.
        implementation: "reference", "chunked" or None, which chooses.
        precision: of the matrix products, as jax.lax's.

    Returns:
        Logits, (B, k), best first, and label ids, (B, k) int32.

    Raises:
        ValueError: shapes or dtypes do not fit, k is not in 1..L, or the implementation is unknown.
        NotImplementedError: the implementation is not in this version.
    """
    chosen = implementation_named(implementation)
    check(hidden, queries, lengths)
    check_head(hidden, head)
    if not 1 <= k <= queries.shape[0]:
        raise ValueError(
            f"k must lie between 1 and the number of labels, {queries.shape[0]}; got {k}"
        )
    hidden, lengths = without_padding(hidden, lengths)
    return chosen.label_top_k(hidden, queries, lengths, head, k, precision)


def label_attention_weights(
    hidden: Float[Array, "B T D"],
    queries: Float[Array, "L D"],
    lengths: Int[Array, "B"],
    label_ids: Int[Array, "B K"],
    *,
    precision: PrecisionLike = None,
) -> Float[Array, "B K T"]:
    """The attention of chosen labels, for showing which words speak for them.

    A[b,k] = softmax over the first lengths[b] tokens of hidden[b,t] . queries[label_ids[b,k]] (paper, eq. 4).

    Args:
        hidden: encoder states, (B, T, D); what stands at t >= lengths[b] changes nothing.
        queries: one attention vector per label, (L, D), of hidden's dtype.
        lengths: real tokens per document, (B,) int32; 0 counts as one token of zeros, more than T as T.
        label_ids: labels asked for, (B, K) integers in 0..L-1.
        precision: of the matrix products, as jax.lax's.

    Returns:
        A, (B, K, T), float32 (float64 for float64); zero on padding.

    Raises:
        ValueError: shapes or dtypes do not fit.
    """
    check(hidden, queries, lengths)
    if label_ids.ndim != 2 or label_ids.shape[0] != hidden.shape[0]:
        raise ValueError(
            f"label_ids must be (B, K) with B = {hidden.shape[0]} as in hidden; got {label_ids.shape}"
        )
    if not jnp.issubdtype(label_ids.dtype, jnp.integer):
        raise ValueError(f"label_ids must be integers; got {label_ids.dtype}")
    hidden, lengths = without_padding(hidden, lengths)
    one = jax.vmap(lambda h, q, n: reference.attention_weights(h[None], q, n[None], precision)[0])
    return one(hidden, queries[label_ids], lengths)


def implementation_named(name: str | None) -> ModuleType:
    """The module that implements `name`; None gives the default."""
    if name is None:
        name = DEFAULT
    if name not in IMPLEMENTATIONS:
        near = get_close_matches(str(name), IMPLEMENTATIONS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        known = ", ".join(map(repr, IMPLEMENTATIONS))
        raise ValueError(f"unknown implementation {name!r}; known: {known}.{hint}")
    module = IMPLEMENTATIONS[name]
    if module is None:
        served = " and ".join(repr(n) for n, m in IMPLEMENTATIONS.items() if m is not None)
        raise NotImplementedError(
            f"this version of axml_kernels has no Pallas kernel; it has {served}: "
            f"name one of them, or leave `implementation` out."
        )
    return module


def check(hidden: Array, queries: Array, lengths: Array) -> None:
    """Refuse shapes and dtypes that do not fit together."""
    if hidden.ndim != 3:
        raise ValueError(f"hidden must be (B, T, D); got {hidden.shape}")
    batch, tokens, width = hidden.shape
    if tokens < 1 or width < 1:
        raise ValueError(f"hidden must have at least one token of one feature; got {hidden.shape}")
    if queries.ndim != 2 or queries.shape[1] != width or queries.shape[0] < 1:
        raise ValueError(
            f"queries must be (L, D) with L >= 1 and D = {width} as in hidden; got {queries.shape}"
        )
    if lengths.shape != (batch,):
        raise ValueError(f"lengths must be (B,) = ({batch},) as in hidden; got {lengths.shape}")
    if lengths.dtype != jnp.int32:
        raise ValueError(f"lengths must be int32; got {lengths.dtype}")
    if not jnp.issubdtype(hidden.dtype, jnp.floating):
        raise ValueError(f"hidden must be floating point; got {hidden.dtype}")
    if queries.dtype != hidden.dtype:
        raise ValueError(
            f"queries must have hidden's dtype, {hidden.dtype}; got {queries.dtype}: cast one of them"
        )


def check_head(hidden: Array, head: Head) -> None:
    """Refuse a head whose layers do not follow one another."""
    if len(head.kernels) not in (1, 2) or len(head.biases) != len(head.kernels):
        raise ValueError(
            "head must have one or two kernels and as many biases; got "
            f"{len(head.kernels)} and {len(head.biases)}"
        )
    width = hidden.shape[2]
    for i, (kernel, bias) in enumerate(zip(head.kernels, head.biases, strict=True)):
        if kernel.ndim != 2 or kernel.shape[0] != width:
            raise ValueError(
                f"head.kernels[{i}] must have {width} rows, the width of what it is applied to; "
                f"got {kernel.shape}"
            )
        width = kernel.shape[1]
        if bias.shape != (width,):
            raise ValueError(f"head.biases[{i}] must be ({width},); got {bias.shape}")
    if head.output.shape != (width,):
        raise ValueError(f"head.output must be ({width},); got {head.output.shape}")
    if head.output_bias.shape != ():
        raise ValueError(f"head.output_bias must be a scalar; got shape {head.output_bias.shape}")
    for array in (*head.kernels, *head.biases, head.output, head.output_bias):
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise ValueError(f"head must hold floating point arrays; got {array.dtype}")


def without_padding(hidden: Array, lengths: Array) -> tuple[Array, Array]:
    """Zero what padding holds (NaN too, and in the gradient), and let every document have a token."""
    real = jnp.arange(hidden.shape[1])[None, :] < lengths[:, None]
    return jnp.where(real[:, :, None], hidden, 0), jnp.maximum(lengths, 1)
