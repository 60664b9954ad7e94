"""Which way of running the recurrent layer is the fastest here?

    python benchmarks/bilstm.py
    python benchmarks/bilstm.py --shape=amazoncat --precision=tf32

axml_jax's scan as it is and unrolled, cuDNN (GPUs), flax's `nn.Bidirectional(nn.RNN)` over its
fastest cell and PyTorch's `nn.LSTM`: forward alone, and with the gradients by the input and all
weights.  All documents have T words.  Correctness first: states and gradients of a small batch are
compared with eqs. (2) and (3) written down plainly in float64; what is wrong is not timed.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kernels"))  # it is run
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a file
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs room, too
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from flax import linen as nn

from axml_jax.models.bilstm import bilstm
from axml_jax.models.bilstm_parameters import BiLSTMParameters
from axml_jax.progress import say
from axml_jax.tables import show_table
from benchmarks import report
from benchmarks.contenders import (
    FAILURES,
    PRECISIONS,
    Entry,
    about_torch,
    failure_of,
    import_torch,
    relative_error,
)
from benchmarks.timing import Clock, Ready, steady_seconds, time_all
from benchmarks.train_step_data import SHAPES
from benchmarks.train_step_ours import exactness, initial_params

SHAPE = flags.DEFINE_enum("shape", "eurlex", sorted(SHAPES), "B, T, E and H")
PRECISION = flags.DEFINE_enum("precision", "float32", list(PRECISIONS), "of the input and products")
UNROLL = flags.DEFINE_multi_integer("unroll", [1, 2, 4], "steps that one turn takes", lower_bound=1)
REPEATS = flags.DEFINE_integer("repeats", 7, "timed rounds", lower_bound=1)
MINUTES = flags.DEFINE_float("minutes", 4, "time for all; fewer rounds where it is short", 0.0)
NAME = flags.DEFINE_string("name", None, "name of the results; bilstm_DEVICE by default")
OUT = flags.DEFINE_string("out", None, "folder of the results; benchmarks/results by default")

PASSES = ("forward", "gradient")
# Largest relative error of states and of each gradient, Euclidean norms of whole arrays.
TOLERANCES = {"float32": 1e-5, "tf32": 1e-2, "bfloat16": 5e-2}
DIRECTIONS = ("forward", "backward")
# A batch that is checked.
DOCUMENTS, TOKENS = 3, 20


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


class Timed:
    """Calls by pass, as `time_all` takes them."""

    def __init__(self, calls: dict[str, Callable[[], Any]], wait: Callable[[Any], Any]) -> None:
        self.calls, self.wait = calls, wait

    def run(self, name: str, placed: Any) -> Any:
        """One call of a pass."""
        del placed
        return self.calls[name]()


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
    around: Callable[[], Any] = contextlib.nullcontext,
) -> Implementation:
    """One in JAX: `apply(weights, x)` gives states; it is traced and compiled `around`."""

    def make(x: Any, gradient: Any) -> dict[str, Callable[[], Any]]:
        held = jax.tree.map(jnp.asarray, weights(parameters))

        def backward(held: Any, x: Any, gradient: Any) -> Any:
            by_weights, by_x = jax.vjp(apply, held, x)[1](gradient)
            return by_x, by_weights

        with around(), exactness(PRECISION.value):
            one = jax.jit(apply).lower(held, x).compile()
            both = jax.jit(backward).lower(held, x, gradient).compile()
        return {"forward": lambda: one(held, x), "gradient": lambda: both(held, x, gradient)}

    return Implementation(make, weights)


def ours(parameters: BiLSTMParameters, name: str, unroll: int = 1) -> Implementation:
    """axml_jax's, by one of its implementations."""
    precision = "highest" if PRECISIONS[PRECISION.value][1] == "highest" else None

    def apply(held: Any, x: Any) -> Any:
        lengths = jnp.full(x.shape[:1], x.shape[1], jnp.int32)
        given = BiLSTMParameters(*held)
        return bilstm(x, lengths, given, implementation=name, precision=precision)

    return in_jax(apply, list, parameters, functools.partial(unrolled, unroll))


def flax(parameters: BiLSTMParameters) -> Implementation:
    """Two `nn.RNN` over `nn.OptimizedLSTMCell`, in x's type."""
    hidden = parameters.recurrent_kernel.shape[1]
    dtype = PRECISIONS[PRECISION.value][0]

    def layer() -> nn.RNN:
        return nn.RNN(nn.OptimizedLSTMCell(hidden, dtype=dtype))

    def weights(parameters: BiLSTMParameters) -> list[Any]:
        found = []
        for kernel, recurrent, bias in zip(*parameters, strict=True):
            gates = [jnp.split(one, 4, axis=-1) for one in (kernel, recurrent, bias)]
            cell = {}
            for name, wide, narrow, one in zip("ifog", *gates, strict=True):
                cell |= {f"i{name}": {"kernel": wide}, f"h{name}": {"kernel": narrow, "bias": one}}
            found.append(cell)
        return found

    def apply(held: Any, x: Any) -> Any:
        cells = {f"{name}_rnn": {"cell": one} for name, one in zip(DIRECTIONS, held, strict=True)}
        return nn.Bidirectional(layer(), layer()).apply({"params": cells}, x)

    return in_jax(apply, weights, parameters)


def pytorch(params: Any) -> Implementation:
    """`nn.LSTM` with its weights, from those of a whole model; UnavailableError without PyTorch."""
    torch = import_torch()
    from benchmarks.train_step_torch import Theirs, load_params

    theirs: Any = Theirs("torch-padded", PRECISION.value, layer_shape(), params, 0.0, False)

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


def layer_shape() -> Any:
    """The shape with next to no words and labels: the layer alone is measured."""
    return SHAPES[SHAPE.value]._replace(num_words=2, num_labels=2)


def implementations(params: Any) -> Iterator[tuple[str, Callable[[], Implementation]]]:
    """All by name."""
    parameters = BiLSTMParameters(**params["encoder"])
    for unroll in UNROLL.value:
        name = f"axml-scan-unroll-{unroll}"
        yield name, lambda unroll=unroll: ours(parameters, "scan", unroll)  # type: ignore[misc]
    if jax.default_backend() != "cpu":
        yield "axml-cudnn", lambda: ours(parameters, "cudnn")
    yield "flax", lambda: flax(parameters)
    yield "torch", lambda: pytorch(params)


def random_inputs(documents: int, tokens: int) -> tuple[Any, Any]:
    """x [B, T, E], and a gradient by the states [B, T, 2H]."""
    random, shape = np.random.default_rng(0), layer_shape()
    widths = shape.word_width, 2 * shape.hidden
    arrays = (random.standard_normal((documents, tokens, n), np.float32) for n in widths)
    x, gradient = (jnp.asarray(array, PRECISIONS[PRECISION.value][0]) for array in arrays)
    return x, gradient


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


def measure(clock: Clock) -> dict[str, Any]:
    """Checks all, and times those that are right."""
    params = initial_params(layer_shape())
    small = random_inputs(DOCUMENTS, TOKENS)
    large = random_inputs(layer_shape().batch, layer_shape().tokens)
    expected = expect(BiLSTMParameters(**params["encoder"]), *small)
    found: dict[str, dict[str, Any]] = {}
    ready: dict[Entry, Ready] = {}
    for name, make in implementations(params):
        say(f"getting {name} ready")
        try:
            one = make()
            errors = errors_of(one, *small, expected)
            found[name] = {"errors": errors}
            wrong = [what for what, e in errors.items() if not e <= TOLERANCES[PRECISION.value]]
            if wrong:
                found[name]["wrong"] = ", ".join(wrong)
                continue
            timed = Timed(one.make(*large), one.wait)
            seconds = {}
            for part, call in timed.calls.items():
                one.wait(call())
                seconds[part] = steady_seconds(lambda: one.wait(call()))  # noqa: B023
            ready[Entry(name, PRECISION.value)] = Ready(timed, None, seconds)
        except Exception as error:  # what became of it is a result like others
            found[name] = failure_of(error)
    for entry, times in time_all(ready, PASSES, REPEATS.value, clock).items():
        found[entry.method].update(times)
    for about in found.values():
        for part in PASSES:
            if "median_s" in about.get(part, {}):
                about[part]["time_over"] = {
                    name: about[part]["median_s"] / other[part]["median_s"]
                    for name, other in found.items()
                    if "median_s" in other.get(part, {})
                }
    return found


def main(arguments: Sequence[str]) -> None:
    if len(arguments) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(arguments[1:])}")
    found = measure(Clock(MINUTES.value))
    results = {
        "shape": SHAPES[SHAPE.value]._asdict(),
        "precision": PRECISION.value,
        "implementations": found,
        "tolerance": TOLERANCES[PRECISION.value],
        "torch": about_torch(),
        "load_after": round(os.getloadavg()[0], 2),
    }
    name = NAME.value or f"bilstm_{report.slug(jax.devices()[0].device_kind)}"
    path = report.write(name, results, Path(OUT.value) if OUT.value else None)
    rows = []
    for name, about in found.items():
        why = [failure.replace("_", " ") for failure in FAILURES if failure in about]
        times = [about.get(part, {}) for part in PASSES]
        medians = [f"{1e3 * one['median_s']:,.1f}" if "median_s" in one else "" for one in times]
        over = [one.get("time_over", {}).get("torch") for one in times]
        ratios = [format(one, ".2f") if one else "" for one in over]
        rows.append((name, *(why[:1] or medians[:1]), medians[1], *ratios))
    columns = (
        "implementation",
        "forward, ms",
        "with gradient, ms",
        "over PyTorch",
        "with gradient",
    )
    show_table(f"Recurrent layer, {SHAPE.value}, {PRECISION.value}", columns, rows)
    print(f"Written to {path.name}.")


if __name__ == "__main__":
    app.run(main)
