"""The benchmark of the metrics runs, compares and reports, on a size that takes no time."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_small_run_reports(run_benchmark: Run, tmp_path: Path) -> None:
    flags = ["--documents=50", "--labels=300", "--predictions=10", "--small=40", "--repeats=1"]
    done = run_benchmark("metrics", *flags, f"--out={tmp_path}")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert results["command"].startswith("metrics.py --documents=50")
    assert results["large"]["k=1,3,5,10"]["figures"]["R@10"] == pytest.approx(50, abs=15)
    assert results["comparison"]["k=1,3,5"]["largest_difference"] < 1e-9
