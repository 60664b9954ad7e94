"""Runs a benchmark task by task, so that whatever ends one leaves the results of those before."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from axml_jax import progress
from benchmarks.timing import Clock


class Benchmark(Protocol):
    """What `run_tasks` needs of one.

    Attributes:
      clock: The time there is.
      advance: Called with the number of steps that are done.
    """

    clock: Clock
    advance: Callable[..., None]

    def steps(self) -> int:
        """Steps of all tasks."""

    def tasks(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Titles and tasks, the most important first."""

    def skip(self, what: str, /) -> Any:
        """Notes a task for which no time is left."""

    def write(self) -> Path:
        """Writes what is known so far."""


def no_progress(n: int = 1, note: str | None = None) -> None:
    """An `advance` that shows nothing."""


def run_tasks(benchmark: Benchmark, title: str, last: Callable[[], None] | None = None) -> Path:
    """Runs the tasks for which there is time, and then `last`; writes after each.

    A polite end (SIGTERM) runs what must be run: results are written.

    Returns:
      The file of results.
    """

    def stop(number: int, frame: Any) -> None:
        del frame
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    try:
        with progress.bar(title, benchmark.steps(), "steps") as advance:
            benchmark.advance = advance
            for name, task in benchmark.tasks():
                if benchmark.clock.left():
                    task()
                    benchmark.write()  # whatever ends the next one
                else:
                    benchmark.skip(name)
        if last is not None:
            last()
    finally:
        written = benchmark.write()
    if not sys.stdout.isatty():
        os.environ.setdefault("COLUMNS", "160")  # what the tables need
    return written
