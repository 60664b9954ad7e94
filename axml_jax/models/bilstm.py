"""Bidirectional LSTM, eqs. (2) and (3), right under padding.  Knows nothing about words or labels."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.nn import initializers
from jaxtyping import Array, Float, Int

# Added to the input and forget gates at padding: the sigmoid of it is exactly 0, so the cell and the
# state there are exactly 0 and so is every gradient, with no mask inside the loop over time.
_CLOSED = -1e9


class BiLSTMParameters(NamedTuple):
    """Weights of both directions; index 0 reads from left to right, 1 from right to left.

    The last axis holds the four gates i, f, o, g of eq. (2), H columns each.
    """

    input_kernel: Float[Array, "2 E 4H"]  # W, transposed: x W
    recurrent_kernel: Float[Array, "2 H 4H"]  # U, transposed: h U
    bias: Float[Array, "2 4H"]  # one per gate, not the two of some libraries


def bilstm(
    x: Float[Array, "B T E"], lengths: Int[Array, " B"], parameters: BiLSTMParameters
) -> Float[Array, "B T 2H"]:
    """Hidden states of both directions, H = (h_1, ..., h_T) with h_t = (h_t forward, h_t backward).

    Eqs. (2) and (3), from zero initial states.  The backward direction of a document starts at its own
    last token.  A document's states depend on its own first `lengths[b]` rows alone.

    Args:
      x: [B, T, E] word vectors; what lies beyond a document's length is not read.
      lengths: [B] int32, tokens of each document, 0 to T.
      parameters: Weights; matrix products run in x's type, gates and cells at least in float32.

    Returns:
      [B, T, 2H] in x's type; exactly zero beyond a document's length.
    """
    num_tokens = x.shape[1]
    real = jnp.arange(num_tokens, dtype=jnp.int32)[:, None] < lengths[None, :]  # [T, B]
    by_time = jnp.where(real[:, :, None], x.swapaxes(0, 1), 0)  # [T, B, E]
    kernel = parameters.input_kernel.astype(x.dtype)
    accumulate = jnp.promote_types(x.dtype, jnp.float32)
    projected = jnp.einsum(
        "tbe,deg->tdbg", by_time, kernel, preferred_element_type=accumulate
    ) + parameters.bias[None, :, None, :].astype(accumulate)
    hidden = projected.shape[-1] // 4
    input_and_forget = jnp.arange(4 * hidden) < 2 * hidden
    closed = ~real[:, None, :, None] & input_and_forget[None, None, None, :]
    projected = jnp.where(closed, _CLOSED, projected)
    both = jnp.stack([projected[:, 0], projected[::-1, 1]], axis=1)
    states = _recurrence(both, parameters.recurrent_kernel.astype(x.dtype))  # [T, 2, B, H]
    forward, backward = states[:, 0], states[::-1, 1]
    return jnp.concatenate([forward, backward], axis=-1).swapaxes(0, 1)


@jax.custom_vjp
def _recurrence(
    projected: Float[Array, "T 2 B 4H"], kernel: Float[Array, "2 H 4H"]
) -> Float[Array, "T 2 B H"]:
    """States of two independent LSTMs, both read from t = 0, given x W + b of every step."""
    return _recurrence_forward(projected, kernel)[0]


def _product(states: Array, kernel: Array, dtype: jnp.dtype) -> Array:
    return jnp.einsum("dbh,dhg->dbg", states, kernel, preferred_element_type=dtype)


def _recurrence_forward(projected, kernel):
    _, directions, batch, width = projected.shape
    hidden = width // 4
    dtype = projected.dtype

    def step(carry, inputs):
        state, cell = carry
        gates = inputs + _product(state, kernel, dtype)
        i, f, o = jnp.split(jax.nn.sigmoid(gates[..., : 3 * hidden]), 3, axis=-1)
        g = jnp.tanh(gates[..., 3 * hidden :])
        cell = f * cell + i * g
        state = (o * jnp.tanh(cell)).astype(kernel.dtype)
        return (state, cell), (state, cell, jnp.concatenate([i, f, o, g], axis=-1))

    zeros = jnp.zeros((directions, batch, hidden), dtype)
    _, (states, cells, gates) = lax.scan(step, (zeros.astype(kernel.dtype), zeros), projected)
    return states, (states, cells, gates, kernel)


def _recurrence_backward(residuals, grad_states):
    states, cells, gates, kernel = residuals
    dtype = cells.dtype
    hidden = kernel.shape[1]
    before = lambda array: jnp.concatenate([jnp.zeros_like(array[:1]), array[:-1]])  # noqa: E731
    transposed = kernel.swapaxes(1, 2)

    def step(carry, inputs):
        grad_state, grad_cell = carry
        grad_output, gate, cell, cell_before = inputs
        grad_state = grad_state + grad_output.astype(dtype)
        i, f, o, g = jnp.split(gate, 4, axis=-1)
        squashed = jnp.tanh(cell)
        grad_cell = grad_cell + grad_state * o * (1 - squashed * squashed)
        grad_gates = jnp.concatenate(
            [
                grad_cell * g * i * (1 - i),
                grad_cell * cell_before * f * (1 - f),
                grad_state * squashed * o * (1 - o),
                grad_cell * i * (1 - g * g),
            ],
            axis=-1,
        )
        grad_state = _product(grad_gates.astype(kernel.dtype), transposed, dtype)
        return (grad_state, grad_cell * f), grad_gates

    zeros = jnp.zeros((*cells.shape[1:3], hidden), dtype)
    inputs = (grad_states, gates, cells, before(cells))
    _, grad_gates = lax.scan(step, (zeros, zeros), inputs, reverse=True)
    # One product over all time steps and documents, in place of one small one per step.
    grad_kernel = jnp.einsum(
        "tdbh,tdbg->dhg",
        before(states),
        grad_gates.astype(states.dtype),
        preferred_element_type=dtype,
    )
    return grad_gates, grad_kernel.astype(kernel.dtype)


_recurrence.defvjp(_recurrence_forward, _recurrence_backward)


def _input_kernel_init(key, shape, dtype):
    # Xavier-uniform for each direction and gate by itself, E in and H out: the gates are separate
    # matrices in eq. (2), and one draw of shape (E, 4H) would make all of them too small.
    directions, width, columns = shape
    one = initializers.xavier_uniform()
    keys = jax.random.split(key, directions * 4)
    gates = [one(k, (width, columns // 4), dtype) for k in keys]
    return jnp.concatenate(gates, axis=-1).reshape(width, directions, columns).swapaxes(0, 1)


def _recurrent_kernel_init(key, shape, dtype):
    # Orthogonal for each direction and gate by itself: states keep their length through time.
    directions, hidden, columns = shape
    one = initializers.orthogonal()
    keys = jax.random.split(key, directions * 4)
    gates = [one(k, (hidden, columns // 4), dtype) for k in keys]
    return jnp.concatenate(gates, axis=-1).reshape(hidden, directions, columns).swapaxes(0, 1)


def _bias_init(key, shape, dtype):
    # The forget gate starts open (sigmoid(1) = 0.73), so that early gradients reach far back; the
    # other biases start at 0.
    del key
    directions, columns = shape
    gates = jnp.zeros((directions, 4, columns // 4), dtype).at[:, 1].set(1)
    return gates.reshape(shape)


class BiLSTM(nn.Module):
    """Bidirectional LSTM with its weights, eqs. (2) and (3).

    Initial values, which the paper leaves open: input kernels Xavier-uniform, recurrent kernels
    orthogonal (each gate by itself), biases 0 but the forget gate's 1.

    Attributes:
      hidden: H, units of each direction.
    """

    hidden: int

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
        columns = 4 * self.hidden
        parameters = BiLSTMParameters(
            self.param("input_kernel", _input_kernel_init, (2, x.shape[-1], columns), jnp.float32),
            self.param("recurrent_kernel", _recurrent_kernel_init, (2, self.hidden, columns), jnp.float32),
            self.param("bias", _bias_init, (2, columns), jnp.float32),
        )
        return bilstm(x, lengths, parameters)
