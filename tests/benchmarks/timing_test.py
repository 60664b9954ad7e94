"""Contenders are timed in turn; the slow ones less often, nobody never."""

import time
from typing import Any

import pytest

from benchmarks import timing
from benchmarks.contenders import Entry


class Sleeper:
    """A contender that sleeps, and counts how often."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.calls = seconds, 0

    def run(self, name: str, placed: Any) -> None:
        self.calls += 1
        time.sleep(self.seconds)

    def wait(self, result: Any) -> None:
        del result


@pytest.mark.parametrize(("minutes", "rounds"), [(1.0, 3), (0.0, 2)])
def test_slow_contenders_have_fewer_rounds(minutes: float, rounds: int) -> None:
    slow, fast = Sleeper(0.03), Sleeper(0.001)
    entries = Entry("slow", "float32"), Entry("fast", "float32")
    ready = {
        entry: timing.Ready(one, None, {"pass": one.seconds})
        for entry, one in zip(entries, (slow, fast), strict=True)
    }
    found = timing.time_all(ready, ["pass"], 3, timing.Clock(minutes), slow_seconds=0.01, least=2)
    times = {entry.method: found[entry]["pass"] for entry in entries}
    assert [len(times[name]["seconds"]) for name in ("slow", "fast")] == [2, rounds]
    assert times["slow"]["calls_per_round"] == timing.calls_of(0.03)
    assert slow.calls == 2 * times["slow"]["calls_per_round"]
    assert times["slow"]["min_s"] == min(times["slow"]["seconds"]) >= 0.03
    assert 0.001 <= times["fast"]["median_s"] < 0.03
