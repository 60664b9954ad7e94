"""The binary cross entropy of scores with lists of true labels, eq. (6) before its mean.

Knows nothing of where scores come from.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Truth(NamedTuple):
    """What the scores of a batch are compared with."""

    label_ids: Any  # (B, P) int32, the true labels; as a gradient None, which is zero
    weights: Array  # (B,) of the documents
    labels: Any  # (2,) int32: the id of the first label, and the first id that does not count; None


def cross_entropy(logits: Array, truth: Truth) -> Array:
    """sum_b weights[b] of what document b costs, from its logits [B, C]."""
    return weighted(document_costs(logits, truth.label_ids, *truth.labels), truth.weights)


def document_costs(
    logits: Array, label_ids: Array, first_label: Array | int, num_labels: Array | int
) -> Array:
    """What each document costs, [B]: the sum over labels of softplus(s), less s where it is true.

    With y_hat = sigmoid(s), -log y_hat = softplus(s) - s and -log(1 - y_hat) = softplus(s).

    Args:
      logits: [B, C] log-odds s of the labels from first_label on.
      label_ids: [B, P] the true labels, each once; ids of no label here, negative ones too, count
        nowhere.
      first_label: The id of the first of the C labels.
      num_labels: Labels from this id on do not count.
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    width = logits.shape[1]
    places = label_ids - first_label
    known = (places >= 0) & (places < width) & (label_ids < num_labels)
    counted = first_label + jnp.arange(width)[None, :] < num_labels
    costs = jnp.where(counted, jax.nn.softplus(logits), 0)
    at_true = jnp.take_along_axis(logits, jnp.where(known, places, 0), axis=1, mode="clip")
    return costs.sum(axis=1) - jnp.where(known, at_true, 0).sum(axis=1)


def weighted(costs: Array, weights: Array) -> Array:
    """sum_b weights[b] costs[b]; a document of weight 0 counts nowhere, whatever it costs."""
    # By where, not by a product: its cost may be no number.
    return jnp.where(weights != 0, costs * weights, 0).sum()
