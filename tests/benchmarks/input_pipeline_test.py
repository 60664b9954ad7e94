"""The benchmark of the input runs, compares and reports, on a size that takes no time."""

import importlib.util
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from axml_jax.data.store import Store
from benchmarks import paper_documents

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_small_run_reports(run_benchmark: Run, tiny_store: Store, tmp_path: Path) -> None:
    flags = ["--documents=30", "--batch_size=4", "--max_tokens=40", "--pool_batches=3"]
    flags += ["--repeats=1", "--step_ms=0.1", "--name=trial", f"--store={tiny_store.path}"]
    done = run_benchmark("input_pipeline", *flags, f"--out={tmp_path}")
    # A handful of documents may be made too slowly: only that may be wrong.
    assert done.returncode == 0 or done.stderr.strip().endswith("a second are expected."), done
    results = json.loads((tmp_path / "trial.json").read_text(encoding="utf-8"))
    ways = {"plain_order", "buckets", "floor_copy"}
    if importlib.util.find_spec("torch"):
        ways.add("torch_collate")
    assert results["rates"].keys() == paper_documents.DATA_SETS.keys()
    for found in results["rates"].values():
        assert found["documents_per_second"].keys() == ways
    assert results["prefetch"]["documents_per_second"].keys() == {
        "device_alone", "between_steps", "prefetch",
    }  # fmt: skip
    # 30 documents fill seven and a half batches; else every token is a document's.
    long = results["padding"][paper_documents.LONG]
    assert long["without_buckets"] == pytest.approx(1 / 16, rel=0.05)
    assert "store, its own lengths" in results["padding"]
    for found in results["padding"].values():
        assert found["with_buckets"]["8"]["least_padding"] <= found["without_buckets"]


def test_documents_are_as_long_as_table_1_says(tmp_path: Path) -> None:
    for name, about in paper_documents.DATA_SETS.items():
        random = np.random.default_rng(1)
        lengths = paper_documents.draw_lengths(name, 100_000, 500, random)
        if name == paper_documents.LONG:
            assert lengths.min() > 500
        else:
            assert lengths.mean() == pytest.approx(about.words, rel=0.02)
    split = paper_documents.draw_split("WikiLSHTC", 2_000, 500, tmp_path)
    assert len(split) == 2_000
    assert len(split.label_ids) / len(split) == pytest.approx(1.86, rel=0.05)
    assert all((np.diff(split.labels(i)) > 0).all() for i in range(len(split)))
