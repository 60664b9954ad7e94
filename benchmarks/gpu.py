"""Everything that waits for a GPU, in one command of under nine minutes.

    pip install -e ".[cuda,dev,bench]"
    python benchmarks/gpu.py

The tests marked `gpu`; then the tuner, whose tiles the rest uses; then `label_attention.py` and
`train_step.py` on the paper's shapes.  Each part gets its share of `--minutes`, and what it wrote
stays when a later one fails; only the tiles, which make the kernels the default, need the tests to
have passed.  Nothing is downloaded; the least that must be there is jax for the card, flax, optax,
numpy, scipy, absl-py and pytest (torch is the rival, matplotlib draws).

To keep afterwards: kernels/axml_kernels/tuned_tiles.json, which makes the Pallas kernels the
default on this card, and the new files in benchmarks/results.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags

ROOT = Path(__file__).resolve().parent.parent

# Shares of the time; what one leaves over, the next ones have.
SHARES = {"tests": 0.27, "tiles": 0.22, "label_attention": 0.27, "train_step": 0.24}
GRACE_SECONDS = 10


def command(part: str, minutes: float, out: Sequence[str]) -> list[str]:
    """The command line of a part that is to take so many minutes."""
    scripts = ROOT / "benchmarks"
    if part == "tests":
        return [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/kernels"]
    script = "tune_tiles.py" if part == "tiles" else f"{part}.py"
    return [sys.executable, str(scripts / script), f"--minutes={minutes:.2f}", *out]


def run(line: Sequence[str], environment: dict[str, str], seconds: float) -> str | None:
    """Runs a command with all that it starts; None if it did well in time, else what happened."""
    process = subprocess.Popen(line, cwd=ROOT, env=environment, start_new_session=True)
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
    return f"exit status {code}" if code else None


def run_all(minutes: float, out: Sequence[str]) -> None:
    """Runs the parts one after the other; exits with 1 if one failed, when all have run.

    Args:
      minutes: Time for all parts.
      out: Further arguments of the scripts.
    """
    begin = time.monotonic()
    environment = {**os.environ, "AXML_TEST_PLATFORM": "gpu", "PYTHONUNBUFFERED": "1"}
    paths = [str(ROOT), str(ROOT / "kernels"), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    failed: list[str] = []
    left_share = 1.0
    for part, share in SHARES.items():
        left = 60 * minutes - (time.monotonic() - begin)
        seconds = left * share / left_share
        left_share -= share
        if part == "tiles" and failed:
            failed.append("tiles (not run: the tests did not pass)")
            continue
        print(f"== {part}: at most {seconds / 60:.1f} minutes", flush=True)
        # The scripts plan for their time; a little more lets them write what they have.
        outcome = run(command(part, 0.9 * seconds / 60, out), environment, seconds)
        if outcome is not None:
            failed.append(f"{part} ({outcome})")
    print(f"== {time.monotonic() - begin:.0f} s; failed: {', '.join(failed) or 'nothing'}")
    sys.exit(1 if failed else 0)


def what_is_missing() -> str | None:
    """Why nothing here would be measured; None if all is there."""
    if importlib.util.find_spec("pytest") is None:
        return "pytest is not installed; install it with: pip install -e '.[cuda,dev,bench]'"
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
    missing = what_is_missing()
    if missing is not None:
        sys.exit(f"Nothing was run: {missing}.")
    run_all(flags.FLAGS.minutes, [f"--out={flags.FLAGS.out}"] if flags.FLAGS.out else [])


if __name__ == "__main__":
    flags.DEFINE_float("minutes", 8.5, "time for all parts", lower_bound=0.1)
    flags.DEFINE_string("out", None, "folder of the results; benchmarks/results by default")
    app.run(main)
