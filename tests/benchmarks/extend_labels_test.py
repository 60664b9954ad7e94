"""The benchmark of added labels: what it draws, removes and counts; and all of it, small."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from axml_jax.data.store import Store

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_its_parts(run_source: Callable[[str], Any]) -> None:
    source = """
import json
import numpy as np, scipy.sparse as sp
from axml_jax.data.corpus import Document
from benchmarks.extend_labels import *

counts = {f"l{i:02}": i for i in range(40)}
documents = [Document("a", ("x", "y")), Document("b", ("y",)), Document("c", ())]
ranking = np.array([[3, 1, 0, 2], [0, 2, 1, 3]])
truth = sp.csr_matrix(np.array([[0, 1, 0, 0, 1], [0, 1, 1, 0, 0]]))
print(json.dumps({
    "drawn": [draw_labels(counts, 0.1, 30, seed) for seed in range(200)],
    "without": [document.labels for document in without(documents, ["y"])],
    "among": among(ranking, np.array([1, 2, 3]), 2).tolist(),
    "macro": macro_recall(ranking[:, :2], truth),
}))
"""
    found = run_source(source)
    assert all(len(set(names)) == 4 for names in found["drawn"])
    times = np.bincount([int(name[1:]) for names in found["drawn"] for name in names])
    # 800 draws among ten labels: 80 each, give or take three standard deviations.
    assert times[:30].sum() == 0
    assert 55 < times[30:].min() <= times[30:].max() < 105
    assert found["without"] == [["x"]]
    assert found["among"] == [[3, 1], [2, 1]]
    # Label 1 in one of two, label 2 in its only one, label 4 never; 0 and 3 have no documents.
    np.testing.assert_allclose(found["macro"], 100 * (1 / 2 + 1 + 0) / 3)


def test_all_of_it(
    run_benchmark: Run, tiny_store: Store, compilation_cache: Path, tmp_path: Path
) -> None:
    words = tiny_store.vocabulary.words
    for name in ("train", "test"):
        split = tiny_store.splits[name]
        rows = range(len(split))
        texts = [" ".join(words[t] for t in split.document(i)) for i in rows]
        labels = [" ".join(tiny_store.label_names[j] for j in split.labels(i)) for i in rows]
        (tmp_path / f"{name}_texts").write_text("\n".join(texts) + "\n")
        (tmp_path / f"{name}_labels").write_text("\n".join(labels) + "\n")
    flags = ["--name=small"]
    flags += [f"--{s}_{k}={s}_{k}" for s in ("train", "test") for k in ("texts", "labels")]
    flags += ["--out=.", "--share=0.2", "--vector_width=8", "--scratch", "--least=3"]
    flags += ["--config.data.max_tokens=16", "--config.data.batch_size=8"]
    flags += ["--config.model.hidden=4", "--config.model.fully_connected=4"]
    flags += ["--config.train.epochs=1", "--candidate=learning_rate=0.001"]
    flags += ["--candidate=learning_rate=1e-30,warmup_steps=2"]
    cache = str(compilation_cache)
    done = run_benchmark("extend_labels", *flags, JAX_COMPILATION_CACHE_DIR=cache)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "extend_labels_small.json").read_text())
    assert len(result["new_labels"]) == 2
    assert min(result["new_labels"].values()) >= 3
    assert set(result["validation"]) == {
        "first", "learning_rate=0.001", "learning_rate=1e-30,warmup_steps=2",
    }  # fmt: skip
    # A step of no length leaves known labels where they were.
    before, after = (
        result["validation"][name]["old among old"]
        for name in ("first", "learning_rate=1e-30,warmup_steps=2")
    )
    assert after == before
    assert set(result["test"]) == {"before", "after", "scratch"}
    assert {"old among old", "old among all", "new among new", "new among all", "all"} == set(
        result["test"]["after"]
    )
    difference = result["old_labels_after_less_before"]["old among old"]["P@5"]
    assert difference["low"] <= difference["value"] <= difference["high"]
