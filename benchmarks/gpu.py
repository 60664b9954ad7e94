"""Everything that waits for a GPU, in one command of under nine minutes.

    pip install -e ".[cuda,dev,bench]"
    python benchmarks/gpu.py

The tests marked `gpu`; then the tuner, whose tiles the rest uses; then `label_attention.py` on the
paper's shapes.  Each part gets its share of `--minutes`, and what it wrote stays when a later one
fails.  Nothing is downloaded; the least that must be there is jax for the card, flax, optax, numpy,
scipy, absl-py and pytest (torch is the rival, matplotlib draws).

To keep afterwards: kernels/axml_kernels/tuned_tiles.json, which makes the Pallas kernels the
default on this card, and the new files in benchmarks/results.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags

ROOT = Path(__file__).resolve().parent.parent

MINUTES = flags.DEFINE_float("minutes", 8.5, "time for all parts", lower_bound=0.1)
OUT = flags.DEFINE_string("out", None, "folder of the results; benchmarks/results by default")

# Shares of the time; what one leaves over, the next ones have.
SHARES = {"tests": 0.25, "tiles": 0.3, "label_attention": 0.45}


def command(part: str, minutes: float, out: Sequence[str]) -> list[str]:
    """The command line of a part that is to take so many minutes."""
    scripts = ROOT / "benchmarks"
    if part == "tests":
        return [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/kernels"]
    script = {"tiles": "tune_tiles.py", "label_attention": "label_attention.py"}[part]
    return [sys.executable, str(scripts / script), f"--minutes={minutes:.2f}", *out]


def minutes() -> float:
    """Time for all parts."""
    return MINUTES.value


def run_all(out: Sequence[str]) -> None:
    """Runs the parts one after the other; exits with 1 if one failed, when all have run."""
    begin = time.monotonic()
    environment = {**os.environ, "AXML_TEST_PLATFORM": "gpu", "PYTHONUNBUFFERED": "1"}
    paths = [str(ROOT), str(ROOT / "kernels"), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    failed = []
    left_share = 1.0
    for part, share in SHARES.items():
        left = 60 * minutes() - (time.monotonic() - begin)
        seconds = left * share / left_share
        left_share -= share
        print(f"== {part}: at most {seconds / 60:.1f} minutes", flush=True)
        try:
            # The scripts plan for their time; a little more lets them write what they have.
            done = subprocess.run(
                command(part, 0.9 * seconds / 60, out),
                cwd=ROOT,
                env=environment,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            failed.append(f"{part} (out of time)")
        else:
            if done.returncode:
                failed.append(part)
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
    run_all([f"--out={OUT.value}"] if OUT.value else [])


if __name__ == "__main__":
    app.run(main)
