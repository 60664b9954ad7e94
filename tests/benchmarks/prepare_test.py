"""The benchmark of preparing runs and reports, on a size that takes no time."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_small_run_reports(run_benchmark: Run, tmp_path: Path) -> None:
    flags = ["--documents=10", "--repeats=1", "--vector_width=4", "--name=trial"]
    done = run_benchmark("prepare", *flags, f"--out={tmp_path}")
    # Ten documents may be too few for the expected rate: only that may be wrong.
    assert done.returncode == 0 or done.stderr.strip().endswith("a minute are expected."), done
    results = json.loads((tmp_path / "trial.json").read_text(encoding="utf-8"))
    assert results["documents"] == 10
    assert results["words_per_document"] > 5
    assert results["documents_per_minute"].keys() == {
        "prepare", "reading", "reading_and_plain_split", "reading_and_tokenizer",
    }  # fmt: skip
    assert results["vectors"]["peak_memory_mb"] > 0
