"""The benchmark of the input runs, compares and reports, on a size that takes no time."""

import importlib.util
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from axml_jax.data.store import Store
from benchmarks import paper_documents, simulated_device

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_small_run_reports(run_benchmark: Run, tiny_store: Store, tmp_path: Path) -> None:
    flags = ["--documents=30", "--batch_size=4", "--max_tokens=40", "--pool_batches=3"]
    flags += ["--repeats=1", "--name=trial", f"--store={tiny_store.path}"]
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
    ahead = results["prefetch"]
    times = {way: about["min_s"] for way, about in ahead["times"].items()}
    assert times.keys() == {"device_alone", "one_after_another", "between_steps", "prefetch"}
    assert ahead["step_ms"] == ahead["batch_ms"] > 0
    compared = simulated_device.compare_ways(30, times)
    assert {name: ahead[name] for name in compared} == compared
    # 30 documents fill seven and a half batches; else every token is a document's.
    long = results["padding"][paper_documents.LONG]
    assert long["without_buckets"] == pytest.approx(1 / 16, rel=0.05)
    assert "store, its own lengths" in results["padding"]
    for found in results["padding"].values():
        assert found["with_buckets"]["8"]["least_padding"] <= found["without_buckets"]


@pytest.mark.parametrize(
    ("way", "overlaps"),
    [("one_after_another", False), ("between_steps", False), ("prefetch", True)],
)
def test_only_prefetch_makes_a_batch_while_the_host_begins_a_step(way: str, overlaps: bool) -> None:
    count = 20  # more than steps may be under way
    made: list[int] = []
    changed = threading.Condition()
    next_was_made: list[bool] = []

    def batches() -> Iterator[int]:
        for number in range(count):
            with changed:
                made.append(number)
                changed.notify()
            yield number

    def step(number: int) -> int:
        def is_made() -> bool:
            return len(made) > number + 1

        patience = 10 if overlaps and all(next_was_made) and number + 1 < count else 0
        with changed:
            next_was_made.append(changed.wait_for(is_made, patience))
        return number

    simulated_device.ways(batches, lambda batch: batch, lambda batch: batch, step)[way]()
    assert made == list(range(count))
    assert next_was_made == [overlaps] * (count - 1) + [False]


@pytest.mark.parametrize(
    ("way", "most"),
    [("one_after_another", 1), ("between_steps", 8), ("prefetch", 8)],
)
def test_steps_are_awaited_as_in_training(way: str, most: int) -> None:
    begun: list[int] = []
    awaited: list[int] = []
    under_way = []

    class Result:
        def __init__(self, number: int) -> None:
            self.number = number

        def block_until_ready(self) -> None:
            awaited.append(self.number)

    def step(number: int) -> Result:
        begun.append(number)
        under_way.append(len(begun) - len(awaited))
        return Result(number)

    simulated_device.ways(lambda: iter(range(20)), int, int, step)[way]()
    assert max(under_way) == most
    assert awaited == begun == list(range(20))


def test_shares_of_the_input_that_are_hidden() -> None:
    seconds = {"device_alone": 1.0, "one_after_another": 3.0, "between_steps": 2.5, "prefetch": 2.0}
    assert simulated_device.compare_ways(60, seconds) == {
        "documents_per_second": {
            "device_alone": 60, "one_after_another": 20, "between_steps": 24, "prefetch": 30,
        },
        "prefetch_over": {"device_alone": 0.5, "one_after_another": 1.5, "between_steps": 1.25},
        "hidden": {"between_steps": 0.25, "prefetch": 0.5},
    }  # fmt: skip
    nothing = simulated_device.compare_ways(60, {**seconds, "device_alone": 3.0})
    assert nothing["hidden"] == {"between_steps": None, "prefetch": None}


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
