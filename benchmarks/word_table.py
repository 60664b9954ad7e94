"""What do more words cost a training step?

    python benchmarks/word_table.py
    python benchmarks/word_table.py --words=50000,500000,2000000 --nostep

The same shape with tables of different sizes, of which the same number of rows is touched, takes
turns: the `update` alone (reading the batch's rows, norms, Adam on them and on the other weights;
benchmarks/train_step_parts.py), in which a table that is copied or moved as a whole cannot hide,
and the whole step.  The steps are those that benchmarks/train_step.py checks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kernels"))  # it is run
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a file

import jax
from absl import app, flags

from axml_jax.progress import say
from axml_jax.tables import show_table
from benchmarks import report
from benchmarks.contenders import PRECISIONS, Entry
from benchmarks.timing import Clock, Ready, steady_seconds, time_all
from benchmarks.train_step_data import SHAPES
from benchmarks.train_step_measure import DROPOUT, OURS, Case
from benchmarks.train_step_ours import Ours
from benchmarks.train_step_parts import update_call

WORDS = flags.DEFINE_list("words", ["50000", "500000"], "numbers of words; the first is compared")
SHAPE = flags.DEFINE_enum("shape", "eurlex", sorted(SHAPES), "all the rest")
PRECISION = flags.DEFINE_enum("precision", "float32", list(PRECISIONS), "of activations")
STEP = flags.DEFINE_boolean("step", True, "time whole steps too")
REPEATS = flags.DEFINE_integer("repeats", 9, "timed rounds", lower_bound=1)
MINUTES = flags.DEFINE_float("minutes", 4, "time for all; fewer rounds where it is short", 0.0)
NAME = flags.DEFINE_string("name", None, "name of the results; word_table_DEVICE by default")
OUT = flags.DEFINE_string("out", None, "folder of the results; benchmarks/results by default")


class Table:
    """A model with so many words, as something to be timed: passes "update" and "training"."""

    def __init__(self, words: int) -> None:
        shape = SHAPES[SHAPE.value]._replace(num_words=words)
        case = Case(shape, ragged=False, batches=1, buckets=1, checked=False)
        ours = Ours(shape, PRECISION.value, case.params, DROPOUT)
        batches = case.batches_of(OURS)
        self._calls: dict[str, Callable[[], Any]] = {"update": update_call(ours, case)}
        if STEP.value:
            self._calls["training"] = lambda: ours.run("training", batches)

    def ready(self) -> Ready:
        """It with the seconds of a call of each pass, after one that compiles."""
        seconds = {}
        for name in self._calls:
            self.wait(self.run(name, None))
            seconds[name] = steady_seconds(lambda: self.wait(self.run(name, None)))  # noqa: B023
        return Ready(self, None, seconds)

    def run(self, name: str, placed: Any) -> Any:
        """One call of a pass."""
        del placed
        return self._calls[name]()

    def wait(self, result: Any) -> None:
        jax.block_until_ready(result)


def main(arguments: Sequence[str]) -> None:
    if len(arguments) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(arguments[1:])}")
    numbers = WORDS.value
    wrong = [number for number in numbers if not number.isdigit()]
    if wrong or not numbers:
        sys.exit(f"--words: {','.join(numbers)!r} should be numbers, such as 50000,500000.")
    clock = Clock(MINUTES.value)
    ready: dict[Entry, Ready] = {}
    for number in numbers:
        say(f"getting a table of {int(number):,} words ready")
        ready[Entry(number, PRECISION.value)] = Table(int(number)).ready()
    passes = list(next(iter(ready.values())).seconds)
    times = time_all(ready, passes, REPEATS.value, clock)
    found = {entry.method: about for entry, about in times.items()}
    first = found[numbers[0]]
    for about in found.values():
        for name in passes:
            if "median_s" in about[name] and "median_s" in first[name]:
                about[name]["time_over_first"] = about[name]["median_s"] / first[name]["median_s"]
    results = {
        "shape": SHAPES[SHAPE.value]._asdict(),
        "precision": PRECISION.value,
        "words": found,
        "load_after": round(os.getloadavg()[0], 2),
    }
    name = NAME.value or f"word_table_{report.slug(jax.devices()[0].device_kind)}"
    path = report.write(name, results, Path(OUT.value) if OUT.value else None)
    rows = [
        (
            f"{int(words):,}",
            part,
            *(
                format(factor * about[part][key], ",.2f") if key in about[part] else ""
                for key, factor in (("median_s", 1e3), ("min_s", 1e3), ("time_over_first", 1))
            ),
        )
        for part in passes
        for words, about in found.items()
    ]
    show_table("More words", ("words", "part", "median ms", "least ms", "over the first"), rows)
    print(f"Written to {path.name}.")


if __name__ == "__main__":
    app.run(main)
