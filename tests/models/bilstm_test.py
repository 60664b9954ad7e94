"""The BiLSTM against NumPy and numerical derivatives, and its independence of padding and batch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import axml_kernels
from axml_jax.models.bilstm import BiLSTM, bilstm
from axml_jax.models.bilstm_parameters import BiLSTMParameters
from tests.models import oracle

B, T, E, H = 8, 7, 3, 4
LENGTHS = np.array([7, 0, 1, 4, 6, 2, 5, 3], np.int32)  # all there are


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(B, T, E)).astype(np.float32)


@pytest.fixture
def parameters() -> BiLSTMParameters:
    draw = np.random.default_rng(1).normal
    shapes = ((2, E, 4 * H), (2, H, 4 * H), (2, 4 * H))
    return BiLSTMParameters(*(jnp.asarray(draw(size=s), jnp.float32) for s in shapes))


run = jax.jit(bilstm)


@pytest.mark.parametrize("tokens", [1, 2, T])
def test_equals_numpy(x: np.ndarray, parameters: BiLSTMParameters, tokens: int) -> None:
    x, lengths = x[:, :tokens], np.minimum(LENGTHS, tokens)
    states = np.asarray(run(x, lengths, parameters))
    weights = [np.asarray(p, np.float64) for p in parameters]
    assert states.shape == (B, tokens, 2 * H)
    for b, length in enumerate(lengths):
        expected = oracle.bilstm(x[b, :length].astype(np.float64), *weights)
        np.testing.assert_allclose(states[b, :length], expected, rtol=1e-5, atol=1e-6)
        assert (states[b, length:] == 0).all()


@pytest.mark.parametrize("tokens", [1, T])
def test_gradient_equals_finite_differences(
    x: np.ndarray, parameters: BiLSTMParameters, tokens: int
) -> None:
    with jax.enable_x64(True):
        weights = jax.tree.map(lambda p: jnp.asarray(np.asarray(p), jnp.float64), parameters)
        x, lengths = x[:, :tokens], jnp.asarray(np.minimum(LENGTHS, tokens))
        check_grads(
            jax.jit(lambda x, p: bilstm(x, lengths, p)),
            (jnp.asarray(x, jnp.float64), weights),
            order=1,
            modes=["rev"],
            rtol=1e-6,
            atol=1e-6,
        )


def test_what_gpus_save_gives_the_same(x: np.ndarray, parameters: BiLSTMParameters) -> None:
    """They keep gates in arrays of their own, where a CPU has them take their inputs' place."""
    weights = np.random.default_rng(2).normal(size=(B, T, 2 * H)).astype(np.float32)

    def total(x: jax.Array, p: BiLSTMParameters) -> tuple[jax.Array, jax.Array]:
        states = bilstm(x, jnp.asarray(LENGTHS), p)
        return jnp.sum(states * weights), states

    def states_and_gradients() -> Any:
        return jax.jit(jax.grad(total, argnums=(0, 1), has_aux=True))(jnp.asarray(x), parameters)

    here = states_and_gradients()
    with axml_kernels.interpreted():
        as_on_gpus = states_and_gradients()
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), as_on_gpus, here
    )


def test_padding_is_not_read(x: np.ndarray, parameters: BiLSTMParameters) -> None:
    padding = np.arange(T)[None, :] >= LENGTHS[:, None]
    dirty = np.where(padding[:, :, None], np.nan, x)
    lengths = jnp.asarray(LENGTHS)
    weights = np.random.default_rng(2).normal(size=(B, T, 2 * H)).astype(np.float32)

    @jax.jit
    def both(x: jax.Array) -> tuple[jax.Array, tuple[jax.Array, BiLSTMParameters]]:
        def total(x: jax.Array, p: BiLSTMParameters) -> jax.Array:
            return jnp.sum(bilstm(x, lengths, p) * weights)

        return bilstm(x, lengths, parameters), jax.grad(total, argnums=(0, 1))(x, parameters)

    clean_result, dirty_result = both(jnp.asarray(x)), both(jnp.asarray(dirty))
    for clean_leaf, dirty_leaf in zip(
        jax.tree.leaves(clean_result), jax.tree.leaves(dirty_result), strict=True
    ):
        np.testing.assert_array_equal(clean_leaf, dirty_leaf)
        assert np.isfinite(dirty_leaf).all()
    grad_x = np.asarray(dirty_result[1][0])
    assert (grad_x[padding] == 0).all()
    assert (grad_x[~padding] != 0).all()


def test_a_document_does_not_see_its_batch(x: np.ndarray, parameters: BiLSTMParameters) -> None:
    together = np.asarray(run(x, LENGTHS, parameters))
    for b in (2, 3):
        length = LENGTHS[b]
        alone = run(x[b : b + 1, :length], LENGTHS[b : b + 1], parameters)
        np.testing.assert_allclose(together[b, :length], alone[0], rtol=1e-6, atol=1e-6)
    wider = np.pad(x, ((0, 0), (0, 4), (0, 0)))
    np.testing.assert_allclose(
        run(wider, LENGTHS, parameters)[:, :T], together, rtol=1e-6, atol=1e-6
    )


def test_bfloat16_keeps_its_type_and_stays_near(
    x: np.ndarray, parameters: BiLSTMParameters
) -> None:
    @jax.jit
    def states_and_gradient(x: jax.Array) -> tuple[jax.Array, tuple[jax.Array, BiLSTMParameters]]:
        def total(x: jax.Array, p: BiLSTMParameters) -> jax.Array:
            return jnp.sum(bilstm(x, jnp.asarray(LENGTHS), p).astype(jnp.float32) ** 2)

        states = bilstm(x, jnp.asarray(LENGTHS), parameters)
        return states, jax.grad(total, argnums=(0, 1))(x, parameters)

    narrow = jnp.asarray(x, jnp.bfloat16)
    states, (grad_x, gradient) = states_and_gradient(narrow)
    exact_states, (_, exact_gradient) = states_and_gradient(narrow.astype(jnp.float32))
    assert states.dtype == jnp.bfloat16
    assert grad_x.dtype == jnp.bfloat16
    assert 1e-6 < np.abs(states.astype(jnp.float32) - exact_states).max() < 0.05
    for narrow_leaf, exact_leaf in zip(gradient, exact_gradient, strict=True):
        assert narrow_leaf.dtype == jnp.float32
        assert np.linalg.norm(narrow_leaf - exact_leaf) < 0.03 * np.linalg.norm(exact_leaf)


def test_initial_values() -> None:
    width, hidden = 6, 8
    module = BiLSTM(hidden)
    lengths = jnp.ones((1,), jnp.int32)
    params = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, 1, width)), lengths)["params"]
    for direction in (0, 1):
        gates = np.split(np.asarray(params["bias"][direction]), 4)
        assert [g.tolist() for g in gates] == [
            [0] * hidden,
            [1] * hidden,
            [0] * hidden,
            [0] * hidden,
        ]
        for u in np.split(np.asarray(params["recurrent_kernel"][direction]), 4, axis=1):
            np.testing.assert_allclose(u @ u.T, np.eye(hidden), atol=1e-5)
        for w in np.split(np.asarray(params["input_kernel"][direction]), 4, axis=1):
            bound = np.sqrt(6 / (width + hidden))
            assert 0.8 * bound < np.abs(w).max() <= bound
    assert not np.array_equal(params["input_kernel"][0], params["input_kernel"][1])
    assert not np.array_equal(params["recurrent_kernel"][0], params["recurrent_kernel"][1])


def test_refuses_lengths_that_are_not_one_per_document(
    x: np.ndarray, parameters: BiLSTMParameters
) -> None:
    with pytest.raises(ValueError, match=r"lengths of shape \(B,\).*\(8, 7, 3\) and \(8, 7\)"):
        bilstm(jnp.asarray(x), jnp.ones((B, T), jnp.int32), parameters)
