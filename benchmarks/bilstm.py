"""Which way of running the recurrent layer is the fastest here?

    python benchmarks/bilstm.py
    python benchmarks/bilstm.py --shape=eurlex --shape=amazoncat --precision=tf32 --unroll=1 --keep

The second is for a GPU.

axml_jax's scan as it is and unrolled, cuDNN (GPUs), flax's `nn.Bidirectional(nn.RNN)` over its
fastest cell and PyTorch's `nn.LSTM`: forward alone, and with the gradients by the input and all
weights.  All documents have T words.  Correctness first: states and gradients of a small batch are
compared with eqs. (2) and (3) written down plainly in float64; what is wrong is not timed.

--keep writes into axml_jax/models/measured_bilstm.json, by which axml_jax chooses, what is to run
on this card in this precision at the width of each shape: cuDNN where it takes less time than the
scan in both passes, else the scan.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kernels"))  # it is run
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a file
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs room, too
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from axml_jax.models.bilstm_parameters import BiLSTMParameters
from axml_jax.progress import say
from axml_jax.tables import show_table
from benchmarks import bilstm_rivals as rivals
from benchmarks import report
from benchmarks.contenders import (
    FAILURES,
    PRECISIONS,
    Entry,
    about_torch,
    failure_of,
)
from benchmarks.timing import Clock, Ready, steady_seconds, time_all
from benchmarks.train_step_data import SHAPES, Shape
from benchmarks.train_step_ours import initial_params

SHAPE = flags.DEFINE_multi_enum("shape", ["eurlex"], sorted(SHAPES), "B, T, E and H")
PRECISION = flags.DEFINE_enum("precision", "float32", list(PRECISIONS), "of the input and products")
UNROLL = flags.DEFINE_multi_integer("unroll", [1, 2, 4], "steps that one turn takes", lower_bound=1)
REPEATS = flags.DEFINE_integer("repeats", 7, "timed rounds", lower_bound=1)
MINUTES = flags.DEFINE_float("minutes", 4, "time for all; fewer rounds where it is short", 0.0)
OUT = flags.DEFINE_string(
    "out", None, "folder of the results and of a copy of the table; benchmarks/results by default"
)
KEEP = flags.DEFINE_boolean("keep", False, "make the faster one this card's default")

TABLE = report.ROOT / "axml_jax" / "models" / "measured_bilstm.json"
# Largest relative error of states and of each gradient, Euclidean norms of whole arrays.
TOLERANCES = {"float32": 1e-5, "tf32": 1e-2, "bfloat16": 5e-2}
# A batch that is checked.
DOCUMENTS, TOKENS = 3, 8


class Timed:
    """Calls by pass, as `time_all` takes them."""

    def __init__(self, calls: dict[str, Callable[[], Any]], wait: Callable[[Any], Any]) -> None:
        self.calls, self.wait = calls, wait

    def run(self, name: str, placed: Any) -> Any:
        """One call of a pass."""
        del placed
        return self.calls[name]()


def implementations(
    shape: Shape, params: Any
) -> Iterator[tuple[str, Callable[[], rivals.Implementation]]]:
    """All by name."""
    precision = PRECISION.value
    parameters = BiLSTMParameters(**params["encoder"])
    for unroll in UNROLL.value:
        name = f"axml-scan-unroll-{unroll}"
        yield name, lambda unroll=unroll: rivals.ours(parameters, precision, "scan", unroll)  # type: ignore[misc]
    if jax.default_backend() != "cpu":
        yield "axml-cudnn", lambda: rivals.ours(parameters, precision, "cudnn")
    yield "flax", lambda: rivals.flax(parameters, precision)
    yield "torch", lambda: rivals.pytorch(params, shape, precision)


def random_inputs(shape: Shape, documents: int, tokens: int) -> tuple[Any, Any]:
    """x [B, T, E], and a gradient by the states [B, T, 2H]."""
    random = np.random.default_rng(0)
    widths = shape.word_width, 2 * shape.hidden
    arrays = (random.standard_normal((documents, tokens, n), np.float32) for n in widths)
    x, gradient = (jnp.asarray(array, PRECISIONS[PRECISION.value][0]) for array in arrays)
    return x, gradient


def measure(shape: Shape, clock: Clock) -> dict[str, Any]:
    """Checks all, and times those that are right."""
    # With next to no words and labels: the layer alone is measured.
    shape = shape._replace(num_words=2, num_labels=2)
    params = initial_params(shape)
    small = random_inputs(shape, DOCUMENTS, TOKENS)
    large = random_inputs(shape, shape.batch, shape.tokens)
    expected = rivals.expect(BiLSTMParameters(**params["encoder"]), *small)
    found: dict[str, dict[str, Any]] = {}
    ready: dict[Entry, Ready] = {}
    for name, make in implementations(shape, params):
        say(f"getting {name} ready")
        try:
            one = make()
            errors = rivals.errors_of(one, *small, expected)
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
    for entry, times in time_all(ready, rivals.PASSES, REPEATS.value, clock).items():
        found[entry.method].update(times)
    for about in found.values():
        for part in rivals.PASSES:
            if "median_s" in about.get(part, {}):
                about[part]["time_over"] = {
                    name: about[part]["median_s"] / other[part]["median_s"]
                    for name, other in found.items()
                    if "median_s" in other.get(part, {})
                }
    return found


def tell(shape: str, found: dict[str, Any]) -> None:
    """Writes what was found at a shape, shows it and, where that is wanted, keeps the winner."""
    device, precision = jax.devices()[0].device_kind, PRECISION.value
    results = {
        "shape": SHAPES[shape]._asdict(),
        "precision": precision,
        "implementations": found,
        "tolerance": TOLERANCES[precision],
        "torch": about_torch(),
        "load_after": round(os.getloadavg()[0], 2),
    }
    unusual = [name for name in (shape, precision) if name not in ("eurlex", "float32")]
    name = "_".join(["bilstm", *unusual, report.slug(device)])
    path = report.write(name, results, Path(OUT.value) if OUT.value else None)
    rows = []
    for name, about in found.items():
        why = [failure.replace("_", " ") for failure in FAILURES if failure in about]
        times = [about.get(part, {}) for part in rivals.PASSES]
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
    show_table(f"Recurrent layer, {shape}, {precision}", columns, rows)
    print(f"Written to {path.name}.")
    if KEEP.value:
        hidden = SHAPES[shape].hidden
        winner = rivals.keep(found, TABLE, device, precision, hidden)
        default = winner or "as before, for not both could be timed"
        print(f"This card's default for {hidden} units: {default}.")
        if OUT.value:
            shutil.copy(TABLE, OUT.value)


def main(arguments: Sequence[str]) -> None:
    if len(arguments) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(arguments[1:])}")
    if KEEP.value and (jax.default_backend() == "cpu" or 1 not in UNROLL.value):
        sys.exit("--keep needs a GPU, where cuDNN can win, and --unroll=1, beside which it can.")
    clock = Clock(MINUTES.value)
    for done, shape in enumerate(SHAPE.value):
        # Told at once: should time run out, the next one alone is lost.
        tell(shape, measure(SHAPES[shape], clock.part(1 / (len(SHAPE.value) - done))))


if __name__ == "__main__":
    app.run(main)
