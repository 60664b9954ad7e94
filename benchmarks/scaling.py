"""What do more devices bring to a training step?

    python benchmarks/scaling.py --label_parts=1 --label_parts=2
    python benchmarks/scaling.py --shape=amazoncat --precision=bfloat16 --weak

Strong scaling: a batch of the same size dealt to 1, 2, 4, ... devices.  Weak scaling (--weak): as
many documents for each device as one has alone.  Labels are on every device, or split over some
(--label_parts; `config.parallel.labels`).  Before it is timed, each has to give the loss of one
device and, after two steps, its weights.

On a CPU the devices are simulated and share the same cores: there, a step of the same batch should
take on eight what it takes on one, and what it takes longer is the price of dealing.  On GPUs it
should take an eighth.  What devices tell each other is read from the compiled program.
"""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kernels"))  # it is run
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a file

import jax
import numpy as np
from absl import app, flags

from axml_jax.data.batches import Batch
from axml_jax.progress import bar
from axml_jax.tables import show_table
from benchmarks import report
from benchmarks.contenders import FAILURES, PRECISIONS, failure_of
from benchmarks.scaling_plot import draw
from benchmarks.scaling_settings import TOLERANCES, Setting, errors, settings
from benchmarks.schedules import collectives
from benchmarks.train_step_data import SHAPES, Shape, bucketed, draw_documents, one_epoch
from benchmarks.train_step_ours import Ours, initial_params

SHAPE = flags.DEFINE_enum("shape", "eurlex", sorted(SHAPES), "the model and its batches")
PRECISION = flags.DEFINE_enum("precision", "float32", list(PRECISIONS), "of activations")
DEVICES = flags.DEFINE_multi_integer(
    "devices", [], "numbers of devices; 1, 2, 4, ... of those there are by default", lower_bound=1
)
SIMULATED = flags.DEFINE_integer("simulated", 8, "devices of a CPU", lower_bound=1)
LABEL_PARTS = flags.DEFINE_multi_integer(
    "label_parts", [1], "over how many devices labels are split", lower_bound=1
)
WEAK = flags.DEFINE_boolean("weak", False, "measure weak scaling too")
BATCHES = flags.DEFINE_integer("batches", 1, "steps that are timed together", lower_bound=1)
REPEATS = flags.DEFINE_integer("repeats", 5, "timed rounds", lower_bound=1)
NAME = flags.DEFINE_string("name", None, "name of the files of results; scaling_DEVICE by default")
OUT = flags.DEFINE_string("out", None, "folder of the results; benchmarks/results by default")

DROPOUT = 0.5


def batches_of(shape: Shape, count: int) -> list[Batch]:
    """As many batches of documents of T tokens."""
    split = draw_documents(shape, count * shape.batch, ragged=False)
    return one_epoch(bucketed(split, shape, 1, count))


def outcome(model: Ours, batch: Batch) -> tuple[float, list[np.ndarray]]:
    """The loss of the first step, and the weights after a second one."""
    loss = float(np.asarray(model.run("training", [batch])))
    model.wait(model.run("training", [batch]))
    return loss, jax.tree.leaves(model.params())


def get_ready(
    chosen: Setting, shape: Shape, params: Any, batch: Batch, expected: Any
) -> tuple[dict[str, Any], Ours | None, Any]:
    """Checks a setting against one device's outcome, `expected`, unless it is the first.

    Returns:
      What to write of it, the model unless it must not be timed, and its outcome.
    """
    try:
        make = functools.partial(
            Ours,
            shape,
            PRECISION.value,
            params,
            devices=chosen.devices,
            label_parts=chosen.label_parts,
        )
        # Without dropout: labels in parts draw other numbers for other rows.
        got = outcome(make(dropout=0.0), batch)
        about: dict[str, Any] = {}
        if expected is not None:
            about["errors"] = errors(got, expected, jax.tree.leaves(params))
            allowed = TOLERANCES[PRECISION.value]
            wrong = [name for name, error in about["errors"].items() if not error <= allowed[name]]
            if wrong:
                return {**about, "wrong": ", ".join(wrong)}, None, got
        gc.collect()  # the one that was checked, before the one that is timed is made
        model = make(dropout=DROPOUT)
        # One device's program has them too, among itself.
        told = collectives(model.compiled_step(batch)) if chosen.devices > 1 else []
        about["collectives"] = {"count": len(told), "bytes": sum(one["bytes"] for one in told)}
    except Exception as error:  # what became of it is a result like others
        return failure_of(error), None, None
    return about, model, got


def measure(chosen: Sequence[Setting], shape: Shape, advance: Callable[..., None]) -> list[Any]:
    """Readies all settings, then times them in turn; the first is what others are compared with."""
    params = initial_params(shape)
    found: list[dict[str, Any]] = []
    runs: dict[str, Callable[[], Any]] = {}
    expected: dict[int, Any] = {}  # by size of the batch
    for one in chosen:
        sized = shape._replace(batch=one.batch)
        batches = batches_of(sized, BATCHES.value)
        if one.batch not in expected:
            alone = Setting(1, 1, one.batch)
            about, model, expected[one.batch] = get_ready(alone, sized, params, batches[0], None)
            if one != alone:
                model = None
        if one != Setting(1, 1, one.batch):
            about, model, _ = get_ready(one, sized, params, batches[0], expected[one.batch])
        found.append({**one._asdict(), "name": str(one), **about})
        if model is not None:
            runs[str(one)] = functools.partial(model.run, "training", batches)
        advance()
    timed = report.alternate(runs, REPEATS.value, warm_up=1) if runs else {}
    first = timed.get(str(chosen[0]))
    for about in found:
        times = timed.get(about["name"])
        if times is not None:
            documents = about["batch"] * BATCHES.value
            about.update(times, documents_per_s=documents / times["median_s"])
            if first is not None:
                about["speed_over_first"] = (
                    documents / times["median_s"] * first["median_s"]
                    / (chosen[0].batch * BATCHES.value)
                )  # fmt: skip
        advance()
    return found


def main(arguments: Sequence[str]) -> None:
    if len(arguments) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(arguments[1:])}")
    jax.config.update("jax_num_cpu_devices", SIMULATED.value)
    there = jax.local_device_count()
    counts = DEVICES.value or [2**n for n in range(there.bit_length())]
    if max(counts) > there:
        sys.exit(f"--devices asks for {max(counts)} devices, and there are {there}.")
    shape = SHAPES[SHAPE.value]
    kinds = {"strong": False, **({"weak": True} if WEAK.value else {})}
    chosen = {
        kind: settings(counts, LABEL_PARTS.value, shape.batch, weak) for kind, weak in kinds.items()
    }
    results: dict[str, Any] = {
        "shape": shape._asdict(),
        "precision": PRECISION.value,
        "simulated": jax.default_backend() == "cpu",
    }
    total = 2 * sum(map(len, chosen.values()))
    with bar("dealing to devices", total, "settings") as advance:
        for kind, some in chosen.items():
            results[kind] = measure(some, shape, advance)
            gc.collect()
    name = NAME.value or f"scaling_{report.slug(jax.devices()[0].device_kind)}"
    out = Path(OUT.value) if OUT.value else report.RESULTS
    path = report.write(name, results, out)
    draw(results, f"{SHAPE.value} on {jax.devices()[0].device_kind}", out / f"{name}.png")
    for kind in kinds:
        show_table(f"{kind} scaling", COLUMNS, list(rows_of(results[kind])))
    print(f"Written to {path.name}.")
    if any(key in about for kind in kinds for about in results[kind] for key in FAILURES):
        sys.exit("Not all could be measured.")


COLUMNS = ("setting", "documents of a batch", "documents/s", "over one device", "MB told a step")


def rows_of(found: Iterable[dict[str, Any]]) -> Iterator[list[str]]:
    """The table: a line for each setting."""
    for about in found:
        why = [key for key in FAILURES if key in about]
        line = [about["name"], f"{about['batch']}"]
        if why:
            yield [*line, why[0].replace("_", " "), "", ""]
        else:
            yield [
                *line,
                f"{about['documents_per_s']:,.1f}",
                f"{about['speed_over_first']:.2f}",
                f"{about['collectives']['bytes'] / 1e6:.1f}",
            ]


if __name__ == "__main__":
    app.run(main)
