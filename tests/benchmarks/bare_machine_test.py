"""Every benchmark finds the packages of its checkout where nothing of them is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

# What takes long to import is imported once, and each script in a process of its own after that.
PROBE = """
import os, runpy, sys, traceback
import absl.flags, flax, jax, numpy, optax, orbax.checkpoint, scipy.sparse
assert not any(name.startswith("axml") for name in sys.modules)
before = list(sys.path)
for script in sys.argv[1:]:
    child = os.fork()
    if not child:
        sys.path[:] = [os.path.dirname(script), *before]
        try:
            runpy.run_path(script, run_name="probed")
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print("fails:", os.path.basename(script), flush=True)
"""


def test_benchmarks_run_where_the_packages_are_not_installed(root: Path, tmp_path: Path) -> None:
    scripts = [
        path
        for path in sorted((root / "benchmarks").glob("*.py"))
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    ]
    assert len(scripts) > 15
    probe = tmp_path / "probe.py"
    probe.write_text(PROBE, encoding="utf-8")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")
    }
    # Without site's .pth files, by which a checkout is installed: the libraries alone are there.
    environment["PYTHONPATH"] = sysconfig.get_path("purelib")
    done = subprocess.run(
        [sys.executable, "-S", "-W", "ignore", probe, *scripts],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "", done.stdout + done.stderr
