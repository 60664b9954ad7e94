"""The comparison of variants trains, compares and reports, on a model that takes no time."""

import importlib.util
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from axml_jax.data.store import Store
from benchmarks.variants_curves import best_point, compare

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_small_run_reports(
    root: Path, run_benchmark: Run, tiny_store: Store, compilation_cache: Path, tmp_path: Path
) -> None:
    buckets = "data.length_buckets=2 data.pool_batches=6"
    done = run_benchmark(
        "variants",
        f"--config={root / 'launch/configs/tiny.py'}",
        "--config.model.hidden=4",
        "--config.model.fully_connected=4",
        "--config.model.word_vectors=random",
        "--config.model.query_init=xavier",
        "--config.data.batch_size=8",
        "--config.data.length_buckets=1",
        "--config.data.pool_batches=1",
        "--config.train.epochs=2",
        "--config.train.log_steps=2",
        f"--store={tiny_store.path}",
        f"--runs={tmp_path / 'runs'}",
        f"--vary={buckets}",
        "--seeds=1",
        "--name=trial",
        f"--out={tmp_path}",
        JAX_COMPILATION_CACHE_DIR=str(compilation_cache),
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "trial.json").read_text(encoding="utf-8"))
    assert results["runs"].keys() == {"as configured", buckets}
    assert results["commits"] == [results["runs"][buckets][0]["commit"] or "none"]
    folders = ["as_configured_seed0", "data.length_buckets=2_data.pool_batches=6_seed0"]
    for (found,), folder in zip(results["runs"].values(), folders, strict=True):
        assert found["seed"] == 0
        # What the training itself has written, on the validation documents.
        lines = (tmp_path / "runs" / folder / "metrics.jsonl").read_text().splitlines()
        points = [r["validation"] for line in lines if "validation" in (r := json.loads(line))]
        assert found["curve"] == [{"epoch": i, **point} for i, point in enumerate(points, 1)]
        assert len(points) == 2
        assert found["best"]["nDCG@5"] == max(point["nDCG@5"] for point in points)
        assert found["documents_per_second"] > 0
    (plain,), (bucketed,) = results["runs"].values()
    for metric in ("nDCG@5", "P@5"):
        difference = bucketed["best"][metric] - plain["best"][metric]
        assert results["compared"][buckets][metric]["differences"] == [difference]
    assert bucketed["padding"]["share"] < plain["padding"]["share"]
    assert (tmp_path / "trial.png").exists() == bool(importlib.util.find_spec("matplotlib"))


def test_best_point_is_the_one_whose_weights_are_kept() -> None:
    curve = [{"nDCG@5": 3.0, "P@5": 9.0}, {"nDCG@5": 4.0, "P@5": 1.0}, {"nDCG@5": 4.0, "P@5": 2.0}]
    assert best_point(curve) is curve[1]


def test_variants_are_compared_seed_by_seed() -> None:
    def trained(*scores: float) -> list[dict[str, dict[str, float]]]:
        return [{"best": {"nDCG@5": score, "P@1": 1.0, "P@5": score / 2}} for score in scores]

    compared = compare({"plain": trained(50, 60, 70), "faster": trained(51, 59, 73)})["faster"]
    assert compared["nDCG@5"]["mean"] == 61
    assert compared["nDCG@5"]["differences"] == [1, -1, 3]
    assert compared["nDCG@5"]["mean_difference"] == 1
    # Deviations 0, -2, 2: a variance of 4, of the mean a third of it.
    assert compared["nDCG@5"]["standard_error"] == pytest.approx((4 / 3) ** 0.5)
    assert compared["P@5"]["differences"] == [0.5, -0.5, 1.5]
    alone = compare({"plain": trained(50)})["plain"]["nDCG@5"]
    assert (alone["mean_difference"], alone["standard_error"]) == (0, None)


@pytest.mark.parametrize(
    ("variant", "told"),
    [
        ("data.length_buckets", "--vary has 'data.length_buckets'; it should be FIELD=VALUE."),
        ("data.length_bucket=6", "There is no config.data.length_bucket."),
    ],
)
def test_a_variant_that_is_none_is_told_before_any_training(
    run_benchmark: Run, tiny_store: Store, tmp_path: Path, variant: str, told: str
) -> None:
    flags = [f"--store={tiny_store.path}", f"--vary={variant}", f"--out={tmp_path}"]
    done = run_benchmark("variants", *flags)
    assert done.returncode == 1
    assert told in done.stderr
    assert list(tmp_path.iterdir()) == []
