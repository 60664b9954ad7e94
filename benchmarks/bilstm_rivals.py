"""Ways of running the recurrent layer, and whether each computes the right thing.

The truth is eqs. (2) and (3) written down plainly, in float64.  Knows nothing of time.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from axml_jax.models.bilstm import bilstm
from axml_jax.models.bilstm_parameters import BiLSTMParameters
from benchmarks.contenders import PRECISIONS, import_torch, relative_error
from benchmarks.train_step_data import Shape
from benchmarks.train_step_ours import exactness

PASSES = ("forward", "gradient")
# What axml_jax can choose, as this benchmark names it.
CHOICES = {"scan": "axml-scan-unroll-1", "cudnn": "axml-cudnn"}
DIRECTIONS = ("forward", "backward")


class Implementation(NamedTuple):
    """A way of running the layer.

    Attributes:
      make: Of x [B, T, E] and the gradient by the states [B, T, 2H] it makes the calls by pass:
        states, and (gradient by x, gradients by the weights).
      weights: Of the weights in axml_jax's layout it makes the list that `make` has.
      wait: Returns when the work of a call is done.
    """

    make: Callable[[Any, Any], dict[str, Callable[[], Any]]]
    weights: Callable[[BiLSTMParameters], list[Any]]
    wait: Callable[[Any], Any] = jax.block_until_ready


def plain(x: Any, parameters: BiLSTMParameters) -> Any:
    """Eqs. (2) and (3) of one document [T, E], a step after the other, in x's type: [T, 2H]."""
    directions = []
    for kernel, recurrent, bias, turn in zip(*parameters, (1, -1), strict=True):
        hidden = cell = jnp.zeros(recurrent.shape[0], x.dtype)
        states = []
        for word in x[::turn]:
            i, f, o, g = jnp.split(word @ kernel + hidden @ recurrent + bias, 4)
            cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
            hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
            states.append(hidden)
        directions.append(jnp.stack(states[::turn]))
    return jnp.concatenate(directions, axis=1)


@contextlib.contextmanager
def unrolled(steps: int) -> Iterator[None]:
    """`jax.lax.scan` takes so many steps in one turn of what is traced meanwhile."""
    jax.clear_caches()  # or what was traced before would serve
    with mock.patch.object(jax.lax, "scan", functools.partial(jax.lax.scan, unroll=steps)):
        yield
    jax.clear_caches()


def in_jax(
    apply: Callable[[Any, Any], Any],
    weights: Callable[[BiLSTMParameters], list[Any]],
    parameters: BiLSTMParameters,
    precision: str,
    around: Callable[[], Any] = contextlib.nullcontext,
) -> Implementation:
    """One in JAX: `apply(weights, x)` gives states; it is traced and compiled `around`."""

    def make(x: Any, gradient: Any) -> dict[str, Callable[[], Any]]:
        held = jax.tree.map(jnp.asarray, weights(parameters))

        def backward(held: Any, x: Any, gradient: Any) -> Any:
            by_weights, by_x = jax.vjp(apply, held, x)[1](gradient)
            return by_x, by_weights

        with around(), exactness(precision):
            one = jax.jit(apply).lower(held, x).compile()
            both = jax.jit(backward).lower(held, x, gradient).compile()
        return {"forward": lambda: one(held, x), "gradient": lambda: both(held, x, gradient)}

    return Implementation(make, weights)


def ours(
    parameters: BiLSTMParameters, precision: str, name: str, unroll: int = 1
) -> Implementation:
    """axml_jax's, by one of its implementations."""
    allowed = "highest" if PRECISIONS[precision][1] == "highest" else None

    def apply(held: Any, x: Any) -> Any:
        lengths = jnp.full(x.shape[:1], x.shape[1], jnp.int32)
        given = BiLSTMParameters(*held)
        return bilstm(x, lengths, given, implementation=name, precision=allowed)

    return in_jax(apply, list, parameters, precision, functools.partial(unrolled, unroll))


def flax(parameters: BiLSTMParameters, precision: str) -> Implementation:
    """Two `nn.RNN` over `nn.OptimizedLSTMCell`, in x's type."""
    hidden = parameters.recurrent_kernel.shape[1]
    dtype = PRECISIONS[precision][0]

    def layer() -> nn.RNN:
        return nn.RNN(nn.OptimizedLSTMCell(hidden, dtype=dtype))

    def weights(parameters: BiLSTMParameters) -> list[Any]:
        found = []
        for kernel, recurrent, bias in zip(*parameters, strict=True):
            gates = [jnp.split(one, 4, axis=-1) for one in (kernel, recurrent, bias)]
            cell: dict[str, Any] = {}
            for name, wide, narrow, one in zip("ifog", *gates, strict=True):
                cell |= {f"i{name}": {"kernel": wide}, f"h{name}": {"kernel": narrow, "bias": one}}
            found.append(cell)
        return found

    def apply(held: Any, x: Any) -> Any:
        cells = {f"{name}_rnn": {"cell": one} for name, one in zip(DIRECTIONS, held, strict=True)}
        return nn.Bidirectional(layer(), layer()).apply({"params": cells}, x)

    return in_jax(apply, weights, parameters, precision)


def pytorch(params: Any, shape: Shape, precision: str) -> Implementation:
    """`nn.LSTM` with its weights, from those of a whole model; UnavailableError without PyTorch."""
    torch = import_torch()
    from benchmarks.train_step_torch import Theirs, load_params

    theirs: Any = Theirs("torch-padded", precision, shape, params, 0.0, False)

    def trained(module: Any) -> list[Any]:
        return [weight for weight in module.lstm.parameters() if weight.requires_grad]

    def weights(parameters: BiLSTMParameters) -> list[Any]:
        module = copy.deepcopy(theirs.module)
        load_params(module, {**params, "encoder": parameters._asdict()})
        return [weight.detach().cpu().numpy() for weight in trained(module)]

    def make(x: Any, gradient: Any) -> dict[str, Callable[[], Any]]:
        device = theirs.module.words.weight.device
        # float32 in PyTorch whatever the products are, as in training.
        x = torch.tensor(np.asarray(x, np.float32), device=device, requires_grad=True)
        leaves = [x, *trained(theirs.module)]

        def forward() -> Any:
            with torch.no_grad(), theirs.exactness():
                return theirs.module.lstm(x)[0]

        direction = torch.tensor(np.asarray(gradient, np.float32), device=device)
        direction = direction.to(forward().dtype)

        def both() -> Any:
            with theirs.exactness():
                states = theirs.module.lstm(x)[0]
            by_x, *by_weights = torch.autograd.grad(states, leaves, direction)
            return by_x, by_weights

        return {"forward": forward, "gradient": both}

    return Implementation(make, weights, theirs.wait)


def expect(parameters: BiLSTMParameters, x: Any, gradient: Any) -> tuple[Any, Any, Any]:
    """States, gradient by x and gradients by the weights, in float64."""
    with jax.enable_x64(True):
        wide = [np.asarray(one, np.float64) for one in (*parameters, x, gradient)]

        def both(*given: Any) -> Any:
            held, x, gradient = BiLSTMParameters(*given[:3]), given[3], given[4]
            states, backward = jax.vjp(lambda w, x: jax.vmap(plain, (0, None))(x, w), held, x)
            return states, backward(gradient)

        states, (by_weights, by_x) = jax.jit(both)(*wide)
        return jax.tree.map(np.asarray, (states, by_x, by_weights))


def errors_of(one: Implementation, x: Any, gradient: Any, expected: Any) -> dict[str, float]:
    """The largest relative error of states, of the gradient by x, and of those by the weights."""
    states, by_x, by_weights = expected
    calls = one.make(x, gradient)

    def plain_array(array: Any) -> np.ndarray:
        if hasattr(array, "cpu"):
            array = array.detach().float().cpu()
        return np.asarray(array, np.float64)

    found_x, found_weights = calls["gradient"]()
    found, right = map(jax.tree.leaves, (found_weights, one.weights(by_weights)))
    return {
        "states": relative_error(plain_array(calls["forward"]()), states),
        "by input": relative_error(plain_array(found_x), by_x),
        "by weights": max(
            relative_error(plain_array(a), plain_array(b))
            for a, b in zip(found, right, strict=True)
        ),
    }


def keep(
    found: dict[str, dict[str, Any]], table: Path, card: str, precision: str, hidden: int
) -> str | None:
    """Writes into the table of all cards which one is to run: cuDNN where it wins both passes.

    One table serves prediction and training: an implementation that gains in the one what it loses
    in the other is not taken.

    Args:
      found: From `measure`.
      table: JSON, the name of an implementation by H by precision by card; made where it is
        missing.
      card: `jax.Device.device_kind`.
      precision: Key of PRECISIONS.
      hidden: H, the width that was measured.

    Returns:
      Its name; None, and nothing is written, where a pass of a choice is missing from what was
      timed.
    """
    scan, cudnn = (
        [found.get(CHOICES[name], {}).get(part, {}).get("median_s") for part in PASSES]
        for name in ("scan", "cudnn")
    )
    if None in scan + cudnn:
        return None
    wins = (theirs < ours for theirs, ours in zip(cudnn, scan, strict=True))
    winner = "cudnn" if all(wins) else "scan"
    known = json.loads(table.read_text(encoding="utf-8")) if table.exists() else {}
    known.setdefault(card, {}).setdefault(precision, {})[str(hidden)] = winner
    table.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return winner
