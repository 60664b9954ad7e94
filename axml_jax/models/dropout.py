"""Dropout whose mask is the document's own: on any device, in any batch, at any padding."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key, UInt32


def document_dropout(
    x: Float[Array, "B T D"],
    document_keys: Key[Array, " B"] | UInt32[Array, "B 2"],
    site: int,
    rate: float,
) -> Float[Array, "B T D"]:
    """Sets a share of x to zero and scales the rest so that the mean stays: x keep / share.

    Document b's mask is drawn from `document_keys[b]` and `site` alone, and its element (t, d) does
    not depend on T: random words are counted along the flat index t D + d, and JAX's partitionable
    threefry (the default) gives word n the same bits however many are drawn.  One 32-bit word
    serves four elements, since drawing is dear on a CPU; the share kept is therefore a multiple of
    1/256, the nearest to 1 - rate (at least 1/256), and the scale is that of the share really kept.

    Args:
      x: [B, T, D].
      document_keys: One random key per document, typed [B] or raw [B, 2] uint32.
      site: A constant that tells this place in the model from others that use the same keys.
      rate: Share to set to zero, 0 <= rate < 1.

    Returns:
      [B, T, D].

    Raises:
      ValueError: If the rate is not in [0, 1).
    """
    if not 0 <= rate < 1:
        raise ValueError(f"A dropout rate lies in [0, 1); it is {rate}.")
    kept_of_256 = max(1, round((1 - rate) * 256))
    if kept_of_256 == 256:
        return x
    if not jnp.issubdtype(document_keys.dtype, jax.dtypes.prng_key):
        document_keys = jax.random.wrap_key_data(document_keys)
    size = x[0].size
    num_words = -(-size // 4)

    def draw(key: Array) -> Array:
        words = jax.random.bits(jax.random.fold_in(key, site), (num_words,), jnp.uint32)
        return lax.bitcast_convert_type(words, jnp.uint8).reshape(-1)[:size]

    drawn = jax.vmap(draw)(document_keys).reshape(x.shape)
    keep = drawn < kept_of_256
    return jnp.where(keep, x * jnp.asarray(256 / kept_of_256, x.dtype), 0)
