"""Every implementation on the same cases: accuracy, padding, empty documents, transformations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import axml_kernels
from axml_kernels import (
    Head,
    api,
    chunked,
    gpu_tiles,
    label_cross_entropy,
    label_scores,
    label_top_k,
)
from axml_kernels.gpu_tiles import AverageTile, GradientTile
from axml_kernels.tiling import Tile
from axml_kernels.workloads import WORKLOADS, Inputs, Workload, random_inputs
from tests.kernels import accuracy
from tests.kernels.accuracy import random_truth, results_and_gradients, weighted_loss

IMPLEMENTATIONS = list(api.IMPLEMENTATIONS)
COMPARED = [name for name in IMPLEMENTATIONS if name != "reference"]
SMALL = ["one-layer", "wide-layer", "two-layers", "two-layers-few-labels", "one-label"]
HEADS = pytest.mark.parametrize("operation", ["scores", "cross entropy"])
EVERY = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the shapes below no tile is alone and some are not full, in every loop."""
    monkeypatch.setattr(chunked, "choose_tile", lambda hidden, queries: Tile(2, 16))
    average = AverageTile(labels=8, tokens=4, depth=8, features=32, warps=4, stages=1)
    gradient = GradientTile(labels=8, tokens=4, depth=8, warps=4, stages=1)
    monkeypatch.setattr(gpu_tiles, "average_tile", lambda shape, target: average)
    monkeypatch.setattr(gpu_tiles, "gradient_tile", lambda shape, target: gradient)
    for block in ("average_block", "gradient_block"):
        monkeypatch.setattr(gpu_tiles, block, lambda shape: min(16, shape.num_labels))


@pytest.fixture(autouse=True)
def interpreted() -> Iterator[None]:
    """The Pallas kernels run everywhere, interpreted; the other implementations do not notice."""
    with axml_kernels.interpreted():
        yield


SEEDS = range(4)
MIDDLE = ["middle-one-layer", "middle-wide-layer", "middle-two-layers"]


@pytest.mark.parametrize("operation", ["scores", "attention", "cross entropy"])
@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, "float32") for name in SMALL] + [(name, "bfloat16") for name in MIDDLE],
)
def test_errs_at_most_twice_as_much_as_the_reference_in_the_same_precision(
    name: str, dtype: str, operation: str
) -> None:
    cases = [random_inputs(WORKLOADS[name], seed, dtype) for seed in SEEDS]
    accuracy.check(cases, COMPARED, operation)


@pytest.mark.parametrize("num_labels", [1, 3, 255, 256, 257])
def test_bfloat16_at_every_length_and_label_counts_around_a_block(num_labels: int) -> None:
    # Of few labels many cases: a score or two on the other side of a ReLU shall not decide.
    cases = [
        random_inputs(Workload(8, 8, 64, num_labels, (32,)), seed, "bfloat16")._replace(
            lengths=jnp.arange(1, 9, dtype=jnp.int32)
        )
        for seed in range(4 if num_labels > 16 else 16)
    ]
    accuracy.check(cases, ["pallas"])


@HEADS
@EVERY
@pytest.mark.parametrize("name", ["one-layer", "wide-layer"])
def test_what_padding_holds_changes_no_bit(implementation: str, name: str, operation: str) -> None:
    inputs = random_inputs(WORKLOADS[name])
    expected = results_and_gradients(inputs, implementation, operation)
    real = np.arange(inputs.hidden.shape[1])[None, :] < np.asarray(inputs.lengths)[:, None]
    assert not real.all()
    for content in (1e30, np.inf, np.nan):
        hidden = jnp.where(jnp.asarray(real)[:, :, None], inputs.hidden, content)
        found = results_and_gradients(inputs._replace(hidden=hidden), implementation, operation)
        for part, value in found.items():
            np.testing.assert_array_equal(value, expected[part], part)
        assert not found["hidden"][~real].any()


@HEADS
@EVERY
def test_more_padding_changes_nothing(implementation: str, operation: str) -> None:
    inputs = random_inputs(WORKLOADS["one-layer"])
    longer = jnp.pad(inputs.hidden, ((0, 0), (0, 4), (0, 0)), constant_values=5.0)
    expected = results_and_gradients(inputs, implementation, operation)
    found = results_and_gradients(inputs._replace(hidden=longer), implementation, operation)
    found["hidden"] = found["hidden"][:, : inputs.hidden.shape[1]]
    for part, value in found.items():
        np.testing.assert_allclose(value, expected[part], rtol=1e-4, atol=1e-5, err_msg=part)


@HEADS
@EVERY
def test_an_empty_document_is_one_token_of_zeros(implementation: str, operation: str) -> None:
    inputs = random_inputs(WORKLOADS["one-layer"])
    assert inputs.lengths[0] == 0
    zeros = inputs._replace(
        hidden=inputs.hidden.at[0].set(0.0), lengths=inputs.lengths.at[0].set(1)
    )
    empty = results_and_gradients(inputs, implementation, operation)
    token = results_and_gradients(zeros, implementation, operation)
    np.testing.assert_array_equal(empty["result"], token["result"])
    assert all(np.isfinite(value).all() for value in empty.values())
    assert not empty["hidden"][0].any()  # the token of zeros is not the caller's


@EVERY
def test_lengths_beyond_the_batch_count_as_full(implementation: str) -> None:
    inputs = random_inputs(WORKLOADS["one-label"])
    full, beyond = (
        label_scores(
            *inputs._replace(lengths=jnp.full(3, n, jnp.int32)), implementation=implementation
        )
        for n in (5, 9)
    )
    np.testing.assert_array_equal(full, beyond)


@EVERY
def test_a_document_does_not_depend_on_its_batch(implementation: str) -> None:
    inputs = random_inputs(WORKLOADS["two-layers"])
    alone = inputs._replace(hidden=inputs.hidden[2:], lengths=inputs.lengths[2:])
    np.testing.assert_allclose(
        label_scores(*alone, implementation=implementation)[0],
        label_scores(*inputs, implementation=implementation)[2],
        rtol=1e-5,
        atol=1e-5,
    )


@HEADS
@pytest.mark.parametrize("implementation", COMPARED)
@pytest.mark.parametrize("name", ["one-layer", "wide-layer", "two-layers"])
def test_a_batch_of_one_document(implementation: str, name: str, operation: str) -> None:
    inputs = random_inputs(WORKLOADS[name]._replace(batch=1))
    for length in (0, 1, inputs.hidden.shape[1]):
        one = inputs._replace(lengths=jnp.array([length], jnp.int32))
        expected = results_and_gradients(one, "reference", operation)
        for part, value in results_and_gradients(one, implementation, operation).items():
            np.testing.assert_allclose(value, expected[part], rtol=1e-4, atol=1e-4, err_msg=part)


@HEADS
def test_groups_too_large_to_go_through_layers_one_by_one(
    monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    monkeypatch.setattr(chunked, "choose_tile", lambda hidden, queries: Tile(10, 32))
    inputs = random_inputs(Workload(10, 4, 16, 45, (8, 6)))
    expected = results_and_gradients(inputs, "reference", operation)
    for part, value in results_and_gradients(inputs, "chunked", operation).items():
        np.testing.assert_allclose(value, expected[part], rtol=1e-4, atol=1e-4, err_msg=part)


@HEADS
@EVERY
@pytest.mark.parametrize("name", ["one-layer", "two-layers"])
def test_twice_the_same_input_gives_twice_the_same_bits(
    implementation: str, name: str, operation: str
) -> None:
    inputs = random_inputs(WORKLOADS[name])
    first = results_and_gradients(inputs, implementation, operation)
    second = results_and_gradients(inputs, implementation, operation)
    for part, value in first.items():
        np.testing.assert_array_equal(value, second[part], part)


@HEADS
@EVERY
def test_inside_remat_vmap_and_pmap(implementation: str, operation: str) -> None:
    """Gradients of queries and head, from the plain call, rematerialised, mapped two ways."""
    workload = Workload(2, 5, 8, 21, (6,))
    batches = [random_inputs(workload, seed) for seed in (0, 1)]
    head = batches[0].head
    queries = batches[0].queries

    def gradient(hidden: Any, lengths: Any) -> Any:
        loss = weighted_loss(implementation, operation)
        return jax.grad(lambda q, h: loss(hidden, q, lengths, h)[0], (0, 1))(queries, head)

    expected = [gradient(batch.hidden, batch.lengths) for batch in batches]
    hidden = jnp.stack([batch.hidden for batch in batches])
    lengths = jnp.stack([batch.lengths for batch in batches])
    mapped = {"vmap": jax.vmap(gradient)(hidden, lengths)}
    if jax.local_device_count() >= 2:
        mapped["pmap"] = jax.pmap(gradient)(hidden, lengths)
    loss = jax.checkpoint(weighted_loss(implementation, operation))
    mapped["remat"] = jax.tree.map(
        lambda *x: jnp.stack(x),
        *(
            jax.grad(lambda q, h, b=batch: loss(b.hidden, q, b.lengths, h)[0], (0, 1))(
                queries, head
            )
            for batch in batches
        ),
    )
    for way, found in mapped.items():
        for i, one in enumerate(expected):
            for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(found), strict=True):
                np.testing.assert_allclose(a, b[i], rtol=1e-4, atol=1e-5, err_msg=way)


@HEADS
@EVERY
def test_exported_with_its_gradient(implementation: str, operation: str) -> None:
    inputs = random_inputs(WORKLOADS["one-label"])
    loss = weighted_loss(implementation, operation)
    gradient = jax.jit(jax.grad(lambda q, *rest: loss(rest[0], q, *rest[1:])[0]))
    arguments = (inputs.queries, inputs.hidden, inputs.lengths, inputs.head.output)

    def of_arrays(queries: Any, hidden: Any, lengths: Any, output: Any) -> Any:
        return gradient(queries, hidden, lengths, inputs.head._replace(output=output))

    exported = jax.export.export(jax.jit(of_arrays))(*arguments)
    again = jax.export.deserialize(exported.serialize())
    np.testing.assert_array_equal(again.call(*arguments), jax.jit(of_arrays)(*arguments))


@HEADS
@EVERY
@pytest.mark.parametrize("name", ["one-layer", "wide-layer", "two-layers"])
def test_precision_reaches_every_matrix_product(
    implementation: str, name: str, operation: str
) -> None:
    inputs = random_inputs(WORKLOADS[name])

    loss = weighted_loss(implementation, operation, "highest")

    program = str(jax.make_jaxpr(jax.grad(loss, (0, 1, 3), has_aux=True))(*inputs))
    products = program.count("dot_general[")
    assert products >= 8
    assert program.count("precision=(Precision.HIGHEST, Precision.HIGHEST)") == products


@EVERY
@pytest.mark.parametrize(
    ("name", "dtype"),
    [("one-layer", "float32"), ("two-layers", "float32"), ("middle-one-layer", "bfloat16")],
)
def test_costs_are_those_of_the_scores(implementation: str, name: str, dtype: str) -> None:
    """Of each document, and their weighted sum, by NumPy from the same implementation's scores."""
    inputs = random_inputs(WORKLOADS[name], dtype=dtype)
    num_labels = len(inputs.queries)
    label_ids, weights = random_truth(len(inputs.lengths), num_labels)
    given = label_scores(*inputs, implementation=implementation)
    scores, ids = np.asarray(given, np.float64), np.asarray(label_ids)
    truth = (ids[:, :, None] == np.arange(num_labels)).any(axis=1)
    assert 0 < truth.sum() < ids.size  # some ids are of no label
    expected = np.where(truth, np.logaddexp(0, -scores), np.logaddexp(0, scores)).sum(axis=1)

    def total(weights: Any) -> Any:
        return label_cross_entropy(*inputs, label_ids, weights, implementation=implementation)

    weights = weights.astype(jnp.float32)
    found, costs = jax.value_and_grad(total)(weights)
    np.testing.assert_allclose(costs, expected, rtol=1e-5)
    for value in (found, total(weights)):
        np.testing.assert_allclose(value, expected @ np.asarray(weights), rtol=1e-5)
    assert found.dtype == jnp.float32
    every = label_cross_entropy(*inputs, label_ids, implementation=implementation)
    np.testing.assert_allclose(every, expected.sum(), rtol=1e-5)


@EVERY
@pytest.mark.parametrize("counted", [45, 40])
def test_parts_of_the_labels_add_up(implementation: str, counted: int) -> None:
    """Two devices' shares of 45 labels, the last of them filled up, against all at once."""
    inputs = random_inputs(WORKLOADS["two-layers"])
    label_ids = jnp.array([[0, 44, -1], [22, 23, 50], [39, 40, 41]], jnp.int32)

    def total(queries: Any, hidden: Any, first: int = 0) -> Any:
        return label_cross_entropy(
            hidden, queries, inputs.lengths, inputs.head, label_ids,
            first_label=first, num_labels=counted, implementation=implementation,
        )  # fmt: skip

    gradient = jax.value_and_grad(total, (0, 1))
    whole, (d_queries, d_hidden) = gradient(inputs.queries, inputs.hidden)
    filled = jnp.concatenate([inputs.queries[23:], jnp.ones((1, 16))])
    one, (d_one, d_hidden_one) = gradient(inputs.queries[:23], inputs.hidden)
    two, (d_two, d_hidden_two) = gradient(filled, inputs.hidden, 23)
    np.testing.assert_allclose(one + two, whole, rtol=1e-5)
    np.testing.assert_allclose(d_hidden_one + d_hidden_two, d_hidden, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(
        jnp.concatenate([d_one, d_two[:-1]]), d_queries, rtol=1e-3, atol=1e-5
    )
    assert not d_two[-1].any()
    assert not d_queries[counted:].any()
    assert d_queries[:counted].any(axis=1).all()


@EVERY
def test_documents_without_true_labels(implementation: str) -> None:
    inputs = random_inputs(WORKLOADS["one-layer"])
    none = jnp.zeros((3, 0), jnp.int32)
    found = label_cross_entropy(*inputs, none, implementation=implementation)
    no_label = jnp.full((3, 1), -1, jnp.int32)
    expected = label_cross_entropy(*inputs, no_label, implementation=implementation)
    np.testing.assert_array_equal(found, expected)


@EVERY
def test_a_large_loss_scale_keeps_the_gradients_of_small_weights(implementation: str) -> None:
    inputs = random_inputs(WORKLOADS["one-layer"], dtype="float16")
    label_ids, _ = random_truth(3, 37)

    def gradient(scale: float) -> Any:
        def loss(queries: Any) -> Any:
            given = inputs._replace(queries=queries)
            weights = jnp.full(3, 1 / scale)
            return scale * label_cross_entropy(
                *given, label_ids, weights, implementation=implementation
            )

        return jax.grad(loss)(inputs.queries)

    np.testing.assert_allclose(gradient(2.0**30), gradient(1.0), rtol=1e-2, atol=1e-3)


@EVERY
def test_a_document_without_weight_counts_nowhere(implementation: str) -> None:
    inputs = random_inputs(WORKLOADS["one-layer"])
    label_ids, _ = random_truth(3, 37)
    bad = inputs._replace(hidden=inputs.hidden.at[2].set(jnp.inf))
    weights = jnp.array([1.0, 0.5, 0.0])
    found = label_cross_entropy(*bad, label_ids, weights, implementation=implementation)
    expected = label_cross_entropy(*inputs, label_ids, weights, implementation=implementation)
    np.testing.assert_allclose(found, expected, rtol=1e-6)

    def total(weights: Any) -> Any:
        return label_cross_entropy(*inputs, label_ids, weights, implementation=implementation)

    costs = jax.grad(total)(weights)
    assert costs[:2].all()
    assert costs[2] == 0


def tied_inputs(num_labels: int, seed: int) -> Inputs:
    """Each label attends to exactly one of three tokens: three distinct scores, ties everywhere."""
    rng = np.random.default_rng(seed)
    hidden = np.zeros((3, 4, 4), np.float32)
    hidden[:, :3, :3] = np.eye(3)
    hidden[:, :, 3] = rng.integers(-2, 3, (3, 4))
    queries = np.zeros((num_labels, 4), np.float32)
    queries[np.arange(num_labels), rng.integers(0, 3, num_labels)] = 1e4
    kernel = jnp.array([[0.0, 1.0], [0.0, -1.0], [0.0, 0.0], [1.0, 0.0]])
    head = Head((kernel,), (jnp.ones(2),), jnp.array([1.0, -1.0]), jnp.array(0.0))
    lengths = jnp.full(3, 3, jnp.int32)
    return Inputs(jnp.asarray(hidden), jnp.asarray(queries), lengths, head)


@EVERY
@pytest.mark.parametrize("k", [1, 5, 16, 20, 37])
def test_top_k_is_a_stable_sort_of_the_scores(implementation: str, k: int) -> None:
    for inputs in (tied_inputs(37, seed=k), random_inputs(WORKLOADS["one-layer"], seed=k)):
        scores = np.asarray(label_scores(*inputs, implementation=implementation))
        expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        logits, ids = label_top_k(*inputs, k, implementation=implementation)
        np.testing.assert_array_equal(ids, expected)
        np.testing.assert_allclose(
            logits, np.take_along_axis(scores, expected, 1), rtol=1e-6, atol=1e-6
        )
        assert ids.dtype == jnp.int32
        assert logits.dtype == jnp.float32


def test_ties_are_really_there() -> None:
    scores = np.asarray(label_scores(*tied_inputs(37, seed=1), implementation="reference"))
    assert all(len(np.unique(row)) <= 3 for row in scores)
    assert any(len(np.unique(row)) > 1 for row in scores)
