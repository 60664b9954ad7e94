"""The benchmark of word tables times updates and steps with tables of different sizes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_small_run_reports(run_benchmark: Run, tmp_path: Path) -> None:
    flags = ["--shape=tiny", "--words=50,80", "--repeats=1", "--name=trial", f"--out={tmp_path}"]
    done = run_benchmark("word_table", *flags)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "trial.json").read_text(encoding="utf-8"))
    for name in ("update", "training"):
        first, second = (found["words"][words][name] for words in ("50", "80"))
        assert first["time_over_first"] == 1
        ratio = second["median_s"] / first["median_s"]
        assert second["time_over_first"] == pytest.approx(ratio)


def test_words_that_are_no_numbers_are_refused(run_benchmark: Run) -> None:
    done = run_benchmark("word_table", "--words=many")
    assert done.returncode == 1
    assert "--words: 'many' should be numbers" in done.stderr
