"""Bidirectional LSTM, eqs. (2) and (3), right under padding.  Knows nothing of words or labels."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.nn import initializers
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from axml_jax.models import bilstm_choice, bilstm_cudnn, bilstm_scan
from axml_jax.models.bilstm_parameters import BiLSTMParameters

IMPLEMENTATIONS = ("scan", "cudnn")


def bilstm(
    x: Float[Array, "B T E"],
    lengths: Int[Array, " B"],
    parameters: BiLSTMParameters,
    *,
    implementation: str | None = None,
    precision: lax.PrecisionLike = None,
) -> Float[Array, "B T 2H"]:
    """Hidden states of both directions: H = (h_1, ..., h_T) with h_t = (forward, backward).

    Eqs. (2) and (3) from zero initial states.  The backward direction of a document starts at its
    own last token, so its states depend on its own first `lengths[b]` rows alone.  Differentiable
    in reverse mode, with respect to x and the parameters.  Inside `jax.shard_map` it needs
    `check_vma=False`.

    Args:
      x: [B, T, E] word vectors; what lies beyond a document's length changes nothing.
      lengths: [B] int32, tokens of each document, 0 to T.
      parameters: Weights.  Matrix products run in x's type; gates, cells and sums in float32 (in
        float64 where x is).
      implementation: "scan" (XLA, any device and type), "cudnn" (NVIDIA GPUs, float32) or None:
        "cudnn" where it was measured to win on this card, at this H and precision, and can run,
        else "scan".
      precision: Of the matrix products, as in `jax.lax.dot_general`.

    Returns:
      [B, T, 2H] in x's type, exactly zero beyond a document's length.

    Raises:
      ValueError: If x is not [B, T, E] or lengths is not [B], or nothing has this
        implementation's name.
      NotImplementedError: If the implementation cannot run on this device or with this type.
    """
    if x.ndim != 3 or lengths.shape != x.shape[:1]:
        raise ValueError(
            "bilstm takes x of shape (B, T, E) and lengths of shape (B,), one per document; "
            f"it got {x.shape} and {lengths.shape}."
        )
    name = implementation or _chosen(parameters.recurrent_kernel.shape[1], x.dtype, precision)
    if name not in IMPLEMENTATIONS:
        near = get_close_matches(name, IMPLEMENTATIONS, n=1)
        raise ValueError(
            f"implementation should be None, 'scan' or 'cudnn', but it is {name!r}."
            + (f" Did you mean {near[0]!r}?" if near else "")
        )
    if name == "cudnn" and (missing := bilstm_cudnn.unavailable(x.dtype)) is not None:
        raise NotImplementedError(f"cuDNN's LSTM cannot run: {missing}. Name 'scan' or None.")
    real = jnp.arange(x.shape[1])[None, :] < lengths[:, None]
    x = jnp.where(real[:, :, None], x, 0)
    run = bilstm_cudnn.bilstm if name == "cudnn" else bilstm_scan.bilstm
    return run(x, lengths, parameters, precision)


def _chosen(hidden: int, dtype: DTypeLike, precision: lax.PrecisionLike) -> str:
    fastest = bilstm_choice.fastest(hidden, dtype, precision)
    if fastest is None or (fastest == "cudnn" and bilstm_cudnn.unavailable(dtype) is not None):
        return "scan"
    return fastest


def _each_gate(initializer: Initializer) -> Callable[..., Array]:
    """Draws each direction's and gate's matrix by itself, as eq. (2) has them: not one wide one."""

    def draw(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        directions, rows, columns = shape
        keys = jax.random.split(key, (directions, 4))
        one = jax.vmap(jax.vmap(lambda k: initializer(k, (rows, columns // 4), dtype)))
        return one(keys).swapaxes(1, 2).reshape(shape)

    return draw


def _bias_init(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    # The forget gate starts open (sigmoid(1) = 0.73), so that early gradients reach far back; the
    # other biases start at 0.
    del key
    directions, columns = shape
    gates = jnp.zeros((directions, 4, columns // 4), dtype).at[:, 1].set(1)
    return gates.reshape(shape)


class BiLSTM(nn.Module):
    """Bidirectional LSTM with its weights, eqs. (2) and (3).

    Initial values, which the paper leaves open: input kernels Xavier-uniform; recurrent kernels
    orthogonal, so that states keep their length through time (both for each gate by itself);
    biases 0, but 1 at the forget gate.

    Attributes:
      hidden: H, units of each direction.
      implementation: "scan", "cudnn" or None, as in `bilstm`.
      precision: Of the matrix products, as in `bilstm`.
    """

    hidden: int
    implementation: str | None = None
    precision: lax.PrecisionLike = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T E"], lengths: Int[Array, " B"]
    ) -> Float[Array, "B T 2H"]:
        """Hidden states of both directions; see `bilstm`.

        Args:
          x: [B, T, E] word vectors.
          lengths: [B] int32, tokens of each document.

        Returns:
          [B, T, 2H], zero beyond a document's length.
        """
        width, columns = x.shape[-1], 4 * self.hidden
        input_init = _each_gate(initializers.xavier_uniform())
        recurrent_init = _each_gate(initializers.orthogonal())
        parameters = BiLSTMParameters(
            self.param("input_kernel", input_init, (2, width, columns), jnp.float32),
            self.param("recurrent_kernel", recurrent_init, (2, self.hidden, columns), jnp.float32),
            self.param("bias", _bias_init, (2, columns), jnp.float32),
        )
        return bilstm(
            x,
            lengths,
            parameters,
            implementation=self.implementation,
            precision=self.precision,
        )
