"""The bidirectional LSTM as one `lax.scan`, with its own reverse pass; runs on any device.

Callers pass x that is zero beyond a document's length.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from axml_jax.models.bilstm_parameters import BiLSTMParameters
from axml_kernels import target

# One scan serves both directions: step s is time s of the first and time T - 1 - s of the second,
# and what a step computes or saves has an axis of 2 for them.  What enters a large product of
# matrices, the projected input and its gradient, is a pair of arrays instead, one for each
# direction and both in the order of time: so the input projection and each weight gradient is one
# plain product over (time, document), and nothing as large as the gates is ever copied, transposed
# or reversed: each step reads its rows and writes them into arrays that the scan carries, where
# scanned inputs and outputs would come in one order only.  These arrays are the largest of all.  On
# a CPU one pair serves for three: the gates of a step take the place of its input, and on the way
# back their gradients take theirs.  On a GPU a step would start two kernels more for that.
_Pair = tuple[Array, Array]


class _Residuals(NamedTuple):
    x: Float[Array, "T B E"]
    lengths: Int[Array, " B"]
    parameters: BiLSTMParameters
    cells: Float[Array, "T+1 2 B H"]  # row s is what step s starts from, row s + 1 what it leaves
    gates: _Pair | Array  # after their sigmoid or tanh: [T, B, 4H], or of each step [T, 2, B, 4H]
    outputs: _Pair  # [T, B, H]


def bilstm(
    x: Float[Array, "B T E"],
    lengths: Int[Array, " B"],
    parameters: BiLSTMParameters,
    precision: lax.PrecisionLike = None,
) -> Float[Array, "B T 2H"]:
    """Hidden states of both directions, [B, T, 2H] in x's type."""
    pair = _states(precision, x.swapaxes(0, 1), lengths, parameters)
    return jnp.concatenate(pair, axis=-1).swapaxes(0, 1)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _states(
    precision: lax.PrecisionLike,
    x: Float[Array, "T B E"],
    lengths: Array,
    parameters: BiLSTMParameters,
) -> _Pair:
    """States [T, B, H] of each direction."""
    num_times, batch, _ = x.shape
    given = _projected(precision, x, parameters)
    states = jnp.zeros((num_times, 2, batch, parameters.recurrent_kernel.shape[1]), x.dtype)

    def save(s: Array, states: Array, state: Array, cell: Array, gate: Array) -> Array:
        return _put(states, s, state)

    run = _run(precision, x, lengths, parameters, states, lambda states: given, save)
    return _in_time(run)


def _forward(
    precision: lax.PrecisionLike, x: Array, lengths: Array, parameters: BiLSTMParameters
) -> tuple[_Pair, _Residuals]:
    num_times, batch, _ = x.shape
    hidden = parameters.recurrent_kernel.shape[1]
    cells = jnp.zeros((num_times + 1, 2, batch, hidden), _wide(x))
    projected = _projected(precision, x, parameters)
    in_place = target.current().platform == "cpu"
    gates: _Pair | Array = projected
    if not in_place:
        gates = jnp.zeros((num_times, 2, batch, 4 * hidden), _wide(x))

    def given(saved: Any) -> _Pair:
        return saved[1] if in_place else projected

    def save(s: Array, saved: Any, state: Array, cell: Array, gate: Array) -> Any:
        cells, gates = saved
        return _put(cells, s + 1, cell), _put_at(gates, s, gate)

    cells, gates = _run(precision, x, lengths, parameters, (cells, gates), given, save)
    # Cheaper once more for all steps than saved in each.
    squashed = _in_time(jnp.tanh(cells[1:]))
    opened = [gate[..., 2 * hidden : 3 * hidden] for gate in _in_time(gates)]
    first, second = ((o * c).astype(x.dtype) for o, c in zip(opened, squashed, strict=True))
    outputs = first, second
    return outputs, _Residuals(x, lengths, parameters, cells, gates, outputs)


def _projected(precision: lax.PrecisionLike, x: Array, parameters: BiLSTMParameters) -> _Pair:
    """What the input adds to the gates before their sigmoid or tanh, [T, B, 4H]."""
    kernel, _, bias = parameters
    first, second = (
        _rows(x, kernel[d].astype(x.dtype), precision) + bias[d].astype(_wide(x))[None, None, :]
        for d in (0, 1)
    )
    return first, second


def _run(
    precision: lax.PrecisionLike,
    x: Array,
    lengths: Array,
    parameters: BiLSTMParameters,
    saved: Any,
    given: Callable[[Any], _Pair],
    save: Callable[..., Any],
) -> Any:
    """Runs eq. (2) over all steps: `saved = save(s, saved, state, cell, gate)` after each.

    `given(saved)` is the projected input, of which step s reads its rows.
    """
    num_times, batch, _ = x.shape
    kernel = parameters.recurrent_kernel.astype(x.dtype)
    hidden = kernel.shape[1]
    # sigmoid(z) = tanh(z / 2) / 2 + 1/2: one function for all four gates, in one pass over them.
    half = jnp.repeat(jnp.asarray([0.5, 0.5, 0.5, 1], _wide(x)), hidden)[None, None, :]

    def step(carry: tuple[Any, ...], s: Array) -> tuple[tuple[Any, ...], None]:
        state, cell, saved = carry
        raw = _at(given(saved), s) + _apart(_step_product(state, kernel, precision))
        gate = jnp.tanh(raw * half) * half + (1 - half)
        i, f, o, g = jnp.split(gate, 4, axis=-1)
        # A cell held at 0 in padding holds the state at o tanh(0) = 0 as well, and stops gradients.
        cell = jnp.where(_real(lengths, s, num_times), f * cell + i * g, 0)
        state = (o * jnp.tanh(cell)).astype(x.dtype)
        return (state, cell, save(s, saved, state, cell, gate)), None

    cell = jnp.zeros((2, batch, hidden), _wide(x))
    start = (cell.astype(x.dtype), cell, saved)
    return lax.scan(step, start, jnp.arange(num_times))[0][-1]


def _backward(
    precision: lax.PrecisionLike, residuals: _Residuals, grad_outputs: _Pair
) -> tuple[Array, None, BiLSTMParameters]:
    x, lengths, parameters, cells, gates, outputs = residuals
    num_times, batch, hidden = outputs[0].shape
    input_kernel, kernel, _ = parameters
    transposed = kernel.astype(x.dtype).swapaxes(1, 2)
    in_place = isinstance(gates, tuple) and gates[0].dtype == x.dtype

    def step(carry: tuple[Any, ...], s: Array) -> tuple[tuple[Any, ...], None]:
        grad_state, grad_cell, grads = carry
        grad_state = grad_state + _at(grad_outputs, s).astype(grad_state.dtype)
        i, f, o, g = jnp.split(_at(grads if in_place else gates, s), 4, axis=-1)
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
        return (
            _step_product(grad_gate, transposed, precision),
            grad_cell * f,
            _put_at(grads, s, grad_gate),
        ), None

    zeros = jnp.zeros((2, batch, hidden), _wide(x))
    none = jnp.zeros((num_times, batch, 4 * hidden), x.dtype)
    start = (zeros, zeros, gates if in_place else (none, none))
    grad_gates = lax.scan(step, start, jnp.arange(num_times), reverse=True)[0][-1]

    # Weight gradients by one product over all steps, not by one small product in each.
    initial = jnp.zeros_like(outputs[0][:1])
    states_before = (
        jnp.concatenate([initial, outputs[0][:-1]]),
        jnp.concatenate([outputs[1][1:], initial]),
    )
    grad_parameters = BiLSTMParameters(
        jnp.stack([_over_rows(x, g, precision) for g in grad_gates]),
        jnp.stack(
            [_over_rows(h, g, precision) for h, g in zip(states_before, grad_gates, strict=True)]
        ),
        jnp.stack([g.reshape(-1, 4 * hidden).sum(axis=0, dtype=_wide(x)) for g in grad_gates]),
    )
    grad_parameters = jax.tree.map(lambda g, p: g.astype(p.dtype), grad_parameters, parameters)
    grad_x = _rows(grad_gates[0], input_kernel[0].astype(x.dtype).T, precision)
    grad_x = grad_x + _rows(grad_gates[1], input_kernel[1].astype(x.dtype).T, precision)
    return grad_x.astype(x.dtype), None, grad_parameters


_states.defvjp(_forward, _backward)


def _wide(x: Array) -> jnp.dtype:
    """Type of gates, cells and sums."""
    return jnp.promote_types(x.dtype, jnp.float32)


def _product(equation: str, x: Array, y: Array, precision: lax.PrecisionLike) -> Array:
    """An einsum whose sums and result are `_wide`."""
    return jnp.einsum(equation, x, y, precision=precision, preferred_element_type=_wide(x))


def _rows(
    x: Float[Array, "T B I"], kernel: Float[Array, "I J"], precision: lax.PrecisionLike
) -> Float[Array, "T B J"]:
    return _product("tbi,ij->tbj", x, kernel, precision)


def _over_rows(
    x: Float[Array, "T B I"], y: Float[Array, "T B J"], precision: lax.PrecisionLike
) -> Float[Array, "I J"]:
    # Reshaped first: contracted over two axes, XLA's CPU compiler would transpose y.
    x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    return _product("ni,nj->ij", x, y, precision)


def _step_product(
    x: Float[Array, "2 B I"], kernel: Float[Array, "2 I J"], precision: lax.PrecisionLike
) -> Array:
    return _product("dbi,dij->dbj", x, kernel, precision)


def _apart(product: Array) -> Array:
    """Keeps XLA on GPUs from adding the input inside the product: it would copy it first.

    That copy is a kernel in each step, where the addition costs nothing: what follows does it.
    """
    return lax.platform_dependent(product, cpu=lambda x: x, default=lax.optimization_barrier)


def _in_time(steps: Float[Array, "T 2 B J"] | _Pair) -> _Pair:
    """In the order of time, from either order."""
    return steps if isinstance(steps, tuple) else (steps[:, 0], steps[::-1, 1])


def _at(arrays: Float[Array, "T 2 B J"] | _Pair, s: Array) -> Float[Array, "2 B J"]:
    """Step s of an array of steps, or of a pair in the order of time."""
    if not isinstance(arrays, tuple):
        return _row(arrays, s)
    first, second = arrays
    return jnp.stack([_row(first, s), _row(second, second.shape[0] - 1 - s)])


def _put_at(arrays: Any, s: Array, values: Float[Array, "2 B J"]) -> Any:
    """Sets what `_at` reads."""
    if not isinstance(arrays, tuple):
        return _put(arrays, s, values)
    first, second = arrays
    return _put(first, s, values[0]), _put(second, second.shape[0] - 1 - s, values[1])


def _row(array: Array, s: Array) -> Array:
    return lax.dynamic_index_in_dim(array, s, keepdims=False)


def _put(array: Array, s: Array, value: Array) -> Array:
    return lax.dynamic_update_index_in_dim(array, value, s, axis=0)


def _real(lengths: Array, s: Array, num_times: int) -> Array:
    """[2, B, 1]: which documents have a token at step s of each direction."""
    return jnp.stack([s < lengths, num_times - 1 - s < lengths])[:, :, None]
