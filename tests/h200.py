"""What is compiled for an H200 in a process of its own: the compiler's flags are read at import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = Path(sys.prefix) / "cuda-plugin" / "jax_plugins"

needs_plugin = pytest.mark.skipif(
    not PLUGIN.is_dir(),
    reason="XLA's CUDA compiler is not in the environment; make test puts it there on Linux x86-64",
)


def results_of(name: str, out: Path, *arguments: str) -> dict[str, Any]:
    """What benchmarks/NAME.py writes; it fails where the script does."""
    script = str(ROOT / "benchmarks" / f"{name}.py")
    done = subprocess.run(
        [sys.executable, script, f"--out={out}", *arguments],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
    return found
