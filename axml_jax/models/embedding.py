"""Word representation, eq. (1): one vector per token.

Knows nothing about text, vocabularies or files: rows of the table are given by whoever builds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

PAD = 0  # the token id of padding, as in axml_jax.data.text, which models do not import

CONSTANTS = "constants"  # the variable collection of frozen tables: no gradient, no optimizer state


def uniform_vectors(bound: float = 1.0) -> Initializer:
    """Vectors from uniform(-bound, bound).

    A bound of 1 has a standard deviation of 0.58: near GloVe's (0.4 to 0.6) and that of vectors
    made from the training text (0.5), so the LSTM's gates start in the same range with each.

    Args:
      bound: Largest absolute value.

    Returns:
      An initializer `(key, shape, dtype) -> array`.
    """

    def initializer(
        key: Array, shape: Sequence[int], dtype: DTypeLike | None = None, out_sharding: Any = None
    ) -> Array:
        del out_sharding
        return jax.random.uniform(key, shape, dtype or jnp.float32, -bound, bound)

    return initializer


class WordRepresentation(nn.Module):
    """Looks up one vector per token: X = (x_1, ..., x_T), eq. (1).

    The table is the variable `vectors` [V, E], in the collection "params" when it is trained and in
    "constants" when it is frozen: an optimizer that is given "params" then neither changes it nor
    holds moments for it.  Row 0, the padding, counts as zeros whatever it holds, and gets no
    gradient.

    Attributes:
      num_words: V, rows of the table.
      width: E.
      trainable: Whether the table is a parameter.
      vectors_init: Initial table, for instance one made from pre-trained vectors.
      dtype: Type of the result; None is the table's own.
    """

    num_words: int
    width: int
    trainable: bool = True
    vectors_init: Initializer = uniform_vectors()
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, token_ids: Int[Array, "B T"]) -> Float[Array, "B T E"]:
        """Vectors of the tokens.

        Args:
          token_ids: [B, T] int32 in [0, V); an id outside gives NaN, not another word's vector.

        Returns:
          [B, T, E], zeros where the id is 0.
        """
        shape = (self.num_words, self.width)
        if self.trainable:
            vectors = self.param("vectors", self.vectors_init, shape, jnp.float32)
        else:
            vectors = self.variable(
                CONSTANTS,
                "vectors",
                lambda: self.vectors_init(self.make_rng("params"), shape, jnp.float32),
            ).value
        # jnp.take counts negative ids from the end; behind the end they are filled like the others.
        ids = jnp.where(token_ids < 0, self.num_words, token_ids)
        embedded = jnp.take(vectors, ids, axis=0, mode="fill", fill_value=jnp.nan)
        embedded = jnp.where((token_ids == PAD)[..., None], 0, embedded)
        return embedded if self.dtype is None else embedded.astype(self.dtype)
