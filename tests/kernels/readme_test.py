"""The example of kernels/README.md runs as it stands there."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np


def test_example_runs(root: Path, tmp_path: Path) -> None:
    text = (root / "kernels" / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    script = tmp_path / "example.py"
    script.write_text(example, encoding="utf-8")
    names = runpy.run_path(str(script))
    scores = np.asarray(names["scores"])
    assert scores.shape == (8, 3956)
    assert names["gradient"].shape == names["queries"].shape
    best = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    found = np.take_along_axis(scores, np.asarray(names["label_ids"]), 1)
    np.testing.assert_allclose(found, np.take_along_axis(scores, best, 1), rtol=1e-4, atol=1e-5)
