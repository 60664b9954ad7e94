"""The running mean of weights."""

import jax.numpy as jnp
import numpy as np
import pytest

from axml_jax.train.state import running_mean


def mean_of(values: list[float], window: int) -> list[float]:
    mean, means = jnp.array([100.0]), []  # the initial weights, far off
    for step, value in enumerate(values, 1):
        new = running_mean({"w": mean}, {"w": jnp.array([value])}, jnp.int32(step), window)
        mean = new["w"]
        means.append(float(mean[0]))
    return means


def test_within_the_window_it_is_the_plain_mean_of_all_steps() -> None:
    values = [4.0, -2.0, 7.0, 1.0, 0.5]
    expected = [np.mean(values[:n]) for n in range(1, 6)]
    assert mean_of(values, window=5) == pytest.approx(expected, abs=1e-4)


def test_beyond_the_window_it_is_exponential() -> None:
    values = [4.0, -2.0, 7.0, 1.0, 0.5]
    expected = [4.0, 1.0]
    for value in values[2:]:
        expected.append(expected[-1] + (value - expected[-1]) / 2)
    assert mean_of(values, window=2) == pytest.approx(expected, abs=1e-4)


def test_a_window_of_one_is_the_newest_weights() -> None:
    assert mean_of([4.0, -2.0, 7.0], window=1) == pytest.approx([4.0, -2.0, 7.0], abs=1e-4)
