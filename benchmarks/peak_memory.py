"""The memory that work really takes, in a process of its own.

- On a CPU: the process's largest resident set while the work is done, less its resident set just
  before.  The mark is reset (Linux: "5" to clear_refs) and glibc is told to give freed arrays back,
  so what earlier work has freed does not hide what this takes.
- On a GPU: the allocator's largest number of bytes in use, JAX's or PyTorch's own, less those in
  use just before.  JAX's mark cannot be reset: `at_most` says that the work stayed below it.

Knows nothing of what the work is.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from benchmarks.contenders import UnavailableError, failure_of, import_torch

# Arrays above this many bytes come from the system and go back to it, whatever went before.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "1048576", "MALLOC_TRIM_THRESHOLD_": "1048576"}


def in_process(
    script: str,
    wish: Mapping[str, Any],
    count: int,
    timeout_s: float,
    more_environment: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Runs a script in a fresh process that gives a line of JSON for each thing measured.

    Args:
      script: Path of the script; its only argument is the wish as JSON.
      wish: What the script is to measure.
      count: How many lines are expected.
      timeout_s: Seconds after which the process is ended.
      more_environment: Variables of its environment beside this process's.

    Returns:
      `count` results; for those that are missing what became of them (see `failure_of`).
    """
    environment = {**os.environ, **_MALLOC, **(more_environment or {})}
    try:
        done = subprocess.run(
            [sys.executable, script, json.dumps(wish)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        output, reason = _text(error.stdout), {"skipped": "no time was left"}
    else:
        output, reason = done.stdout, _reason(done.returncode, done.stderr)
    found = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [*found, *[reason] * (count - len(found))]


def _text(output: Any) -> str:
    return output.decode() if isinstance(output, bytes) else output or ""


def _reason(status: int, complaint: str) -> dict[str, str]:
    if status == -9:
        return {"out_of_memory": "the system ended the process (signal 9)"}
    last = (complaint.strip().splitlines() or [""])[-1]
    return failure_of(RuntimeError(f"the process ended with status {status}: {last}"))


class _Resident:
    """Of this process, on Linux."""

    def begin(self) -> None:
        with contextlib.suppress(AttributeError, OSError):  # another C library than glibc
            ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        self._before = self._read("VmRSS")

    def end(self) -> dict[str, Any]:
        return {"peak_bytes": max(0, self._read("VmHWM") - self._before)}

    def _read(self, field: str) -> int:
        status = Path("/proc/self/status").read_text()
        found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
        if found is None:
            raise UnavailableError(f"The system does not tell {field}.")
        return 1024 * int(found.group(1))


class _JaxDevice:
    """Of JAX's allocator."""

    def begin(self) -> None:
        self._before = jax.devices()[0].memory_stats()

    def end(self) -> dict[str, Any]:
        peak = jax.devices()[0].memory_stats()["peak_bytes_in_use"]
        return {
            "peak_bytes": peak - self._before["bytes_in_use"],
            "at_most": peak <= self._before["peak_bytes_in_use"],
        }


class _TorchDevice:
    """Of PyTorch's allocator."""

    def begin(self) -> None:
        cuda = import_torch().cuda
        cuda.reset_peak_memory_stats()
        self._before = cuda.memory_allocated()

    def end(self) -> dict[str, Any]:
        peak = import_torch().cuda.max_memory_allocated()
        return {"peak_bytes": peak - self._before, "at_most": False}


def gauge(of_torch: bool) -> _Resident | _JaxDevice | _TorchDevice:
    """What measures on this device: `begin()` before, `end()` after, which gives the figures."""
    if jax.default_backend() == "cpu":
        return _Resident()
    return _TorchDevice() if of_torch else _JaxDevice()
