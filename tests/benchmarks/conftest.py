"""Starts the scripts of benchmarks/ as a user does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_python(tmp_path: Path, user_environment: dict[str, str]) -> Run:
    """run_python(*arguments, **environment) starts Python in `tmp_path`."""

    def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**user_environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run_python


@pytest.fixture
def run_benchmark(root: Path, run_python: Run) -> Run:
    """run_benchmark(NAME, *flags, **environment) runs benchmarks/NAME.py in `tmp_path`."""

    def run_benchmark(
        name: str, *flags: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return run_python(str(root / "benchmarks" / f"{name}.py"), *flags, **environment)

    return run_benchmark


@pytest.fixture
def run_source(run_python: Run) -> Callable[[str], Any]:
    """run_source(SOURCE) gives the JSON that Python source prints in `tmp_path`.

    In a process of its own, for a benchmark that is imported defines flags.
    """

    def run_source(source: str) -> Any:
        done = run_python("-c", source)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run_source
