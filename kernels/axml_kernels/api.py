"""The public operations: argument checks, zeroed padding, choice of implementation.

Knows nothing of how an implementation computes.
"""

from difflib import get_close_matches
from types import ModuleType

import jax
import jax.numpy as jnp
from jax.lax import PrecisionLike
from jaxtyping import Array, Float, Int

from axml_kernels import chunked, gpu_tiles, pallas_gpu, reference, target, tiling
from axml_kernels.checks import (
    checked_head,
    checked_inputs,
    checked_k,
    checked_label_ids,
    checked_truth,
    checked_weights,
)
from axml_kernels.cross_entropy import Truth, cross_entropy
from axml_kernels.head import Head

# An implementation is a module with label_attention, label_scores and label_top_k.
IMPLEMENTATIONS: dict[str, ModuleType] = {
    "reference": reference,
    "chunked": chunked,
    "pallas": pallas_gpu,
}


def label_attention(
    hidden: Float[Array, "B T D"],
    queries: Float[Array, "L D"],
    lengths: Int[Array, " B"],
    *,
    implementation: str | None = None,
    precision: PrecisionLike = None,
) -> Float[Array, "B L D"]:
    """Averages the tokens of each document once per label, by that label's attention.

    With A[b,l] the softmax over the first lengths[b] tokens of hidden[b,t] . queries[l]:
    m[b,l] = sum_t A[b,l,t] hidden[b,t] (eq. 4).

    Args:
      hidden: [B, T, D] encoder states; what stands at t >= lengths[b] changes nothing.
      queries: [L, D] one attention vector per label, of hidden's dtype.
      lengths: [B] int32, real tokens; 0 counts as one token of zeros, more than T as T.
      implementation: "reference", "chunked", "pallas" or None: what this device runs best.
      precision: Of the matrix products, as in `jax.lax.dot_general`.

    Returns:
      m [B, L, D] float32 (float64 for float64).

    Raises:
      ValueError: Shapes or dtypes do not fit, or nothing has this implementation's name.
      NotImplementedError: The implementation cannot run on this device or with this dtype.
    """
    hidden, queries, lengths = without_padding(*checked_inputs(hidden, queries, lengths))
    chosen = implementation_named(implementation, hidden, queries, 0, precision)
    return chosen.label_attention(hidden, queries, lengths, precision)


def label_scores(
    hidden: Float[Array, "B T D"],
    queries: Float[Array, "L D"],
    lengths: Int[Array, " B"],
    head: Head,
    *,
    implementation: str | None = None,
    precision: PrecisionLike = None,
) -> Float[Array, "B L"]:
    """Scores every label: attention, the shared fully connected layers, the shared output.

    With m as in `label_attention`: z = relu(m K1 + b1), then relu(z K2 + b2) with a second layer;
    score = z . output + output_bias (eq. 5 without its sigmoid).

    Args:
      hidden: [B, T, D] encoder states; what stands at t >= lengths[b] changes nothing.
      queries: [L, D] one attention vector per label, of hidden's dtype.
      lengths: [B] int32, real tokens; 0 counts as one token of zeros, more than T as T.
      head: The layers; matrix products are done in hidden's dtype, everything else in float32.
      implementation: "reference", "chunked", "pallas" or None: what this device runs best.
      precision: Of the matrix products, as in `jax.lax.dot_general`.

    Returns:
      Logits [B, L] float32 (float64 for float64).

    Raises:
      ValueError: Shapes or dtypes do not fit, or nothing has this implementation's name.
      NotImplementedError: The implementation cannot run on this device or with this dtype.
    """
    hidden, queries, lengths = without_padding(*checked_inputs(hidden, queries, lengths))
    head = checked_head(head, hidden.shape[2])
    chosen = implementation_named(implementation, hidden, queries, len(head.kernels), precision)
    return chosen.label_scores(hidden, queries, lengths, head, precision)


def label_top_k(
    hidden: Float[Array, "B T D"],
    queries: Float[Array, "L D"],
    lengths: Int[Array, " B"],
    head: Head,
    k: int,
    *,
    implementation: str | None = None,
    precision: PrecisionLike = None,
) -> tuple[Float[Array, "B k"], Int[Array, "B k"]]:
    """The k best labels of each document, without keeping the scores of the others.

    The first k of a stable descending sort of `label_scores`: equal scores by the lower label id.

    Args:
      hidden: [B, T, D] encoder states; what stands at t >= lengths[b] changes nothing.
      queries: [L, D] one attention vector per label, of hidden's dtype.
      lengths: [B] int32, real tokens; 0 counts as one token of zeros, more than T as T.
      head: The layers; matrix products are done in hidden's dtype, everything else in float32.
      k: Labels to keep, 1 to L.
      implementation: "reference", "chunked", "pallas" or None: what this device runs best.
      precision: Of the matrix products, as in `jax.lax.dot_general`.

    Returns:
      Logits [B, k] float32 (float64 for float64), best first, and label ids [B, k] int32.

    Raises:
      ValueError: Shapes or dtypes do not fit, k is not in 1..L, or nothing has this
        implementation's name.
      NotImplementedError: The implementation cannot run on this device or with this dtype.
    """
    hidden, queries, lengths = without_padding(*checked_inputs(hidden, queries, lengths))
    head, k = checked_head(head, hidden.shape[2]), checked_k(k, queries.shape[0])
    chosen = implementation_named(implementation, hidden, queries, len(head.kernels), precision)
    return chosen.label_top_k(hidden, queries, lengths, head, k, precision)


def label_cross_entropy(
    hidden: Float[Array, "B T D"],
    queries: Float[Array, "L D"],
    lengths: Int[Array, " B"],
    head: Head,
    label_ids: Int[Array, "B P"],
    weights: Float[Array, " B"] | None = None,
    *,
    first_label: Int[Array, ""] | int = 0,
    num_labels: Int[Array, ""] | int | None = None,
    implementation: str | None = None,
    precision: PrecisionLike = None,
) -> Float[Array, ""]:
    """The binary cross entropy of all scores: sum_b weights[b] cost[b], eq. (6) before its mean.

    With s = `label_scores` and y_hat = sigmoid(s): cost[b] = sum_l softplus(s[b,l]) - sum of s[b,l]
    at the true labels.  Under `jax.grad` "chunked" makes the gradient of a tile with its scores,
    where `label_scores` and a loss of one's own make the attention twice.

    Args:
      hidden: [B, T, D] encoder states; what stands at t >= lengths[b] changes nothing.
      queries: [L, D] one attention vector per label, of hidden's dtype.
      lengths: [B] int32, real tokens; 0 counts as one token of zeros, more than T as T.
      head: The layers; matrix products are done in hidden's dtype, everything else in float32.
      label_ids: [B, P] integers, the true labels of each document, each once; filled up with any
        id that no label here has, such as -1 or L.
      weights: [B] of the documents; None is all ones, and a document of weight 0 counts nowhere.
      first_label: The id of the first query's label, where queries are those of a part of them.
      num_labels: Labels from this id on do not count; None: all queries' do.
      implementation: "reference", "chunked", "pallas" or None: what this device runs best.
      precision: Of the matrix products, as in `jax.lax.dot_general`.

    Returns:
      A number in nats, float32 (float64 for float64).

    Raises:
      ValueError: Shapes or dtypes do not fit, or nothing has this implementation's name.
      NotImplementedError: The implementation cannot run on this device or with this dtype.
    """
    hidden, queries, lengths = without_padding(*checked_inputs(hidden, queries, lengths))
    head = checked_head(head, hidden.shape[2])
    chosen = implementation_named(implementation, hidden, queries, len(head.kernels), precision)
    if implementation is None and chosen is reference:
        # Tiles are as fast for this operation's gradient, or faster, in less memory.
        chosen = chunked
    batch, known = hidden.shape[0], queries.shape[0]
    end = first_label + known if num_labels is None else num_labels
    truth = Truth(
        checked_truth(label_ids, batch, queries.shape[0]),
        checked_weights(jnp.ones(batch, jnp.float32) if weights is None else weights, batch),
        jnp.stack([jnp.asarray(label, jnp.int32) for label in (first_label, end)]),
    )
    # Gradients of small weights, kept in float16 until a loss scale reaches them, would be zero.
    if chosen is chunked and hidden.dtype != jnp.float16:
        return chunked.label_cross_entropy(hidden, queries, lengths, head, truth, precision)
    return cross_entropy(chosen.label_scores(hidden, queries, lengths, head, precision), truth)


def label_attention_weights(
    hidden: Float[Array, "B T D"],
    queries: Float[Array, "L D"],
    lengths: Int[Array, " B"],
    label_ids: Int[Array, "B K"],
    *,
    precision: PrecisionLike = None,
) -> Float[Array, "B K T"]:
    """The attention of chosen labels: which tokens speak for them.

    A[b,k] = softmax over the first lengths[b] tokens of hidden[b,t] . queries[label_ids[b,k]]
    (eq. 4).

    Args:
      hidden: [B, T, D] encoder states; what stands at t >= lengths[b] changes nothing.
      queries: [L, D] one attention vector per label, of hidden's dtype.
      lengths: [B] int32, real tokens; 0 counts as one token of zeros, more than T as T.
      label_ids: [B, K] integers, 0 to L - 1: the chosen labels of each document.
      precision: Of the matrix products, as in `jax.lax.dot_general`.

    Returns:
      A [B, K, T] float32 (float64 for float64); rows sum to one and are zero at padding.

    Raises:
      ValueError: Shapes or dtypes do not fit.
    """
    hidden, queries, lengths = without_padding(*checked_inputs(hidden, queries, lengths))
    label_ids = checked_label_ids(label_ids, hidden.shape[0])

    def one(hidden: Array, queries: Array, length: Array) -> Array:
        return reference.attention_weights(hidden[None], queries, length[None], precision)[0].T

    return jax.vmap(one)(hidden, queries[label_ids], lengths)


def implementation_named(
    name: str | None, hidden: Array, queries: Array, layers: int, precision: PrecisionLike = None
) -> ModuleType:
    """The module that implements a name, or for None the one that runs best with such a head."""
    missing = pallas_gpu.unavailable(hidden.dtype)
    if name is None:
        slow = hidden.dtype == jnp.float32 and pallas_gpu.is_full(precision)
        name = default(hidden, queries, layers, missing is None and not slow)
    if name not in IMPLEMENTATIONS:
        near = get_close_matches(str(name), IMPLEMENTATIONS, n=1)
        raise ValueError(
            f"implementation should be None or one of {', '.join(map(repr, IMPLEMENTATIONS))}, "
            f"but it is {name!r}." + (f" Did you mean {near[0]!r}?" if near else "")
        )
    if name == "pallas" and missing is not None:
        raise NotImplementedError(
            f"The Pallas kernels cannot run: {missing}. Name 'chunked', which runs anywhere, "
            "or leave the choice to axml_kernels."
        )
    return IMPLEMENTATIONS[name]


def default(hidden: Array, queries: Array, layers: int, has_pallas: bool) -> str:
    """What the device runs best: `pallas` where it was measured and won, by card, dtype and layers.

    It was in bfloat16 and tf32, for heads of one layer or two: true float32, float16 and
    `label_attention`, which has none, go to XLA.

    Elsewhere `chunked`, but on a CPU `reference` where that is small.
    """
    device = target.current()
    if has_pallas and gpu_tiles.is_best(device, hidden.dtype.name, layers):
        return "pallas"
    batch, tokens, width = hidden.shape
    small = tiling.is_small(batch, tokens, width, queries.shape[0])
    return "reference" if small and device.platform == "cpu" else "chunked"


def without_padding(hidden: Array, queries: Array, lengths: Array) -> tuple[Array, Array, Array]:
    """Zeroes what padding holds (NaN too, gradients too) and gives every document a token."""
    real = jnp.arange(hidden.shape[1])[None, :] < lengths[:, None]
    return jnp.where(real[:, :, None], hidden, 0), queries, jnp.clip(lengths, 1, hidden.shape[1])
