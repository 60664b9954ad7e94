"""Multi-label attention and the shared fully connected layers, eqs. (4) and (5).

Holds the parameters; the arithmetic is `axml_kernels`.  Knows nothing about words or the encoder.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.nn import initializers
from jax.nn.initializers import Initializer
from jaxtyping import Array, Float, Int

from axml_kernels import (
    Head,
    label_attention_weights,
    label_cross_entropy,
    label_scores,
    label_top_k,
)


class LabelAttention(nn.Module):
    """One attention query per label and one head for all labels: hidden states to logits.

    With A = softmax over a document's tokens of hidden . queries, m = A hidden (eq. 4):
    logit = output . f(K2 f(K1 m + b1) + b2) + output_bias, f = ReLU (eq. 5, one or two layers).

    What the paper leaves open: the fully connected layers have biases, which start at 0; the output
    has one bias for all labels; queries, kernels and the output start Xavier-uniform.

    Attributes:
      num_labels: L.
      width: D, width of the hidden states.
      fully_connected: Widths F of the one or two shared layers.
      implementation: None | "reference" | "chunked" | "pallas", as in `axml_kernels.label_scores`.
      precision: Precision of the matrix products, as in `axml_kernels.label_scores`.
      initial_output_bias: Initial output bias, in log-odds.  At the log-odds of the labels' mean
        frequency the first epoch need not be spent on learning that most labels are absent.
      queries_init: Initial queries [L, D].
    """

    num_labels: int
    width: int
    fully_connected: tuple[int, ...] = (256,)
    implementation: str | None = None
    precision: lax.PrecisionLike = None
    initial_output_bias: float = 0.0
    queries_init: Initializer = initializers.xavier_uniform()

    def setup(self) -> None:
        if len(self.fully_connected) not in (1, 2):
            raise ValueError(
                "fully_connected must name the widths of one or two layers; "
                f"it is {self.fully_connected!r}."
            )
        xavier = initializers.xavier_uniform()
        self.queries = self.param(
            "queries", self.queries_init, (self.num_labels, self.width), jnp.float32
        )
        kernels, biases = [], []
        width = self.width
        for layer, units in enumerate(self.fully_connected):
            kernels.append(self.param(f"kernel_{layer}", xavier, (width, units), jnp.float32))
            biases.append(self.param(f"bias_{layer}", initializers.zeros, (units,), jnp.float32))
            width = units
        output = self.param("output", xavier, (width, 1), jnp.float32)
        output_bias = self.param(
            "output_bias", initializers.constant(self.initial_output_bias), (), jnp.float32
        )
        self.head = Head(tuple(kernels), tuple(biases), output[:, 0], output_bias)

    def __call__(
        self, hidden: Float[Array, "B T D"], lengths: Int[Array, " B"]
    ) -> Float[Array, "B L"]:
        """Logits of all labels.

        Args:
          hidden: [B, T, D] hidden states; what lies beyond a document's length is not read.
          lengths: [B] int32.

        Returns:
          [B, L] float32 log-odds.
        """
        queries, head = self._weights(hidden)
        return label_scores(
            hidden,
            queries,
            lengths,
            head,
            implementation=self.implementation,
            precision=self.precision,
        )

    def cross_entropy(
        self,
        hidden: Float[Array, "B T D"],
        lengths: Int[Array, " B"],
        label_ids: Int[Array, "B P"],
        weights: Float[Array, " B"],
        first_label: Int[Array, ""] | int,
        num_labels: int,
    ) -> Float[Array, ""]:
        """The weighted sum of what documents cost; see `axml_kernels.label_cross_entropy`.

        Args:
          hidden: [B, T, D] hidden states.
          lengths: [B] int32.
          label_ids: [B, P] int32, the true labels of each document.
          weights: [B] of the documents.
          first_label: The id of this module's first label.
          num_labels: Labels from this id on do not count.
        """
        queries, head = self._weights(hidden)
        return label_cross_entropy(
            hidden,
            queries,
            lengths,
            head,
            label_ids,
            weights,
            first_label=first_label,
            num_labels=num_labels,
            implementation=self.implementation,
            precision=self.precision,
        )

    def top_k(
        self, hidden: Float[Array, "B T D"], lengths: Int[Array, " B"], k: int
    ) -> tuple[Float[Array, "B K"], Int[Array, "B K"]]:
        """The k best labels, best first, without the logits of all labels at once.

        Args:
          hidden: [B, T, D] hidden states.
          lengths: [B] int32.
          k: Labels wanted, 1 to L.

        Returns:
          Log-odds [B, k] float32 and label ids [B, k] int32.
        """
        queries, head = self._weights(hidden)
        return label_top_k(
            hidden,
            queries,
            lengths,
            head,
            k,
            implementation=self.implementation,
            precision=self.precision,
        )

    def attention_weights(
        self,
        hidden: Float[Array, "B T D"],
        lengths: Int[Array, " B"],
        label_ids: Int[Array, "B K"],
    ) -> Float[Array, "B K T"]:
        """How much each token counts for chosen labels: alpha of eq. (4).

        Args:
          hidden: [B, T, D] hidden states.
          lengths: [B] int32.
          label_ids: [B, K] int32, chosen labels of each document.

        Returns:
          [B, K, T]; each row sums to one over the document's tokens and is zero at padding.
        """
        queries, _ = self._weights(hidden)
        return label_attention_weights(
            hidden, queries, lengths, label_ids, precision=self.precision
        )

    def _weights(self, hidden: Array) -> tuple[Array, Head]:
        """Queries and head with the operands of matrix products in hidden's type."""
        kernels = tuple(kernel.astype(hidden.dtype) for kernel in self.head.kernels)
        return self.queries.astype(hidden.dtype), self.head._replace(kernels=kernels)
