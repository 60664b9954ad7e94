"""Schedules by their values; Adam with clipping, dense and lazy, against NumPy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from axml_jax.config import Config, TrainConfig
from axml_jax.train.optimizer import Dense, LazyWords, Reading, learning_rate, make_optimizer
from axml_jax.train.state import TrainState


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


WORDS, WIDTH, TOUCHED = 6, 2, 4


def make_config(lazy: bool, clip_norm: float, average_steps: int = 0) -> Config:
    config = Config()
    config.train = TrainConfig(
        learning_rate=0.1, warmup_steps=2, decay="linear", clip_norm=clip_norm, lazy_words=lazy,
        average_steps=average_steps,
    )  # fmt: skip
    return config.validate()


def initial_params() -> dict[str, Any]:
    table = np.linspace(-1, 1, WORDS * WIDTH).reshape(WORDS, WIDTH)
    return {"head": jnp.array([1.0, -2.0]), "words": {"vectors": jnp.asarray(table, jnp.float32)}}


def gradients(steps: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each step: the head's gradient, the words touched, and the gradients of their rows."""
    random = np.random.default_rng(0)
    made = []
    for step in range(steps):
        words = np.full(TOUCHED, WORDS)
        # Word 5 is touched in the first step and then no more; word 4 never.
        distinct = {0, *random.integers(1, 4, 3), *([5] if step == 0 else [])}
        words[: len(distinct)] = sorted(distinct)[:TOUCHED]
        rows = random.normal(size=(TOUCHED, WIDTH)) * (0.01, 1, 10)[step % 3]
        rows[words == WORDS] = 0
        made.append((random.normal(size=2), words, rows))
    return made


def adam_in_numpy(lazy: bool, clip_norm: float, steps: int) -> list[np.ndarray]:
    """Head and table, flat, after each step; lazy as torch.optim.SparseAdam documents it."""
    params = initial_params()
    x = np.concatenate([np.asarray(params["head"]), np.asarray(params["words"]["vectors"]).ravel()])
    x = x.astype(np.float64)
    first, second, after = np.zeros_like(x), np.zeros_like(x), []
    for n, (head, words, rows) in enumerate(gradients(steps), 1):
        table = np.zeros((WORDS + 1, WIDTH))
        table[words] = rows
        moved = np.zeros((WORDS + 1, WIDTH), bool)
        moved[words] = True
        gradient = np.concatenate([head, table[:WORDS].ravel()])
        moved_all = np.concatenate([[True, True], moved[:WORDS].ravel() | (not lazy)])
        if clip_norm:
            gradient *= min(1.0, clip_norm / float(np.linalg.norm(gradient)))
        first = np.where(moved_all, 0.9 * first + 0.1 * gradient, first)
        second = np.where(moved_all, 0.999 * second + 0.001 * gradient**2, second)
        rate = 0.1 * (0.5 if n == 1 else min(1, 1 - (n - 3) / (steps - 2)))
        moved_by = rate * np.sqrt(1 - 0.999**n) / (1 - 0.9**n) * first / (np.sqrt(second) + 1e-8)
        x = x - np.where(moved_all, moved_by, 0)
        after.append(x)
    return after


def run(config: Config, steps: int, passed_over: tuple[int, ...] = ()) -> list[TrainState]:
    """The states after each step, of gradients that are given; before some, one passed over."""
    optimizer = make_optimizer(config, steps)
    state, states = optimizer.start(initial_params()), []
    for index, (head, words, rows) in enumerate(gradients(steps)):
        table = jnp.zeros((WORDS, WIDTH)).at[words].set(jnp.asarray(rows, jnp.float32), mode="drop")
        model: Any = None  # nothing is computed
        if config.train.lazy_words:
            read = state.params["words"]["vectors"].at[words].get(mode="fill", fill_value=0)
            reading = Reading(model, {"words": {"vectors": read}}, model, jnp.asarray(words))
            gradient: dict[str, Any] = {"words": {"vectors": jnp.asarray(rows, jnp.float32)}}
        else:
            reading = Reading(model, state.params, model, None)
            gradient = {"words": {"vectors": table}}
        gradient["head"] = jnp.asarray(head, jnp.float32)
        if index in passed_over:
            nothing = jax.tree.map(lambda one: one * jnp.nan, gradient)
            state = optimizer.update(state, reading, nothing, jnp.array(False))
        state = optimizer.update(state, reading, gradient)
        states.append(state)
    return states


def flat(params: Any) -> np.ndarray:
    return np.concatenate([params["head"], params["words"]["vectors"].reshape(-1)])


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("clip_norm", [0.0, 0.5])
def test_adam_over_fifty_steps(lazy: bool, clip_norm: float) -> None:
    states = run(make_config(lazy, clip_norm), 50)
    within = 1e-5 if lazy else 1e-4  # optax keeps other intermediate values in float32
    for state, expected in zip(states, adam_in_numpy(lazy, clip_norm, 50), strict=True):
        np.testing.assert_allclose(flat(state.params), expected, rtol=within, atol=within)
    # The gradients tell the two apart: word 5 rests after its only step, or drifts on.
    drift = states[-1].params["words"]["vectors"][5] - states[0].params["words"]["vectors"][5]
    assert (np.abs(drift) > 1e-3).any() == (not lazy)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_step_that_is_passed_over_is_not_counted(lazy: bool) -> None:
    """Neither by the rate, for words as for the rest, nor by the correction of Adam's bias."""
    plain, passing = (run(make_config(lazy, 0.5), 12, passed) for passed in ((), (0, 1, 7)))
    assert [int(state.step) for state in passing[-2:]] == [14, 15]
    for one, other in zip(plain, passing, strict=True):
        np.testing.assert_array_equal(flat(one.params), flat(other.params))


def test_lazy_rows_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra bench)")
    table = torch.nn.Parameter(torch.tensor(np.asarray(initial_params()["words"]["vectors"])))
    optimizer = torch.optim.SparseAdam([table], lr=0.1)
    rates = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda n: 0.5 if n == 0 else min(1, 1 - (n - 2) / 48)
    )
    for state, (_, words, rows) in zip(run(make_config(True, 0.0), 50), gradients(50), strict=True):
        real = words < WORDS
        table.grad = torch.sparse_coo_tensor(
            torch.tensor(words[real][None]), torch.tensor(rows[real], dtype=torch.float32),
            (WORDS, WIDTH), check_invariants=True,
        )  # fmt: skip
        optimizer.step()
        rates.step()
        np.testing.assert_allclose(
            state.params["words"]["vectors"], table.detach().numpy(), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("window", [1, 5, 100])
def test_the_mean_is_that_of_the_steps(lazy: bool, window: int) -> None:
    config = make_config(lazy, 0.0, average_steps=window)
    optimizer = make_optimizer(config, 20)
    mean = np.full(2 + WORDS * WIDTH, 100.0)
    for step, state in enumerate(run(config, 20), 1):
        mean += (flat(state.params) - mean) / min(step, window)
        np.testing.assert_allclose(flat(optimizer.weights(state)), mean, rtol=1e-5, atol=1e-5)


def test_a_state_owns_its_arrays() -> None:
    """The step donates all of them: none may be there twice."""
    for lazy in (False, True):
        params = initial_params()
        state = make_optimizer(make_config(lazy, 0.0, average_steps=3), 5).start(params)
        pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state)]
        assert len(set(pointers)) == len(pointers)
        assert flat(state.params) == pytest.approx(flat(params))


def test_the_configuration_chooses() -> None:
    assert isinstance(make_optimizer(make_config(True, 0.0), 5), LazyWords)
    assert isinstance(make_optimizer(make_config(False, 0.0), 5), Dense)
    frozen = make_config(True, 0.0)
    frozen.model.train_words = False
    assert isinstance(make_optimizer(frozen, 5), Dense)
