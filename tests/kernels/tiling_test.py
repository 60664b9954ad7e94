"""Tiles cover their batch without much waste; the order of projection follows the count."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from axml_kernels import chunked, target, tiling
from axml_kernels.finish import pack, unpack
from axml_kernels.target import Target
from axml_kernels.workloads import WORKLOADS


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
@pytest.mark.parametrize("name", WORKLOADS)
def test_tiles_waste_little_and_stay_small(name: str, platform: str) -> None:
    batch, tokens, _, num_labels, _ = WORKLOADS[name]
    group, block = tiling.tile(batch, tokens, num_labels, platform)
    assert 1 <= group <= batch
    assert block % tiling.LABEL_MULTIPLE == 0
    assert -(-num_labels // block) * block < num_labels * 1.1 + tiling.LABEL_MULTIPLE
    assert -(-batch // group) * group < batch * 1.1 + 1
    most = tiling.CPU_SCORES if platform == "cpu" else tiling.DEVICE_SCORES
    assert group * tokens * (block - tiling.LABEL_MULTIPLE) <= most


def test_long_documents_and_odd_batches() -> None:
    assert tiling.tile(40, 20_000, 5_000, "cpu").block <= 32
    assert tiling.group_size(41, 3) in (2, 3, 4)
    assert tiling.tile(40, 20_000, 5_000, "gpu").group == 2
    for platform in ("cpu", "gpu"):
        assert tiling.tile(1, 1, 1, platform) == (1, 16)


def test_a_cpus_tile_grows_with_its_cache() -> None:
    megabyte = 1 << 20
    assert tiling.tile(8, 500, 3_956, "cpu", 2 * megabyte) == (2, 992)
    assert tiling.tile(8, 500, 3_956, "cpu") == (2, 992)
    areas = {}
    for cache in (megabyte // 8, megabyte // 4, megabyte // 2, 8 * megabyte, 1 << 40):
        group, block = tiling.tile(10**6, 10, 10**6, "cpu", cache)
        areas[cache] = group * block
        assert 0.8 < (group / 120) / (block / 1_024) < 1.25  # both sides alike
    usual = 1200 * 1024 / 10
    assert areas[megabyte // 2] == pytest.approx(usual / 4, rel=0.15)
    assert areas[8 * megabyte] == pytest.approx(usual * 4, rel=0.15)
    assert areas[megabyte // 8] == areas[megabyte // 4]  # no cache is so small,
    assert areas[1 << 40] == areas[8 * megabyte]  # or so large


@pytest.mark.parametrize(
    ("described", "found"),
    [
        ({"index0": ("1", "48K"), "index2": ("2", "1280K"), "index3": ("3", "32M")}, 1280 << 10),
        ({"index1": ("2", "4M")}, 4 << 20),
        ({"index0": ("1", "48K")}, target.USUAL_CACHE),
        ({"index2": ("2", "")}, target.USUAL_CACHE),
        ({"index2": ("2", None), "index3": ("3", "32M")}, target.USUAL_CACHE),
        ({}, target.USUAL_CACHE),
    ],
)
def test_the_cache_that_linux_describes(
    described: dict[str, tuple[str, str | None]], found: int, tmp_path: Path
) -> None:
    for name, (level, size) in described.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "level").write_text(f"{level}\n")
        if size is not None:
            (tmp_path / name / "size").write_text(f"{size}\n")
    assert target.second_level_cache(tmp_path) == found


def test_chunked_asks_for_this_machines_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, queries = jnp.zeros((8, 500, 8)), jnp.zeros((3_956, 8))
    monkeypatch.setattr(target, "current", lambda: Target("cpu", "cpu", None))
    monkeypatch.setattr(target, "second_level_cache", lambda: 1 << 19)
    assert chunked.choose_tile(hidden, queries) == tiling.tile(8, 500, 3_956, "cpu", 1 << 19)
    assert chunked.choose_tile(hidden, queries) != tiling.tile(8, 500, 3_956, "cpu")


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("one-layer", True),
        ("wide-layer", False),
        ("two-layers", True),
        ("two-layers-few-labels", False),
        ("middle-one-layer", True),
        ("middle-wide-layer", False),
        ("middle-two-layers", True),
        ("eurlex", True),
        ("rcv1", False),
    ],
)
@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_order_of_projection(
    name: str, first: bool, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what makes the small workloads go through every path."""
    monkeypatch.setattr(target, "current", lambda: Target(platform, "any", None))
    _, tokens, width, num_labels, layers = WORKLOADS[name]
    assert tiling.project_first(tokens, width, layers[0], num_labels) is first


@pytest.mark.parametrize(("platform", "switch"), [("cpu", 157), ("gpu", 253)])
def test_where_the_order_of_projection_changes(
    platform: str, switch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By multiplications alone, on a CPU by what one of either kind costs; the README's numbers."""
    monkeypatch.setattr(target, "current", lambda: Target(platform, "any", None))
    assert not tiling.project_first(500, 512, 256, switch - 1)
    assert tiling.project_first(500, 512, 256, switch)


@pytest.mark.parametrize("features", [1, 31, 32, 33, 64])
def test_bits_come_back(features: int) -> None:
    on = np.random.default_rng(features).random((2, 3, features)) < 0.5
    bits = pack(jnp.asarray(on))
    assert bits.shape == (2, 3, -(-features // 32))
    np.testing.assert_array_equal(unpack(bits, features), on)
