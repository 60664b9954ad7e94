"""The tiles that shapes get: they cover, they fit the card, measured ones come first."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from axml_kernels import chunked, compiling_for, gpu_tiles, pallas_gpu, target, tiling
from axml_kernels.gpu_tiles import AverageTile, GradientTile, Shape
from axml_kernels.target import CARDS, Target
from axml_kernels.workloads import WORKLOADS

CARD_NAMES = sorted(CARDS)


def shapes() -> list[Shape]:
    return [
        Shape(w.batch, w.tokens, w.width, w.num_labels, features, dtype, full)
        for w in WORKLOADS.values()
        for features in (w.layers[0], w.width)
        for dtype, full in (("float32", False), ("float32", True), ("bfloat16", False))
    ]


def is_power_of_two(size: int) -> bool:
    return size > 0 and size & (size - 1) == 0


@pytest.mark.parametrize("card", CARD_NAMES)
def test_tiles_fit_the_card_and_are_powers_of_two(
    card: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_tiles, "table", dict)
    target = Target("gpu", card, CARDS[card])
    for shape in shapes():
        average = gpu_tiles.average_tile(shape, target)
        gradient = gpu_tiles.gradient_tile(shape, target)
        limit = gpu_tiles.shared_memory(target)
        assert average.shared_bytes(shape) <= limit, (shape, average)
        assert gradient.shared_bytes(shape) <= limit, (shape, gradient)
        for tile in (average, gradient):
            sizes = dataclasses.asdict(tile)
            stages = sizes.pop("stages")
            assert all(map(is_power_of_two, sizes.values())), tile
            assert stages >= 1
        # The matrix units' smallest operands, and whole words of bits.
        assert min(average.labels, average.tokens, average.depth) >= 16
        assert average.features >= 32


@pytest.mark.parametrize(
    ("precision", "full"),
    [
        (None, False),
        ("default", False),
        ("high", False),
        ("highest", True),
        ("float32", True),
        (jax.lax.Precision.HIGHEST, True),
        ((jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST), True),
        (jax.lax.DotAlgorithmPreset.F32_F32_F32, True),
        (jax.lax.DotAlgorithmPreset.TF32_TF32_F32, False),
    ],
)
def test_true_float32_is_asked_for_by_precision(precision: Any, full: bool) -> None:
    assert pallas_gpu.is_full(precision) is full


def test_true_float32_is_asked_for_by_the_configuration_too() -> None:
    with jax.default_matmul_precision("highest"):
        assert pallas_gpu.is_full(None)
        assert not pallas_gpu.is_full("default")


def test_chunked_takes_the_tile_of_the_card_that_is_named() -> None:
    hidden, queries = jnp.zeros((40, 500, 8)), jnp.zeros((3_956, 8))
    with compiling_for("NVIDIA H200"):
        assert chunked.choose_tile(hidden, queries) == tiling.tile(40, 500, 3_956, "gpu")
    assert chunked.choose_tile(hidden, queries) == tiling.tile(
        40, 500, 3_956, jax.default_backend(), target.second_level_cache()
    )


def test_the_target_is_the_default_device() -> None:
    second = jax.local_devices(backend="cpu")[-1]
    for device in (second, "cpu"):
        with jax.default_device(device):
            assert target.current() == Target("cpu", second.device_kind, None)


def test_few_labels_are_spread_over_the_card() -> None:
    target = Target("gpu", "NVIDIA H200", (9, 0))
    few = gpu_tiles.average_tile(Shape(40, 500, 512, 103, 256, "bfloat16"), target)
    many = gpu_tiles.average_tile(Shape(40, 500, 512, 3_956, 256, "bfloat16"), target)
    assert few.labels < many.labels


@pytest.mark.parametrize("most", [1, 128, 1_000, 4_096])
@pytest.mark.parametrize("num_labels", [1, 127, 128, 129, 3_956, 1_000_000])
def test_blocks_cover_the_labels_without_much_overlap(num_labels: int, most: int) -> None:
    size = gpu_tiles.block_size(num_labels, most)
    assert size <= max(most, gpu_tiles.LABEL_MULTIPLE)
    count = -(-num_labels // size)
    assert count == 1 or size % gpu_tiles.LABEL_MULTIPLE == 0
    assert count * size - num_labels < max(gpu_tiles.LABEL_MULTIPLE * count, 1)


def test_a_measured_tile_comes_first_the_nearest_label_count_of_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shape = Shape(40, 500, 512, 3_956, 256, "bfloat16")
    small = AverageTile(64, 32, 64, 256, warps=4, stages=2)
    large = AverageTile(32, 64, 64, 256, warps=8, stages=1)
    gradient = GradientTile(64, 64, 32, warps=4, stages=2)

    def row(kernel: str, num_labels: int, tile: AverageTile | GradientTile) -> dict:
        about = {"kernel": kernel, "width": 512, "features": 256, "dtype": "bfloat16"}
        return {**about, "num_labels": num_labels, "tile": dataclasses.asdict(tile)}

    rows = [row("average", 1_000, small), row("average", 30_000, large)]
    rows.append(row("gradient", 1_000, gradient))
    measured = {"NVIDIA H200": {"tiles": rows, "verdicts": []}}
    monkeypatch.setattr(gpu_tiles, "table", lambda: measured)
    target = Target("gpu", "NVIDIA H200", (9, 0))
    few = dataclasses.replace(shape, num_labels=103)
    many = dataclasses.replace(shape, num_labels=100_000)
    assert gpu_tiles.average_tile(dataclasses.replace(shape, num_labels=500), target) == small
    # Forty documents of 103 labels would be 80 programs for the card's 132 processors.
    assert gpu_tiles.average_tile(few, target) == dataclasses.replace(small, labels=32)
    assert gpu_tiles.average_tile(many, target) == large
    assert gpu_tiles.gradient_tile(many, target) == gradient
    assert gpu_tiles.average_tile(dataclasses.replace(shape, dtype="float32"), target) != small
    assert gpu_tiles.average_tile(shape, target._replace(card="NVIDIA L4")) not in (small, large)
    tiny = dataclasses.replace(shape, num_labels=3)
    assert gpu_tiles.average_tile(tiny, target) == dataclasses.replace(small, labels=16)


def made_table(change: dict[str, Any] | None = None, part: str = "tiles") -> str:
    """A table as the tuner writes it; `change` goes to the first row of a part."""
    tile = {"labels": 64, "tokens": 32, "depth": 64, "features": 256, "warps": 8, "stages": 2}
    about = {"kernel": "average", "width": 512, "features": 256, "dtype": "bfloat16"}
    verdict = {"dtype": "bfloat16", "layers": 1, "workload": "eurlex", "pallas": True}
    card: dict[str, list[dict[str, Any]]] = {
        "tiles": [{**about, "num_labels": 3_956, "tile": tile}],
        "verdicts": [verdict],
    }
    card[part][0].update(change or {})
    return json.dumps({"NVIDIA H200": card})


def test_the_table_is_read_and_what_does_not_fit_is_refused() -> None:
    found = gpu_tiles.read(made_table())["NVIDIA H200"]
    assert AverageTile(**found["tiles"][0]["tile"]).labels == 64
    assert found["verdicts"][0]["pallas"] is True
    for part, change, message in (
        ("tiles", {"tile": {"labels": 64}}, "missing 5 required"),
        ("tiles", {"kernel": "gradient"}, "unexpected keyword argument 'features'"),
        ("verdicts", {"pallas": "yes"}, "pallas or layers of"),
        ("verdicts", {"layers": 3}, "pallas or layers of"),
    ):
        with pytest.raises(ValueError, match=rf"tuned_tiles.json.*'NVIDIA H200'.*{message}"):
            gpu_tiles.read(made_table(change, part))
    with pytest.raises(ValueError, match="KeyError\\('verdicts'\\)"):
        gpu_tiles.read('{"NVIDIA H200": {"tiles": []}}')


def test_the_table_that_is_shipped_is_read_by_the_same_reader(root: Path) -> None:
    path = root / "kernels" / "axml_kernels" / gpu_tiles.TABLE
    assert gpu_tiles.table() == gpu_tiles.read(path.read_text(encoding="utf-8"))


def test_kernels_are_best_where_every_verdict_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def verdict(dtype: str, layers: int, pallas: bool) -> dict[str, Any]:
        return {"dtype": dtype, "layers": layers, "pallas": pallas}

    verdicts = [
        verdict("bfloat16", 1, True),
        verdict("bfloat16", 1, True),
        verdict("bfloat16", 2, True),
        verdict("bfloat16", 2, False),
        verdict("float32", 1, False),
    ]
    measured = {"NVIDIA H200": {"tiles": [], "verdicts": verdicts}}
    monkeypatch.setattr(gpu_tiles, "table", lambda: measured)
    h200, l4 = (Target("gpu", card, CARDS[card]) for card in ("NVIDIA H200", "NVIDIA L4"))
    found = {
        (dtype, layers)
        for dtype in ("bfloat16", "float32", "float16")
        for layers in (0, 1, 2)
        if gpu_tiles.is_best(h200, dtype, layers)
    }
    assert found == {("bfloat16", 1)}
    assert not gpu_tiles.is_best(l4, "bfloat16", 1)
