"""The kernels with the tiles that real shapes get, interpreted or compiled on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import axml_kernels
from axml_kernels import Head, label_attention_weights, label_scores, label_top_k
from axml_kernels.workloads import WORKLOADS, Inputs, Workload, random_inputs
from tests.kernels import accuracy

ON_GPU = jax.default_backend() == "gpu"
# What a GPU computes in a moment and the interpreter never would.
LARGE = ["eurlex", "rcv1"]
# Around a block of labels.
LABEL_COUNTS = [1, 3, 255, 256, 257]


@pytest.fixture(autouse=True)
def interpreted_unless_on_a_gpu() -> Iterator[None]:
    if ON_GPU:
        yield
    else:
        with axml_kernels.interpreted():
            yield


def every_length(num_labels: int, layers: tuple[int, ...], dtype: str, seed: int = 0) -> Inputs:
    """Documents of 1, 2, .. T tokens."""
    tokens = 40
    inputs = random_inputs(Workload(tokens, tokens, 64, num_labels, layers), seed, dtype)
    return inputs._replace(lengths=jnp.arange(1, tokens + 1, dtype=jnp.int32))


@pytest.mark.parametrize("num_labels", LABEL_COUNTS)
@pytest.mark.parametrize("layers", [(40,), (40, 8)])
def test_every_length_and_label_counts_around_a_block(
    num_labels: int, layers: tuple[int, ...]
) -> None:
    # Of few labels, several cases: one alone may have a reference that errs by luck less.
    seeds = range(1 if num_labels > 16 else 4)
    cases = [every_length(num_labels, layers, "float32", seed) for seed in seeds]
    accuracy.check(cases, ["chunked", "pallas"], precision="highest")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_hidden_states_that_share_an_offset(dtype: str) -> None:
    """The sum of score gradients over tokens, zero by definition, is multiplied by it."""
    cases = []
    for seed in range(4):
        inputs = random_inputs(Workload(4, 40, 64, 150, (32,)), seed, dtype)
        offset = 4 * np.random.default_rng(seed).standard_normal(64)
        moved = inputs.hidden.astype(jnp.float32) + jnp.asarray(offset, jnp.float32)[None, None]
        cases.append(inputs._replace(hidden=moved.astype(dtype)))
    for operation in ("scores", "attention"):
        accuracy.check(cases, ["chunked", "pallas"], operation, precision="highest")


@pytest.mark.parametrize(
    ("width", "features"), [(8, 3), (100, 33), (300, 300), (600, 600), (16, 1_100)]
)
@pytest.mark.parametrize("operation", ["scores", "attention"])
def test_widths_that_no_power_of_two_covers(width: int, features: int, operation: str) -> None:
    """Columns beyond the end are masked, in one pass over the tokens or in several."""
    cases = [random_inputs(Workload(4, 9, width, 40, (features,)), seed) for seed in range(4)]
    for precision in ("highest",) if ON_GPU else (None, "highest"):  # their tiles differ
        accuracy.check(cases, ["pallas"], operation, precision)


def test_float32_where_x64_is_on() -> None:
    inputs = random_inputs(Workload(4, 9, 16, 300, (8,)))
    expected = accuracy.results_and_gradients(inputs, "pallas")
    _, ids = label_top_k(*inputs, 5, implementation="pallas")
    with jax.enable_x64(True):
        found = accuracy.results_and_gradients(inputs, "pallas")
        _, ids_64 = label_top_k(*inputs, 5, implementation="pallas")
    for part, value in expected.items():
        np.testing.assert_allclose(found[part], value, rtol=1e-5, atol=1e-6, err_msg=part)
    np.testing.assert_array_equal(ids, ids_64)
    assert ids_64.dtype == jnp.int32


@pytest.mark.parametrize("layers", [(40,), (40, 8)])
def test_saves_log_sums_bits_and_the_scores(layers: tuple[int, ...]) -> None:
    batch, num_labels = 4, 1_024
    inputs = random_inputs(Workload(batch, 16, 32, num_labels, layers))

    def scores(hidden: jax.Array, queries: jax.Array, head: Head) -> jax.Array:
        return label_scores(hidden, queries, inputs.lengths, head, implementation="pallas")

    _, pull = jax.vjp(scores, *inputs[:2], inputs.head)
    saved = sum(np.asarray(x).nbytes for x in jax.tree.leaves(pull))
    given = sum(np.asarray(x).nbytes for x in jax.tree.leaves(inputs))
    one_layer = 4 * -(-layers[0] // 32) + 4 if len(layers) == 1 else 0  # bits, and the result
    # hidden is saved with its padding zeroed and once as it came, with a mask; lengths clipped.
    extra = 5 * inputs.hidden.size + 8 * batch
    assert saved <= given + extra + batch * num_labels * (4 + one_layer)


def test_a_score_that_is_no_number_comes_first_and_no_label_is_made_up() -> None:
    inputs = random_inputs(WORKLOADS["one-layer"])
    queries = inputs.queries.at[20].set(jnp.nan)
    lengths = jnp.full_like(inputs.lengths, inputs.hidden.shape[1])
    inputs = inputs._replace(queries=queries, lengths=lengths)
    expected = label_top_k(*inputs, 4, implementation="reference")
    found = label_top_k(*inputs, 4, implementation="pallas")
    assert np.isnan(expected[0][:, 0]).all()
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)


# --- On a card.  The most telling first: the time for all may end before the last.


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("layers", [(256,), (512, 256)])
def test_the_same_bits_twice_on_the_card(dtype: str, layers: tuple[int, ...]) -> None:
    inputs = random_inputs(Workload(40, 500, 512, 3_956, layers), dtype=dtype)
    first = accuracy.results_and_gradients(inputs, "pallas")
    second = accuracy.results_and_gradients(inputs, "pallas")
    for part, value in first.items():
        np.testing.assert_array_equal(value, second[part], part)


@pytest.mark.gpu
@pytest.mark.parametrize("name", LARGE)
def test_the_shapes_of_the_paper_on_the_card(name: str) -> None:
    cases = [random_inputs(WORKLOADS[name]._replace(batch=8), seed, "bfloat16") for seed in (0, 1)]
    accuracy.check(cases, ["chunked", "pallas"])


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
    # JAX does not promise that what it compiled for Triton runs in another version.
    unchecked = jax.export.DisabledSafetyCheck.custom_call("__gpu$xla.gpu.triton")
    exported = jax.export.export(jax.jit(scores), disabled_checks=[unchecked])(*arguments)
    again = jax.export.deserialize(exported.serialize())
    np.testing.assert_array_equal(again.call(*arguments), expected)
    for mapped in (jax.vmap(scores), jax.pmap(scores)):
        found = mapped(*(x[None] for x in arguments))[0]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("layers", [(40,), (40, 8)])
def test_every_length_on_the_card(layers: tuple[int, ...], dtype: str) -> None:
    def check(num_labels: int) -> None:
        # Of one case alone the reference may err less by luck; more of them compile nothing more.
        cases = [every_length(num_labels, layers, dtype, seed) for seed in range(8)]
        accuracy.check(cases, ["pallas"], precision="highest")

    with ThreadPoolExecutor() as pool:  # most of the time XLA compiles
        list(pool.map(check, LABEL_COUNTS))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_tf32_and_float16_on_the_card(dtype: str) -> None:
    """At sizes at which XLA uses the matrix units in the reference, too."""
    inputs = random_inputs(Workload(8, 129, 256, 1_000, (256,)), dtype=dtype)
    accuracy.check([inputs], ["chunked", "pallas"])


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
