"""One output per label on one vector per document.  Knows nothing of how the vector is made."""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.nn import initializers
from jaxtyping import Array, Float, Int

from axml_kernels.checks import checked_k
from axml_kernels.reference import product
from axml_kernels.streaming import Best, merged, no_best

# Labels scored together while the best are sought: 2 MB of logits for 64 documents.
_BLOCK = 8192


class LabelOutput(nn.Module):
    """logit_l = weights_l . z + bias_l.

    Weights start Xavier-uniform.  Products are done in z's type, sums and logits in float32.

    Attributes:
      num_labels: L.
      precision: Of the matrix products, as in `jax.lax.dot_general`.
      initial_bias: Of every label, in log-odds.
    """

    num_labels: int
    precision: lax.PrecisionLike = None
    initial_bias: float = 0.0

    @nn.compact
    def _parameters(self, width: int) -> tuple[Array, Array]:
        weights = self.param(
            "label_weights", initializers.xavier_uniform(), (self.num_labels, width), jnp.float32
        )
        bias = initializers.constant(self.initial_bias)
        return weights, self.param("label_biases", bias, (self.num_labels,), jnp.float32)

    def __call__(self, z: Float[Array, "B F"]) -> Float[Array, "B L"]:
        """Logits of all labels.

        Args:
          z: [B, F] a vector per document.

        Returns:
          [B, L] float32 log-odds.
        """
        weights, biases = self._parameters(z.shape[1])
        return product("bf,lf->bl", z, weights.astype(z.dtype), self.precision) + biases[None]

    def top_k(
        self, z: Float[Array, "B F"], k: int
    ) -> tuple[Float[Array, "B K"], Int[Array, "B K"]]:
        """The k best labels, best first; logits exist for one block of labels at a time.

        Args:
          z: [B, F] a vector per document.
          k: Labels wanted, 1 to L.

        Returns:
          Log-odds [B, k] float32 and label ids [B, k] int32.

        Raises:
          ValueError: k is not in 1..L.
        """
        k = checked_k(k, self.num_labels)
        weights, biases = self._parameters(z.shape[1])
        size = max(k, min(_BLOCK, self.num_labels))
        starts = jnp.arange(0, self.num_labels, size, dtype=jnp.int32)

        def step(best: Best, start: Array) -> tuple[Best, None]:
            # The last block begins earlier instead of being filled up, which would copy all
            # weights, and leaves out what the one before has had.
            first = jnp.minimum(start, self.num_labels - size)
            own, bias = (lax.dynamic_slice_in_dim(x, first, size) for x in (weights, biases))
            scores = product("bf,lf->bl", z, own.astype(z.dtype), self.precision) + bias[None]
            ids = first + jnp.arange(size, dtype=jnp.int32)
            return merged(best, scores, ids, ids >= start), None

        nothing = no_best(z.shape[0], k, jnp.promote_types(z.dtype, jnp.float32))
        logits, ids = lax.scan(step, nothing, starts)[0]
        return logits, ids
