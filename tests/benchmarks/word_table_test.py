"""The benchmark of word tables times updates and steps with tables of different sizes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_small_run_reports(root: Path, user_environment: dict[str, str], tmp_path: Path) -> None:
    flags = ["--shape=tiny", "--words=50,80", "--repeats=1", "--name=trial", f"--out={tmp_path}"]
    done = subprocess.run(
        [sys.executable, root / "benchmarks" / "word_table.py", *flags],
        env=user_environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "trial.json").read_text(encoding="utf-8"))
    for name in ("update", "training"):
        first, second = (found["words"][words][name] for words in ("50", "80"))
        assert first["time_over_first"] == 1
        ratio = second["median_s"] / first["median_s"]
        assert second["time_over_first"] == pytest.approx(ratio)


def test_words_that_are_no_numbers_are_refused(
    root: Path, user_environment: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, root / "benchmarks" / "word_table.py", "--words=many"],
        env=user_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "--words: 'many' should be numbers" in done.stderr
