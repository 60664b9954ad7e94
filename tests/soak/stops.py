"""Trainings asked to end, by a signal, at a chosen moment: how long it takes them."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.soak.trainings import SECONDS, Training, catch_saving, recorded_steps, sleep, wait_until

VALIDATES_EVERY = 3  # steps, by the flags of `trainings`
KINDS = ("imports", "start", "step", "twice", "checkpoint", "validation")
"""Of moments: see `stop`."""

_SAVES = ("step", "checkpoint", "validation")
_GAP_SECONDS = 0.15  # between two signals


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
        """What is not as it should be, a line each; nothing saved is right where nothing can be."""
        found = []
        # Python's own last moments have no handlers; a shell has the same number for both.
        if self.code not in (128 + number, -number if within == "twice" else 128 + number):
            found.append(f"exit status {self.code}, not {128 + number}")
        stopped = [line.startswith(f"stopped by {number.name}") for line in self._lines()]
        if stopped.count(True) != 1 or not stopped[-1]:
            found.append(f"it did not say once that it was stopped, but: {self.told}")
        begins = within == "imports" and "; the same command begins again" in self.told
        continues = "; the same command continues" in self.told
        if not (begins or continues) or "Traceback" in self.told:
            found.append(f"it did not say how to continue, but: {self.told}")
        if within in _SAVES and f"at step {self.step:,}, saved in" not in self.told:
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
      within: The first second, of "imports"; the "start" of a new run before its first step; a
        "step", and there "twice"; a "checkpoint" or a "validation".
      seed: Of the random moment therein.
    """
    draw, run = np.random.default_rng(seed), training.run
    known, before = len(_lines(training)), set(_states(training))
    # In a shell's background SIGINT is ignored, under nohup SIGHUP, and by what is started too.
    ours = signal.signal(number, signal.default_int_handler)
    process = training.start()
    signal.signal(number, ours)
    if within == "imports":
        wait_until(lambda: _hears(process, number), process)
        sleep(draw.uniform(0, 1), process)
    elif within == "start":
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
    if within == "twice":
        sleep(_GAP_SECONDS, process)
        process.send_signal(number)
    _, told = process.communicate(timeout=SECONDS)
    seconds = time.monotonic() - begin
    step, due = max(_states(training), default=0), False
    if set(_states(training)) - before:
        saved = run / "checkpoints" / "latest" / str(step) / "counters" / "metadata"
        due = json.loads(saved.read_text())["due"]
    return Stopped(process.returncode, told, seconds, step, due)


def _hears(process: subprocess.Popen[str], number: int) -> bool:
    """Whether Linux has a handler of the process for this signal, other than Python's."""
    name, both = "SigCgt:", 1 << number - 1 | 1 << signal.SIGTERM - 1
    status = Path(f"/proc/{process.pid}/status").read_text()
    (caught,) = (int(line[len(name) :], 16) for line in status.splitlines() if name in line)
    return caught & both == both


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
