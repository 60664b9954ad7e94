"""The comparison of orders trains, compares and reports, on a model that takes no time."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from axml_jax.data.store import Store
from benchmarks.buckets_curves import compare


def run(root: Path, environment: dict[str, str], *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, root / "benchmarks" / "buckets.py", *flags],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_small_run_reports(
    root: Path,
    user_environment: dict[str, str],
    tiny_store: Store,
    compilation_cache: Path,
    tmp_path: Path,
) -> None:
    user_environment["JAX_COMPILATION_CACHE_DIR"] = str(compilation_cache)
    done = run(
        root,
        user_environment,
        f"--config={root / 'launch/configs/tiny.py'}",
        "--config.model.hidden=4",
        "--config.model.fully_connected=4",
        "--config.model.word_vectors=random",
        "--config.model.query_init=xavier",
        "--config.data.batch_size=8",
        "--config.train.epochs=2",
        "--config.train.log_steps=2",
        f"--store={tiny_store.path}",
        f"--runs={tmp_path / 'runs'}",
        "--order=1,1",
        "--order=2,6",
        "--seeds=1",
        "--name=trial",
        f"--out={tmp_path}",
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "trial.json").read_text(encoding="utf-8"))
    assert results["runs"].keys() == {"1,1", "2,6"}
    for order, found in results["runs"].items():
        assert [one["seed"] for one in found] == [0]
        for one in found:
            # What the training itself has written, on the validation documents.
            lines = (tmp_path / "runs" / f"{order.replace(',', '_')}_seed{one['seed']}").joinpath(
                "metrics.jsonl"
            )
            records = [json.loads(line) for line in lines.read_text().splitlines()]
            scores = [r["validation"]["nDCG@5"] for r in records if "validation" in r]
            assert [point["nDCG@5"] for point in one["curve"]] == scores
            assert [point["epoch"] for point in one["curve"]] == [1, 2]
            assert one["best"] == max(scores)
            assert one["documents_per_second"] > 0
    best = {order: found[0]["best"] for order, found in results["runs"].items()}
    assert results["compared"]["2,6"]["differences"] == [best["2,6"] - best["1,1"]]
    padding = {order: found[0]["padding"]["share"] for order, found in results["runs"].items()}
    assert padding["2,6"] < padding["1,1"]
    assert (tmp_path / "trial.png").exists() == bool(importlib.util.find_spec("matplotlib"))


def test_orders_are_compared_seed_by_seed() -> None:
    trained = {
        "1,1": [{"best": 50.0}, {"best": 60.0}, {"best": 70.0}],
        "6,50": [{"best": 51.0}, {"best": 59.0}, {"best": 73.0}],
    }
    compared = compare(trained)["6,50"]
    assert compared["mean_best"] == 61
    assert compared["differences"] == [1, -1, 3]
    assert compared["mean_difference"] == 1
    # Deviations 0, -2, 2: a variance of 4, of the mean a third of it.
    assert compared["standard_error"] == pytest.approx((4 / 3) ** 0.5)
    alone = compare({"1,1": trained["1,1"][:1]})["1,1"]
    assert (alone["mean_difference"], alone["standard_error"]) == (0, None)


def test_an_order_that_is_none_is_told_before_any_training(
    root: Path, user_environment: dict[str, str], tiny_store: Store, tmp_path: Path
) -> None:
    done = run(
        root, user_environment, f"--store={tiny_store.path}", "--order=6", f"--out={tmp_path}"
    )
    assert done.returncode == 1
    assert "--order is '6'; it should be two whole numbers, such as 6,50." in done.stderr
    assert list(tmp_path.iterdir()) == []
