"""cuDNN's LSTM: its weights and lengths by JAX's emulation, and on a GPU the thing itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn

from axml_jax.models import bilstm_cudnn
from axml_jax.models.bilstm import bilstm
from axml_jax.models.bilstm_parameters import BiLSTMParameters

B, T, E, H = 5, 7, 3, 4
LENGTHS = jnp.array([7, 0, 1, 4, 6], jnp.int32)


def make(batch: int, num_times: int, width: int, hidden: int) -> tuple[Any, BiLSTMParameters]:
    draw = np.random.default_rng(0).normal
    shapes = ((2, width, 4 * hidden), (2, hidden, 4 * hidden), (2, 4 * hidden))
    parameters = BiLSTMParameters(
        *(jnp.asarray(draw(size=s) / np.sqrt(s[-1]), jnp.float32) for s in shapes)
    )
    return jnp.asarray(draw(size=(batch, num_times, width)), jnp.float32), parameters


def states_and_gradients(implementation: str, x: Any, lengths: Any, parameters: Any) -> Any:
    weights = np.random.default_rng(2).normal(size=(*x.shape[:2], 1)).astype(np.float32)

    def total(x: jax.Array, p: BiLSTMParameters) -> tuple[jax.Array, jax.Array]:
        states = bilstm(x, lengths, p, implementation=implementation, precision="highest")
        return jnp.sum(states * weights), states

    (_, states), gradients = jax.value_and_grad(total, argnums=(0, 1), has_aux=True)(x, parameters)
    return states, gradients


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts JAX's reference in cuDNN's place, which takes the same packed weights."""

    def lstm(
        x: Any, h: Any, c: Any, weights: Any, lengths: Any, width: int, hidden: int,
        num_layers: int, dropout: float, bidirectional: bool, precision: Any,
    ) -> Any:  # fmt: skip
        del precision
        assert (lengths >= 1).all(), "cuDNN refuses empty documents"
        parts = rnn.unpack_lstm_weights(weights, width, hidden, num_layers, bidirectional)
        sizes = width, hidden, num_layers, dropout, bidirectional
        return rnn.lstm_ref(x, h, c, *parts, lengths, *sizes)

    monkeypatch.setattr(rnn, "lstm", lstm)
    monkeypatch.setattr(bilstm_cudnn, "unavailable", lambda dtype: None)


@pytest.mark.usefixtures("emulated")
def test_weights_and_lengths_are_given_as_cudnn_takes_them() -> None:
    x, parameters = make(B, T, E, H)
    found = states_and_gradients("cudnn", x, LENGTHS, parameters)
    expected = states_and_gradients("scan", x, LENGTHS, parameters)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, expected
    )
    assert (found[0][1] == 0).all()


def test_it_is_no_choice_where_bits_have_to_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    card = SimpleNamespace(client=SimpleNamespace(platform_version="cuda 13000"))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "devices", lambda: [card])
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=there")
    assert bilstm_cudnn.unavailable(jnp.float32) is None
    # As `--deterministic` leaves it.
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=there --xla_gpu_deterministic_ops=true")
    x, parameters = make(B, T, E, H)
    with pytest.raises(NotImplementedError, match=r"--deterministic .* no power over the order"):
        bilstm(x, LENGTHS, parameters, implementation="cudnn")


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="there is a GPU, so it can run")
def test_a_device_that_cannot_is_told() -> None:
    x, parameters = make(B, T, E, H)
    with pytest.raises(NotImplementedError, match=r"needs an NVIDIA GPU.*Name 'scan' or None"):
        bilstm(x, LENGTHS, parameters, implementation="cudnn")


def test_a_misspelt_name_is_told() -> None:
    x, parameters = make(B, T, E, H)
    with pytest.raises(ValueError, match=r"'cuddn'\. Did you mean 'cudnn'\?"):
        bilstm(x, LENGTHS, parameters, implementation="cuddn")


@pytest.mark.gpu
@pytest.mark.parametrize("lengths", ["all", "ragged"])
def test_on_a_gpu_it_equals_the_scan(lengths: str) -> None:
    x, parameters = make(9, 50, 30, 64)
    each = jnp.full((9,), 50) if lengths == "all" else jnp.array([50, 0, 1, 2, 49, 31, 8, 7, 50])
    found = states_and_gradients("cudnn", x, each.astype(jnp.int32), parameters)
    expected = states_and_gradients("scan", x, each.astype(jnp.int32), parameters)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), found, expected
    )
