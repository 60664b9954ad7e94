"""Lazy word rows in a training step: the same training, and no new array of the table's size."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from axml_jax.data.batches import Batch
from axml_jax.layout import AXIS, ByDocuments
from axml_jax.models.attention_xml import AttentionXML
from axml_jax.train import word_rows
from axml_jax.train.optimizer import Dense, LazyWords, Optimizer
from axml_jax.train.state import TrainState
from axml_jax.train.step import make_train_step

B, T, L = 8, 6, 5
KEY = jax.random.key(7)
LAYOUT = ByDocuments()

pytestmark = pytest.mark.usefixtures("compilation_cache")


def make_batch(seed: int, words: int, full: bool = False) -> Batch:
    random = np.random.default_rng(seed)
    lengths = np.full(B, T) if full else random.integers(1, T + 1, B)
    token_ids = random.integers(1, words, (B, T)).astype(np.int32)
    token_ids[np.arange(T)[None, :] >= lengths[:, None]] = 0
    return Batch(
        token_ids=token_ids,
        lengths=lengths.astype(np.int32),
        label_ids=np.stack([random.permutation(L)[:2] for _ in range(B)]).astype(np.int32),
        weights=np.ones(B, np.float32),
        positions=np.arange(B, dtype=np.int32),
    )


def make_model(words: int, width: int = 4) -> AttentionXML:
    return AttentionXML(
        num_words=words, width=width, num_labels=L, hidden=3, fully_connected=(4,), dropout=0.5
    )


def lazy(average_steps: int = 0) -> LazyWords:
    adam = optax.adam(0.05)
    return LazyWords(
        optax.clip_by_global_norm(0.1), adam, optax.constant_schedule(0.05), average_steps
    )


def dense(average_steps: int = 0) -> Dense:
    return Dense(optax.chain(optax.clip_by_global_norm(0.1), optax.adam(0.05)), average_steps)


def run(
    optimizer: Optimizer, devices: int, batches: list[Batch], words: int
) -> tuple[list[float], TrainState]:
    model = make_model(words)
    tokens, lengths = jnp.ones((1, T), jnp.int32), jnp.ones((1,), jnp.int32)
    params = jax.jit(model.init)(jax.random.key(0), tokens, lengths)["params"]
    state = LAYOUT.placed(optimizer.start(params), jax.local_devices()[:devices])
    step = LAYOUT.compiled(
        make_train_step(model, optimizer, steps_per_epoch=2), jax.local_devices()[:devices]
    )
    losses = []
    for batch in batches:
        state, measures = step(state, {}, LAYOUT.dealt(batch, jax.local_devices()[:devices]), KEY)
        losses.append(float(measures.loss))
    return losses, state


def assert_close(one: Any, other: Any, atol: float = 1e-5) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=atol), one, other)


@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize("words", [9, 500], ids=["few words", "many words"])
def test_touched(devices: int, words: int) -> None:
    token_ids = make_batch(0, words).token_ids
    share = token_ids.reshape(devices, -1, T)
    found, places = jax.pmap(
        lambda ids: word_rows.touched(ids, words, AXIS),
        axis_name=AXIS, devices=jax.local_devices()[:devices],
    )(share)  # fmt: skip
    expected = np.unique(np.append(token_ids, 0))
    for device in range(devices):
        assert found[device].shape == (min(words, B * T + 1),)
        np.testing.assert_array_equal(found[device][: len(expected)], expected)
        assert (found[device][len(expected) :] == words).all()
        np.testing.assert_array_equal(found[device][places[device]], share[device])


def test_an_id_that_is_no_word_is_not_another_word() -> None:
    token_ids = np.array([[3, 10, 5, 0, -1, 77]], np.int32)
    words, places = jax.pmap(
        lambda ids: word_rows.touched(ids, 10, AXIS),
        axis_name=AXIS, devices=jax.local_devices()[:1],
    )(token_ids[None])  # fmt: skip
    np.testing.assert_array_equal(words[0], [0, 3, 5, 10, 10, 10, 10])
    np.testing.assert_array_equal(places[0, 0], [1, 7, 2, 0, 7, 7])
    batch = make_batch(0, 40)
    batch.token_ids[0, 0] = 40
    losses, _ = run(lazy(), 1, [batch], 40)
    assert np.isnan(losses).all()


@pytest.mark.parametrize("full", [False, True], ids=["with padding", "without padding"])
def test_where_every_word_is_in_every_batch_it_is_dense_adam(full: bool) -> None:
    batches = [make_batch(seed, 12, full) for seed in range(3)]
    for batch in batches:
        real = batch.token_ids != 0
        batch.token_ids[real] = np.resize(np.arange(1, 5), real.sum())
    losses, state = run(lazy(2), 1, batches, 5)
    expected_losses, expected = run(dense(2), 1, batches, 5)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    # A hundredth of a step: where a gradient is nearly zero, Adam makes its rounding large.
    assert_close(state.params, expected.params, atol=5e-4)
    assert_close(lazy(2).weights(state), dense(2).weights(expected), atol=5e-4)


def test_one_and_four_devices_are_the_same_training() -> None:
    batches = [make_batch(seed, 40, full=seed == 1) for seed in range(3)]
    losses, state = run(lazy(2), 1, batches, 40)
    other_losses, other = run(lazy(2), 4, batches, 40)
    np.testing.assert_allclose(losses, other_losses, rtol=1e-5)
    assert_close(state.params, other.params)
    assert_close(lazy(2).weights(state), lazy(2).weights(other))


def test_words_of_no_batch_stay_bit_for_bit() -> None:
    batch = make_batch(0, 20)
    _, start = run(lazy(), 1, [], 500)
    _, state = run(lazy(), 1, [batch, batch], 500)
    before, after = (np.asarray(s.params["words"]["vectors"]) for s in (start, state))
    moved = (before != after).any(axis=1)
    expected = np.isin(np.arange(500), batch.token_ids) & (np.arange(500) != 0)
    np.testing.assert_array_equal(moved, expected)


def test_the_compiled_step_makes_no_array_of_the_tables_size() -> None:
    """It reads and writes in place the tables that it is given to keep, and copies none.

    A frozen table it reads, and nothing else.
    """
    words, width = 20_011, 32
    table = words * width * 4
    found: dict[str, dict[str, Any]] = {}
    for name, trained, optimizer in (
        ("lazy", True, lazy(2)),
        ("dense", True, dense(2)),
        ("frozen", False, dense(2)),
    ):
        model = make_model(words, width).clone(trainable_words=trained)
        tokens, lengths = jnp.ones((1, T), jnp.int32), jnp.ones((1,), jnp.int32)
        constants = dict(jax.eval_shape(model.init, jax.random.key(0), tokens, lengths))
        params = constants.pop("params")
        devices = jax.local_devices()[:1]
        step: Any = LAYOUT.compiled(make_train_step(model, optimizer, steps_per_epoch=2), devices)
        batch = LAYOUT.dealt(make_batch(0, words), devices)
        state = jax.eval_shape(optimizer.start, params)
        compiled = step.lower(state, constants, batch, KEY).compile()
        memory = compiled.memory_analysis()
        made = re.findall(rf"= f32\[{words},{width}\]\S* (\S+?)\(", compiled.as_text())
        found[name] = {
            "temporary tables": memory.temp_size_in_bytes / table,
            "new tables": (memory.output_size_in_bytes - memory.alias_size_in_bytes) / table,
            "all operations": set(made),
            "operations": set(made) - {"parameter", "get-tuple-element", "scatter", "fusion"},
        }
    # The steps in which rows were settled, a number a word, are copied.
    assert found["lazy"]["temporary tables"] < 0.2
    assert found["lazy"]["new tables"] < 0.01
    assert found["lazy"]["operations"] == set()
    # The same measures do see what the dense optimizer makes.
    assert found["dense"]["temporary tables"] > 0.9
    assert found["dense"]["operations"] != set()
    assert found["frozen"]["temporary tables"] < 0.2
    assert found["frozen"]["new tables"] < 0.01
    assert found["frozen"]["all operations"] == {"parameter"}
