"""The comparison with Parabel: labels that are found again."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def run(source: str, root: Path, environment: dict[str, str], folder: Path) -> Any:
    """The JSON that `source` prints; a process of its own, for the benchmark defines flags."""
    preamble = (
        f"import json, pathlib, sys; sys.path.insert(0, {str(root)!r})\n"
        "import numpy as np, scipy.sparse as sp\n"
        "from benchmarks.parabel import parabel_top_k\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", preamble + source],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_labels_are_found_again(
    root: Path, user_environment: dict[str, str], tmp_path: Path
) -> None:
    pytest.importorskip("omikuji")
    pytest.importorskip("sklearn")
    source = """
words = ["red green", "one two", "cat dog", "sun moon"]
texts = [words[i % 4] + " the" for i in range(12)]
labels = sp.csr_matrix(np.eye(4, dtype=np.float32)[np.arange(12) % 4])
ids, seconds = parabel_top_k(texts, labels, words, 6)
print(json.dumps([ids.tolist(), str(ids.dtype), sorted(seconds), min(seconds.values())]))
"""
    ids, dtype, parts, shortest = run(source, root, user_environment, tmp_path)
    assert dtype == "int32"
    assert [row[0] for row in ids] == [0, 1, 2, 3]
    assert [sorted(row[:4]) for row in ids] == [[0, 1, 2, 3]] * 4
    assert [row[4:] for row in ids] == [[-1, -1]] * 4
    assert parts == ["features", "prediction", "training"]
    assert shortest >= 0
