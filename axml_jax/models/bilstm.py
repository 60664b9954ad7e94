"""Bidirectional LSTM, eqs. (2) and (3), right under padding.  Knows nothing of words or labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.nn import initializers
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int


class BiLSTMParameters(NamedTuple):
    """Weights of both directions; index 0 reads from left to right, 1 from right to left.

    The last axis holds the gates i, f, o, g of eq. (2) in this order, H columns each.
    """

    input_kernel: Float[Array, "2 E 4H"]  # the W of eq. (2), transposed
    recurrent_kernel: Float[Array, "2 H 4H"]  # its U, transposed
    bias: Float[Array, "2 4H"]  # one per gate, not the two of some libraries


def bilstm(
    x: Float[Array, "B T E"], lengths: Int[Array, " B"], parameters: BiLSTMParameters
) -> Float[Array, "B T 2H"]:
    """Hidden states of both directions: H = (h_1, ..., h_T) with h_t = (forward, backward).

    Eqs. (2) and (3) from zero initial states.  The backward direction of a document starts at its
    own last token, so its states depend on its own first `lengths[b]` rows alone.  Differentiable
    in reverse mode, with respect to x and the parameters.

    Args:
      x: [B, T, E] word vectors; what lies beyond a document's length changes nothing.
      lengths: [B] int32, tokens of each document, 0 to T.
      parameters: Weights.  Matrix products run in x's type; gates, cells and sums in float32 (in
        float64 where x is).

    Returns:
      [B, T, 2H] in x's type, exactly zero beyond a document's length.

    Raises:
      ValueError: If x is not [B, T, E] or lengths is not [B].
    """
    if x.ndim != 3 or lengths.shape != x.shape[:1]:
        raise ValueError(
            "bilstm takes x of shape (B, T, E) and lengths of shape (B,), one per document; "
            f"it got {x.shape} and {lengths.shape}."
        )
    real = jnp.arange(x.shape[1])[:, None] < lengths[None, :]
    by_time = jnp.where(real[:, :, None], x.swapaxes(0, 1), 0)
    return jnp.concatenate(_states(by_time, lengths, parameters), axis=-1).swapaxes(0, 1)


# One loop serves both directions: step s is time s of the first and time T - 1 - s of the second,
# and what a step computes has a leading axis of 2.  The long arrays are pairs instead, one
# [T, B, ...] for each direction in natural order of time, so that the input projection and each
# weight gradient is one plain product of matrices over (time, document), and nothing as large as
# the gates is ever copied, transposed or reversed.  On a CPU the gradient takes about half the time
# of a differentiated lax.scan.
_Pair = tuple[Array, Array]


class _Residuals(NamedTuple):
    x: Float[Array, "T B E"]
    lengths: Int[Array, " B"]
    parameters: BiLSTMParameters
    # T + 1 rows, since the zeros that a direction starts from are row 0 of the first and row T of the
    # second: time t is row t + 1 of the first and row t of the second.
    states: _Pair  # [T + 1, B, H]
    cells: _Pair  # [T + 1, B, H]
    gates: _Pair  # [T, B, 4H], after their sigmoid or tanh


@jax.custom_vjp
def _states(x: Float[Array, "T B E"], lengths: Array, parameters: BiLSTMParameters) -> _Pair:
    """States [T, B, H] of each direction."""
    return _forward(x, lengths, parameters, keep=False)[0]


def _forward(
    x: Array, lengths: Array, parameters: BiLSTMParameters, keep: bool = True
) -> tuple[_Pair, _Residuals | None]:
    num_times, batch, _ = x.shape
    input_kernel, kernel, bias = parameters
    kernel = kernel.astype(x.dtype)
    hidden = kernel.shape[1]
    projected = _pair(
        _rows(x, input_kernel[d].astype(x.dtype)) + bias[d].astype(_wide(x))[None, None, :]
        for d in (0, 1)
    )
    # sigmoid(z) = tanh(z / 2) / 2 + 1/2: one function for all four gates, in one pass over them.
    half = jnp.repeat(jnp.asarray([0.5, 0.5, 0.5, 1], _wide(x)), hidden)[None, None, :]

    def step(s: Array, carry: tuple[Any, ...]) -> tuple[Any, ...]:
        state, cell, states, cells, gates = carry
        now, after = (s, num_times - 1 - s), (s + 1, num_times - 1 - s)
        raw = _read(projected, now) + _step_product(state, kernel)
        gate = jnp.tanh(raw * half) * half + (1 - half)
        i, f, o, g = jnp.split(gate, 4, axis=-1)
        # A cell held at 0 in padding holds the state at o tanh(0) = 0 as well, and stops gradients.
        cell = jnp.where(_real(lengths, now), f * cell + i * g, 0)
        state = (o * jnp.tanh(cell)).astype(x.dtype)
        states = _write(states, after, state)
        if keep:
            cells, gates = _write(cells, after, cell), _write(gates, now, gate)
        return state, cell, states, cells, gates

    zeros = jnp.zeros((2, batch, hidden), x.dtype)
    rows = jnp.zeros((num_times + 1, batch, hidden), x.dtype)
    long = ((rows, rows), None, None)
    if keep:
        cells = rows.astype(_wide(x))
        gates = jnp.zeros_like(projected[0])
        long = ((rows, rows), (cells, cells), (gates, gates))
    carry = (zeros, zeros.astype(_wide(x)), *long)
    _, _, *long = lax.fori_loop(0, num_times, step, carry)
    states = long[0]
    outputs = (states[0][1:], states[1][:-1])
    return outputs, _Residuals(x, lengths, parameters, *long) if keep else None


def _backward(residuals: _Residuals, grad_outputs: _Pair) -> tuple[Array, None, BiLSTMParameters]:
    x, lengths, parameters, states, cells, gates = residuals
    num_times, batch, hidden = grad_outputs[0].shape
    input_kernel, kernel, _ = parameters
    transposed = kernel.astype(x.dtype).swapaxes(1, 2)

    def step(s: Array, carry: tuple[Any, ...]) -> tuple[Any, ...]:
        grad_state, grad_cell, grad_gates = carry
        s = num_times - 1 - s
        now = (s, num_times - 1 - s)
        before, after = (s, num_times - s), (s + 1, num_times - 1 - s)
        grad_state = grad_state + _read(grad_outputs, now).astype(grad_state.dtype)
        i, f, o, g = jnp.split(_read(gates, now), 4, axis=-1)
        squashed = jnp.tanh(_read(cells, after))
        grad_cell = grad_cell + grad_state * o * (1 - squashed * squashed)
        grad_cell = jnp.where(_real(lengths, now), grad_cell, 0)
        grad_gate = jnp.concatenate(
            [
                grad_cell * g * i * (1 - i),
                grad_cell * _read(cells, before) * f * (1 - f),
                grad_state * squashed * o * (1 - o),
                grad_cell * i * (1 - g * g),
            ],
            axis=-1,
        ).astype(x.dtype)
        grad_gates = _write(grad_gates, now, grad_gate)
        return _step_product(grad_gate, transposed), grad_cell * f, grad_gates

    zeros = jnp.zeros((2, batch, hidden), _wide(x))
    grad_gates = _pair(jnp.zeros(gate.shape, x.dtype) for gate in gates)
    _, _, grad_gates = lax.fori_loop(0, num_times, step, (zeros, zeros, grad_gates))

    # Weight gradients by one product over all steps, not by one small product in each.
    states_before = (states[0][:-1], states[1][1:])
    grad_parameters = BiLSTMParameters(
        jnp.stack([_over_rows(x, g) for g in grad_gates]),
        jnp.stack([_over_rows(h, g) for h, g in zip(states_before, grad_gates, strict=True)]),
        jnp.stack([g.reshape(-1, 4 * hidden).sum(axis=0, dtype=_wide(x)) for g in grad_gates]),
    )
    grad_parameters = jax.tree.map(lambda g, p: g.astype(p.dtype), grad_parameters, parameters)
    grad_x = _rows(grad_gates[0], input_kernel[0].astype(x.dtype).T)
    grad_x = grad_x + _rows(grad_gates[1], input_kernel[1].astype(x.dtype).T)
    return grad_x.astype(x.dtype), None, grad_parameters


_states.defvjp(_forward, _backward)


def _pair(arrays: Iterable[Array]) -> _Pair:
    first, second = arrays
    return first, second


def _wide(x: Array) -> jnp.dtype:
    """Type of gates, cells and sums."""
    return jnp.promote_types(x.dtype, jnp.float32)


def _rows(x: Float[Array, "T B I"], kernel: Float[Array, "I J"]) -> Float[Array, "T B J"]:
    return jnp.einsum("tbi,ij->tbj", x, kernel, preferred_element_type=_wide(x))


def _over_rows(x: Float[Array, "T B I"], y: Float[Array, "T B J"]) -> Float[Array, "I J"]:
    # Reshaped first: contracted over two axes, XLA's CPU compiler would transpose y.
    x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    return jnp.einsum("ni,nj->ij", x, y, preferred_element_type=_wide(x))


def _step_product(x: Float[Array, "2 B I"], kernel: Float[Array, "2 I J"]) -> Array:
    return jnp.einsum("dbi,dij->dbj", x, kernel, preferred_element_type=_wide(x))


def _read(arrays: _Pair, times: _Pair) -> Float[Array, "2 B J"]:
    one = lambda d: lax.dynamic_index_in_dim(arrays[d], times[d], keepdims=False)  # noqa: E731
    return jnp.stack([one(0), one(1)])


def _write(arrays: _Pair, times: _Pair, values: Float[Array, "2 B J"]) -> _Pair:
    return _pair(
        lax.dynamic_update_index_in_dim(arrays[d], values[d], times[d], axis=0) for d in (0, 1)
    )


def _real(lengths: Array, times: _Pair) -> Array:
    """[2, B, 1]: which documents have a token at each direction's time."""
    return jnp.stack([times[0] < lengths, times[1] < lengths])[:, :, None]


def _input_kernel_init(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    # Xavier-uniform for each direction and gate by itself, E in and H out: the gates are separate
    # matrices in eq. (2), and one draw of shape (E, 4H) would make all of them too small.
    directions, width, columns = shape
    one = initializers.xavier_uniform()
    keys = jax.random.split(key, directions * 4)
    gates = [one(k, (width, columns // 4), dtype) for k in keys]
    return jnp.concatenate(gates, axis=-1).reshape(width, directions, columns).swapaxes(0, 1)


def _recurrent_kernel_init(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    # Orthogonal for each direction and gate by itself: states keep their length through time.
    directions, hidden, columns = shape
    one = initializers.orthogonal()
    keys = jax.random.split(key, directions * 4)
    gates = [one(k, (hidden, columns // 4), dtype) for k in keys]
    return jnp.concatenate(gates, axis=-1).reshape(hidden, directions, columns).swapaxes(0, 1)


def _bias_init(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
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
            self.param(
                "recurrent_kernel", _recurrent_kernel_init, (2, self.hidden, columns), jnp.float32
            ),
            self.param("bias", _bias_init, (2, columns), jnp.float32),
        )
        return bilstm(x, lengths, parameters)
