"""The coverage-guided fuzzer: it runs, it finds what is planted, and it says when it cannot."""

import importlib.util
import json
import os
from pathlib import Path

import pytest

from tests.fuzz import coverage_guided

needs_atheris = pytest.mark.skipif(
    not coverage_guided.is_installed(), reason="needs atheris: pip install -e '.[soak]'"
)


@needs_atheris
def test_a_target_is_run_and_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert coverage_guided.main(["--seconds_per_target", "1", "--target", "label file"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("label file ")
    assert lines[-1].startswith("inputs tried: ")
    assert int(lines[-1].split()[2].replace(",", "")) > 5
    assert "crashes: 0  peak memory: " in lines[-1]


def test_without_atheris_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert coverage_guided.main([]) == 2
    assert "not installed, so no input was tried" in capsys.readouterr().out


def test_crashes_are_kept_once_each_with_an_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(data: bytes) -> None:
        if data:
            int(data)

    monkeypatch.setattr(os, "_exit", lambda code: None)
    watch = coverage_guided._Watch(run, tmp_path, 0)
    for data in (b"", b"1", b"x", b"y"):
        watch(data)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["inputs"] == 4
    (crash,) = report["crashes"]
    assert crash.startswith("ValueError in coverage_guided_test.py:")
    assert "invalid literal" in crash
    assert crash.endswith("input b'x'")
    assert 0 < report["start_mib"] <= report["peak_mib"]
