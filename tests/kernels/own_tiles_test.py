"""`chunked` with the tiles that a CPU gives it, in the types and at the sizes where blocks end."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from axml_kernels import chunked
from axml_kernels.workloads import Inputs, Workload, random_inputs
from tests.kernels import accuracy

pytestmark = pytest.mark.skipif(jax.default_backend() != "cpu", reason="tiles of CPUs")


def every_length(num_labels: int, layers: tuple[int, ...], seed: int) -> Inputs:
    """Documents of 1, 2, .. T tokens, in bfloat16."""
    tokens = 16
    inputs = random_inputs(Workload(tokens, tokens, 64, num_labels, layers), seed, "bfloat16")
    return inputs._replace(lengths=jnp.arange(1, tokens + 1, dtype=jnp.int32))


@pytest.mark.parametrize("num_labels", [1, 3, 255, 256, 257])
@pytest.mark.parametrize("layers", [(40,), (40, 8)])
def test_bfloat16_at_every_length_and_label_counts_around_a_block(
    num_labels: int, layers: tuple[int, ...]
) -> None:
    cases = [every_length(num_labels, layers, seed) for seed in range(4)]
    accuracy.check(cases, ["chunked"])
    # That of the loss is not ruled by rounding alone: all labels of a document of one token have
    # the same averages, and one that falls on the other side of a ReLU counts for each.  It runs.
    for value in accuracy.results_and_gradients(cases[0], "chunked", "cross entropy").values():
        assert np.isfinite(value).all()


@pytest.mark.parametrize("operation", ["scores", "attention", "cross entropy"])
@pytest.mark.parametrize("layers", [(8,), (8, 6)])
def test_more_labels_than_a_block_and_more_documents_than_a_group(
    layers: tuple[int, ...], operation: str
) -> None:
    cases = [random_inputs(Workload(5, 400, 16, 2_049, layers), seed) for seed in (0, 1)]
    tile = chunked.choose_tile(*cases[0][:2])
    assert tile.group < 5
    assert tile.block < 2_049
    assert 2_049 % tile.block  # the last block is not full
    if operation != "cross entropy":
        accuracy.check(cases, ["chunked"], operation)
        return
    expected = accuracy.results_and_gradients(cases[0], "reference", operation)
    for part, value in accuracy.results_and_gradients(cases[0], "chunked", operation).items():
        np.testing.assert_allclose(value, expected[part], rtol=1e-4, atol=1e-4, err_msg=part)
