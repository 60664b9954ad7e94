"""Bidirectional LSTM, eqs. (2) and (3), right under padding.  Knows nothing of words or labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.nn import initializers
from jax.nn.initializers import Initializer
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
    in reverse mode, with respect to x and the parameters.  Inside `jax.shard_map` it needs
    `check_vma=False`.

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


# One scan serves both directions: step s is time s of the first and time T - 1 - s of the second,
# and what a step computes or saves has an axis of 2 for them.  What enters a large product of
# matrices, the projected input and its gradient, is a pair of arrays instead, one for each
# direction and both in the order of time: so the input projection and each weight gradient is one
# plain product over (time, document), and nothing as large as the gates is ever copied, transposed
# or reversed: each step reads its rows and writes them into arrays that the scan carries, where
# scanned inputs and outputs would come in one order only.
_Pair = tuple[Array, Array]


class _Residuals(NamedTuple):
    x: Float[Array, "T B E"]
    lengths: Int[Array, " B"]
    parameters: BiLSTMParameters
    cells: Float[Array, "T+1 2 B H"]  # row s is what step s starts from, row s + 1 what it leaves
    gates: Float[Array, "T 2 B 4H"]  # of each step, after their sigmoid or tanh
    outputs: _Pair  # [T, B, H]


@jax.custom_vjp
def _states(x: Float[Array, "T B E"], lengths: Array, parameters: BiLSTMParameters) -> _Pair:
    """States [T, B, H] of each direction."""
    num_times, batch, _ = x.shape
    hidden = parameters.recurrent_kernel.shape[1]

    def save(s: Array, states: Array, state: Array, cell: Array, gate: Array) -> Array:
        return _put(states, s, state)

    states = jnp.zeros((num_times, 2, batch, hidden), x.dtype)
    return _in_time(_run(x, lengths, parameters, states, save))


def _forward(x: Array, lengths: Array, parameters: BiLSTMParameters) -> tuple[_Pair, _Residuals]:
    num_times, batch, _ = x.shape
    hidden = parameters.recurrent_kernel.shape[1]

    def save(s: Array, saved: _Pair, state: Array, cell: Array, gate: Array) -> _Pair:
        return _put(saved[0], s + 1, cell), _put(saved[1], s, gate)

    cells = jnp.zeros((num_times + 1, 2, batch, hidden), _wide(x))
    gates = jnp.zeros((num_times, 2, batch, 4 * hidden), _wide(x))
    cells, gates = _run(x, lengths, parameters, (cells, gates), save)
    # Cheaper once more for all steps than saved in each.
    states = gates[..., 2 * hidden : 3 * hidden] * jnp.tanh(cells[1:])
    outputs = _in_time(states.astype(x.dtype))
    return outputs, _Residuals(x, lengths, parameters, cells, gates, outputs)


def _run(
    x: Array, lengths: Array, parameters: BiLSTMParameters, saved: Any, save: Callable[..., Any]
) -> Any:
    """Runs eq. (2) over all steps: `saved = save(s, saved, state, cell, gate)` after each."""
    num_times, batch, _ = x.shape
    input_kernel, kernel, bias = parameters
    kernel = kernel.astype(x.dtype)
    hidden = kernel.shape[1]
    first, second = (
        _rows(x, input_kernel[d].astype(x.dtype)) + bias[d].astype(_wide(x))[None, None, :]
        for d in (0, 1)
    )
    # sigmoid(z) = tanh(z / 2) / 2 + 1/2: one function for all four gates, in one pass over them.
    half = jnp.repeat(jnp.asarray([0.5, 0.5, 0.5, 1], _wide(x)), hidden)[None, None, :]

    def step(carry: tuple[Any, ...], s: Array) -> tuple[tuple[Any, ...], None]:
        state, cell, saved = carry
        raw = _at((first, second), s) + _step_product(state, kernel)
        gate = jnp.tanh(raw * half) * half + (1 - half)
        i, f, o, g = jnp.split(gate, 4, axis=-1)
        # A cell held at 0 in padding holds the state at o tanh(0) = 0 as well, and stops gradients.
        cell = jnp.where(_real(lengths, s, num_times), f * cell + i * g, 0)
        state = (o * jnp.tanh(cell)).astype(x.dtype)
        return (state, cell, save(s, saved, state, cell, gate)), None

    cell = jnp.zeros((2, batch, hidden), _wide(x))
    start = (cell.astype(x.dtype), cell, saved)
    return lax.scan(step, start, jnp.arange(num_times))[0][-1]


def _backward(residuals: _Residuals, grad_outputs: _Pair) -> tuple[Array, None, BiLSTMParameters]:
    x, lengths, parameters, cells, gates, outputs = residuals
    num_times, batch, hidden = outputs[0].shape
    input_kernel, kernel, _ = parameters
    transposed = kernel.astype(x.dtype).swapaxes(1, 2)

    def step(carry: tuple[Any, ...], s: Array) -> tuple[tuple[Any, ...], None]:
        grad_state, grad_cell, (first, second) = carry
        grad_state = grad_state + _at(grad_outputs, s).astype(grad_state.dtype)
        i, f, o, g = jnp.split(_row(gates, s), 4, axis=-1)
        squashed = jnp.tanh(_row(cells, s + 1))
        grad_cell = grad_cell + grad_state * o * (1 - squashed * squashed)
        grad_cell = jnp.where(_real(lengths, s, num_times), grad_cell, 0)
        grad_gate = jnp.concatenate(
            [
                grad_cell * g * i * (1 - i),
                grad_cell * _row(cells, s) * f * (1 - f),
                grad_state * squashed * o * (1 - o),
                grad_cell * i * (1 - g * g),
            ],
            axis=-1,
        ).astype(x.dtype)
        first = _put(first, s, grad_gate[0])
        second = _put(second, num_times - 1 - s, grad_gate[1])
        return (_step_product(grad_gate, transposed), grad_cell * f, (first, second)), None

    zeros = jnp.zeros((2, batch, hidden), _wide(x))
    none = jnp.zeros((num_times, batch, 4 * hidden), x.dtype)
    start = (zeros, zeros, (none, none))
    grad_gates = lax.scan(step, start, jnp.arange(num_times), reverse=True)[0][-1]

    # Weight gradients by one product over all steps, not by one small product in each.
    initial = jnp.zeros_like(outputs[0][:1])
    states_before = (
        jnp.concatenate([initial, outputs[0][:-1]]),
        jnp.concatenate([outputs[1][1:], initial]),
    )
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


def _in_time(steps: Float[Array, "T 2 B H"]) -> _Pair:
    """From the order of steps to that of time."""
    return steps[:, 0], steps[::-1, 1]


def _at(pair: _Pair, s: Array) -> Float[Array, "2 B J"]:
    """Step s of arrays in the order of time."""
    first, second = pair
    return jnp.stack([_row(first, s), _row(second, second.shape[0] - 1 - s)])


def _row(array: Array, s: Array) -> Array:
    return lax.dynamic_index_in_dim(array, s, keepdims=False)


def _put(array: Array, s: Array, value: Array) -> Array:
    return lax.dynamic_update_index_in_dim(array, value, s, axis=0)


def _real(lengths: Array, s: Array, num_times: int) -> Array:
    """[2, B, 1]: which documents have a token at step s of each direction."""
    return jnp.stack([s < lengths, num_times - 1 - s < lengths])[:, :, None]


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
        width, columns = x.shape[-1], 4 * self.hidden
        input_init = _each_gate(initializers.xavier_uniform())
        recurrent_init = _each_gate(initializers.orthogonal())
        parameters = BiLSTMParameters(
            self.param("input_kernel", input_init, (2, width, columns), jnp.float32),
            self.param("recurrent_kernel", recurrent_init, (2, self.hidden, columns), jnp.float32),
            self.param("bias", _bias_init, (2, columns), jnp.float32),
        )
        return bilstm(x, lengths, parameters)
