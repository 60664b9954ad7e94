"""The kernels with the tiles that real shapes get, interpreted or compiled on a GPU."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import axml_kernels
from axml_kernels import label_attention_weights, label_scores, label_top_k
from axml_kernels.workloads import WORKLOADS, Inputs, Workload, random_inputs
from tests.kernels import accuracy

ON_GPU = jax.default_backend() == "gpu"
# What a GPU computes in a moment and the interpreter never would.
LARGE = ["eurlex", "rcv1"]


@pytest.fixture(autouse=True)
def interpreted_unless_on_a_gpu() -> Iterator[None]:
    if ON_GPU:
        yield
    else:
        with axml_kernels.interpreted():
            yield


def every_length(num_labels: int, layers: tuple[int, ...], dtype: str) -> Inputs:
    """Documents of 1, 2, .. T tokens."""
    tokens = 40
    inputs = random_inputs(Workload(tokens, tokens, 64, num_labels, layers), dtype=dtype)
    return inputs._replace(lengths=jnp.arange(1, tokens + 1, dtype=jnp.int32))


@pytest.mark.parametrize("num_labels", [1, 3, 255, 256, 257])
@pytest.mark.parametrize("layers", [(40,), (40, 8)])
def test_every_length_and_label_counts_around_a_block(
    num_labels: int, layers: tuple[int, ...]
) -> None:
    inputs = every_length(num_labels, layers, "float32")
    accuracy.check([inputs], ["chunked", "pallas"], precision="highest")


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("num_labels", [1, 3, 255, 256, 257])
@pytest.mark.parametrize("layers", [(40,), (40, 8)])
def test_on_the_card(num_labels: int, layers: tuple[int, ...], dtype: str) -> None:
    """In float32 that is tf32, unless the precision asks for more."""
    cases = [
        every_length(num_labels, layers, dtype),
        random_inputs(Workload(40, 129, 96, num_labels, layers), 1, dtype),
    ]
    for operation in ("scores", "attention"):
        accuracy.check(cases, ["chunked", "pallas"], operation)


@pytest.mark.gpu
@pytest.mark.parametrize("width", [16, 100, 300, 512, 1024])
@pytest.mark.parametrize("features", [8, 33, 256, 300, 600])
def test_any_width_on_the_card(width: int, features: int) -> None:
    inputs = random_inputs(Workload(8, 70, width, 200, (features,)))
    accuracy.check([inputs], ["pallas"], precision="highest")


@pytest.mark.gpu
@pytest.mark.parametrize("name", LARGE)
def test_the_shapes_of_the_paper_on_the_card(name: str) -> None:
    cases = [random_inputs(WORKLOADS[name]._replace(batch=8), seed, "bfloat16") for seed in (0, 1)]
    accuracy.check(cases, ["chunked", "pallas"])


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("layers", [(256,), (512, 256)])
def test_the_same_bits_twice_on_the_card(dtype: str, layers: tuple[int, ...]) -> None:
    inputs = random_inputs(Workload(40, 500, 512, 3_956, layers), dtype=dtype)
    first = accuracy.results_and_gradients(inputs, "pallas")
    second = accuracy.results_and_gradients(inputs, "pallas")
    for part, value in first.items():
        np.testing.assert_array_equal(value, second[part], part)


@pytest.mark.gpu
def test_top_k_on_the_card() -> None:
    inputs = random_inputs(WORKLOADS["eurlex"]._replace(batch=8), dtype="bfloat16")
    scores = np.asarray(label_scores(*inputs, implementation="pallas"))
    _, ids = label_top_k(*inputs, 100, implementation="pallas")
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :100]
    np.testing.assert_array_equal(ids, expected)


@pytest.mark.gpu
def test_exported_and_mapped_on_the_card() -> None:
    inputs = random_inputs(WORKLOADS["middle-one-layer"])

    def scores(hidden: jax.Array, queries: jax.Array, lengths: jax.Array) -> jax.Array:
        return label_scores(hidden, queries, lengths, inputs.head, implementation="pallas")

    arguments = inputs[:3]
    expected = jax.jit(scores)(*arguments)
    exported = jax.export.export(jax.jit(scores))(*arguments)
    again = jax.export.deserialize(exported.serialize())
    np.testing.assert_array_equal(again.call(*arguments), expected)
    for mapped in (jax.vmap(scores), jax.pmap(scores)):
        found = mapped(*(x[None] for x in arguments))[0]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("num_labels", [1, 1_000_003])
def test_weights_of_chosen_labels_at_any_number_of_labels(num_labels: int) -> None:
    inputs = random_inputs(Workload(2, 6, 4, num_labels, (3,)))
    ids = jnp.array([[0, num_labels - 1], [num_labels // 2, 0]], jnp.int32)
    weights = label_attention_weights(*inputs[:3], ids)
    few = inputs.queries[ids]
    for b, length in enumerate((1, 1)):  # empty, and one token
        expected = np.zeros((2, 6), np.float32)
        expected[:, :length] = 1
        np.testing.assert_allclose(weights[b], expected, atol=1e-6)
    longer = label_attention_weights(inputs.hidden, inputs.queries, jnp.full(2, 6, jnp.int32), ids)
    scores = np.einsum("btd,bkd->bkt", inputs.hidden, few)
    expected = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(longer, expected, rtol=1e-5)
