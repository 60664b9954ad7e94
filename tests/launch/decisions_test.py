"""launch/thresholds.py and launch/calibration.py as a user runs them, and predict.py after them."""

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

Launch = Callable[..., subprocess.CompletedProcess[bytes]]


def test_thresholds_then_predictions(tiny_run: Path, tmp_path: Path, launch: Launch) -> None:
    done = launch("thresholds", f"--run={tiny_run}", "--output=chosen.json", "--top_k=7")
    assert done.returncode == 0, done.stderr.decode()
    assert "8 thresholds in chosen.json" in done.stderr.decode()
    chosen = json.loads((tmp_path / "chosen.json").read_text())
    text = b"parses flags from the command line\nlogs it\n"
    rows = []
    for more in ((), ("--thresholds=chosen.json",)):
        done = launch("predict", f"--run={tiny_run}", *(more or ("--top_k=7",)), input=text)
        assert done.returncode == 0, done.stderr.decode()
        rows.append([json.loads(line)["labels"] for line in done.stdout.splitlines()])
    every, kept = rows
    least = chosen["labels"]
    assert [len(row) for row in every] == [7, 7]
    assert [[one["label"] for one in row] for row in kept] == [
        [one["label"] for one in row if one["logit"] >= least[one["label"]]] for row in every
    ]


def test_what_is_chosen_on_test_is_refused(launch: Launch) -> None:
    done = launch("thresholds", "--run=r", "--split=test", "--output=o")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().startswith("error: --split is test: what is chosen on it is not")


def test_calibration(tiny_run: Path, tmp_path: Path, launch: Launch) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    done = launch("calibration", "--run=run")
    assert done.returncode == 0, done.stderr.decode()
    record = json.loads((tmp_path / "run" / "calibration_test.json").read_text())
    error = record["expected_calibration_error"]
    assert f"test: expected calibration error {error:.4f}" in done.stdout.decode()
    picture = tmp_path / "run" / "calibration_test.png"
    assert picture.exists() == bool(importlib.util.find_spec("matplotlib"))
