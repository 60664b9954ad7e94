"""Starts the scripts of launch/ as a user does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def launch_environment(user_environment: dict[str, str], compilation_cache: Path) -> dict[str, str]:
    """`user_environment`, in which equal programs are compiled once."""
    return {
        **user_environment,
        "JAX_COMPILATION_CACHE_DIR": str(compilation_cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


@pytest.fixture
def launch(
    root: Path, tmp_path: Path, launch_environment: dict[str, str]
) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """launch(NAME, *arguments, input=bytes, **environment) runs launch/NAME.py in `tmp_path`."""

    def launch(
        name: str, *arguments: str, input: bytes = b"", **environment: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, str(root / "launch" / f"{name}.py"), *arguments],
            cwd=tmp_path,
            env={**launch_environment, **environment},
            input=input,
            capture_output=True,
            check=False,
        )

    return launch
