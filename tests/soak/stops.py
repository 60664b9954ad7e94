"""Trainings asked to end, by SIGTERM or Ctrl-C, at a chosen moment: how long it takes them."""

from __future__ import annotations

import json
import signal
import time
from typing import NamedTuple

import numpy as np

from tests.soak.trainings import SECONDS, Training, catch_saving, recorded_steps, sleep, wait_until

VALIDATES_EVERY = 3  # steps, by the flags of `trainings`


class Stopped(NamedTuple):
    """How a process has ended.

    Attributes:
      code: Its exit status.
      told: What it said.
      seconds: From the signal on.
      step: Of its latest state; 0 where there is none.
      due: Whether a validation was cut short.
    """

    code: int
    told: str
    seconds: float
    step: int
    due: bool

    def wrong(self, number: signal.Signals, within: str, most: float) -> list[str]:
        """What is not as it should be, a line each; nothing saved is right at the start only."""
        found = []
        if self.code != 128 + number:
            found.append(f"exit status {self.code}, not {128 + number}")
        if not any(line.startswith(f"stopped by {number.name}") for line in self._lines()[-1:]):
            found.append(f"it did not say that it was stopped, but: {self.told}")
        if "; the same command continues" not in self.told or "Traceback" in self.told:
            found.append(f"it did not say how to continue, but: {self.told}")
        if within != "start" and f"at step {self.step:,}, saved in" not in self.told:
            found.append(f"saved is step {self.step}, but it said: {self.told}")
        if within == "validation" and not self.due:
            found.append("the validation was not cut short")
        if self.seconds > most:
            found.append(f"{self.seconds:.1f} s to the end")
        return found

    def _lines(self) -> list[str]:
        return self.told.strip().splitlines()


def stop(training: Training, number: signal.Signals, within: str, seed: int) -> Stopped:
    """Starts the command, and sends it a signal.

    Args:
      training: The command.
      number: The signal.
      within: The "start" of a new run before its first step, a "step", a "checkpoint" or a
        "validation".
      seed: Of the random moment therein.
    """
    draw, run = np.random.default_rng(seed), training.run
    known, before = len(_lines(training)), set(_states(training))
    process = training.start()
    if within == "start":
        wait_until((run / "run.json").exists, process)
    elif within == "validation":
        wait_until(lambda: _validating(training, known), process)
        sleep(draw.uniform(0, 0.5), process)
    else:
        wait_until(lambda: len(_lines(training)) > known, process)
    if within == "checkpoint":
        catch_saving(training, process, draw)
    begin = time.monotonic()
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    _, told = process.communicate(timeout=SECONDS)
    seconds = time.monotonic() - begin
    step, due = max(_states(training), default=0), False
    if set(_states(training)) - before:
        saved = run / "checkpoints" / "latest" / str(step) / "counters" / "metadata"
        due = json.loads(saved.read_text())["due"]
    return Stopped(process.returncode, told, seconds, step, due)


def _lines(training: Training) -> list[str]:
    timings = training.run / "timings.jsonl"
    return timings.read_text().splitlines() if timings.exists() else []


def _states(training: Training) -> list[int]:
    return [
        int(path.name)
        for path in (training.run / "checkpoints" / "latest").glob("*")
        if path.name.isdecimal()
    ]


def _validating(training: Training, known: int) -> bool:
    """Whether a step has been taken after which a validation comes, whose result is not there."""
    if len(_lines(training)) <= known:
        return False
    steps = recorded_steps(training.run, "loss")
    validated = recorded_steps(training.run, "validation")
    return bool(steps) and steps[-1] % VALIDATES_EVERY == 0 and steps[-1] not in validated
