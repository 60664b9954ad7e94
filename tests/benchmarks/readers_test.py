"""The benchmark of the readers runs and reports on all of them, on a size that takes no time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from axml_jax.data.readers.formats import FORMATS


@pytest.mark.parametrize("compressed", ["--gzip", "--nogzip"])
def test_small_run_reports(
    root: Path, user_environment: dict[str, str], tmp_path: Path, compressed: str
) -> None:
    flags = ["--documents=20", "--words=30", "--repeats=1", "--name=trial", compressed]
    done = subprocess.run(
        [sys.executable, root / "benchmarks" / "readers.py", *flags, f"--out={tmp_path}"],
        env=user_environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
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
