"""One training step: eq. (6), its gradient, dropout and filler rows, on one device and on four."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from axml_jax.data.batches import Batch
from axml_jax.layout import ByDocuments
from axml_jax.losses import dense_binary_cross_entropy
from axml_jax.models.attention_xml import AttentionXML
from axml_jax.train.optimizer import Dense
from axml_jax.train.state import TrainState
from axml_jax.train.step import make_train_step

B, T, L = 8, 6, 5
STEPS_PER_EPOCH = 2
KEY = jax.random.key(7)
LAYOUT = ByDocuments()

pytestmark = pytest.mark.usefixtures("compilation_cache")


def make_batch(documents: int, seed: int) -> Batch:
    """`documents` real rows of B; the others fill, with content that must count nowhere."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, T + 1, B).astype(np.int32)
    label_ids = np.stack([random.permutation(L)[:2] for _ in range(B)]).astype(np.int32)
    label_ids[::3, 1] = L
    return Batch(
        token_ids=random.integers(1, 12, (B, T)).astype(np.int32),
        lengths=lengths,
        label_ids=label_ids,
        weights=(np.arange(B) < documents).astype(np.float32),
        positions=np.arange(B, dtype=np.int32),
    )


# The second batch of an epoch is not full: of four devices one has a document less, and the
# last only filler rows.
BATCHES = [make_batch(8, 0), make_batch(5, 1), make_batch(8, 2)]


def make_model(dropout: float) -> AttentionXML:
    return AttentionXML(
        num_words=12, width=4, num_labels=L, hidden=3, fully_connected=(4,), dropout=dropout,
        embedding_dropout=dropout / 2,
    )  # fmt: skip


def run(
    devices: int, batches: Sequence[Batch], dropout: float = 0.5, average_steps: int = 2
) -> tuple[list[float], TrainState]:
    model = make_model(dropout)
    optimizer = Dense(optax.adam(0.05), average_steps)
    tokens, lengths = jnp.ones((1, T), jnp.int32), jnp.ones((1,), jnp.int32)
    params = jax.jit(model.init)(jax.random.key(0), tokens, lengths)["params"]
    chosen = jax.local_devices()[:devices]
    state = LAYOUT.placed(optimizer.start(params), chosen)
    step = LAYOUT.compiled(
        make_train_step(model, optimizer, steps_per_epoch=STEPS_PER_EPOCH), chosen
    )
    losses = []
    for batch in batches:
        state, measures = step(state, {}, LAYOUT.dealt(batch, chosen), KEY)
        losses.append(float(measures.loss))
    return losses, state


def assert_close(one: Any, other: Any, rtol: float = 1e-4) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-5), one, other)


def test_one_and_four_devices_are_the_same_training_dropout_included() -> None:
    one_losses, one = run(1, BATCHES)
    four_losses, four = run(4, BATCHES)
    np.testing.assert_allclose(one_losses, four_losses, rtol=1e-5)
    assert_close(one, four)
    # Dropout is at work: without it the losses are others.
    assert not np.allclose(run(1, BATCHES, dropout=0.0)[0], one_losses, rtol=1e-3)


def test_the_loss_is_eq_6_over_the_real_documents() -> None:
    losses, _ = run(4, [BATCHES[1]], dropout=0.0)
    batch = BATCHES[1]
    model = make_model(0.0)
    tokens, lengths = jnp.ones((1, T), jnp.int32), jnp.ones((1,), jnp.int32)
    variables = jax.jit(model.init)(jax.random.key(0), tokens, lengths)
    logits = jnp.asarray(model.apply(variables, batch.token_ids[:5], batch.lengths[:5]))
    targets = np.zeros((5, L), np.float32)
    for row, labels in enumerate(batch.label_ids[:5]):
        targets[row, labels[labels < L]] = 1
    expected = dense_binary_cross_entropy(logits, jnp.asarray(targets))
    np.testing.assert_allclose(losses, [float(expected)], rtol=1e-5)


@pytest.mark.parametrize("devices", [1, 4])
def test_what_fills_a_batch_changes_nothing(devices: int) -> None:
    other = make_batch(5, 99)
    refilled = Batch(
        *(
            np.concatenate([mine[:5], theirs[5:]])
            for mine, theirs in zip(BATCHES[1], other, strict=True)
        )
    )
    assert not np.array_equal(refilled.token_ids, BATCHES[1].token_ids)
    losses, state = run(devices, [BATCHES[0], BATCHES[1]])
    other_losses, other_state = run(devices, [BATCHES[0], refilled])
    np.testing.assert_allclose(losses, other_losses, rtol=1e-6)
    assert_close(state.params, other_state.params)


def test_a_documents_dropout_follows_its_place_in_the_epoch() -> None:
    batch = BATCHES[0]
    order = np.array([5, 2, 7, 0, 1, 3, 6, 4])
    shuffled = Batch(*(array[order] for array in batch))
    # The same documents at the same places of the epoch, on other rows and devices.
    np.testing.assert_allclose(run(4, [shuffled])[0], run(4, [batch])[0], rtol=1e-5)
    # At other places their masks are others; so they are in another epoch.
    elsewhere = batch._replace(positions=batch.positions + 8)
    assert not np.allclose(run(4, [elsewhere])[0], run(4, [batch])[0], rtol=1e-4)


def test_each_epoch_draws_its_own_masks() -> None:
    model = make_model(0.5)
    optimizer = Dense(optax.sgd(0.0))
    devices = jax.local_devices()[:1]
    step = LAYOUT.compiled(make_train_step(model, optimizer, steps_per_epoch=2), devices)
    tokens, lengths = jnp.ones((1, T), jnp.int32), jnp.ones((1,), jnp.int32)
    params = jax.jit(model.init)(jax.random.key(0), tokens, lengths)["params"]
    state = LAYOUT.placed(optimizer.start(params), devices)
    losses = []
    for _ in range(4):
        state, measures = step(state, {}, LAYOUT.dealt(BATCHES[0], devices), KEY)
        losses.append(float(measures.loss))
    assert int(state.step) == 4
    # Weights stand still: only masks differ, and those only from epoch to epoch.
    assert losses[0] == losses[1]
    assert losses[2] == losses[3]
    assert losses[0] != losses[2]


def test_the_average_is_the_mean_of_the_steps() -> None:
    _, after_one = run(1, BATCHES[:1], average_steps=2)
    _, after_two = run(1, BATCHES[:2], average_steps=2)
    expected = jax.tree.map(lambda a, b: (a + b) / 2, after_one.params, after_two.params)
    assert_close(after_two.average, expected)
    assert run(1, BATCHES[:1], average_steps=0)[1].average == ()
