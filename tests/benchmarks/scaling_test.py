"""The benchmark of scaling checks, times and reports, on a model that takes no time."""

import importlib.util
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scaling_plot import lines_of
from benchmarks.scaling_settings import Setting, errors, settings

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_small_run_reports(run_benchmark: Run, tmp_path: Path) -> None:
    flags = ["--shape=tiny", "--weak", "--simulated=4", "--devices=1", "--devices=2"]
    flags += ["--label_parts=1", "--label_parts=2", "--repeats=1", "--name=trial"]
    done = run_benchmark("scaling", *flags, f"--out={tmp_path}")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "trial.json").read_text(encoding="utf-8"))
    assert results["simulated"]
    for kind, batches in (("strong", [4, 4, 4]), ("weak", [4, 8, 8])):
        found = results[kind]
        assert [one["name"] for one in found] == [
            "1 device", "2 devices", "2 devices, labels in 2 parts",
        ]  # fmt: skip
        assert [one["batch"] for one in found] == batches
        rates = [one["batch"] / one["median_s"] for one in found]
        gains = [one["speed_over_first"] for one in found]
        np.testing.assert_allclose(gains, np.divide(rates, rates[0]))
        # One device has nobody to tell anything; two do, and agree with one.
        assert [one["collectives"]["bytes"] > 0 for one in found] == [False, True, True]
        for one in found[1:]:
            assert 0 < one["errors"]["weights"] < 1e-2
            assert one["errors"]["loss"] < 1e-5
    assert (tmp_path / "trial.png").exists() == bool(importlib.util.find_spec("matplotlib"))


def test_more_devices_than_there_are_is_told(run_benchmark: Run) -> None:
    done = run_benchmark("scaling", "--shape=tiny", "--simulated=2", "--devices=3")
    assert done.returncode == 1
    assert "--devices asks for 3 devices, and there are 2." in done.stderr


def test_settings_are_those_that_can_be() -> None:
    strong = settings([1, 2, 3, 4], [1, 2], 40, weak=False)
    assert strong == [
        *(Setting(1, 1, 40), Setting(2, 1, 40), Setting(4, 1, 40)),
        *(Setting(2, 2, 40), Setting(4, 2, 40)),
    ]
    weak = settings([2, 3], [1], 40, weak=True)
    assert weak == [Setting(1, 1, 40), Setting(2, 1, 80), Setting(3, 1, 120)]


def test_errors_are_relative_to_the_way_that_the_weights_went() -> None:
    started = [np.zeros(2), np.ones(1)]
    expected = [np.array([3.0, 0.0]), np.array([5.0])]
    found = [np.array([3.0, 0.6]), np.array([5.8])]
    told = errors((1.1, found), (1.0, expected), started)
    # The way of length 5, missed by one of length 1.
    assert told == pytest.approx({"loss": 0.1, "weights": 0.2})


def test_what_did_not_run_has_no_point() -> None:
    results = {
        "strong": [
            {"devices": 1, "label_parts": 1, "speed_over_first": 1.0},
            {"devices": 2, "label_parts": 1, "failed": "why"},
            {"devices": 2, "label_parts": 2, "speed_over_first": 1.5},
        ]
    }
    assert lines_of(results) == {
        "strong scaling": [(1, 1.0)],
        "strong scaling, labels in 2 parts": [(2, 1.5)],
    }
