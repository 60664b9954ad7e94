"""The benchmark of a CPU's tiles times every tile of its grid against the chosen one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from axml_kernels.tiling import Tile
from axml_kernels.workloads import Workload
from benchmarks import cpu_tiles
from benchmarks import label_attention_rivals as rivals

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_small_run_reports(run_benchmark: Run, tmp_path: Path) -> None:
    flags = ["--workloads=one-layer", "--tokens=1,14", "--labels=16,64", "--repeats=1"]
    flags += [f"--out={tmp_path}"]
    done = run_benchmark("cpu_tiles", *flags, COLUMNS="160", JAX_PLATFORMS="cpu")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "cpu_tiles.json").read_text(encoding="utf-8"))
    shape = found["shapes"]["one-layer"]
    tiles = [(row["group"], row["block"]) for row in shape["tiles"]]
    assert tiles == [(3, 48), (1, 16), (1, 48), (2, 16), (2, 48)]
    assert shape["chosen"] == {"group": 3, "block": 48}
    assert found["cache_bytes"] >= 1 << 18
    for row in shape["tiles"]:
        assert row["error"] < 1e-4
        for part in rivals.PASSES:
            first = shape["tiles"][0][part]["median_s"]
            assert row[part]["median_ratio"] == pytest.approx(row[part]["median_s"] / first)
    assert "one-layer" in done.stdout


def test_grid_is_of_the_shape() -> None:
    workload = Workload(8, 500, 512, 3_956, (256,))
    tiles = cpu_tiles.grid(workload, [1, 1_200, 90_000], [512, 5_000])
    assert tiles[0] == cpu_tiles.chosen_tile(workload)
    expected = {Tile(group, block) for group in (1, 2, 8) for block in (496, 3_968)}
    assert set(tiles[1:]) == expected - {tiles[0]}


def test_each_tile_is_really_compiled_with() -> None:
    workload = Workload(4, 8, 8, 64, (4,))
    case = rivals.make_case(workload, "float32", ragged=False)
    sizes = []
    for tile in (Tile(1, 16), Tile(4, 64)):
        ready = cpu_tiles.made_ready(tile, case)
        found = ready.contender.temporary_bytes()  # type: ignore[attr-defined]
        sizes.append(found["forward"])
    assert sizes[0] < sizes[1]
