"""What contenders of any benchmark share: names, PyTorch's set-up, failures told apart, errors.

PyTorch is imported when a contender asks for it.  Knows nothing of what is compared.
"""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

import jax
import numpy as np

from axml_jax import runs
from benchmarks import report

# Precision by name: the arrays' dtype, and what JAX's matrix products may make of them.
PRECISIONS = {
    "float32": ("float32", "highest"),
    "tf32": ("float32", "default"),
    "bfloat16": ("bfloat16", "default"),
}
# What can become of a contender, as keys of its results.
FAILURES = (
    "not_implemented", "out_of_memory", "left_out", "unavailable", "failed", "wrong", "skipped",
)  # fmt: skip
_EXHAUSTED = re.compile(r"RESOURCE_EXHAUSTED|[Oo]ut of memory|can't allocate memory")


class Entry(NamedTuple):
    """A contender: how it computes, and in which precision."""

    method: str
    precision: str

    def __str__(self) -> str:
        return f"{self.method} {self.precision}"


class UnavailableError(Exception):
    """A contender that cannot run here, and why."""


def failure_of(error: BaseException) -> dict[str, str]:
    """What became of a contender that did not run, and its message in one line."""
    message = report.without_paths(" ".join(str(error).split()))[:400]
    message = message or type(error).__name__
    memory = isinstance(error, MemoryError) or _EXHAUSTED.search(message)
    if memory or type(error).__name__ == "OutOfMemoryError":
        return {"out_of_memory": message}
    if isinstance(error, UnavailableError):
        return {"unavailable": message}
    if isinstance(error, NotImplementedError):
        return {"not_implemented": message}
    return {"failed": f"{type(error).__name__}: {message}"}


def is_fine(about: dict[str, Any]) -> bool:
    """Whether a contender has been found right and nothing has befallen it."""
    return "errors" in about and not any(failure in about for failure in FAILURES)


def import_torch() -> Any:
    """PyTorch, set to use all cores of this process; raises UnavailableError without it."""
    try:
        import torch
    except ImportError as error:
        raise UnavailableError('PyTorch is missing; it comes with the extra "bench".') from error
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    return torch


def torch_device() -> str:
    """PyTorch's name for the kind of device that JAX uses."""
    if jax.default_backend() == "cpu":
        return "cpu"
    if not import_torch().cuda.is_available():
        raise UnavailableError("PyTorch sees no GPU; this may be its build for CPUs.")
    return "cuda"


def about_torch() -> dict[str, Any] | None:
    """PyTorch's version, threads and how they wait; None without it."""
    try:
        torch = import_torch()
    except UnavailableError:
        return None
    return {
        "version": runs.versions(["torch"])["torch"],
        "threads": torch.get_num_threads(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
    }


def device_name() -> str:
    """What is measured on, for people."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        return device.device_kind
    about = report.environment()
    return f"{about['cores']['usable']} cores of {about['cpu']}"


def relative_error(array: np.ndarray, right: np.ndarray) -> float:
    """|array - right| / |right| in Euclidean norms; infinite where it is no number."""
    difference = float(np.linalg.norm((array - right).ravel()))
    size = float(np.linalg.norm(right.ravel()))
    error = difference / size if size else difference
    return error if np.isfinite(error) else float("inf")
