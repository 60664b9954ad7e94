"""Eq. (6) against cases worked by hand, its two forms against each other, and extreme logits."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from axml_jax import losses

LABELS = 4

binary_cross_entropy = jax.jit(losses.binary_cross_entropy)
dense_binary_cross_entropy = jax.jit(losses.dense_binary_cross_entropy)
gradient_of = jax.jit(jax.value_and_grad(losses.binary_cross_entropy))
dense_gradient_of = jax.jit(jax.value_and_grad(losses.dense_binary_cross_entropy))


def test_a_case_by_hand() -> None:
    # Twice the probabilities 1/2, 3/4, 1/4, 9/10: first with true labels 1 and 3, then with none.
    odds = jnp.log(jnp.asarray([[1, 3, 1 / 3, 9], [1, 3, 1 / 3, 9]]))
    ids = jnp.asarray([[1, 3], [LABELS, LABELS]])
    first = -math.log(1 / 2) - math.log(3 / 4) - math.log(3 / 4) - math.log(9 / 10)
    second = -math.log(1 / 2) - math.log(1 / 4) - math.log(3 / 4) - math.log(1 / 10)
    expected = (first + second) / 8
    assert binary_cross_entropy(odds, ids) == pytest.approx(expected, rel=1e-6)
    targets = jnp.asarray([[0, 1, 0, 1], [0, 0, 0, 0]])
    assert dense_binary_cross_entropy(odds, targets) == pytest.approx(expected, rel=1e-6)


def test_chance_costs_the_logarithm_of_two() -> None:
    loss = binary_cross_entropy(jnp.zeros((3, LABELS)), jnp.full((3, 1), LABELS))
    assert loss == pytest.approx(math.log(2), rel=1e-6)


def test_both_forms_and_their_gradients_agree() -> None:
    rng = np.random.default_rng(0)
    logits = jnp.asarray(3 * rng.normal(size=(6, 11)), jnp.float32)
    targets = rng.random((6, 11)) < 0.3
    ids = np.full((6, 11), 11, np.int32)
    for row, of_document in zip(ids, targets, strict=True):
        true = np.flatnonzero(of_document)
        row[: len(true)] = true
    weights = jnp.asarray([1, 0, 1, 1, 0, 1], jnp.float32)
    dense_target = jnp.asarray(targets, jnp.float32)
    for w in (None, weights):
        listed, listed_gradient = gradient_of(logits, ids, w)
        dense, dense_gradient = dense_gradient_of(logits, dense_target, w)
        assert listed == pytest.approx(float(dense), rel=1e-6)
        np.testing.assert_allclose(listed_gradient, dense_gradient, rtol=1e-5, atol=1e-8)
        documents = 6 if w is None else 4
        expected = (jax.nn.sigmoid(logits) - dense_target) / (documents * 11)
        if w is not None:
            expected = expected * w[:, None]
        np.testing.assert_allclose(listed_gradient, expected, rtol=1e-5, atol=1e-8)


def test_filling_documents_count_nowhere() -> None:
    logits = jnp.asarray([[1.0, -2.0], [jnp.inf, jnp.nan], [0.5, 0.25]])
    ids = jnp.asarray([[0], [1], [2]])
    weights = jnp.asarray([1.0, 0.0, 1.0])
    filled, gradient = gradient_of(logits, ids, weights)
    real = np.array([0, 2])
    alone = binary_cross_entropy(logits[real], ids[real])
    assert filled == pytest.approx(float(alone), rel=1e-6)
    assert jnp.isfinite(gradient[real]).all()


def test_no_real_document_costs_nothing() -> None:
    loss, gradient = gradient_of(jnp.ones((2, LABELS)), jnp.full((2, 1), LABELS), jnp.zeros(2))
    assert loss == 0
    assert (gradient == 0).all()


def test_ids_outside_are_no_labels() -> None:
    logits = jnp.asarray([[0.5, -1.0, 2.0, 3.0]])
    inside = binary_cross_entropy(logits, jnp.asarray([[2]]))
    assert binary_cross_entropy(logits, jnp.asarray([[-1, 2, LABELS, 99]])) == inside


@pytest.mark.parametrize("size", [100.0, 1e4, 1e30])
def test_extreme_logits(size: float) -> None:
    logits = jnp.asarray([[size, -size, size, -size]])
    ids = jnp.asarray([[0, 1]])  # right, wrong, wrong, right
    targets = jnp.asarray([[1.0, 1.0, 0.0, 0.0]])
    for loss_of in (
        lambda s: binary_cross_entropy(s, ids),
        lambda s: dense_binary_cross_entropy(s, targets),
    ):
        loss, gradient = jax.value_and_grad(loss_of)(logits)
        assert loss == pytest.approx(2 * size / 4, rel=1e-6)
        np.testing.assert_allclose(gradient, [[0, -0.25, 0.25, 0]], atol=1e-7)


def test_bfloat16_logits_are_summed_in_float32() -> None:
    logits = jnp.full((1, 3000), 1.0, jnp.bfloat16)
    loss = binary_cross_entropy(logits, jnp.full((1, 1), 3000))
    assert loss.dtype == jnp.float32
    assert loss == pytest.approx(math.log1p(math.e), rel=1e-4)
