"""Schedules by their values, and Adam with clipping against Adam written out in NumPy."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from axml_jax.config import TrainConfig
from axml_jax.train.optimizer import learning_rate, make_optimizer


def rates(config: TrainConfig, total: int, steps: range) -> list[float]:
    schedule = learning_rate(config, total)
    return [float(schedule(jnp.int32(step))) for step in steps]


def test_the_papers_rate_is_constant() -> None:
    assert rates(TrainConfig(), 10, range(12)) == pytest.approx([0.001] * 12)


def test_linear_decay_ends_at_zero_after_the_last_step() -> None:
    config = TrainConfig(learning_rate=1.0, decay="linear")
    assert rates(config, 4, range(6)) == pytest.approx([1, 0.75, 0.5, 0.25, 0, 0])


def test_cosine_decay() -> None:
    config = TrainConfig(learning_rate=2.0, decay="cosine")
    expected = [1 + np.cos(np.pi * step / 4) for step in range(5)]
    assert rates(config, 4, range(5)) == pytest.approx(expected, abs=1e-6)


def test_warm_up_moves_from_the_first_step_and_decay_follows_it() -> None:
    config = TrainConfig(learning_rate=1.0, warmup_steps=4, decay="linear")
    expected = [0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    assert rates(config, 8, range(9)) == pytest.approx(expected)


@pytest.mark.parametrize("warmup", [1, 2, 20])
def test_warm_up_of_any_length_reaches_the_peak(warmup: int) -> None:
    config = TrainConfig(learning_rate=1.0, warmup_steps=warmup)
    values = rates(config, 10, range(warmup + 2))
    assert values[0] == pytest.approx(1 / warmup)
    assert values[warmup - 1 :] == pytest.approx([1.0] * 3)
    assert values == sorted(values)


@pytest.mark.parametrize("clip_norm", [0.0, 0.5])
def test_adam_with_and_without_clipping(clip_norm: float) -> None:
    config = TrainConfig(learning_rate=0.1, warmup_steps=2, decay="linear", clip_norm=clip_norm)
    optimizer = make_optimizer(config, 6)
    params = {"a": jnp.array([1.0, -2.0]), "b": jnp.array([[0.5]])}
    state = optimizer.init(params)
    expected = np.array([1.0, -2.0, 0.5])
    first, second = np.zeros(3), np.zeros(3)
    for step, scale in enumerate([0.1, 3.0, 0.2, 1.0, 0.01, 5.0]):
        gradient = scale * np.array([1.0, -2.0, 3.0]) * (1, -1)[step % 2]
        updates, state = optimizer.update(
            {"a": jnp.array(gradient[:2]), "b": jnp.array([[gradient[2]]])}, state, params
        )
        params = optax.apply_updates(params, updates)
        if clip_norm:
            gradient = gradient * min(1.0, clip_norm / float(np.linalg.norm(gradient)))
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        moments = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.999 ** (step + 1))
        rate = 0.1 * [0.5, 1.0, 1.0, 0.75, 0.5, 0.25][step]
        expected = expected - rate * moments[0] / (np.sqrt(moments[1]) + 1e-8)
        found = np.concatenate([params["a"], params["b"].reshape(-1)])
        np.testing.assert_allclose(found, expected, rtol=1e-4)
