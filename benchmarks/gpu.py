"""Everything that waits for a GPU, in three commands of under nine minutes each.

    pip install -e ".[cuda,dev,bench]"
    python benchmarks/gpu.py                 # label attention
    python benchmarks/gpu.py --do=training   # training steps
    python benchmarks/gpu.py --do=shapes     # training: lengths as they are, parts, sizes

The first runs the tests of the kernels marked `gpu`; then the tuner, whose tiles and verdicts the
rest uses; then `label_attention.py` on the paper's shapes.  The second runs the other tests marked
`gpu`; `bilstm.py`, by which the faster recurrent layer becomes this card's default at the widths of
the paper's models; and of `train_step.py` the times and what they mean for a whole data set.  The
third is the rest of `train_step.py`: documents of all lengths, where the time goes, how it grows.
`--parts` names single parts.  Each part gets its share of `--minutes`, and what it wrote stays when
a later one fails; only the tiles, which may make the kernels the default, need that no test of the
kernels has failed.  Running out of time is no failure of a test.

Nothing is downloaded; what must be there is jax for the card, jaxtyping, flax, optax, numpy,
scipy, absl-py and pytest (torch is the rival, matplotlib draws).

To keep afterwards: kernels/axml_kernels/tuned_tiles.json, by which the Pallas kernels become the
default on this card where they won, axml_jax/models/measured_bilstm.json, and the new files in
benchmarks/results; with --out all of them are in that folder.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from absl import app, flags

ROOT = Path(__file__).resolve().parent.parent
MINUTES = 8.7
# What a script leaves of its time: it is to start, and to write.
RESERVE_SECONDS = 20
GRACE_SECONDS = 8
# Imported by what runs here, beside the standard library; jax is asked for its devices.
NEEDED = ("absl", "flax", "jaxtyping", "numpy", "optax", "pytest", "scipy")


class Part(NamedTuple):
    """What can be asked for.

    Attributes:
      share: Of the time of its command; what one part leaves over, the next ones have.
      what: A script, or folders of tests.
      flags: The script's.
    """

    share: float
    what: tuple[str, ...]
    flags: tuple[str, ...] = ()


STEPS = ("benchmarks/train_step.py",)
PARTS = {
    "tests": Part(0.18, ("tests/kernels",)),
    "tiles": Part(0.17, ("benchmarks/tune_tiles.py",)),
    "label_attention": Part(0.65, ("benchmarks/label_attention.py",)),
    "training_tests": Part(0.12, ("tests/models", "tests/launch")),
    "recurrence": Part(
        0.2,
        ("benchmarks/bilstm.py",),
        ("--shape=eurlex", "--shape=amazoncat", "--precision=tf32", "--unroll=1", "--keep"),
    ),
    "steps": Part(0.36, STEPS, ("--nomemory", "--noparts", "--nosweeps", "--extrapolate=")),
    "extrapolation": Part(0.32, STEPS, ("--shapes=", "--nosweeps")),
    "ragged": Part(
        0.4,
        STEPS,
        ("--ragged", "--shapes=amazoncat", "--nomemory", "--noparts", "--nosweeps",
         "--extrapolate="),
    ),
    "where": Part(0.25, STEPS, ("--notime", "--nomemory", "--nosweeps", "--extrapolate=")),
    "sweeps": Part(0.35, STEPS, ("--shapes=", "--extrapolate=", "--sweeps")),
}  # fmt: skip
COMMANDS = {
    "label_attention": ("tests", "tiles", "label_attention"),
    "training": ("training_tests", "recurrence", "steps", "extrapolation"),
    "shapes": ("ragged", "where", "sweeps"),
}


def command(part: str, seconds: float, out: Sequence[str]) -> list[str]:
    """The command line of a part that is to take so many seconds."""
    what = PARTS[part].what
    if not what[0].endswith(".py"):
        return [sys.executable, "-m", "pytest", "-v", "--color=no", "-m", "gpu", *what]
    minutes = max(seconds / 2, seconds - RESERVE_SECONDS) / 60
    given = f"--minutes={minutes:.2f}", *out, *PARTS[part].flags
    return [sys.executable, str(ROOT / what[0]), *given]


def run(
    line: Sequence[str],
    environment: dict[str, str],
    seconds: float,
    listen: Callable[[str], None] | None = None,
) -> str | None:
    """Runs a command with all that it starts.

    Args:
      line: The command line.
      environment: Its variables.
      seconds: What it may take.
      listen: Called with each line that it prints.

    Returns:
      None if it did well in time, else what happened.
    """
    pipe = None if listen is None else subprocess.PIPE
    process = subprocess.Popen(
        line, cwd=ROOT, env=environment, start_new_session=True, stdout=pipe, text=True
    )
    reader = threading.Thread(target=_pass_on, args=(process.stdout, listen), daemon=True)
    reader.start()
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        # First asked, so that it can write what it has.
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)
        return "out of time"
    finally:
        reader.join(GRACE_SECONDS)  # what was printed last
        if process.stdout is not None:
            process.stdout.close()
    return f"exit status {code}" if code else None


def _pass_on(lines: IO[str] | None, listen: Callable[[str], None] | None) -> None:
    if lines is not None and listen is not None:
        for line in lines:
            print(line, end="", flush=True)
            listen(line)


def run_all(parts: Sequence[str], minutes: float, out: Sequence[str], programs: str) -> None:
    """Runs parts one after the other; exits with 1 if one failed, when all have run.

    Args:
      parts: Names of parts.
      minutes: Time for all.
      out: Further arguments of the scripts.
      programs: A folder for compiled programs, unless the environment names one.
    """
    begin = time.monotonic()
    environment = {**os.environ, "AXML_TEST_PLATFORM": "gpu", "PYTHONUNBUFFERED": "1"}
    paths = [str(ROOT), str(ROOT / "kernels"), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    # What several parts compile is compiled once.
    environment.setdefault("JAX_COMPILATION_CACHE_DIR", programs)
    failed: list[str] = []
    broken: list[str] = []  # lines of tests

    def listen(line: str) -> None:
        if "::" in line and (" FAILED" in line or " ERROR" in line):
            broken.append(line)

    rest = sum(PARTS[part].share for part in parts)
    for part in parts:
        left = 60 * minutes - (time.monotonic() - begin)
        seconds = left * PARTS[part].share / rest
        rest -= PARTS[part].share
        if part == "tiles" and broken:
            failed.append("tiles (not run: a test failed)")
            continue
        print(f"== {part}: at most {seconds / 60:.1f} minutes", flush=True)
        tests = part == "tests"
        outcome = run(command(part, seconds, out), environment, seconds, listen if tests else None)
        if outcome is not None:
            failed.append(f"{part} ({outcome})")
            if tests and outcome != "out of time" and not broken:
                broken.append(outcome)  # they did not even begin
    print(f"== {time.monotonic() - begin:.0f} s; failed: {', '.join(failed) or 'nothing'}")
    sys.exit(1 if failed else 0)


def what_is_missing() -> str | None:
    """Why nothing here would be measured; None if all is there."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return (
            f"not installed: {', '.join(missing)}; install with: pip install -e '.[cuda,dev,bench]'"
        )
    probe = "import jax; print(jax.default_backend())"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False
    )
    if done.stdout.strip() != "gpu":
        return (
            f"JAX sees no GPU (its backend is {done.stdout.strip() or 'none'!r}); with one in the "
            "machine, install JAX for it: pip install -e '.[cuda]'"
        )
    return None


def main(_: Sequence[str]) -> None:
    given = flags.FLAGS
    parts = given.parts or COMMANDS[given.do]
    for part in parts:
        if part not in PARTS:
            sys.exit(f"--parts: {part!r} should be one of {', '.join(PARTS)}.")
    missing = what_is_missing()
    if missing is not None:
        sys.exit(f"Nothing was run: {missing}.")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as programs:
        run_all(parts, given.minutes, [f"--out={given.out}"] if given.out else [], programs)


if __name__ == "__main__":
    flags.DEFINE_enum("do", "label_attention", list(COMMANDS), "which of the three commands")
    flags.DEFINE_list("parts", [], f"single parts instead, of {', '.join(PARTS)}")
    flags.DEFINE_float("minutes", MINUTES, "time for all parts", lower_bound=0.1)
    flags.DEFINE_string("out", None, "folder of the results; benchmarks/results by default")
    app.run(main)
