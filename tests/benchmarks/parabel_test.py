"""The comparison with Parabel: labels that are found again."""

from collections.abc import Callable
from typing import Any

import pytest


def test_labels_are_found_again(run_source: Callable[[str], Any]) -> None:
    pytest.importorskip("omikuji")
    pytest.importorskip("sklearn")
    source = """
import json
import numpy as np, scipy.sparse as sp
from benchmarks.parabel import parabel_top_k

words = ["red green", "one two", "cat dog", "sun moon"]
texts = [words[i % 4] + " the" for i in range(12)]
labels = sp.csr_matrix(np.eye(4, dtype=np.float32)[np.arange(12) % 4])
ids, seconds = parabel_top_k(texts, labels, words, 6)
print(json.dumps([ids.tolist(), str(ids.dtype), sorted(seconds), min(seconds.values())]))
"""
    ids, dtype, parts, shortest = run_source(source)
    assert dtype == "int32"
    assert [row[0] for row in ids] == [0, 1, 2, 3]
    assert [sorted(row[:4]) for row in ids] == [[0, 1, 2, 3]] * 4
    assert [row[4:] for row in ids] == [[-1, -1]] * 4
    assert parts == ["features", "prediction", "training"]
    assert shortest >= 0
