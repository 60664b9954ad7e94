"""The reference against eqs. (4) and (5) by hand, its gradients against finite differences."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from axml_kernels import Head, label_attention, label_attention_weights, label_scores, label_top_k
from axml_kernels.workloads import WORKLOADS, Inputs, random_inputs
from tests.kernels import by_hand

NAMES = ("one-layer", "two-layers")


def in_float64(inputs: Inputs) -> Any:
    """The same tree in NumPy."""
    return jax.tree.map(
        lambda x: np.asarray(x, np.float64 if x.dtype.kind == "f" else None), inputs
    )


def test_two_tokens_two_labels_on_paper() -> None:
    """Token states (1, 0) and (0, 2); label 0 looks at both alike, label 1 has weights 3/4, 1/4."""
    hidden = jnp.array([[[1.0, 0.0], [0.0, 2.0]]])
    queries = jnp.array([[0.0, 0.0], [np.log(3.0), 0.0]])
    lengths = jnp.array([2], jnp.int32)
    m = label_attention(hidden, queries, lengths, implementation="reference")
    np.testing.assert_allclose(m, [[[0.5, 1.0], [0.75, 0.5]]], rtol=1e-6)
    # z = relu((m1 - m2, m1 + m2) + (0, 1)) = (0, 2.5) and (0.25, 2.25).
    head = Head(
        (jnp.array([[1.0, 1.0], [-1.0, 1.0]]),),
        (jnp.array([0.0, 1.0]),),
        jnp.array([4.0, 2.0]),
        jnp.array(-1.0),
    )
    scores = label_scores(hidden, queries, lengths, head, implementation="reference")
    np.testing.assert_allclose(scores, [[4.0, 4.5]], rtol=1e-6)
    logits, ids = label_top_k(hidden, queries, lengths, head, 2, implementation="reference")
    np.testing.assert_allclose(logits, [[4.5, 4.0]], rtol=1e-6)
    np.testing.assert_array_equal(ids, [[1, 0]])


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_the_hand_computation(name: str) -> None:
    inputs = random_inputs(WORKLOADS[name])
    exact = in_float64(inputs)
    scores = label_scores(*inputs, implementation="reference")
    np.testing.assert_allclose(scores, by_hand.scores(*exact), rtol=1e-5, atol=1e-5)
    m = label_attention(*inputs[:3], implementation="reference")
    np.testing.assert_allclose(m, by_hand.averages(*exact[:3]), rtol=1e-5, atol=1e-5)
    assert scores.dtype == m.dtype == jnp.float32


def test_attention_weights_of_chosen_labels() -> None:
    hidden, queries, lengths, _ = random_inputs(WORKLOADS["one-layer"])
    label_ids = jnp.array([[3, 36], [0, 0], [20, 5]])
    weights = np.asarray(label_attention_weights(hidden, queries, lengths, label_ids))
    for document, labels in enumerate(label_ids):
        length = int(lengths[document])
        states = by_hand.real_states(np.asarray(hidden[document], np.float64), length)
        for place, label in enumerate(labels):
            expected = np.zeros(hidden.shape[1])
            expected[: len(states)] = by_hand.attention(states, np.asarray(queries[label]))
            np.testing.assert_allclose(weights[document, place], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_agree_with_finite_differences(name: str) -> None:
    """Of every input, along a random direction, of a random sum of the scores by hand."""
    inputs = random_inputs(WORKLOADS[name])
    exact = in_float64(inputs)
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((exact.hidden.shape[0], exact.queries.shape[0]))

    def loss(hidden: Any, queries: Any, head: Any) -> Any:
        scores = label_scores(hidden, queries, inputs.lengths, head, implementation="reference")
        return (scores * jnp.asarray(weights, jnp.float32)).sum()

    def loss_by_hand(hidden: Any, queries: Any, head: Any) -> float:
        return float((by_hand.scores(hidden, queries, exact.lengths, head) * weights).sum())

    point = (exact.hidden, exact.queries, exact.head)
    gradient = jax.grad(loss, (0, 1, 2))(inputs.hidden, inputs.queries, inputs.head)
    leaves, shape = jax.tree.flatten(point)
    slopes = jax.tree.leaves(gradient)
    assert len(leaves) == len(slopes)
    step = 1e-6
    for place, slope in enumerate(slopes):
        direction = rng.standard_normal(leaves[place].shape)
        values = []
        for sign in (1, -1):
            moved = list(leaves)
            moved[place] = leaves[place] + sign * step * direction
            values.append(loss_by_hand(*jax.tree.unflatten(shape, moved)))
        expected = (values[0] - values[1]) / (2 * step)
        scale = np.linalg.norm(slope) * np.linalg.norm(direction)
        assert abs(np.vdot(slope, direction) - expected) <= 1e-5 * scale, place
