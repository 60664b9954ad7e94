"""The bidirectional LSTM by cuDNN: one call for all steps of both directions, on NVIDIA GPUs.

Callers pass x that is zero beyond a document's length.
"""

from __future__ import annotations

import os

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import rnn
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from axml_jax.models.bilstm_parameters import BiLSTMParameters

# Where cuDNN has our gates i, f, o, g.
_GATES = (0, 1, 3, 2)
# What `--deterministic` sets.
_REPEATS = "--xla_gpu_deterministic_ops=true"


def unavailable(dtype: DTypeLike) -> str | None:
    """Why it cannot run on the default device; None if it can."""
    if jax.default_backend() != "gpu" or "rocm" in jax.devices()[0].client.platform_version:
        return f"it needs an NVIDIA GPU, and the device is {jax.devices()[0].device_kind!r}"
    if dtype != jnp.float32:
        return f"it serves float32, and x is {jnp.dtype(dtype).name}"
    if _REPEATS in os.environ.get("XLA_FLAGS", "").split():
        return f"--deterministic ({_REPEATS}) has no power over the order in which it sums"
    return None


def bilstm(
    x: Float[Array, "B T E"],
    lengths: Int[Array, " B"],
    parameters: BiLSTMParameters,
    precision: lax.PrecisionLike = None,
) -> Float[Array, "B T 2H"]:
    """Hidden states of both directions, [B, T, 2H] float32."""
    batch, num_times, width = x.shape
    hidden = parameters.recurrent_kernel.shape[1]
    nothing = jnp.zeros((2, batch, hidden), x.dtype)
    outputs, _, _ = rnn.lstm(
        x,
        nothing,
        nothing,
        packed(parameters),
        # cuDNN refuses documents without a token: they are given one, of zeros.
        jnp.maximum(lengths, 1).astype(jnp.int32),
        width,
        hidden,
        num_layers=1,
        dropout=0.0,
        bidirectional=True,
        precision=precision,
    )
    real = jnp.arange(num_times)[None, :] < lengths[:, None]
    return jnp.where(real[:, :, None], outputs, 0)


def packed(parameters: BiLSTMParameters) -> Float[Array, " N"]:
    """The weights in cuDNN's order: each direction's matrices, then each direction's biases.

    Matrices are [4H, inputs] with the gates i, f, g, o.  cuDNN adds two biases: the second is 0.
    """

    def in_order(x: Array) -> Array:
        gates = jnp.split(x, 4, axis=-1)
        return jnp.concatenate([gates[place] for place in _GATES], axis=-1)

    input_kernel, recurrent_kernel, bias = map(in_order, parameters)
    parts = []
    for direction in (0, 1):
        parts += [input_kernel[direction].T, recurrent_kernel[direction].T]
    for direction in (0, 1):
        parts += [bias[direction], jnp.zeros_like(bias[direction])]
    return jnp.concatenate([part.reshape(-1) for part in parts])
