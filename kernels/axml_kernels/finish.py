"""What follows the averages of a tile: nothing, any layers, or exactly one.

Averages are [B, C, G]: a tile's documents, labels, features.  Knows nothing of attention or loops.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import PrecisionLike

from axml_kernels.head import Head
from axml_kernels.reference import product, sum_dtype
from axml_kernels.tiling import project_first

WORD = 32


class Layers(NamedTuple):
    """The part of a Head that the averages go through.

    The kernels have hidden's dtype, the rest that of sums.  With one bias more than kernels the
    averages are projected already: the first bias belongs to them.
    """

    kernels: tuple[Array, ...]
    biases: tuple[Array, ...]
    output: Array
    output_bias: Array


class Finish(Protocol):
    """The last steps of a tile.  `layers` is the tree of arrays that they are done with."""

    def forward(self, layers: Any, average: Array, precision: PrecisionLike) -> tuple[Array, Any]:
        """The tile's result, labels on axis 1, and what `backward` needs of it."""

    def packed(self, kept: Any) -> Any:
        """What `backward` needs, as small as it can wait for it."""

    def unpacked(self, layers: Any, packed: Any) -> Any:
        """The inverse of `packed`."""

    def weigh(self, layers: Any, values: Array) -> Array:
        """The values [B, T, G] whose product with e (of `backward`) is the gradient of A."""

    def start(self, layers: Any) -> Any:
        """Zeros for the sums that `backward` contributes to."""

    def backward(
        self,
        layers: Any,
        gradient: Array,
        kept: Any,
        average: Callable[[], Array],
        precision: PrecisionLike,
    ) -> tuple[Array, Any]:
        """e [B, C, G] and the tile's share of the sums.

        `average` computes the averages again, for those who need them.
        """

    def conclude(self, layers: Any, values: Array, d_values: Array, sums: Any) -> tuple[Array, Any]:
        """From sum_c A e of a group: the gradients of its values and its share of the layers'.

        Shares have the dtype of sums.
        """


class Plain:
    """Whatever `apply` makes of the averages; e is their gradient, got from them once more.

    For label_attention: the averages themselves.
    """

    def apply(self, layers: Any, average: Array, precision: PrecisionLike) -> Array:
        del layers, precision
        return average

    def forward(self, layers: Any, average: Array, precision: PrecisionLike) -> tuple[Array, Any]:
        return self.apply(layers, average, precision), ()

    def packed(self, kept: Any) -> Any:
        return kept

    def unpacked(self, layers: Any, packed: Any) -> Any:
        del layers
        return packed

    def weigh(self, layers: Any, values: Array) -> Array:
        del layers
        return values

    def start(self, layers: Any) -> Any:
        # Many shares added up in bfloat16 would lose what each has right.
        return jax.tree.map(lambda x: jnp.zeros(x.shape, sum_dtype(x.dtype)), layers)

    def backward(
        self,
        layers: Any,
        gradient: Array,
        kept: Any,
        average: Callable[[], Array],
        precision: PrecisionLike,
    ) -> tuple[Array, Any]:
        del kept
        _, pull = jax.vjp(lambda x, m: self.apply(x, m, precision), layers, average())
        d_layers, e = pull(gradient)
        return e, d_layers

    def conclude(self, layers: Any, values: Array, d_values: Array, sums: Any) -> tuple[Array, Any]:
        del layers, values
        return d_values, sums


class Stack(Plain):
    """Fully connected layers and the output: scores [B, C]."""

    def apply(self, layers: Layers, average: Array, precision: PrecisionLike) -> Array:
        z, biases = average, layers.biases
        if len(biases) > len(layers.kernels):
            z, biases = jax.nn.relu(z + row(biases[0])), biases[1:]
        for kernel, bias in zip(layers.kernels, biases, strict=True):
            z = product("bcf,fg->bcg", z.astype(kernel.dtype), kernel, precision)
            z = jax.nn.relu(z + row(bias))
        return weighted_sum(z, layers.output) + layers.output_bias


class One:
    """Averages that are projected already, and no further layer: scores [B, C].

    u [B, C, F] the averages, on_f = [u_f + bias_f > 0], packed as bits.  With e_f = dscore on_f
    nobody needs u again:

        dA = (values output) . e          dvalues = output sum_c A e
        dbias = output sum_bc e           doutput = sum_bt values (sum_c A e) + bias sum_bc e
    """

    def forward(
        self, layers: Layers, average: Array, precision: PrecisionLike
    ) -> tuple[Array, Any]:
        del precision
        z = average + row(layers.biases[0])
        score = weighted_sum(jnp.maximum(z, 0), layers.output) + layers.output_bias
        return score, z > 0

    def packed(self, kept: Any) -> Any:
        return pack(kept)

    def unpacked(self, layers: Layers, packed: Any) -> Any:
        return unpack(packed, layers.output.shape[0])

    def weigh(self, layers: Layers, values: Array) -> Array:
        return (values * row(layers.output)).astype(values.dtype)

    def start(self, layers: Layers) -> Any:
        return jnp.zeros_like(layers.output), jnp.zeros_like(layers.output_bias)

    def backward(
        self,
        layers: Layers,
        gradient: Array,
        kept: Any,
        average: Callable[[], Array],
        precision: PrecisionLike,
    ) -> tuple[Array, Any]:
        del average, precision
        e = jnp.where(kept, gradient[:, :, None], 0)
        return e, (e.sum(axis=(0, 1)), gradient.sum())

    def conclude(
        self, layers: Layers, values: Array, d_values: Array, sums: Any
    ) -> tuple[Array, Any]:
        on, d_output_bias = sums
        d_output = (values * d_values).sum(axis=(0, 1)) + layers.biases[0] * on
        d_layers = Layers((), (layers.output * on,), d_output, d_output_bias)
        return d_values * row(layers.output), d_layers


PLAIN, STACK, ONE = Plain(), Stack(), One()


def arranged(
    hidden: Array, queries: Array, head: Head | None
) -> tuple[Finish, Array | None, Layers | tuple[()]]:
    """The order of the steps: what follows the averages, K1 where it comes first, the layers left.

    Without a head nothing follows the averages.
    """
    if head is None:
        return PLAIN, None, ()
    wide = sum_dtype(hidden.dtype)
    kernels = tuple(kernel.astype(hidden.dtype) for kernel in head.kernels)
    biases = tuple(bias.astype(wide) for bias in head.biases)
    layers = Layers(kernels, biases, head.output.astype(wide), head.output_bias.astype(wide))
    _, tokens, width = hidden.shape
    if not project_first(tokens, width, kernels[0].shape[1], queries.shape[0]):
        return STACK, None, layers
    layers = layers._replace(kernels=kernels[1:])
    return (STACK if layers.kernels else ONE), kernels[0], layers


def row(features: Array) -> Array:
    """[G] as [1, 1, G], beside averages [B, C, G]."""
    return features[None, None, :]


def weighted_sum(z: Array, output: Array) -> Array:
    """sum_f z[b,c,f] output[f]."""
    return (z * row(output)).sum(axis=2)


def pack(on: Array) -> Array:
    """Booleans [B, C, F] as bits, [B, C, F / 32 rounded up] uint32."""
    batch, labels, features = on.shape
    on = jnp.pad(on, ((0, 0), (0, 0), (0, -features % WORD)))
    on = on.reshape(batch, labels, -1, WORD).astype(jnp.uint32)
    return (on << bit_numbers()).sum(axis=3, dtype=jnp.uint32)


def unpack(bits: Array, features: int) -> Array:
    """The inverse of pack: booleans [B, C, F]."""
    batch, labels, _ = bits.shape
    on = (bits[:, :, :, None] >> bit_numbers()) & 1
    return on.reshape(batch, labels, -1)[:, :, :features].astype(bool)


def bit_numbers() -> Array:
    """0 .. 31 along the axis of the bits of a word."""
    return jnp.arange(WORD, dtype=jnp.uint32)[None, None, None, :]
