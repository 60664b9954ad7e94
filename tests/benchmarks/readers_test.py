"""The benchmark of the readers runs and reports on all of them, on a size that takes no time."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from axml_jax.data.readers.formats import FORMATS

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("compressed", ["--gzip", "--nogzip"])
def test_small_run_reports(run_benchmark: Run, tmp_path: Path, compressed: str) -> None:
    flags = ["--documents=20", "--words=30", "--repeats=1", "--name=trial", compressed]
    done = run_benchmark("readers", *flags, f"--out={tmp_path}")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "trial.json").read_text(encoding="utf-8"))
    assert results["documents"] == 20
    assert results["words_per_document"] > 5
    assert results["formats"].keys() == FORMATS.keys()
    for name, found in results["formats"].items():
        rate = results["documents"] / found["cpu_s"]["reader"]
        assert found["documents_per_second"] == pytest.approx(rate, abs=1)
        assert found["megabytes"] > 0.001
        assert name in done.stdout
