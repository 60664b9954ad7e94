"""Trainings killed again and again by SIGKILL, which a process can neither see nor refuse.

That a kill fell inside the writing of a checkpoint is not taken on trust: the half-written folder
must lie there afterwards.
"""

from __future__ import annotations

import dataclasses
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.soak.trainings import Training, catch_saving, contents, differences, sleep, wait_until

MOST_IN_A_ROW = 5
# Every second kill is meant to fall inside a checkpoint.
_AIMS, _SHARES = ("anywhen", "step", "checkpoint"), (0.25, 0.25, 0.5)


@dataclasses.dataclass
class Tally:
    """What has come of the kills.

    Attributes:
      kills: Processes killed.
      inside: Of these, inside the writing of a checkpoint.
      survived: Kills whose run ended with the same bits as one undisturbed.
      runs: Run folders, each of one or more kills.
      faults: What went otherwise, a line each.
    """

    kills: int = 0
    inside: int = 0
    survived: int = 0
    runs: int = 0
    faults: list[str] = dataclasses.field(default_factory=list)


def kill(training: Training, aim: str, draw: np.random.Generator, usual: float) -> str:
    """Starts the command and kills it at a random moment.

    Args:
      training: The command.
      aim: "anywhen" from the start on, after a "step", or within a "checkpoint".
      draw: Where the randomness is from.
      usual: Seconds that the command takes undisturbed.

    Returns:
      "inside" where a checkpoint was left half-written, "outside", or "" where the command had
      ended before.

    Raises:
      RuntimeError: It failed before it could be killed.
    """
    before, size = training.half_written(), training.written()
    process = training.start()
    if aim == "anywhen":
        sleep(draw.uniform(0, usual), process)
    else:
        wait_until(lambda: training.written() > size, process)
        sleep(draw.uniform(0, 0.5), process)
    if aim == "checkpoint":
        catch_saving(training, process, draw)
    process.send_signal(signal.SIGKILL)
    _, told = process.communicate()
    if process.returncode == 0:
        return ""
    if process.returncode != -signal.SIGKILL:
        raise RuntimeError(f"ended with {process.returncode}: {told}")
    return "inside" if training.half_written() - before else "outside"


def kill_and_compare(
    new_training: Callable[[str], Training],
    whole: dict[str, Any],
    *,
    kills: int,
    usual: float,
    seed: int,
    say: Callable[[str], None],
) -> Tally:
    """Kills trainings, one to five times each, lets them end, and compares.

    Args:
      new_training: Makes the same command for a run folder of a name.
      whole: The `contents` of an undisturbed run.
      kills: How many.
      usual: Seconds that the command takes undisturbed.
      seed: Of all that is random.
      say: Is told how each run went.
    """
    draw, tally = np.random.default_rng(seed), Tally()
    while tally.kills < kills:
        training = new_training(f"killed_{tally.runs}")
        hits: list[str] = []
        try:
            for _ in range(min(int(draw.integers(1, MOST_IN_A_ROW + 1)), kills - tally.kills)):
                hit = kill(training, str(draw.choice(_AIMS, p=_SHARES)), draw, usual)
                if not hit:  # it was faster
                    break
                hits.append(hit)
            training.finish()
            differing = differences(whole, contents(training.run))
        except (RuntimeError, OSError, ValueError, subprocess.TimeoutExpired) as error:
            differing = [str(error)]
        tally.kills += len(hits)
        tally.inside += hits.count("inside")
        tally.survived += 0 if differing else len(hits)
        tally.runs += 1
        tally.faults += [f"{training.run.name} (killed {', '.join(hits)}): {d}" for d in differing]
        say(
            f"{training.run.name}: killed {', '.join(hits) or 'never'}: "
            f"{'equal' if not differing else 'DIFFERS'}; {tally.kills} of {kills}"
        )
    return tally
