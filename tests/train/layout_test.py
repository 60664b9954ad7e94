"""Labels split over devices: the training and the predictions of one device."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from axml_jax.config import Config
from axml_jax.data.batches import Batch
from axml_jax.errors import ConfigError
from axml_jax.label_layout import ByDocumentsAndLabels
from axml_jax.layout import ByDocuments
from axml_jax.layout_choice import choose_layout
from axml_jax.models.attention_xml import AttentionXML
from axml_jax.train.optimizer import Optimizer, make_optimizer
from axml_jax.train.step import make_train_step

B, T, L, V = 8, 6, 9, 40
KEY = jax.random.key(7)
# Parts that 9 labels do not fill, and a part (of 4) that is nothing but filling.
SPLITS = [(1, 2), (2, 2), (1, 4)]

pytestmark = pytest.mark.usefixtures("compilation_cache")


def make_batch(documents: int, seed: int) -> Batch:
    random = np.random.default_rng(seed)
    lengths = random.integers(1, T + 1, B).astype(np.int32)
    label_ids = np.stack([random.permutation(L)[:3] for _ in range(B)]).astype(np.int32)
    label_ids[::3, 1] = L  # no label
    return Batch(
        token_ids=random.integers(1, V, (B, T)).astype(np.int32),
        lengths=lengths,
        label_ids=label_ids,
        weights=(np.arange(B) < documents).astype(np.float32),
        positions=np.arange(B, dtype=np.int32),
    )


BATCHES = [make_batch(8, 0), make_batch(5, 1), make_batch(8, 2)]


def make_config() -> Config:
    config = Config()
    config.train.learning_rate = 0.05
    config.train.clip_norm = 0.01
    config.train.average_steps = 2
    return config


def make_model(dtype: Any = None) -> AttentionXML:
    return AttentionXML(
        num_words=V, width=4, num_labels=L, hidden=3, fully_connected=(4,), dropout=0.5, dtype=dtype
    )


def initial_params(model: AttentionXML) -> Any:
    tokens, lengths = jnp.ones((1, T), jnp.int32), jnp.ones((1,), jnp.int32)
    return jax.jit(model.init)(jax.random.key(0), tokens, lengths)["params"]


def train(
    layout: Any, optimizer: Optimizer, devices: int, batches: list[Batch], dtype: Any = None
) -> tuple[list[float], Any]:
    model, chosen = make_model(dtype), jax.local_devices()[:devices]
    state = layout.placed(optimizer.start(initial_params(model)), chosen)
    step = layout.compiled(
        make_train_step(model, optimizer, steps_per_epoch=2, layout=layout), chosen
    )
    found = []
    for batch in batches:
        state, measures = step(state, {}, layout.dealt(batch, chosen), KEY)
        found.append(float(measures.loss))
    return found, state


@pytest.mark.parametrize(("data", "parts"), SPLITS)
def test_it_is_the_training_of_one_device(data: int, parts: int) -> None:
    alone = make_optimizer(make_config(), 10)
    losses, expected = train(ByDocuments(), alone, 1, BATCHES)
    layout = ByDocumentsAndLabels(L, parts)
    split = make_optimizer(make_config(), 10, layout.global_norm)
    split_losses, state = train(layout, split, data * parts, BATCHES)
    np.testing.assert_allclose(split_losses, losses, rtol=1e-5)
    whole = layout.gathered(state)
    assert whole.params["labels"]["queries"].shape == (L, 6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), whole, expected
    )
    means = layout.gathered(split.weights(state)), alone.weights(expected)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *means)


@pytest.mark.parametrize(("data", "parts"), SPLITS)
def test_in_bfloat16_it_is_so_up_to_rounding(data: int, parts: int) -> None:
    """Each part's gradient of the states is rounded before they are added up, on one device not."""
    layout, config = ByDocumentsAndLabels(L, parts), make_config()
    config.train.lazy_words = False
    alone, split = make_optimizer(config, 10), make_optimizer(config, 10, layout.global_norm)
    (loss,), expected = train(ByDocuments(), alone, 1, BATCHES[:1], jnp.bfloat16)
    (split_loss,), state = train(layout, split, data * parts, BATCHES[:1], jnp.bfloat16)
    assert split_loss == pytest.approx(loss, rel=1e-4)
    # Adam's first moments after one step are a tenth of the gradients.
    moments = [jax.tree.leaves(s.opt_state[1][0].mu) for s in (layout.gathered(state), expected)]
    for one, other in zip(*moments, strict=True):
        assert np.linalg.norm(one - other) < 0.02 * np.linalg.norm(other)


@pytest.mark.parametrize(("data", "parts"), SPLITS)
def test_a_device_has_its_share_of_the_queries_and_of_their_moments(data: int, parts: int) -> None:
    layout = ByDocumentsAndLabels(L, parts)
    optimizer = make_optimizer(make_config(), 10, layout.global_norm)
    _, state = train(layout, optimizer, data * parts, BATCHES[:1])
    per_label = [
        leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
        if "queries" in jax.tree_util.keystr(path)
    ]
    assert len(per_label) == 4  # the queries, two moments, the running mean
    for leaf in per_label:
        assert {shard.data.shape[0] for shard in leaf.addressable_shards} == {-(-L // parts)}
        filling = np.asarray(leaf)[L:]
        np.testing.assert_array_equal(filling, np.zeros_like(filling))


def test_placed_and_gathered_are_inverse() -> None:
    layout = ByDocumentsAndLabels(L, 4)
    state = make_optimizer(make_config(), 10).start(initial_params(make_model()))
    back = layout.gathered(layout.placed(state, jax.local_devices()[:4]))
    jax.tree.map(np.testing.assert_array_equal, back, state)


@pytest.mark.parametrize(("data", "parts"), SPLITS)
def test_what_is_placed_stays_where_it_is(data: int, parts: int) -> None:
    layout, devices = ByDocumentsAndLabels(L, parts), jax.local_devices()[: data * parts]
    optimizer = make_optimizer(make_config(), 10, layout.global_norm)
    _, state = train(layout, optimizer, data * parts, BATCHES[:1])
    weights = optimizer.weights(state)
    assert places(layout.placed(weights, devices)) == places(weights)
    # The measure sees a copy.
    assert places(layout.placed(layout.gathered(weights), devices)) != places(weights)


def places(tree: Any) -> list[int]:
    """Where in memory the devices have their parts of each array."""
    return [
        shard.data.unsafe_buffer_pointer()
        for leaf in jax.tree.leaves(tree)
        for shard in leaf.addressable_shards
    ]


@pytest.mark.parametrize(("data", "parts"), SPLITS)
@pytest.mark.parametrize("k", [1, 4, L])
def test_top_k_is_that_of_one_device(data: int, parts: int, k: int) -> None:
    model, batch = make_model(), BATCHES[0]
    params = initial_params(model)
    # Labels 2, 5 and 7 have the same scores: the lower id comes first, across parts.
    queries = params["labels"]["queries"]
    params["labels"]["queries"] = queries.at[jnp.array([5, 7])].set(queries[2])
    expected = model.apply(
        {"params": params}, batch.token_ids, batch.lengths, k, method=AttentionXML.top_k
    )
    layout = ByDocumentsAndLabels(L, parts)
    devices = jax.local_devices()[: data * parts]
    best = layout.compiled_top_k(model, k, devices)
    documents = layout.dealt((batch.token_ids, batch.lengths), devices)
    logits, ids = best(layout.placed({"params": params}, devices), documents)
    np.testing.assert_array_equal(ids, expected[1])
    np.testing.assert_allclose(logits, expected[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("data", "parts"), SPLITS)
def test_all_logits_are_those_of_one_device(data: int, parts: int) -> None:
    model, batch = make_model(), BATCHES[0]
    params = initial_params(model)
    expected = np.asarray(model.apply({"params": params}, batch.token_ids, batch.lengths))
    layout = ByDocumentsAndLabels(L, parts)
    devices = jax.local_devices()[: data * parts]
    documents = layout.dealt((batch.token_ids, batch.lengths), devices)
    run = layout.compiled_logits(model, devices)
    logits = run(layout.placed({"params": params}, devices), documents)
    np.testing.assert_allclose(logits[:, :L], expected, rtol=1e-5, atol=1e-6)


def test_documents_are_dealt_in_order() -> None:
    dealt = ByDocuments().dealt(BATCHES[0], jax.local_devices()[:4])
    assert dealt.token_ids.shape == (4, 2, T)
    np.testing.assert_array_equal(dealt.positions, [[0, 1], [2, 3], [4, 5], [6, 7]])
    np.testing.assert_array_equal(dealt.token_ids[2, 1], BATCHES[0].token_ids[5])


def test_parts_that_the_devices_cannot_hold_are_refused() -> None:
    devices = jax.local_devices()[:4]
    assert isinstance(choose_layout(devices, L, 1), ByDocuments)
    assert isinstance(choose_layout(devices, L, 2), ByDocumentsAndLabels)
    with pytest.raises(ConfigError, match=r"labels is 3, but there are 4 devices; "):
        choose_layout(devices, L, 3)
