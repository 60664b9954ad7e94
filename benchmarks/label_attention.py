"""How long does label attention take, in how much memory, and how far is that from the floor?

    pip install -e ".[bench]"    # PyTorch and matplotlib; without them the rest is measured
    python benchmarks/label_attention.py
    python benchmarks/label_attention.py --workloads=eurlex --dtypes=bfloat16 --minutes=8

`axml_kernels.label_scores`, every implementation that runs here, forward alone and with the
gradients of a sum of all scores by hidden states, queries and head; and "training", the binary
cross entropy with true labels and its gradients, `axml_kernels.label_cross_entropy`; beside
equations (4) to (6) written down naively in PyTorch (as it is, and through torch.compile) and in
JAX.  All get the same random
inputs, and each is compared with the float32 reference before it is timed: what is wrong is not
timed (`tolerances`; relative errors of whole arrays).  Rivals take turns (benchmarks/report.py).

- Time: of one call from Python until its result is there; on a GPU until the last of a round of
  calls is.  `time_over` is a contender's median divided by that of each naive PyTorch.
- "float32" is as exact as float32 gets in both libraries; "tf32" (GPUs) lets both round the
  operands of products, JAX's own default; "bfloat16" has all arrays in bfloat16.
- On a CPU both libraries use all cores of the process.  PyTorch's threads sleep while they wait
  (OMP_WAIT_POLICY=passive unless the environment says otherwise): where another program holds one
  core, spinning threads made PyTorch up to 70 times slower.  Cores should be calm even so (`load`).
- Floor: the operations that exact label attention cannot do without (`operations`), at the rate of
  a large square matrix product measured in the same run.  `share_of_floor` 1 would be perfect.
- Memory: what the compiler sets aside beside arguments and results (`temporary_bytes`), and the
  peak of one gradient in a process of its own (benchmarks/label_attention_memory.py).
- `sweep`: both against the number of labels, drawn in NAME.png.
- By default a GPU has no `reference`, and fewer contenders on the third shape and after; each task
  has a share of --minutes (benchmarks/label_attention_plan.py; `tasks`: planned and taken).

Not measured: compilation, moving data to the device, the encoder, label_top_k, training as a whole,
several devices.  At a hundred labels on a GPU the figure is that of starting kernels from Python.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kernels"))  # it is run
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a file
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs room, too
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # see the docstring

import jax
from absl import flags

from axml_jax import flags as axml_flags
from axml_jax.tables import show_table
from axml_kernels.workloads import WORKLOADS, Workload
from benchmarks import label_attention_memory as memory
from benchmarks import label_attention_plan as planning
from benchmarks import label_attention_plot as plot
from benchmarks import label_attention_rivals as rivals
from benchmarks import report
from benchmarks.contenders import PRECISIONS, Entry, about_torch, device_name, is_fine
from benchmarks.label_attention_measure import BASELINE, compare, get_ready, operations, rows_of
from benchmarks.matrix_rate import matrix_rates
from benchmarks.tasks import no_progress, run_tasks
from benchmarks.timing import Clock, time_all

_WORKLOADS = flags.DEFINE_list("workloads", None, "Shapes by name; by default the device's own.")
_DTYPES = flags.DEFINE_list("dtypes", None, "float32, tf32, bfloat16; by default the device's own.")
_CONTENDERS = flags.DEFINE_list("contenders", None, "What to compare; likewise.")
_RAGGED = flags.DEFINE_boolean("ragged", False, "Documents of all lengths instead of full ones.")
_REPEATS = flags.DEFINE_integer("repeats", None, "Timed rounds; likewise.", lower_bound=1)
_MINUTES = flags.DEFINE_float("minutes", 30, "Time for all; what does not fit is skipped.", 0.0)
_MEMORY_GB = flags.DEFINE_float(
    "memory_gb", None, "Contenders that keep every array are left out above this size; by default "
    "half of the free memory on a CPU, a fifth of a GPU's (they share it).",
)  # fmt: skip
_SWEEP = flags.DEFINE_list("sweep_labels", None, "Numbers of labels of the sweep; empty: none.")
_MATRIX = flags.DEFINE_integer("matrix", None, "Rows of the matrices that the rate is taken from.")
_NAME = flags.DEFINE_string("name", None, "Name of the results; by default with the device's.")
_OUT = flags.DEFINE_string("out", None, "Folder of the results; benchmarks/results by default.")


class Benchmark:
    """One run: what is to be compared, the time left, and the results so far."""

    def __init__(self, cache: str) -> None:
        self.kind = "cpu" if jax.default_backend() == "cpu" else "gpu"
        defaults = planning.DEFAULTS[self.kind]
        self.clock = self.part = Clock(_MINUTES.value)  # of all, of the task
        self.advance: Callable[..., None] = no_progress
        self.environment: dict[str, str] = {}
        if self.kind == "gpu":  # compiled here, loaded where memory is measured
            jax.config.update("jax_compilation_cache_dir", cache)
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
            self.environment = {
                "JAX_COMPILATION_CACHE_DIR": cache,
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            }
        self.repeats = _REPEATS.value or defaults.repeats
        self.names = workload_names(self.kind)
        self.entries, self.few = (chosen(some) for some in (defaults.entries, defaults.few))
        sweep = defaults.sweep_entries
        self.sweep_entries = chosen(sweep, sweep[0].precision)
        self.most_bytes = 1e9 * _MEMORY_GB.value if _MEMORY_GB.value else default_bound(self.kind)
        self.matrix = _MATRIX.value or defaults.matrix
        self.rates: dict[str, dict[str, float | None]] = {}
        self.measure_rates()
        self.results: dict[str, Any] = {
            "cases": {},
            "lengths": "ragged" if _RAGGED.value else "full",
            "matrix_rate": {"rows": self.matrix, "operations_per_s": self.rates},
            "memory_bound_bytes": round(self.most_bytes),
            "plot": None,
            "skipped": [],
            "sweep": None,
            "tasks": [],
            "tolerances": {
                name: dict(zip(("scores", "gradients"), both, strict=True))
                for name, both in rivals.TOLERANCES.items()
            },
            "torch": about_torch(),
        }

    def time_shape(self, workload: Workload, entries: Sequence[Entry], passes: Sequence[str],
                   found: dict[str, Any], title: str, clock: Clock) -> None:  # fmt: skip
        """Checks and times contenders on a shape; results go to found, by contender.

        What is not ready when a third of the time is left is skipped.
        """
        ready = {}
        until = clock.part(1 - planning.TIMING_PART)
        for entry in entries:
            self.advance(0, note=f"{title}: {entry}")
            if until.left():
                about, one = get_ready(entry, workload, _RAGGED.value, passes, self.most_bytes)
                found[str(entry)] = about
                if one is not None:
                    ready[entry] = one
            else:
                found[str(entry)] = self.skip(f"{title}, {entry}: time")
            self.advance()
        into = {entry: found[str(entry)] for entry in ready}
        time_all(ready, passes, self.repeats, clock, found=into)

    def skip(self, what: str) -> dict[str, str]:
        """Notes what did not fit into the time."""
        self.results["skipped"].append(what)
        return {"skipped": "no time was left"}

    def measure_memory(self, workloads: dict[Any, Workload], entries: Sequence[Entry],
                       found: dict[Any, dict[str, Any]], title: str) -> None:  # fmt: skip
        """Measures each contender that ran on each shape, in processes of their own."""

        def measure(entry: Entry, keys: list[Any]) -> list[Any]:
            if not self.part.left():
                return [self.skip(f"{title}, {entry}: memory")] * len(keys)
            shapes = [workloads[key] for key in keys]
            more = 15 if self.kind == "gpu" else 60
            return memory.peaks(
                *entry, shapes, _RAGGED.value, more + self.part.left(), self.environment
            )

        jobs = []
        for entry in entries:
            ran = [key for key in workloads if is_fine(found[key].get(str(entry), {}))]
            # On a GPU one process can measure growing shapes; see label_attention_memory.
            together = [ran] if self.kind == "gpu" and ran else [[key] for key in ran]
            jobs += [(entry, keys) for keys in together]
        # On a CPU they would be in each other's way; a card's allocators count their own bytes.
        pool = ThreadPoolExecutor(planning.PROCESSES if self.kind == "gpu" else 1)
        try:
            for (entry, keys), job in [(one, pool.submit(measure, *one)) for one in jobs]:
                self.advance(0, note=f"{title}, memory: {entry}")
                for key, one in zip(keys, job.result(), strict=True):
                    found[key][str(entry)]["peak"] = one
                self.advance()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # results are written first

    def entries_of(self, name: str) -> list[Entry]:
        """What is timed on a named workload."""
        return self.few if name in self.names[2:] else self.entries

    def time_case(self, name: str) -> None:
        """A named workload: errors, times, temporary memory."""
        workload = WORKLOADS[name]
        found: dict[str, Any] = {}
        self.results["cases"][name] = {
            "workload": workload._asdict(),
            "operations": operations(workload),
            "contenders": found,
        }
        self.time_shape(workload, self.entries_of(name), rivals.PASSES, found, name, self.part)

    def weigh_cases(self, names: Sequence[str]) -> None:
        """Named workloads: peak memory."""
        timed = [name for name in names if name in self.results["cases"]]
        found = {name: self.results["cases"][name]["contenders"] for name in timed}
        shapes = {name: WORKLOADS[name] for name in timed}
        self.measure_memory(shapes, self.few, found, ", ".join(names))

    def sweep(self) -> None:
        """Time and memory against the number of labels, and the picture of both."""
        defaults = planning.DEFAULTS[self.kind]
        shapes = {n: defaults.sweep._replace(num_labels=n) for n in sweep_labels(self.kind)}
        found: dict[int, dict[str, Any]] = {n: {} for n in shapes}
        shape = defaults.sweep._asdict()
        del shape["num_labels"]
        self.results["sweep"] = {
            "workload": shape,
            "points": [{"num_labels": n, "contenders": found[n]} for n in shapes],
        }
        seconds = [
            planning.shape_seconds(one, self.sweep_entries, [memory.PASS], self.repeats)
            for one in shapes.values()
        ]
        rest = sum(seconds) + planning.memory_seconds(list(shapes.values()), self.sweep_entries)
        for (number, workload), needed in zip(shapes.items(), seconds, strict=True):
            clock = self.part if self.kind == "cpu" else self.part.part(needed / rest)
            rest -= needed
            self.time_shape(
                workload,
                self.sweep_entries,
                [memory.PASS],
                found[number],
                f"{number:,} labels",
                clock,
            )
        self.measure_memory(shapes, self.sweep_entries, found, "sweep")
        path = results_folder() / f"{results_name()}.png"
        if plot.draw(self.results["sweep"], device_name(), path):
            self.results["plot"] = path.name

    def measure_rates(self) -> None:
        """The rate of matrix products: at the beginning and the end, the larger one counts."""
        entries = [*self.entries, *self.few, *self.sweep_entries]
        precisions = sorted({entry.precision for entry in entries})
        for precision, found in matrix_rates(precisions, self.matrix).items():
            before = self.rates.setdefault(precision, found)
            for who, rate in found.items():
                if rate is not None:
                    before[who] = max(rate, before[who] or 0.0)

    def compare_all(self) -> None:
        """Shares of the floor and ratios, from what has been measured so far."""
        for case in self.results["cases"].values():
            entries = [*self.entries, *self.few]
            compare(case["contenders"], self.floors(entries, case["operations"]))
        for point in (self.results["sweep"] or {"points": []})["points"]:
            shape = planning.DEFAULTS[self.kind].sweep._replace(num_labels=point["num_labels"])
            compare(point["contenders"], self.floors(self.sweep_entries, operations(shape)))

    def floors(self, entries: Sequence[Entry], needed: dict[str, int]) -> dict[str, Any]:
        """Least seconds by contender and pass."""
        rate = {entry: self.rates[entry.precision]["largest"] or 1.0 for entry in entries}
        return {str(e): {part: needed[part] / rate[e] for part in needed} for e in entries}

    def plan(self) -> list[planning.Task]:
        """What is to be done, the most important first."""
        names, labels = workload_names(self.kind), sweep_labels(self.kind)
        chosen = self.entries, self.few, self.sweep_entries
        return planning.tasks(planning.DEFAULTS[self.kind], names, *chosen, labels)

    def tasks(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """What is to be done; on a GPU each has a share of the time that is left."""
        plan = self.plan()
        rest = sum(task.seconds for task in plan) + planning.rates_seconds(self.entries)
        for task in plan:
            work: Callable[[], None] = self.sweep
            if task.kind == "time":
                work = partial(self.time_case, task.workloads[0])
            elif task.kind == "memory":
                work = partial(self.weigh_cases, task.workloads)
            share = 1.0 if self.kind == "cpu" else task.seconds / rest
            rest -= task.seconds
            yield task.title, partial(self.within, task, share, work)

    def within(self, task: planning.Task, share: float, work: Callable[[], None]) -> None:
        """Does a task in a share of the time, and notes how long it took."""
        before, self.part = self.clock.left(), self.clock.part(share)
        about = {"task": task.title, "planned_s": round(task.seconds, 1), "took_s": None}
        self.results["tasks"].append(about)
        work()
        about["took_s"] = round(before - self.clock.left(), 1)

    def steps(self) -> int:
        """How often `advance` is called when nothing is skipped."""
        points = len(sweep_labels(self.kind))
        steps = 0
        for task in self.plan():
            shapes = len(task.workloads) or points
            weighed = 1 if self.kind == "gpu" else shapes  # processes of a contender
            if task.kind == "time":
                steps += len(self.entries_of(task.workloads[0]))
            elif task.kind == "memory":
                steps += len(self.few) * weighed
            else:
                steps += len(self.sweep_entries) * (shapes + weighed)
        return steps

    def write(self) -> Path:
        """Writes what there is so far."""
        self.compare_all()
        self.results["load_after"] = round(os.getloadavg()[0], 2)
        return report.write(results_name(), self.results, results_folder())


def workload_names(kind: str) -> list[str]:
    return planning.DEFAULTS[kind].workloads if _WORKLOADS.value is None else _WORKLOADS.value


def sweep_labels(kind: str) -> list[int]:
    chosen = planning.DEFAULTS[kind].sweep_labels if _SWEEP.value is None else _SWEEP.value
    return sorted(int(number) for number in chosen if str(number).strip())


def chosen(default: list[Entry], dtype: str | None = None) -> list[Entry]:
    """Contenders as the flags name them, each in each precision; without flags the default.

    Args:
      default: The device's.
      dtype: The only one, where the flags name others.
    """
    if _CONTENDERS.value is None and (_DTYPES.value is None or dtype is not None):
        return default
    methods = _CONTENDERS.value or rivals.METHODS
    given = [dtype] if dtype else _DTYPES.value or [entry.precision for entry in default]
    entries = [Entry(method, one) for one in dict.fromkeys(given) for method in methods]
    if rivals.BASELINE in methods:  # it is what the others are compared with
        entries = [BASELINE, *(entry for entry in entries if entry != BASELINE)]
    return entries


def results_folder() -> Path:
    return report.RESULTS if _OUT.value is None else Path(_OUT.value)


def results_name() -> str:
    if _NAME.value is not None:
        return _NAME.value
    card = "cpu" if jax.default_backend() == "cpu" else jax.devices()[0].device_kind
    return f"label_attention_{report.slug(card)}"


def default_bound(kind: str) -> float:
    """Bytes that a contender which keeps every array may need at least."""
    if kind == "gpu":
        stats = jax.devices()[0].memory_stats() or {}
        return 0.2 * stats.get("bytes_limit", 80e9) / 0.75  # JAX's limit is three quarters
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    return 0.5 * 1024 * int(found.group(1)) if found else 4e9


def check_flags(kind: str) -> None:
    """Refuses names that nothing has."""
    precisions = [name for name in PRECISIONS if kind == "gpu" or name != "tf32"]
    for flag, given, known in (
        ("workloads", workload_names(kind), list(WORKLOADS)),
        ("dtypes", _DTYPES.value or [], precisions),
        ("contenders", _CONTENDERS.value or [], list(rivals.METHODS)),
    ):
        for name in given:
            if name not in known:
                sys.exit(f"--{flag}: {name!r} should be one of {', '.join(known)}.")


def main(argv: Sequence[str]) -> None:
    del argv
    kind = "cpu" if jax.default_backend() == "cpu" else "gpu"
    check_flags(kind)
    with tempfile.TemporaryDirectory() as cache:
        benchmark = Benchmark(cache)
        written = run_tasks(benchmark, "label attention", benchmark.measure_rates)
    columns = ("workload", "pass", "contender", "median ms", f"over {BASELINE}", "share of floor",
               "temporary MB", "peak MB")  # fmt: skip
    show_table("Label attention", columns, list(rows_of(benchmark.results)))
    for what in benchmark.results["skipped"]:
        print(f"skipped for want of time: {what}")
    print(f"Written to {written.name}; picture: {benchmark.results['plot']}.")


if __name__ == "__main__":
    axml_flags.run(main)
