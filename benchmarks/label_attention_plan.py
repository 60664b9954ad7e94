"""What the benchmark of label attention does by default, and how its time on a GPU is dealt.

The seconds below are estimates from before anybody ran it on a card; results name what each task
took (`tasks`), to correct them by.  Knows nothing of arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from axml_kernels.workloads import WORKLOADS, Workload
from benchmarks.contenders import Entry
from benchmarks.label_attention_rivals import BASELINE, METHODS, PASSES
from benchmarks.timing import round_seconds

# Rounds are short on a GPU; these are spent on finding out how many calls fill one, and warming up.
MORE_ROUNDS = 2
# One of three programs of a contender, which compile beside each other.
PROGRAM_SECONDS = 1.0
# PyTorch compiles a graph for scores and one for gradients.
TORCH_COMPILE_SECONDS = 12.0
# Inputs and the reference's answer, by dtype; comparing two runs of a contender's passes with it.
CASE_SECONDS, CHECK_SECONDS = 2.0, 0.8
# Both go through the queries and their gradient, number by number, on one core.
SECONDS_PER_NUMBER = 1.2e-8
# A process that imports JAX or PyTorch and opens the card; so many run at once.
PROCESS_SECONDS, PROCESSES = 12.0, 3
# Matrix rates of one precision in both libraries; they are measured twice.
RATE_SECONDS = 2.0
# Of a shape's time, what is kept for timing: what is not ready by then is left out.
TIMING_PART = 1 / 3


class Defaults(NamedTuple):
    """By kind of device.

    Attributes:
      workloads: Names of shapes, in order of importance: the last are left out first.
      entries: Contenders on the first two shapes, in order of importance likewise.
      few: Contenders on the others, and on a GPU those whose memory is measured.
      sweep_entries: Contenders of the sweep over numbers of labels.
      sweep: Its shape, without labels.
      sweep_labels: Its numbers of labels.
      matrix: Rows of the matrices that the rate is taken from.
      weighed: Of how many workloads memory is measured.
      repeats: Timed rounds.
    """

    workloads: list[str]
    entries: list[Entry]
    few: list[Entry]
    sweep_entries: list[Entry]
    sweep: Workload
    sweep_labels: list[int]
    matrix: int
    weighed: int
    repeats: int


_ON_CPU = [Entry(method, "float32") for method in METHODS]
# What the ratios need on every shape: ours in bfloat16 beside PyTorch's best and its float32.
_NEEDED = [
    Entry(BASELINE, "bfloat16"),
    Entry("chunked", "bfloat16"),
    Entry("pallas", "bfloat16"),
    Entry(BASELINE, "float32"),
    Entry("torch-compile", "bfloat16"),
]
DEFAULTS = {
    "cpu": Defaults(
        workloads=["eurlex-cpu", "pydocs-cpu", "reuters-cpu"],
        entries=_ON_CPU,
        few=_ON_CPU,
        sweep_entries=_ON_CPU,
        sweep=Workload(4, 128, 128, 0, (64,)),
        sweep_labels=[1000 * 2**i for i in range(7)],
        matrix=2048,
        weighed=3,
        repeats=7,
    ),
    "gpu": Defaults(
        workloads=["eurlex", "wiki10-31k", "amazoncat-13k", "wikilshtc", "rcv1"],
        # Float32 in JAX is tf32 unless one asks for more, in PyTorch true float32: both stand for
        # PyTorch's, so that a ratio to "its float32" can be read either way.
        entries=[
            *_NEEDED,
            Entry("pallas", "tf32"),
            Entry("chunked", "tf32"),
            Entry(BASELINE, "tf32"),
            Entry("jax-naive", "bfloat16"),
        ],
        few=_NEEDED,
        sweep_entries=_NEEDED[:3],
        sweep=Workload(16, 128, 512, 0, (256,)),
        sweep_labels=[1_000, 10_000, 100_000, 1_000_000],
        matrix=8192,
        weighed=2,
        repeats=5,
    ),
}


class Task(NamedTuple):
    """A part of the benchmark.

    Attributes:
      kind: "time" (of a named shape), "memory" (of several), "sweep" (both, over labels).
      workloads: Names of shapes.
      seconds: Estimated, on a GPU.
    """

    kind: str
    workloads: tuple[str, ...]
    seconds: float

    @property
    def title(self) -> str:
        """For people."""
        return f"{', '.join(self.workloads)}: {self.kind}" if self.workloads else "sweep: all"


def tasks(
    defaults: Defaults, names: Sequence[str], entries: Sequence[Entry], few: Sequence[Entry],
    sweep: Sequence[Entry], labels: Sequence[int],
) -> list[Task]:  # fmt: skip
    """What is to be done, the most important first.

    Args:
      defaults: The device's.
      names: Shapes.
      entries: Contenders on the first two shapes.
      few: Contenders on the others, and those whose memory is measured.
      sweep: Contenders of the sweep.
      labels: Numbers of labels of the sweep.

    Returns:
      The first two shapes, the sweep, memory, the other shapes.
    """
    planned = []

    def time(name: str, entries: Sequence[Entry]) -> None:
        seconds = shape_seconds(WORKLOADS[name], entries, PASSES, defaults.repeats)
        planned.append(Task("time", (name,), seconds))

    for name in names[:2]:
        time(name, entries)
    if labels:
        shapes = [defaults.sweep._replace(num_labels=number) for number in labels]
        seconds = sum(shape_seconds(one, sweep, PASSES[-1:], defaults.repeats) for one in shapes)
        planned.append(Task("sweep", (), seconds + memory_seconds(shapes, sweep)))
    # Growing, so that one process can measure all; see label_attention_memory.
    weighed = sorted(names[: min(2, defaults.weighed)], key=lambda name: WORKLOADS[name].num_labels)
    if weighed:
        seconds = memory_seconds([WORKLOADS[name] for name in weighed], few)
        planned.append(Task("memory", tuple(weighed), seconds))
    for name in names[2:]:
        time(name, few)
        if defaults.weighed > 2:
            seconds = memory_seconds([WORKLOADS[name]], few)
            planned.append(Task("memory", (name,), seconds))
    return planned


def shape_seconds(
    workload: Workload, entries: Sequence[Entry], passes: Sequence[str], repeats: int
) -> float:
    """Estimated seconds until contenders on a shape are ready and timed, on a GPU."""
    host = SECONDS_PER_NUMBER * workload.num_labels * workload.width
    dtypes = {"bfloat16" if entry.precision == "bfloat16" else "float32" for entry in entries}
    seconds = (CASE_SECONDS + host) * len(dtypes)
    for entry in entries:
        seconds += CHECK_SECONDS + host + _compiling(entry, len(passes))
        seconds += len(passes) * round_seconds("gpu") * (repeats + MORE_ROUNDS)
    return seconds


def memory_seconds(workloads: Sequence[Workload], entries: Sequence[Entry]) -> float:
    """Estimated seconds of measuring contenders on shapes, each in a process of its own."""
    seconds = 0.0
    for entry in entries:
        seconds += PROCESS_SECONDS
        for workload in workloads:
            host = SECONDS_PER_NUMBER * workload.num_labels * workload.width
            seconds += _compiling(entry, 1) + host
    return seconds / PROCESSES


def rates_seconds(entries: Sequence[Entry]) -> float:
    """Estimated seconds of measuring matrix rates once."""
    return RATE_SECONDS * len({entry.precision for entry in entries})


def _compiling(entry: Entry, programs: int) -> float:
    if entry.method == "torch-compile":
        return TORCH_COMPILE_SECONDS
    return 0.0 if entry.method.startswith("torch-") else PROGRAM_SECONDS * programs


def whole_plan(kind: str) -> tuple[list[Task], float]:
    """The device's default tasks, and the estimated seconds of all with both matrix rates."""
    about = DEFAULTS[kind]
    planned = tasks(
        about, about.workloads, about.entries, about.few, about.sweep_entries, about.sweep_labels
    )
    return planned, sum(task.seconds for task in planned) + 2 * rates_seconds(about.entries)
