"""Times contenders that are ready, in turn and within the time there is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax

from benchmarks import report
from benchmarks.contenders import Entry, failure_of

# A timed round has as many calls as fill this many seconds: the clock's steps, and on a GPU the
# way to it and back, are then no part of the figure.  A GPU is nobody else's, and dear.
ROUND_SECONDS = {"cpu": 0.2, "gpu": 0.05}
MOST_CALLS = 1000


class Clock:
    """The time that a benchmark may take."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes

    def left(self) -> float:
        """Seconds, never below zero."""
        return max(0.0, self._end - time.monotonic())

    def part(self, share: float) -> Clock:
        """A clock of a share of what is left."""
        return Clock(share * self.left() / 60)


class Contender(Protocol):
    """What can be timed."""

    def run(self, name: str, placed: Any) -> Any:
        """One call of a pass; its work may still be under way."""

    def wait(self, result: Any) -> None:
        """Returns when the work of a call is done."""


class Ready(NamedTuple):
    """A contender that was compiled and found right, with the seconds of one call of each pass."""

    contender: Contender
    placed: Any
    seconds: dict[str, float]


def time_all(
    ready: Mapping[Entry, Ready],
    passes: Sequence[str],
    repeats: int,
    clock: Clock,
    *,
    slow_seconds: float = float("inf"),
    least: int = 1,
    found: dict[Entry, dict[str, Any]] | None = None,
) -> dict[Entry, dict[str, Any]]:
    """Times contenders in turn; fewer rounds where time runs short, yet at least one.

    Args:
      ready: What to time.
      passes: Names of passes.
      repeats: Rounds.
      clock: The time there is.
      slow_seconds: Contenders whose call takes longer take part in the first `least` rounds only,
        which then nobody warms up for: `Ready.seconds` comes of calls like these.
      least: Rounds that all take part in.
      found: Where results go, pass by pass, so that whatever ends the next one leaves them.

    Returns:
      By contender and pass: seconds of one call in each round, min_s, median_s, calls_per_round;
      or what became of it.
    """
    found = {entry: {} for entry in ready} if found is None else found
    for done, name in enumerate(passes):
        calls = {entry: calls_of(one.seconds[name]) for entry, one in ready.items()}
        guarded = {entry: _Guarded(one, name, calls[entry]) for entry, one in ready.items()}
        fast = [entry for entry, one in ready.items() if one.seconds[name] <= slow_seconds]
        share = clock.left() / (len(passes) - done)
        times: dict[Entry, list[float]] = {entry: [] for entry in ready}
        if len(fast) < len(ready):
            begin = clock.left()
            _alternate(guarded, min(least, repeats), 0, times)
            share -= begin - clock.left()
        round_s = sum(calls[entry] * ready[entry].seconds[name] for entry in fast)
        rounds = max(1, min(repeats, int(share / max(round_s, 1e-9)) - 1))
        rounds -= max((len(times[entry]) for entry in fast), default=0)
        if fast and rounds > 0:
            _alternate({entry: guarded[entry] for entry in fast}, rounds, 1, times)
        for entry, run in guarded.items():
            seconds = [total / run.calls for total in times[entry]]
            found[entry][name] = run.failure or {
                "seconds": seconds,
                "min_s": min(seconds),
                "median_s": statistics.median(seconds),
                "calls_per_round": run.calls,
            }
    return found


def _alternate(
    runs: Mapping[Entry, Callable[[], None]],
    rounds: int,
    warm_up: int,
    times: dict[Entry, list[float]],
) -> None:
    """Adds the seconds of each round to times."""
    found = report.alternate({str(e): run for e, run in runs.items()}, rounds, warm_up=warm_up)
    for entry in runs:
        times[entry] += found[str(entry)]["seconds"]


class _Guarded:
    """A round of calls; what exhausts memory only now ends this contender, not the benchmark."""

    def __init__(self, ready: Ready, name: str, calls: int) -> None:
        self._ready, self._name, self.calls = ready, name, calls
        self.failure: dict[str, str] | None = None

    def __call__(self) -> None:
        if self.failure is not None:
            return
        contender, placed, _ = self._ready
        try:
            for _ in range(self.calls):
                result = contender.run(self._name, placed)
                if jax.default_backend() == "cpu":  # or JAX would begin the next one beside it
                    contender.wait(result)
            contender.wait(result)
        except Exception as error:  # what became of it is a result like others
            self.failure = failure_of(error)


def seconds(run: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def steady_seconds(run: Callable[[], Any]) -> float:
    """Of one call, the mean of as many as fill half a round."""
    begin, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - begin < round_seconds() / 2:
        run()
        calls += 1
    return (time.perf_counter() - begin) / calls


def calls_of(seconds: float) -> int:
    """As many calls of this length as fill a round."""
    return max(1, min(MOST_CALLS, round(round_seconds() / max(seconds, 1e-9))))


def round_seconds(kind: str | None = None) -> float:
    """Of a round, on a kind of device or on JAX's."""
    return ROUND_SECONDS["cpu" if (kind or jax.default_backend()) == "cpu" else "gpu"]
