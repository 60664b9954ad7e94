"""The training loss, eq. (6), from logits.  Knows nothing about models or optimizers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from axml_kernels.cross_entropy import Truth, cross_entropy, weighted


def binary_cross_entropy(
    logits: Float[Array, "B L"],
    label_ids: Int[Array, "B P"],
    weights: Float[Array, " B"] | None = None,
    *,
    first_label: Int[Array, ""] | int = 0,
    num_labels: int | None = None,
) -> Float[Array, ""]:
    """Mean cross entropy from lists of true labels, without a dense target.

    J = (sum_ij softplus(s_ij) - sum of s_ij at true labels) / (N L), eq. (6) with
    y_hat = sigmoid(s): -log y_hat = softplus(s) - s and -log(1 - y_hat) = softplus(s).

    Args:
      logits: [B, L] log-odds s, any finite value.
      label_ids: [B, P] int32, the true labels of each document, distinct; lists are padded with L.
        An id outside [0, L) stands for no label: so do labels that the model has no output for.
      weights: [B], 1 for a real document and 0 for one that only fills the batch; None is all ones.
      first_label: Where the logits are those of a part of the labels, the id of the part's first.
      num_labels: L, where it is not the width of `logits`; logits of ids from L on do not count.

    Returns:
      A scalar in nats: the mean over the real documents and all labels; 0 if none is real.  Of a
      part of the labels, its share of that mean.
    """
    batch, width = logits.shape
    labels = width if num_labels is None else num_labels
    # Labels of another part count there.
    ends = jnp.asarray(first_label), jnp.minimum(first_label + width, labels)
    truth = Truth(label_ids, document_shares(weights, batch, labels), jnp.stack(ends))
    return cross_entropy(logits, truth)


def document_shares(
    weights: Float[Array, " B"] | None, batch: int, num_labels: int
) -> Float[Array, " B"]:
    """What each document's cost is multiplied by for the mean over real documents and all labels.

    Args:
      weights: [B], 1 for a real document and 0 for one that only fills the batch; None is all ones.
      batch: B.
      num_labels: L.
    """
    real = jnp.ones(batch) if weights is None else weights.astype(jnp.float32)
    return real / (jnp.maximum(real.sum(), 1e-9) * num_labels)


def dense_binary_cross_entropy(
    logits: Float[Array, "B L"],
    targets: Float[Array, "B L"],
    weights: Float[Array, " B"] | None = None,
) -> Float[Array, ""]:
    """Mean cross entropy from a dense target: eq. (6) with y_hat = sigmoid(logits).

    Args:
      logits: [B, L] log-odds, any finite value.
      targets: [B, L] in [0, 1]: 0 or 1 in the paper, in between for soft targets.
      weights: [B], 1 for a real document and 0 for one that only fills the batch; None is all ones.

    Returns:
      A scalar in nats: the mean over the real documents and all labels; 0 if none is real.
    """
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    logits = logits.astype(dtype)
    per_document = (jax.nn.softplus(logits) - targets.astype(dtype) * logits).sum(axis=1)
    return weighted(per_document, document_shares(weights, *logits.shape))
