"""Tiles cover their batch without much waste; the order of projection follows the count."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from axml_kernels import tiling
from axml_kernels.finish import pack, unpack
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
    assert tiling.tile(1, 1, 1, "cpu") == (1, 16)


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
def test_order_of_projection(name: str, first: bool) -> None:
    """Also what makes the small workloads go through every path."""
    _, tokens, width, num_labels, layers = WORKLOADS[name]
    assert tiling.project_first(tokens, width, layers[0], num_labels) is first


@pytest.mark.parametrize("features", [1, 31, 32, 33, 64])
def test_bits_come_back(features: int) -> None:
    on = np.random.default_rng(features).random((2, 3, features)) < 0.5
    bits = pack(jnp.asarray(on))
    assert bits.shape == (2, 3, -(-features // 32))
    np.testing.assert_array_equal(unpack(bits, features), on)
