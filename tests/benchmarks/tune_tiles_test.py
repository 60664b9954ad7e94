"""The tuner takes the fastest right tile, and the table keeps what other cards measured."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import axml_kernels
from axml_kernels import gpu_tiles, pallas_gpu, target
from axml_kernels.gpu_tiles import AverageTile, GradientTile, Shape
from axml_kernels.workloads import WORKLOADS, Workload
from benchmarks import tune_tiles

SHAPE = Shape(40, 500, 512, 3_956, 256, "bfloat16")
H200 = target.Target("gpu", "NVIDIA H200", (9, 0))


def tile(labels: int) -> AverageTile:
    return AverageTile(labels, 32, 64, 256, warps=8, stages=2)


def test_the_fastest_tile_that_computes_the_same_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(chosen: AverageTile, x: jax.Array) -> jax.Array:
        if chosen.labels == 16:
            raise jax.errors.JaxRuntimeError(
                "RESOURCE_EXHAUSTED: Shared memory size limit exceeded"
            )
        return x + (1 if chosen.labels == 256 else 0)

    seconds = {32: 3.0, 64: 2.0, 128: 1.0, 256: 0.5}
    monkeypatch.setattr(
        tune_tiles, "seconds_of", lambda call, repeats: seconds[call.args[0].labels]
    )
    candidates = [tile(labels) for labels in (16, 64, 128, 256)]
    subject = tune_tiles.Subject("average", SHAPE, tile(32), candidates, run, (jnp.ones(3),))
    row = tune_tiles.tune(subject, 1, time.monotonic() + 60)
    assert isinstance(row, dict)
    assert row["tile"]["labels"] == 128
    assert row["ratio_to_rule"] == pytest.approx(1 / 3, abs=1e-3)
    assert row["candidates"] == {"timed": 3, "failed": 1, "wrong": 1}
    assert tune_tiles.tune(subject, 1, time.monotonic() - 1) == "no time"
    broken = subject._replace(chosen=tile(16), candidates=[])
    assert tune_tiles.tune(broken, 1, time.monotonic() + 60) == "all 1 tiles failed"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_candidates_fit_the_card(dtype: str) -> None:
    limit = gpu_tiles.shared_memory(H200)
    for name in ("eurlex", "wikilshtc"):
        workload = WORKLOADS[name]
        shape = Shape(40, 500, workload.width, 4_096, workload.layers[0], dtype)
        averages = tune_tiles.fitting(tune_tiles.average_candidates(shape), shape, H200)
        gradients = tune_tiles.fitting(tune_tiles.gradient_candidates(shape), shape, H200)
        assert len(averages) > 5
        assert len(gradients) > 5
        assert all(t.shared_bytes(shape) <= limit for t in averages)
        assert all(t.shared_bytes(shape) <= limit for t in gradients)


def test_both_kernels_of_a_shape_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WORKLOADS, "tiny", Workload(2, 8, 16, 20, (32,)))
    with axml_kernels.interpreted():
        found = list(tune_tiles.subjects("tiny", "float32", target.current()))
        assert [subject.kernel for subject in found] == ["average", "gradient"]
        for subject in found:
            few = subject._replace(candidates=subject.candidates[:1])
            row = tune_tiles.tune(few, 1, time.monotonic() + 60)
            assert isinstance(row, dict)
            kind: Any = AverageTile if subject.kernel == "average" else GradientTile
            assert kind(**row["tile"]) in (subject.chosen, *few.candidates)
            assert row["candidates"]["wrong"] == row["candidates"]["failed"] == 0


def test_pallas_is_compared_with_chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WORKLOADS, "tiny", Workload(4, 8, 16, 40, (32,)))
    with axml_kernels.interpreted():
        assert tune_tiles.largest_difference("tiny", "float32") < 1e-4
        right = pallas_gpu.projected
        monkeypatch.setattr(pallas_gpu, "projected", lambda *arguments: 1.1 * right(*arguments))
        assert tune_tiles.largest_difference("tiny", "float32") > tune_tiles.TOLERANCES["float32"]


def test_the_table_keeps_other_cards_and_other_shapes(tmp_path: Path) -> None:
    path = tmp_path / "tiles.json"
    path.write_text('{"NVIDIA L4": []}')

    def row(num_labels: int, labels: int) -> dict[str, Any]:
        about = {"kernel": "average", "width": 512, "features": 256, "dtype": "bfloat16"}
        return {**about, "num_labels": num_labels, "tile": {"labels": labels}}

    tune_tiles.write_table(path, "NVIDIA H200", [row(103, 32), row(3_956, 64)])
    tune_tiles.write_table(path, "NVIDIA H200", [row(3_956, 128)])
    table = json.loads(path.read_text())
    assert table == {"NVIDIA L4": [], "NVIDIA H200": [row(103, 32), row(3_956, 128)]}
