"""Losses and gradients that are no numbers: what stops, what is told, what is passed over."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from axml_jax.config import Config
from axml_jax.data.batches import Batch
from axml_jax.data.opened import Split
from axml_jax.data.store import Store
from axml_jax.errors import ConfigError
from axml_jax.label_layout import ByDocumentsAndLabels
from axml_jax.layout import ByDocuments
from axml_jax.models.attention_xml import AttentionXML
from axml_jax.train.optimizer import make_optimizer
from axml_jax.train.plan import make_plan
from axml_jax.train.step import make_train_step
from tests.train.contents import contents

B, T, L, V = 8, 6, 9, 40
BAD = 43  # the document whose first word no table has

Train = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.usefixtures("compilation_cache")


def make_batch(seed: int, bad: bool = False) -> Batch:
    random = np.random.default_rng(seed)
    token_ids = random.integers(1, V, (B, T)).astype(np.int32)
    token_ids[3, 0] = V if bad else 1
    return Batch(
        token_ids=token_ids,
        lengths=np.full(B, T, np.int32),
        label_ids=np.stack([random.permutation(L)[:3] for _ in range(B)]).astype(np.int32),
        weights=np.ones(B, np.float32),
        positions=np.arange(B, dtype=np.int32),
    )


@pytest.mark.parametrize(
    ("lazy", "layout", "devices"),
    [
        pytest.param(True, ByDocuments(), 1, id="touched words"),
        pytest.param(True, ByDocuments(), 4, id="touched words, four devices"),
        pytest.param(True, ByDocumentsAndLabels(L, 2), 4, id="touched words, labels split"),
        pytest.param(False, ByDocuments(), 4, id="all words, four devices"),
        pytest.param(False, ByDocumentsAndLabels(L, 2), 4, id="all words, labels split"),
    ],
)
def test_a_step_without_a_finite_loss_moves_nothing(lazy: bool, layout: Any, devices: int) -> None:
    config = Config()
    config.train.learning_rate, config.train.lazy_words = 0.05, lazy
    config.train.average_steps = 10
    optimizer = make_optimizer(config, 10, layout.global_norm)
    model = AttentionXML(num_words=V, width=4, num_labels=L, hidden=3, fully_connected=(4,))
    tokens, lengths = jnp.ones((1, T), jnp.int32), jnp.ones((1,), jnp.int32)
    params = jax.jit(model.init)(jax.random.key(0), tokens, lengths)["params"]
    chosen = jax.local_devices()[:devices]
    state = layout.placed(optimizer.start(params), chosen)
    step = layout.compiled(
        make_train_step(model, optimizer, steps_per_epoch=9, layout=layout), chosen
    )
    measured, states = [], []
    for batch in (make_batch(0), make_batch(1, bad=True), make_batch(2)):
        state, measures = step(state, {}, layout.dealt(batch, chosen), jax.random.key(7))
        measured.append(jax.device_get(measures))
        states.append(jax.tree.map(np.array, layout.gathered(state)))
    first, second, third = states
    assert [int(one.step) for one in states] == [1, 2, 3]
    assert np.isfinite([measured[0].loss, measured[2].loss]).all()
    assert np.isnan([measured[1].loss, measured[1].norms["all"]]).all()
    assert set(measured[0].norms) == {*params, "all"}
    for kept in ("params", "opt_state"):
        jax.tree.map(np.testing.assert_array_equal, getattr(first, kept), getattr(second, kept))
    queries = [one.params["labels"]["queries"] for one in states]
    assert (queries[2] != queries[1]).all()
    # The mean has the weights of the step that moved nothing once more.
    mean = optimizer.weights(jax.tree.map(jnp.asarray, third))
    jax.tree.map(
        lambda a, b, c: np.testing.assert_allclose(a, (2 * b + c) / 3, rtol=1e-4, atol=1e-6),
        *(mean, second.params, third.params),
    )


def test_norms_are_those_of_the_gradient() -> None:
    config = Config()
    config.train.lazy_words = False
    layout, chosen = ByDocuments(), jax.local_devices()[:1]
    model = AttentionXML(num_words=V, width=4, num_labels=L, hidden=3, fully_connected=(4,))
    tokens, lengths = jnp.ones((1, T), jnp.int32), jnp.ones((1,), jnp.int32)
    params = jax.jit(model.init)(jax.random.key(0), tokens, lengths)["params"]
    optimizer = make_optimizer(config, 10)
    step = layout.compiled(make_train_step(model, optimizer, steps_per_epoch=9), chosen)
    state = layout.placed(optimizer.start(params), chosen)
    # Adam's first moment after one step is a tenth of the gradient.
    state, measures = step(state, {}, layout.dealt(make_batch(0), chosen), jax.random.key(7))
    gradient = jax.tree.map(lambda m: 10 * np.asarray(m), state.opt_state[1][0].mu)
    norms = {
        name: np.sqrt(sum(np.square(leaf).sum() for leaf in jax.tree.leaves(group)))
        for name, group in gradient.items()
    }
    norms["all"] = np.sqrt(sum(np.square(norm) for norm in norms.values()))
    found = jax.device_get(measures.norms)
    assert set(found) == set(norms)
    for name, norm in norms.items():
        np.testing.assert_allclose(found[name], norm, rtol=1e-4, err_msg=name)


@pytest.fixture
def bad_store(tiny_store: Store) -> Store:
    """The tiny store with a document that makes each batch's loss NaN, and document ids."""
    train = tiny_store.splits["train"]
    tokens = np.array(train.tokens)
    tokens[train.offsets[BAD]] = len(tiny_store.vocabulary) + 7
    split = Split(
        *(tokens, train.offsets, train.label_ids, train.label_offsets, train.num_labels),
        ids=[f"name{i}" for i in range(len(train))],
    )
    return Store(
        *(tiny_store.path, tiny_store.description, tiny_store.vocabulary, tiny_store.label_names),
        {**tiny_store.splits, "train": split},
        tiny_store.vectors,
    )


def bad_steps(config: Config, store: Store) -> list[int]:
    batches = make_plan(config, store, jax.local_devices()[:1]).batches
    tokens = len(store.vocabulary)
    found = [
        step
        for step, batch in enumerate(batches.from_step(0, 6 * config.train.epochs), 1)
        if (batch.token_ids >= tokens).any()
    ]
    assert [BAD in batches.documents(step - 1) for step in found] == [True] * len(found)
    return found


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_bad_document_stops_training_at_its_step_or_is_skipped(
    train_on_one: Train,
    tiny_config: Config,
    bad_store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = tiny_config
    config.train.epochs, config.train.checkpoint_steps, config.train.log_steps = 2, 1, 1
    first, second = bad_steps(config, bad_store)
    assert first > 1
    run, whole = tmp_path / "run", tmp_path / "whole"
    for _ in range(2):  # the same command comes to the same step
        with pytest.raises(ConfigError, match=f"training stops at step {first}: ") as caught:
            train_on_one(config, bad_store, run)
        told = str(caught.value)
        assert "the loss is nan, the gradient's norm nan (" in told
        assert re.search(r"\(attention|\(encoder|\(fully|\(labels|\(lstm|words nan", told), told
        documents = re.search(r"from 0\) (.*) of split 'train'", told)
        assert documents is not None
        assert f"{BAD} (name{BAD})" in documents[1]
        assert len(documents[1].split(", ")) in (4, 8)
        assert str(run / "checkpoints" / "latest" / str(first - 1)) in told
        assert max(r["step"] for r in records(run)) < first

    config.train.skip_nonfinite = 1
    with pytest.raises(ConfigError, match=f"at step {second}, after 1 that were skipped: "):
        train_on_one(config, bad_store, run)
    assert (
        f"step {first} is skipped, number 1 of at most 1: the loss is nan"
        in capsys.readouterr().err
    )
    config.train.skip_nonfinite = 2
    train_on_one(config, bad_store, run)
    skipped = {r["step"]: r.get("skipped_steps", 0) for r in records(run) if "validation" not in r}
    assert skipped == {step: (step >= first) + (step >= second) for step in range(1, 13)}
    losses = {r["step"] for r in records(run) if "loss" in r}
    assert losses == set(range(1, 13)) - {first, second}

    train_on_one(config, bad_store, whole)
    assert contents(run, config, bad_store) == contents(whole, config, bad_store)


def test_an_absurd_rate_stops_training_with_the_norms(
    train_on_one: Train, tiny_config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    tiny_config.train.learning_rate = 1e30
    tiny_config.train.checkpoint_steps = 1
    with pytest.raises(ConfigError, match=r"stops at step 2: the loss is .*, the gradient's norm"):
        train_on_one(tiny_config, tiny_store, tmp_path)
    kept = [path.name for path in (tmp_path / "checkpoints" / "latest").iterdir()]
    assert kept == ["1"]


def last_loss(run: Path) -> float:
    records = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [float(record["loss"]) for record in records if "loss" in record][-1]


def test_an_absurd_rate_whose_loss_stays_finite_trains_to_the_end(
    train_on_one: Train, tiny_config: Config, tiny_store: Store, tiny_run: Path, tmp_path: Path
) -> None:
    tiny_config.train.learning_rate = 100.0
    assert train_on_one(tiny_config, tiny_store, tmp_path)["ended"] == "all epochs are done"
    assert last_loss(tmp_path) > 100 * last_loss(tiny_run)


def test_weights_that_are_not_finite_are_never_saved(
    train_on_one: Train, tiny_config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    # Of a word beyond what is read of each document: no loss or gradient tells of it.
    plan = make_plan(tiny_config, tiny_store, jax.local_devices()[:1])
    read = [batch.token_ids for batch in plan.batches.from_step(0, 6)]
    unread = np.setdiff1d(np.arange(2, len(tiny_store.vocabulary)), np.concatenate(read))
    assert tiny_store.vectors is not None
    vectors = np.array(tiny_store.vectors)
    vectors[unread[0], 3] = np.inf
    store = Store(
        *(tiny_store.path, tiny_store.description, tiny_store.vocabulary, tiny_store.label_names),
        *(tiny_store.splits, vectors),
    )
    tiny_config.train.checkpoint_steps = 2
    with pytest.raises(ConfigError, match=r"after step 2 .*not finite in params/words/vectors: "):
        train_on_one(tiny_config, store, tmp_path)
    assert list((tmp_path / "checkpoints").glob("latest/*")) == []
