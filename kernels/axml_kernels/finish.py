"""What follows the averages of a tile in `chunked`, forward and backward: nothing, any layers, or exactly one.

Shapes are a tile's: averages [B, G, C] over documents, features, labels. Knows nothing of attention or of loops.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import PrecisionLike

from axml_kernels.blocks import product

WORD = 32
# Documents up to which a further layer is applied to one after the other.
UNROLLED = 8


class Layers(NamedTuple):
    """The part of a Head that is applied to the averages; kernels in hidden's dtype, the rest in that of sums."""

    kernels: tuple[Array, ...]
    biases: tuple[Array, ...]
    output: Array
    output_bias: Array


class Finish(Protocol):
    """The tile's last steps. `layers` is a tree of arrays whose gradient `conclude` completes."""

    def forward(
        self, layers: Any, average: Array, precision: PrecisionLike
    ) -> tuple[Array, tuple[Array, ...]]:
        """The tile's result, labels on axis 1, and what backward keeps of it."""

    def weigh(self, layers: Any, values: Array) -> Array:
        """The values [B, T, G] that turn e (below) into the gradient of the attention weights."""

    def start(self, layers: Any) -> Any:
        """Zeros for what `backward` sums up over the tiles of a group of documents."""

    def backward(
        self,
        layers: Any,
        gradient: Array,
        kept: tuple[Array, ...],
        average: Callable[[], Array],
        precision: PrecisionLike,
    ) -> tuple[Array, Array, Any]:
        """e [B, G, C]; sum_t A dA [B, C], which the softmax's gradient needs; the tile's share of the sums.

        The gradient of the values is that of `conclude` from sum_c A e. `average` recomputes the averages.
        """

    def conclude(self, layers: Any, values: Array, d_values: Array, sums: Any) -> tuple[Array, Any]:
        """Of a group: the gradient of the values from sum_c A e, and that of the layers."""


class Plain:
    """Whatever `apply` computes from the averages; backward recomputes them. e is their gradient."""

    def apply(self, layers: Any, average: Array, precision: PrecisionLike) -> Array:
        """label_attention: the averages themselves, [B, C, G]."""
        del layers, precision
        return jnp.swapaxes(average, 1, 2)

    def forward(
        self, layers: Any, average: Array, precision: PrecisionLike
    ) -> tuple[Array, tuple[Array, ...]]:
        return self.apply(layers, average, precision), ()

    def weigh(self, layers: Any, values: Array) -> Array:
        del layers
        return values

    def start(self, layers: Any) -> Any:
        return jax.tree.map(jnp.zeros_like, layers)

    def backward(
        self,
        layers: Any,
        gradient: Array,
        kept: tuple[Array, ...],
        average: Callable[[], Array],
        precision: PrecisionLike,
    ) -> tuple[Array, Array, Any]:
        del kept
        mean = average()
        _, pull = jax.vjp(lambda x, m: self.apply(x, m, precision), layers, mean)
        d_layers, e = pull(gradient)
        return e, (mean * e).sum(axis=1), d_layers

    def conclude(self, layers: Any, values: Array, d_values: Array, sums: Any) -> tuple[Array, Any]:
        del layers, values
        return d_values, sums


class Stack(Plain):
    """Any number of fully connected layers and the output: scores [B, C]. The first bias may come before a kernel."""

    def apply(self, layers: Layers, average: Array, precision: PrecisionLike) -> Array:
        biases = layers.biases
        z = average
        if len(biases) > len(layers.kernels):  # the averages are projected already
            z = jax.nn.relu(z + biases[0][None, :, None])
            biases = biases[1:]
        for kernel, bias in zip(layers.kernels, biases, strict=True):
            z = each_document(kernel, z.astype(kernel.dtype), precision)
            z = jax.nn.relu(z + bias[None, :, None])
        return weighted_sum(z, layers.output) + layers.output_bias


class One:
    """The averages are projected and no further layer follows: scores [B, C].

    u [B, F, C] the averages, on_f = [u_f + bias_f > 0]. Kept: r = sum_f output_f on_f u_f, [B, C], and on as bits.
    With e_f = dscore on_f nothing of size [B, F, C] is ever recomputed:

        sum_t A dA = dscore r        dA = (values output) . e        dvalues = output (sum_c A e)
        dbias = output sum_bc e      doutput = sum_bt values (sum_c A e) + bias sum_bc e
    """

    def forward(
        self, layers: Layers, average: Array, precision: PrecisionLike
    ) -> tuple[Array, tuple[Array, ...]]:
        del precision
        z = average + layers.biases[0][None, :, None]
        score = weighted_sum(jnp.maximum(z, 0), layers.output) + layers.output_bias
        r = weighted_sum(jnp.where(z > 0, average, 0), layers.output)
        return score, (r, pack(z > 0))

    def weigh(self, layers: Layers, values: Array) -> Array:
        return (values * layers.output[None, None, :]).astype(values.dtype)

    def start(self, layers: Layers) -> tuple[Array, Array]:
        return jnp.zeros_like(layers.output), jnp.zeros_like(layers.output_bias)

    def backward(
        self,
        layers: Layers,
        gradient: Array,
        kept: tuple[Array, ...],
        average: Callable[[], Array],
        precision: PrecisionLike,
    ) -> tuple[Array, Array, Any]:
        del average, precision
        r, bits = kept
        on = unpack(bits, layers.output.shape[0])
        e = jnp.where(on, gradient[:, None, :], 0)
        return e, gradient * r, (e.sum(axis=(0, 2)), gradient.sum())

    def conclude(
        self, layers: Layers, values: Array, d_values: Array, sums: Any
    ) -> tuple[Array, Layers]:
        on, d_output_bias = sums
        d_output = (values * d_values).sum(axis=(0, 1)) + layers.biases[0] * on
        d_layers = Layers((), (layers.output * on,), d_output, d_output_bias)
        return d_values * layers.output[None, None, :], d_layers


def each_document(kernel: Array, z: Array, precision: PrecisionLike) -> Array:
    """sum_f kernel[f,g] z[b,f,c], labels last. A few documents (a CPU's group) one by one: no array is reordered."""
    if z.shape[0] > UNROLLED:
        return product("bfc,fg->bgc", z, kernel, precision)
    return jnp.stack([product("fg,fc->gc", kernel, one, precision) for one in z])


def weighted_sum(z: Array, output: Array) -> Array:
    """sum_f z[b,f,c] output[f]. No matrix product: that would want the labels first, at the price of a copy."""
    return (z * output[None, :, None]).sum(axis=1)


def pack(on: Array) -> Array:
    """Booleans [B, F, C] as bits, [B, F / 32 rounded up, C] uint32."""
    batch, features, labels = on.shape
    on = jnp.pad(on, ((0, 0), (0, -features % WORD), (0, 0)))
    on = on.reshape(batch, -1, WORD, labels).astype(jnp.uint32)
    return (on << bit_numbers()).sum(axis=2, dtype=jnp.uint32)


def unpack(bits: Array, features: int) -> Array:
    """The inverse of pack: booleans [B, F, C]."""
    batch, _, labels = bits.shape
    on = (bits[:, :, None, :] >> bit_numbers()) & 1
    return on.reshape(batch, -1, labels)[:, :features].astype(bool)


def bit_numbers() -> Array:
    """0 .. 31 along the axis of the bits of a word."""
    return jnp.arange(WORD, dtype=jnp.uint32)[None, None, :, None]
