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

Not measured: compilation, moving data to the device, the encoder, label_top_k, training as a whole,
several devices.  At a hundred labels on a GPU the figure is that of starting kernels from Python.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # it is run as a file
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs room, too
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # see the docstring

import jax
from absl import flags

from axml_jax import flags as axml_flags
from axml_jax.tables import show_table
from axml_kernels.workloads import WORKLOADS, Workload
from benchmarks import label_attention_memory as memory
from benchmarks import label_attention_plot as plot
from benchmarks import label_attention_rivals as rivals
from benchmarks import report
from benchmarks.contenders import (
    PRECISIONS,
    Entry,
    about_torch,
    device_name,
    is_fine,
)
from benchmarks.label_attention_measure import (
    BASELINE,
    compare,
    get_ready,
    operations,
    rows_of,
)
from benchmarks.matrix_rate import matrix_rates
from benchmarks.tasks import no_progress, run_tasks
from benchmarks.timing import Clock, time_all

# By kind of device.  Workloads in order of importance: the last are left out first.
DEFAULTS: dict[str, dict[str, Any]] = {
    "cpu": {
        "workloads": ["eurlex-cpu", "pydocs-cpu", "reuters-cpu"],
        "dtypes": ["float32"],
        "sweep": Workload(4, 128, 128, 0, (64,)),
        "sweep_dtype": "float32",
        "sweep_labels": [1000 * 2**i for i in range(7)],
        "matrix": 2048,
    },
    "gpu": {
        "workloads": ["eurlex", "wiki10-31k", "amazoncat-13k", "wikilshtc", "rcv1"],
        "dtypes": ["bfloat16", "float32"],
        "sweep": Workload(16, 128, 512, 0, (256,)),
        "sweep_dtype": "bfloat16",
        "sweep_labels": [1_000, 4_000, 16_000, 64_000, 250_000, 1_000_000],
        "matrix": 8192,
    },
}
_WORKLOADS = flags.DEFINE_list("workloads", None, "Shapes by name; by default the device's own.")
_DTYPES = flags.DEFINE_list("dtypes", None, "float32, tf32, bfloat16; by default the device's own.")
_CONTENDERS = flags.DEFINE_list("contenders", list(rivals.METHODS), "What to compare.")
_RAGGED = flags.DEFINE_boolean("ragged", False, "Documents of all lengths instead of full ones.")
_REPEATS = flags.DEFINE_integer("repeats", 7, "Timed rounds.", lower_bound=1)
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
        defaults = DEFAULTS[self.kind]
        self.clock = Clock(_MINUTES.value)
        self.advance: Callable[..., None] = no_progress
        self.environment: dict[str, str] = {}
        if self.kind == "gpu":  # compiled here, loaded where memory is measured
            jax.config.update("jax_compilation_cache_dir", cache)
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
            self.environment = {
                "JAX_COMPILATION_CACHE_DIR": cache,
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            }
        dtypes = defaults["dtypes"] if _DTYPES.value is None else _DTYPES.value
        self.entries = [Entry(method, dtype) for dtype in dtypes for method in _CONTENDERS.value]
        if rivals.BASELINE in _CONTENDERS.value:  # it is what the others are compared with
            self.entries = [BASELINE, *(entry for entry in self.entries if entry != BASELINE)]
        self.most_bytes = 1e9 * _MEMORY_GB.value if _MEMORY_GB.value else default_bound(self.kind)
        self.sweep_entries = sweep_entries(defaults["sweep_dtype"])
        self.matrix = _MATRIX.value or defaults["matrix"]
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
            "tolerances": {
                name: dict(zip(("scores", "gradients"), both, strict=True))
                for name, both in rivals.TOLERANCES.items()
            },
            "torch": about_torch(),
        }

    def time_shape(self, workload: Workload, entries: Sequence[Entry], passes: Sequence[str],
                   found: dict[str, Any], title: str) -> None:  # fmt: skip
        """Checks and times contenders on a shape; results go to found, by contender."""
        ready = {}
        for entry in entries:
            self.advance(0, note=f"{title}: {entry}")
            if self.clock.left():
                about, one = get_ready(entry, workload, _RAGGED.value, passes, self.most_bytes)
                found[str(entry)] = about
                if one is not None:
                    ready[entry] = one
            else:
                found[str(entry)] = self.skip(f"{title}, {entry}: time")
            self.advance()
        for entry, times in time_all(ready, passes, _REPEATS.value, self.clock).items():
            found[str(entry)].update(times)

    def skip(self, what: str) -> dict[str, str]:
        """Notes what did not fit into the time."""
        self.results["skipped"].append(what)
        return {"skipped": "no time was left"}

    def measure_memory(self, workloads: dict[int, Workload], entries: Sequence[Entry],
                       found: dict[int, dict[str, Any]], title: str) -> None:  # fmt: skip
        """Measures each contender that ran on each shape, in processes of their own."""
        for entry in entries:
            ran = [n for n in workloads if is_fine(found[n][str(entry)])]
            # On a GPU one process can measure growing shapes; see label_attention_memory.
            for numbers in [ran] if self.kind == "gpu" and ran else [[n] for n in ran]:
                self.advance(0, note=f"{title}, memory: {entry}")
                if not self.clock.left():
                    about: list[Any] = [self.skip(f"{title}, {entry}: memory")] * len(numbers)
                else:
                    shapes = [workloads[n] for n in numbers]
                    about = memory.peaks(
                        *entry, shapes, _RAGGED.value, 60 + self.clock.left(), self.environment
                    )
                for number, one in zip(numbers, about, strict=True):
                    found[number][str(entry)]["peak"] = one
            self.advance()

    def time_case(self, name: str) -> None:
        """A named workload: errors, times, temporary memory."""
        workload = WORKLOADS[name]
        found: dict[str, Any] = {}
        self.results["cases"][name] = {
            "workload": workload._asdict(),
            "operations": operations(workload),
            "contenders": found,
        }
        self.time_shape(workload, self.entries, rivals.PASSES, found, name)

    def weigh_case(self, name: str) -> None:
        """A named workload: peak memory."""
        case, workload = self.results["cases"][name], WORKLOADS[name]
        self.measure_memory({0: workload}, self.entries, {0: case["contenders"]}, name)

    def sweep(self) -> None:
        """Time and memory against the number of labels, and the picture of both."""
        defaults = DEFAULTS[self.kind]
        shapes = {n: defaults["sweep"]._replace(num_labels=n) for n in sweep_labels(self.kind)}
        found: dict[int, dict[str, Any]] = {n: {} for n in shapes}
        shape = defaults["sweep"]._asdict()
        del shape["num_labels"]
        self.results["sweep"] = {
            "workload": shape,
            "points": [{"num_labels": n, "contenders": found[n]} for n in shapes],
        }
        for number, workload in shapes.items():
            title = f"{number:,} labels"
            self.time_shape(workload, self.sweep_entries, [memory.PASS], found[number], title)
        self.measure_memory(shapes, self.sweep_entries, found, "sweep")
        path = results_folder() / f"{results_name()}.png"
        if plot.draw(self.results["sweep"], device_name(), path):
            self.results["plot"] = path.name

    def measure_rates(self) -> None:
        """The rate of matrix products: at the beginning and the end, the larger one counts."""
        precisions = sorted({entry.precision for entry in [*self.entries, *self.sweep_entries]})
        for precision, found in matrix_rates(precisions, self.matrix).items():
            before = self.rates.setdefault(precision, found)
            for who, rate in found.items():
                if rate is not None:
                    before[who] = max(rate, before[who] or 0.0)

    def compare_all(self) -> None:
        """Shares of the floor and ratios, from what has been measured so far."""
        for case in self.results["cases"].values():
            compare(case["contenders"], self.floors(self.entries, case["operations"]))
        for point in (self.results["sweep"] or {"points": []})["points"]:
            shape = DEFAULTS[self.kind]["sweep"]._replace(num_labels=point["num_labels"])
            compare(point["contenders"], self.floors(self.sweep_entries, operations(shape)))

    def floors(self, entries: Sequence[Entry], needed: dict[str, int]) -> dict[str, Any]:
        """Least seconds by contender and pass."""
        rate = {entry: self.rates[entry.precision]["largest"] or 1.0 for entry in entries}
        return {str(e): {part: needed[part] / rate[e] for part in needed} for e in entries}

    def tasks(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """What is to be done, the most important first."""
        names = workload_names(self.kind)
        for some, last in ((names[:2], False), (names[2:], True)):
            for name in some:
                yield f"{name}: all", lambda name=name: self.time_case(name)  # type: ignore[misc]
            for name in some:
                yield f"{name}: memory", lambda name=name: self.weigh_case(name)  # type: ignore[misc]
            if not last and sweep_labels(self.kind):
                yield "sweep: all", self.sweep

    def steps(self) -> int:
        """How often `advance` is called when nothing is skipped."""
        sweep = len(self.sweep_entries) * len(sweep_labels(self.kind))
        sweep += len(self.sweep_entries) if sweep else 0
        return 2 * len(self.entries) * len(workload_names(self.kind)) + sweep

    def write(self) -> Path:
        """Writes what there is so far."""
        self.compare_all()
        self.results["load_after"] = round(os.getloadavg()[0], 2)
        return report.write(results_name(), self.results, results_folder())


def workload_names(kind: str) -> list[str]:
    return DEFAULTS[kind]["workloads"] if _WORKLOADS.value is None else _WORKLOADS.value


def sweep_labels(kind: str) -> list[int]:
    chosen = DEFAULTS[kind]["sweep_labels"] if _SWEEP.value is None else _SWEEP.value
    return sorted(int(number) for number in chosen if str(number).strip())


def sweep_entries(dtype: str) -> list[Entry]:
    entries = [Entry(method, dtype) for method in _CONTENDERS.value]
    if BASELINE not in entries and rivals.BASELINE in _CONTENDERS.value:
        entries.insert(0, BASELINE)
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
        ("contenders", _CONTENDERS.value, list(rivals.METHODS)),
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
