"""The benchmark of the metrics runs, compares and reports, on a size that takes no time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_small_run_reports(root: Path, user_environment: dict[str, str], tmp_path: Path) -> None:
    flags = ["--documents=50", "--labels=300", "--predictions=10", "--small=40", "--repeats=1"]
    subprocess.run(
        [sys.executable, root / "benchmarks" / "metrics.py", *flags, f"--out={tmp_path}"],
        env=user_environment,
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    results = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert results["command"].startswith("metrics.py --documents=50")
    assert results["large"]["k=1,3,5,10"]["figures"]["R@10"] == pytest.approx(50, abs=15)
    assert results["comparison"]["k=1,3,5"]["largest_difference"] < 1e-9
