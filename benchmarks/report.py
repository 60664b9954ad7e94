"""What every benchmark shares: the file of results, where it was measured, and fair timing.

A benchmark calls `alternate` for its timings and `write` at its end.  Nothing here needs JAX,
but where it is installed its device is part of the result.
"""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from axml_jax import runs

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"

# Read at once: at the end the benchmark itself would be most of it.
_LOAD_BEFORE = round(os.getloadavg()[0], 2)

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "torch", "omikuji", "scikit-learn")
# The end of an absolute path, or one in the home folder: told from a ratio (1/2) or a relative
# path by what precedes it.
_PATH = re.compile(r"(?<![\w.~/])~?/(?:[^\s,=:/]+/)*([^\s,=:/]*)")


def write(name: str, results: Mapping[str, Any], out: Path | None = None) -> Path:
    """Writes the results of one benchmark with what is needed to read them later.

    Args:
      name: Name of the benchmark; the file is NAME.json.
      results: Shapes, times, ratios; NumPy numbers and arrays are welcome.
      out: Folder of the file; benchmarks/results where None.

    Returns:
      The path of the file, whose keys are sorted.

    Raises:
      ValueError: A key of `environment` is in the results too, or a number is not finite.
    """
    about = environment()
    taken = sorted(about.keys() & results.keys())
    if taken:
        raise ValueError(f"These keys of the results are set by the report: {', '.join(taken)}.")
    text = json.dumps(
        {**about, **results}, indent=1, sort_keys=True, allow_nan=False, default=_plain
    )
    folder = RESULTS if out is None else Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    partial = path.with_suffix(".partial")  # an interrupted run leaves the old results whole
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def environment() -> dict[str, Any]:
    """Describes where and with what something is measured.

    Returns:
      device (backend, kind and count of JAX's devices; None without JAX), cpu, cores (all, and
      those this process may use), load (mean number of busy processes in the minute before the
      benchmark began),
      versions, commit and dirty when the benchmark began (None without git), date (UTC), command
      (no absolute paths).
    """
    return {
        "device": _device(),
        "cpu": _cpu(),
        "cores": {"machine": os.cpu_count(), "usable": len(os.sched_getaffinity(0))},
        "load": _LOAD_BEFORE,
        "versions": _versions(),
        **_CODE,
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": _command(sys.argv),
    }


def alternate(
    rivals: Mapping[str, Callable[[], Any]], repeats: int, *, warm_up: int = 1
) -> dict[str, dict[str, Any]]:
    """Times rivals in turn, so that whatever slows the machine down slows all of them down.

    Every other round runs in reverse order.  JAX arrays a rival returns are waited for.

    Args:
      rivals: Functions without arguments by name; the first is what the others are compared with.
      repeats: Rounds that are timed.
      warm_up: Rounds before them that are not: compilation, caches.

    Returns:
      By name: seconds (each round), min_s, median_s, and min_ratio and median_ratio, this rival's
      time divided by the first one's: above 1 is slower than the first.

    Raises:
      ValueError: No rivals or no rounds.
    """
    if not rivals or repeats < 1:
        raise ValueError(f"There should be rivals and rounds; got {len(rivals)} and {repeats}.")
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for turn in range(-warm_up, repeats):
        for name in list(rivals)[:: -1 if turn % 2 else 1]:
            begin = time.perf_counter()
            _wait_for(rivals[name]())
            taken = time.perf_counter() - begin
            if turn >= 0:
                seconds[name].append(taken)
    first = seconds[next(iter(rivals))]
    return {
        name: {
            "seconds": times,
            "min_s": min(times),
            "median_s": statistics.median(times),
            "min_ratio": _ratio(min(times), min(first)),
            "median_ratio": _ratio(statistics.median(times), statistics.median(first)),
        }
        for name, times in seconds.items()
    }


def slug(device: str) -> str:
    """A device's name as part of a file's: "NVIDIA H200" gives "h200"."""
    return re.sub(r"[^a-z0-9]+", "_", device.lower().removeprefix("nvidia ")).strip("_")


def _ratio(time_taken: float, first: float) -> float | None:
    return time_taken / first if first > 0 else None  # too short for the clock


def _wait_for(result: Any) -> None:
    if "jax" in sys.modules:  # otherwise nothing can be under way
        sys.modules["jax"].block_until_ready(result)


def _device() -> dict[str, Any] | None:
    try:
        import jax
    except ImportError:
        return None
    devices = jax.devices()
    kind = devices[0].device_kind
    return {"backend": jax.default_backend(), "kind": kind, "count": len(devices)}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str | None]:
    found = runs.versions(_PACKAGES)
    return {**found, **{package: found.get(package) for package in _PACKAGES}}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def without_paths(text: str) -> str:
    """Leaves of every absolute path its last part: a result tells nothing of somebody's disk."""
    return _PATH.sub(r"\1", text)


def code() -> dict[str, Any]:
    """The commit of the code, and whether files differ from it; None each without git."""
    # The results themselves are left out: one benchmark must not make the next one's tree dirty.
    changes = _git("status", "--porcelain", "--", ".", ":!benchmarks/results")
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": None if changes is None else bool(changes),
    }


# Read at once, too: the code that is measured is the one that was imported.
_CODE = code()


def _command(arguments: Sequence[str]) -> str:
    script, *flags = arguments or ("",)
    return " ".join([Path(script).name, *map(without_paths, flags)])


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # NumPy and JAX numbers and arrays
        return value.tolist()
    if isinstance(value, Path):
        return value.name
    raise TypeError(f"A result is {type(value).__name__}, which JSON does not know.")
