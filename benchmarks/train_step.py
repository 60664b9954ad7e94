"""How many documents a second does a training step take, and a prediction, beside PyTorch?

    pip install -e ".[bench]"    # PyTorch and matplotlib; without them axml_jax alone is measured
    python benchmarks/train_step.py --minutes=5
    python benchmarks/train_step.py --ragged --batches=2 --noparts
    python benchmarks/train_step.py --shapes= --sweeps --contenders=torch-padded,axml --repeats=3
    python benchmarks/train_step.py --override=batch=8,tokens=100 --sweep_tokens=50,100,200

Training is a whole step: batch to the device, embedding, BiLSTM, dropout, label attention, loss
over all labels, gradients, Adam on every weight, the word table included.  Prediction names the
five best labels.  axml_jax runs what training and `Predictor` run; PyTorch the same model written
from the paper (benchmarks/train_step_torch.py): plain padded, packed sequences as the authors' own
code computes, and compiled with a fused Adam, which with bfloat16 is autocast and cuDNN at their
best.  "-sparse" is the official style: sparse gradients of the word table and SparseAdam, by whose
rule axml_jax updates it, too; "axml-scan" and "axml-cudnn" name the recurrent layer's
implementation, which "axml" chooses for itself.

- Correctness first: all start from the same weights, and scores, the losses of three steps without
  dropout and the first update are compared with eqs. (1) to (6) written down plainly, the word
  table's by the contender's own rule (`tolerances`).  What is wrong is not timed.
- Rivals take turns (benchmarks/report.py).  Who needs more than ten seconds a call has two rounds.
- `--ragged`: lengths are log-normal around the mean of Table 1, cut at T.  axml_jax sorts and pads
  as training does (`--buckets`); PyTorch has batches in random order, padded to their longest, and
  packs those.  Otherwise all documents have T tokens.
- "float32" is as exact as it gets in both libraries; "tf32" (GPUs) lets both round the operands of
  products, as JAX does by default; "bfloat16" is AttentionXML(dtype="bfloat16") and autocast.
- Floor: operations that no exact way spares, at the rate of a large matrix product measured here;
  of parts that only move memory the bytes, at the rate of a large copy measured here.
- Memory: peak of a call in a process of its own, with what the contender always holds.
- `parts`: where the time goes; `extrapolated` (GPUs): the paper's two large data sets
  (benchmarks/train_step_extrapolate.py); `sweep`: time of a step against T, L, B and V, drawn in
  NAME.png, on a CPU a command of its own (the third above).
- Each piece can be had alone, for little time: --notime, --nomemory, --noparts, --nosweeps,
  --extrapolate= and --shapes= leave out what they name.  What JAX has compiled is kept between
  commands where JAX_COMPILATION_CACHE_DIR says so.

On a CPU both libraries use all cores of the process, and PyTorch's threads sleep while they wait;
cores should be calm (`load`).  Not measured: compilation, validation, checkpoints, several devices.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kernels"))  # it is run
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a file
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs room, too
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import jax
from absl import flags

from axml_jax import flags as axml_flags
from axml_jax.tables import show_table
from benchmarks import report
from benchmarks import train_step_check as check
from benchmarks import train_step_extrapolate as extrapolate
from benchmarks import train_step_measure as measure
from benchmarks import train_step_memory as memory
from benchmarks import train_step_parts as parts
from benchmarks import train_step_plot as plot
from benchmarks.contenders import (
    PRECISIONS,
    Entry,
    about_torch,
    device_name,
    failure_of,
    is_fine,
)
from benchmarks.matrix_rate import matrix_rates
from benchmarks.memory_rate import memory_rate
from benchmarks.tasks import no_progress, run_tasks
from benchmarks.timing import Clock, Ready, time_all
from benchmarks.train_step_data import SHAPES, Shape
from benchmarks.train_step_settings import DEFAULTS, SIZES

_BY_DEFAULT = "by default the device's own"
_SHAPES = flags.DEFINE_list("shapes", None, f"Shapes by name; {_BY_DEFAULT}.")
_OVERRIDE = flags.DEFINE_list("override", [], "SIZE=NUMBER: other sizes in all shapes.")
_DTYPES = flags.DEFINE_list("dtypes", None, f"float32, tf32, bfloat16; {_BY_DEFAULT}.")
_CONTENDERS = flags.DEFINE_list("contenders", None, f"What to compare; {_BY_DEFAULT}.")
_RAGGED = flags.DEFINE_boolean("ragged", False, "Documents of all lengths instead of full ones.")
_BATCHES = flags.DEFINE_integer("batches", None, "Batches of a call; 1, or 8 with --ragged.", 1)
_BUCKETS = flags.DEFINE_integer("buckets", extrapolate.BUCKETS, "Padded lengths of axml_jax.", 1)
_REPEATS = flags.DEFINE_integer("repeats", 7, "Timed rounds.", lower_bound=1)
_MINUTES = flags.DEFINE_float("minutes", 30, "Time for all; what does not fit is skipped.", 0.0)
_TIME = flags.DEFINE_boolean("time", True, "Time whole steps and predictions.")
_MEMORY = flags.DEFINE_boolean("memory", True, "Measure peak memory of what was timed.")
_PARTS = flags.DEFINE_boolean("parts", True, "Measure where the time goes.")
_SWEEPS = flags.DEFINE_boolean("sweeps", None, f"Sweep over sizes not given, too; {_BY_DEFAULT}.")
_SWEEP_SHAPE = flags.DEFINE_string("sweep_shape", None, f"What is varied; {_BY_DEFAULT}.")
for _size, _flag in SIZES.items():
    flags.DEFINE_list(_flag, None, f"Values of {plot.LABELS[_size]} to sweep over; empty: none.")
_EXTRAPOLATE = flags.DEFINE_list("extrapolate", None, f"Data sets; empty: none; {_BY_DEFAULT}.")
_STEPS = flags.DEFINE_integer("extrapolate_steps", 200, "Steps to extrapolate from.", 1)
_MATRIX = flags.DEFINE_integer("matrix", None, "Rows of the matrices that the rate is taken from.")
_COPY = flags.DEFINE_integer("copy_mb", None, "Size of the array that is copied for the rate.", 1)
_NAME = flags.DEFINE_string("name", None, "Name of the results; by default with the device's.")
_OUT = flags.DEFINE_string("out", None, "Folder of the results; benchmarks/results by default.")


def kind() -> str:
    """Of device."""
    return "cpu" if jax.default_backend() == "cpu" else "gpu"


def setting(name: str) -> Any:
    """A flag, or the device's default."""
    given = flags.FLAGS[name].value
    return DEFAULTS[kind()][name] if given is None else given


def values(name: str) -> list[int]:
    """The numbers of a sweep's flag: what is given, else the device's own with --sweeps."""
    given = flags.FLAGS[name].value
    if given is None:
        given = DEFAULTS[kind()][name] if setting("sweeps") else []
    return sorted(int(number) for number in given if str(number).strip())


class Benchmark:
    """One run: what is to be compared, the time left, and the results so far."""

    def __init__(self, cache: str) -> None:
        self.clock = Clock(_MINUTES.value)
        self.advance: Callable[..., None] = no_progress
        self.environment: dict[str, str] = {}
        if kind() == "gpu":  # compiled here, loaded where memory is measured
            jax.config.update("jax_compilation_cache_dir", cache)
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
            self.environment = {
                "JAX_COMPILATION_CACHE_DIR": cache,
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            }
        self.precisions: list[str] = setting("dtypes")
        self.entries = measure.default_entries(_CONTENDERS.value or [], self.precisions)
        self.documents: dict[str, Any] = {
            "ragged": _RAGGED.value,
            "batches": _BATCHES.value or (8 if _RAGGED.value else 1),
            "buckets": _BUCKETS.value,
        }
        self.rates = matrix_rates(sorted(self.precisions), _MATRIX.value or setting("matrix"))
        self.results: dict[str, Any] = {
            "cases": {},
            "documents": self.documents,
            "dropout": measure.DROPOUT,
            "extrapolated": None,
            "matrix_rate": self.rates,
            "memory_rate": None,
            "plot": None,
            "skipped": [],
            "sweep": None,
            "tolerances": check.TOLERANCES,
            "torch": about_torch(),
        }

    def skip(self, what: str) -> dict[str, str]:
        """Notes what did not fit into the time."""
        self.results["skipped"].append(what)
        return {"skipped": "no time was left"}

    def time_shape(self, shape: Shape, passes: Sequence[str], title: str) -> dict[str, Any]:
        """Checks and times all contenders on a shape; gives what is to be written."""
        self.advance(0, note=title)
        case = measure.Case(shape, **self.documents)
        found: dict[str, Any] = {}
        ready: dict[Entry, Ready] = {}
        for entry in self.entries:
            self.advance(0, note=f"{title}: {entry}")
            if self.clock.left():
                found[str(entry)], one = measure.get_ready(entry, case, passes)
                if one is not None:
                    ready[entry] = one
            else:
                found[str(entry)] = self.skip(f"{title}, {entry}: time")
            self.advance()
        for entry, times in time_all(
            ready,
            passes,
            _REPEATS.value,
            self.clock,
            slow_seconds=measure.SLOW_SECONDS,
            least=measure.LEAST_ROUNDS,
        ).items():
            found[str(entry)].update(times)
        return {**case.about(), "contenders": found}

    def time_case(self, name: str) -> None:
        """A named shape: errors and times."""
        shape = shape_of(name)
        self.results["cases"][name] = self.time_shape(shape, measure.PASSES, name)

    def weigh_case(self, name: str) -> None:
        """A named shape: peak memory of each contender that ran, in a process of its own."""
        found = self.results["cases"][name]["contenders"]
        for entry in self.entries:
            self.advance(0, note=f"{name}, memory: {entry}")
            if not is_fine(found[str(entry)]):
                pass
            elif self.clock.left():
                found[str(entry)]["peak"] = memory.peaks(
                    entry,
                    shape_of(name),
                    self.documents,
                    60 + self.clock.left(),
                    self.environment,
                )
            else:
                self.skip(f"{name}, {entry}: memory")
            self.advance()

    def split_case(self, name: str) -> None:
        """A named shape: where the time goes."""
        self.advance(0, note=f"{name}: parts")
        case = measure.Case(shape_of(name), checked=False, **self.documents)
        found = parts.time_parts(case, self.precisions, _REPEATS.value, self.clock)
        self.results["memory_rate"] = self.results["memory_rate"] or memory_rate(setting("copy_mb"))
        moved = self.results["memory_rate"]["largest"]
        parts.add_floors(found, case, self.largest_rates(), moved)
        about = self.results["cases"].setdefault(name, {**case.about(), "contenders": {}})
        about["parts"] = found
        self.advance()

    def sweep(self) -> None:
        """Time against each size, and the picture."""
        shape = shape_of(setting("sweep_shape"))
        found: dict[str, list[Any]] = {}
        self.results["sweep"] = {"shape": shape._asdict(), "sizes": found}
        cases = self.results["cases"]
        known = {shape_of(name): one for name, one in cases.items() if one["contenders"]}
        for size, flag in SIZES.items():
            for value in values(flag):
                title = f"{size} {value:,}"
                if not self.clock.left():
                    self.skip(f"sweep: {title}")
                    continue
                change: dict[str, Any] = {size: value}
                one = shape._replace(**change)
                if one in known:
                    self.advance(len(self.entries), note=title)
                else:
                    known[one] = self.time_shape(one, measure.PASSES[:1], title)
                about = {name: what for name, what in known[one].items() if name != "parts"}
                found.setdefault(size, []).append({"value": value, **about})
        path = results_folder() / f"{results_name()}.png"
        if plot.draw(self.results["sweep"], device_name(), path):
            self.results["plot"] = path.name

    def extrapolate(self, name: str) -> None:
        """A data set of the paper: how long it would take."""
        self.advance(0, note=f"{name}: extrapolation")
        found = self.results["extrapolated"] = self.results["extrapolated"] or {}
        try:
            found[name] = extrapolate.extrapolate(
                name, shape_of(name), self.precisions[0], _STEPS.value
            )
        except Exception as error:  # what became of it is a result like others
            found[name] = failure_of(error)
        self.advance()

    def tasks(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """What is to be done, the most important first."""
        for name in setting("shapes") if _TIME.value else ():
            yield f"{name}: time", lambda name=name: self.time_case(name)  # type: ignore[misc]
        for name in filter(None, setting("extrapolate")):
            yield f"{name}: extrapolation", lambda name=name: self.extrapolate(name)  # type: ignore[misc]
        for name in setting("shapes"):
            timed = name in self.results["cases"]
            if _MEMORY.value and timed:
                yield f"{name}: memory", lambda name=name: self.weigh_case(name)  # type: ignore[misc]
            # What could not be timed has no place for more.
            if _PARTS.value and (timed or not _TIME.value):
                yield f"{name}: parts", lambda name=name: self.split_case(name)  # type: ignore[misc]
        if any(values(flag) for flag in SIZES.values()):
            yield "sweep: all", self.sweep

    def steps(self) -> int:
        """How often `advance` is called when nothing is skipped."""
        shapes, points = len(setting("shapes")), sum(len(values(flag)) for flag in SIZES.values())
        of_entries = shapes * _TIME.value * (1 + _MEMORY.value) + points
        return of_entries * len(self.entries) + shapes * _PARTS.value + len(setting("extrapolate"))

    def largest_rates(self) -> dict[str, Any]:
        """Operations a second of large products by precision."""
        return {name: found["largest"] for name, found in self.rates.items()}

    def compare_all(self) -> None:
        """Shares of the floor and ratios, from what has been measured so far."""
        rates = self.largest_rates()
        for case in self.results["cases"].values():
            measure.compare(case["contenders"], case, rates)
        for points in (self.results["sweep"] or {"sizes": {}})["sizes"].values():
            for point in points:
                measure.compare(point["contenders"], point, rates)

    def write(self) -> Path:
        """Writes what there is so far."""
        self.compare_all()
        self.results["load_after"] = round(os.getloadavg()[0], 2)
        return report.write(results_name(), self.results, results_folder())


def shape_of(name: str) -> Shape:
    """A named shape with the sizes of --override."""
    given = dict(change.partition("=")[::2] for change in _OVERRIDE.value)
    changes: dict[str, Any] = {size: int(number) for size, number in given.items()}
    return SHAPES[name]._replace(**changes)


def results_folder() -> Path:
    return report.RESULTS if _OUT.value is None else Path(_OUT.value)


def results_name() -> str:
    """As told, or by what is measured: pieces without the times have files of their own."""
    card = "cpu" if kind() == "cpu" else jax.devices()[0].device_kind
    shapes, sweeps = setting("shapes"), any(values(flag) for flag in SIZES.values())
    pieces = [("extrapolated", setting("extrapolate")), ("parts", shapes and _PARTS.value)]
    pieces = [] if shapes and _TIME.value else [*pieces, ("sweeps", sweeps)]
    names = [name for name, there in [("ragged", _RAGGED.value), *pieces] if there]
    return _NAME.value or "_".join(["train_step", *names, report.slug(card)])


def check_flags() -> None:
    """Refuses names that nothing has."""
    sizes = [size for size in Shape._fields if size not in ("layers", "mean_words", "mean_labels")]
    for flag, given, known in (
        ("shapes", setting("shapes"), list(SHAPES)),
        ("override", [change.partition("=")[0] for change in _OVERRIDE.value], sizes),
        ("dtypes", setting("dtypes"), [n for n in PRECISIONS if kind() == "gpu" or n != "tf32"]),
        ("contenders", _CONTENDERS.value or [], list(measure.METHODS)),
        ("sweep_shape", [setting("sweep_shape")], list(SHAPES)),
        ("extrapolate", filter(None, setting("extrapolate")), list(extrapolate.DATA_SETS)),
    ):
        for name in given:
            if name not in known:
                sys.exit(f"--{flag}: {name!r} should be one of {', '.join(known)}.")
    for change in _OVERRIDE.value:
        if not change.partition("=")[2].isdigit():
            sys.exit(f"--override: {change!r} should be SIZE=NUMBER, such as batch=8.")


def main(argv: Sequence[str]) -> None:
    del argv
    check_flags()
    with tempfile.TemporaryDirectory() as cache:
        benchmark = Benchmark(os.environ.get("JAX_COMPILATION_CACHE_DIR") or cache)
        written = run_tasks(benchmark, "training step")
    results = benchmark.results
    for title, columns, rows in (
        ("Training and prediction", measure.COLUMNS, list(measure.rows_of(results))),
        ("Where the time goes", parts.COLUMNS, list(parts.rows_of(results))),
        ("Extrapolated", extrapolate.COLUMNS, extrapolate.rows_of(results)),
    ):
        if rows:
            show_table(title, columns, rows)
    for what in results["skipped"]:
        print(f"skipped for want of time: {what}")
    print(f"Written to {written.name}; picture: {results['plot']}.")


if __name__ == "__main__":
    axml_flags.run(main)
