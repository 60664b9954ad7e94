"""What `make soak` runs: kills, signals, hostile inputs, many of each.  One report, one verdict.

    python -m tests.soak.soak --kills 50 --seconds_per_target 60

Exits with 1 if a run that was killed or stopped differs in a bit from one that was not, if a signal
was not heeded in time, if an input crashed what read it, or if a part could not be done at all.
"""

from __future__ import annotations

import argparse
import logging
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from axml_jax.stopping import SIGNALS
from tests.soak.kills import Tally, kill_and_compare
from tests.soak.stops import KINDS, Stopped, stop
from tests.soak.trainings import (
    ROOT,
    Training,
    contents,
    differences,
    environment,
    make_store,
    recorded_steps,
)

EPOCHS = 6
STOP_SECONDS = 20.0  # "within seconds", on a machine that does other things too
# 36,000 documents: validating them takes seconds, so that a signal can come in between.
VALID_TIMES = 2000
FUZZER = ROOT / "tests" / "fuzz" / "coverage_guided.py"
_TRIED = re.compile(r"inputs tried: ([\d,]+)  crashes: (\d+)")


def say(line: str) -> None:
    """Prints a line at once."""
    print(line, flush=True)


def soak_kills(folder: Path, kills: int, seed: int) -> Tally:
    """Kills trainings and compares them with one that was let alone."""
    store = make_store(folder / "store")

    def new_training(name: str) -> Training:
        return Training(store, folder / name, EPOCHS, folder / "compiled")

    new_training("compiles").finish()
    whole, begin = new_training("whole"), time.monotonic()
    whole.finish()
    usual = time.monotonic() - begin
    tally = kill_and_compare(
        new_training, contents(whole.run), kills=kills, usual=usual, seed=seed, say=say
    )
    # Equal to something that is wrong itself would be no proof.
    steps = recorded_steps(whole.run, "loss")
    if steps != list(range(1, 6 * EPOCHS + 1)):
        tally.faults.append(f"the undisturbed run recorded the steps {steps}")
    return tally


def soak_signals(folder: Path) -> tuple[list[Stopped], list[str]]:
    """Sends each signal at each kind of moment; returns how each went, and what went wrong."""
    store = make_store(folder / "long_store", VALID_TIMES)
    whole = Training(store, folder / "long_whole", 2, folder / "compiled")
    whole.finish()
    stops, faults = [], []
    for number in SIGNALS:
        training = Training(store, folder / f"stopped_{number.name}", 2, folder / "compiled")
        for within in KINDS:
            stopped = stop(training, number, within, seed=0)
            stops.append(stopped)
            found = stopped.wrong(number, within, STOP_SECONDS)
            faults += [f"{number.name}, {within}: {wrong}" for wrong in found]
            say(
                f"{number.name}, {within}: {stopped.seconds:.1f} s to the end, "
                f"step {stopped.step}{', validation cut short' if stopped.due else ''}"
            )
        training.finish()
        differing = differences(contents(whole.run), contents(training.run))
        faults += [f"{training.run.name} differs: {name}" for name in differing]
    return stops, faults


def soak_inputs(folder: Path, seconds_per_target: float) -> tuple[int, int, list[str]]:
    """Runs the fuzzer; returns inputs tried, crashes, and why it could not be run."""
    command = [sys.executable, str(FUZZER), f"--seconds_per_target={seconds_per_target}"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(folder), stdout=subprocess.PIPE, text=True, check=False
    )
    say(done.stdout.rstrip())
    last = (done.stdout.strip().splitlines() or ["it said nothing"])[-1]
    tried = _TRIED.match(last)
    if tried is None or done.returncode not in (0, 1):
        return 0, 0, [f"inputs: the fuzzer ended with {done.returncode}: {last}"]
    return int(tried.group(1).replace(",", "")), int(tried.group(2)), []


def main(arguments: Sequence[str] | None = None) -> int:
    """Does all parts and prints what came of them; 0 where nothing went wrong."""
    parser = argparse.ArgumentParser(description="Kills, signals and hostile inputs, many of each.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seconds_per_target", type=float, default=60.0, help="Of the fuzzer.")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    # orbax warns of each folder that is read without what the package wrote beside it.
    logging.getLogger("absl").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="axml_soak_") as name:
        folder = Path(name)
        say("== kill -9, again and again")
        tally = soak_kills(folder, given.kills, given.seed)
        say("== signals")
        stops, faults = soak_signals(folder)
        say("== inputs")
        inputs, crashes, unusable = soak_inputs(folder, given.seconds_per_target)
    faults = [*tally.faults, *faults, *unusable]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    say("== outcome")
    for fault in faults:
        say(f"WRONG: {fault}")
    say(f"kills survived     {tally.survived} of {tally.kills}, in {tally.runs} runs")
    say(f"inside a checkpoint {tally.inside}")
    say(f"slowest stop       {max(stopped.seconds for stopped in stops):.1f} s of {len(stops)}")
    say(f"inputs tried       {inputs:,}")
    say(f"crashes            {crashes}")
    say(f"peak memory        {peak:,.0f} MiB, of the largest process")
    good = not faults and not crashes and tally.survived == tally.kills and tally.inside > 0
    say("all as it should be" if good else "NOT as it should be")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
