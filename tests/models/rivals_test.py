"""XML-RNN and XML-CNN against NumPy, their gradients against finite differences, invariances."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from axml_jax.errors import ConfigError
from axml_jax.losses import binary_cross_entropy
from axml_jax.models import XMLCNN, XMLRNN, LabelOutput, TextModel, label_output
from tests.models import oracle, rival_oracle

V, E, L = 9, 3, 7
LENGTHS = np.array([6, 1, 3, 0, 5], np.int32)
B, T = len(LENGTHS), 6
CHUNKS = 4  # more than the words of some documents
MODELS: dict[str, Any] = {
    "xml_rnn": (XMLRNN, {"hidden": 2, "fully_connected": (5, 4)}, rival_oracle.xml_rnn),
    "xml_cnn": (
        XMLCNN,
        # A filter of a single word, and one that sees more words than a document has.
        {"filter_widths": (1, 3, 8), "filters": 2, "chunks": CHUNKS, "bottleneck": 4},
        functools.partial(rival_oracle.xml_cnn, chunks=CHUNKS),
    ),
}

pytestmark = pytest.mark.usefixtures("compilation_cache")


@pytest.fixture(params=list(MODELS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make(name: str, **others: Any) -> TextModel:
    kind, settings, _ = MODELS[name]
    return kind(V, E, L, **settings, **others)


def expected(name: str, variables: Any, token_ids: np.ndarray) -> np.ndarray:
    """Logits by NumPy."""
    params = as_float64(variables["params"])
    return np.array([MODELS[name][2](params, document) for document in documents(token_ids)])


@pytest.fixture(scope="module")
def token_ids() -> np.ndarray:
    drawn = np.random.default_rng(0).integers(1, V, (B, T)).astype(np.int32)
    drawn[0, 2] = 0  # a padding id inside a document counts as a zero vector
    return np.where(np.arange(T)[None, :] < LENGTHS[:, None], drawn, 0).astype(np.int32)


@functools.cache
def compiled(model: TextModel, method: str | None = None) -> Callable[..., Any]:
    """The jitted model: run(variables, token_ids, lengths, ...); compiled once for each shape."""
    return jax.jit(functools.partial(model.apply, method=method), static_argnames="k")


def random_variables(model: TextModel, seed: int = 1) -> dict[str, Any]:
    """Variables of the model's shapes, all of a size that matters: biases too."""
    tokens, one = jnp.zeros((1, 1), jnp.int32), jnp.ones((1,), jnp.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), tokens, one)
    draw = np.random.default_rng(seed).normal
    return jax.tree.map(lambda s: jnp.asarray(0.8 * draw(size=s.shape), s.dtype), shapes)


def as_float64(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: np.array(leaf, np.float64), tree)


def documents(token_ids: np.ndarray) -> list[list[int]]:
    return [token_ids[b, : LENGTHS[b]].tolist() for b in range(B)]


def test_logits_equal_numpy(name: str, token_ids: np.ndarray) -> None:
    model = make(name)
    variables = random_variables(model)
    logits = compiled(model)(variables, token_ids, LENGTHS)
    assert (logits.dtype, logits.shape) == (jnp.float32, (B, L))
    wanted = expected(name, variables, token_ids)
    assert np.abs(np.asarray(logits) - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert np.ptp(wanted, axis=0).min() > 0.01  # documents do differ


def test_logits_in_float64_equal_numpy_to_the_last_digits(name: str, token_ids: np.ndarray) -> None:
    with jax.enable_x64(True):
        model = make(name)
        variables = jax.tree.map(jnp.asarray, as_float64(random_variables(model)))
        logits = compiled(model)(variables, token_ids, LENGTHS)
        np.testing.assert_allclose(
            logits, expected(name, variables, token_ids), rtol=1e-11, atol=1e-13
        )


def test_gradients_equal_finite_differences(name: str, token_ids: np.ndarray) -> None:
    model = make(name)
    params = random_variables(model)["params"]
    label_ids = np.array([[0, 3], [L, L], [6, L], [1, L], [2, 5]], np.int32)
    targets = np.zeros((B, L + 1))
    np.put_along_axis(targets, label_ids, 1, axis=1)

    @jax.jit
    @jax.grad
    def gradient_of(params: Any) -> jax.Array:
        logits = model.apply({"params": params}, jnp.asarray(token_ids), jnp.asarray(LENGTHS))
        return binary_cross_entropy(jnp.asarray(logits), jnp.asarray(label_ids))

    def loss(params: Any) -> float:
        y_hat = oracle.sigmoid(expected(name, {"params": params}, token_ids))
        y = targets[:, :L]
        return float(-(y * np.log(y_hat) + (1 - y) * np.log(1 - y_hat)).mean())

    gradient = gradient_of(params)
    exact = as_float64(params)
    step = 1e-6
    for leaf, analytic in zip(jax.tree.leaves(exact), jax.tree.leaves(gradient), strict=True):
        numeric = np.empty_like(leaf)
        for place in np.ndindex(leaf.shape):
            kept, losses = leaf[place], []
            for side in (1, -1):
                leaf[place] = kept + side * step
                losses.append(loss(exact))
            leaf[place] = kept
            numeric[place] = (losses[0] - losses[1]) / (2 * step)
        assert np.abs(numeric).max() > 1e-5, "every parameter has a say"
        assert np.abs(analytic - numeric).max() < 1e-4 * np.abs(numeric).max() + 1e-8


def test_neither_padding_nor_batch_changes_a_document(name: str, token_ids: np.ndarray) -> None:
    model = make(name)
    variables = random_variables(model)
    logits = compiled(model)(variables, token_ids, LENGTHS)
    real = np.arange(T)[None, :] < LENGTHS[:, None]
    for junk in (V + 100, -1, 3):
        dirty = np.where(real, token_ids, junk).astype(np.int32)
        np.testing.assert_array_equal(compiled(model)(variables, dirty, LENGTHS), logits)
    wider = np.pad(token_ids, ((0, 0), (0, 3)))
    padded = compiled(model)(variables, wider, LENGTHS)
    np.testing.assert_allclose(padded, logits, rtol=1e-5, atol=1e-6)
    alone = compiled(model)(variables, token_ids[2:3, :4], LENGTHS[2:3])
    np.testing.assert_allclose(alone, logits[2:3], rtol=1e-5, atol=1e-6)


def test_a_word_outside_the_table_is_loud(name: str, token_ids: np.ndarray) -> None:
    model = make(name)
    token_ids = token_ids.copy()
    token_ids[2, 1] = V
    logits = np.asarray(compiled(model)(random_variables(model), token_ids, LENGTHS))
    assert np.isnan(logits[2]).all()
    assert np.isfinite(np.delete(logits, 2, axis=0)).all()


def test_top_k_is_that_of_the_logits(name: str, token_ids: np.ndarray) -> None:
    model = make(name)
    variables = random_variables(model)
    logits = np.asarray(compiled(model)(variables, token_ids, LENGTHS))
    best, ids = compiled(model, "top_k")(variables, token_ids, LENGTHS, k=3)
    order = np.argsort(-logits, axis=1)[:, :3]
    np.testing.assert_array_equal(ids, order)
    np.testing.assert_allclose(best, np.take_along_axis(logits, order, 1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("block", "k"), [(1, 1), (1, 3), (3, 2), (3, L), (100, 3)])
def test_the_best_outputs_are_a_stable_sort(
    block: int, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_output, "_BLOCK", block)
    random = np.random.default_rng(2)
    weights = random.normal(size=(L, 4)).astype(np.float32)
    biases = random.normal(size=L).astype(np.float32)
    for label in (4, 6):  # the scores of label 1, from other blocks
        weights[label], biases[label] = weights[1], biases[1]
    z = random.normal(size=(5, 4)).astype(np.float32)
    logits = z @ weights.T + biases
    variables = {"params": {"label_weights": weights, "label_biases": biases}}
    run = jax.jit(functools.partial(LabelOutput(L).apply, method="top_k"), static_argnums=2)
    best, ids = run(variables, z, k)
    order = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(ids, order)
    np.testing.assert_allclose(best, np.take_along_axis(logits, order, 1), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="from 1 to the number of labels, 7"):
        run(variables, z, L + 1)


@pytest.mark.parametrize("beyond", [0, 1])
def test_top_k_never_has_the_logits_of_all_labels_nor_their_weights_again(beyond: int) -> None:
    labels, k = 5 * label_output._BLOCK + beyond, 3
    model = XMLCNN(V, E, labels, filters=2, bottleneck=64)
    tokens, lengths = jnp.zeros((64, 2), jnp.int32), jnp.ones((64,), jnp.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), tokens, lengths)
    run = jax.jit(functools.partial(model.apply, method="top_k"), static_argnums=3)
    memory = run.lower(shapes, tokens, lengths, k).compile().memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes < 64 * labels * 4 / 2


def test_dropout_is_of_the_document_and_scales_what_it_keeps(
    name: str, token_ids: np.ndarray
) -> None:
    keys = jax.random.split(jax.random.key(0), B)
    kind, settings, _ = MODELS[name]
    # Without layers behind it, XML-RNN's pooled state is what it encodes.
    shallow = {"fully_connected": ()} if name == "xml_rnn" else {}
    model = kind(V, E, L, **(settings | shallow))
    variables = random_variables(model)
    encode = compiled(model, "encode")
    plain = np.asarray(encode(variables, token_ids, LENGTHS))
    dropped = np.asarray(encode(variables, token_ids, LENGTHS, document_keys=keys))
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], 2 * plain[kept], rtol=1e-6)
    assert 0.2 < kept[plain != 0].mean() < 0.8


def test_dropout_of_words_and_none_at_rate_zero(name: str, token_ids: np.ndarray) -> None:
    variables = random_variables(make(name))
    plain = compiled(make(name), "encode")(variables, token_ids, LENGTHS)
    keys = jax.random.split(jax.random.key(0), B)

    def dropped(words: float) -> np.ndarray:
        run = compiled(make(name, embedding_dropout=words, dropout=0.0), "encode")
        return np.asarray(run(variables, token_ids, LENGTHS, document_keys=keys))

    np.testing.assert_array_equal(dropped(0.0), plain)
    assert not np.allclose(dropped(0.5), plain)


def test_frozen_words_are_no_parameters(name: str, token_ids: np.ndarray) -> None:
    model = make(name, trainable_words=False)
    variables = random_variables(model)
    assert "words" not in variables["params"]
    assert variables["constants"]["words"]["vectors"].shape == (V, E)
    moved = {"params": dict(variables["params"]) | variables["constants"]}
    np.testing.assert_array_equal(
        compiled(model)(variables, token_ids, LENGTHS),
        compiled(make(name))(moved, token_ids, LENGTHS),
    )


def test_bfloat16_gives_float32_logits_near_the_exact_ones(
    name: str, token_ids: np.ndarray
) -> None:
    variables = random_variables(make(name))
    exact = compiled(make(name))(variables, token_ids, LENGTHS)
    model = make(name, dtype=jnp.bfloat16)
    narrow = compiled(model)(variables, token_ids, LENGTHS)
    assert narrow.dtype == jnp.float32
    assert 1e-6 < np.abs(narrow - exact).max() < 0.05 * np.abs(exact).max()
    best, ids = compiled(model, "top_k")(variables, token_ids, LENGTHS, k=3)
    assert best.dtype == jnp.float32
    np.testing.assert_allclose(best, np.take_along_axis(narrow, ids, axis=1), rtol=1e-5, atol=1e-6)


def test_every_label_starts_at_the_given_bias(name: str) -> None:
    model = make(name, initial_output_bias=-3.5)
    empty = jnp.zeros((1, 1), jnp.int32), jnp.zeros((1,), jnp.int32)
    # An empty document is a zero state: with biases of 0 only the labels' own are left of it.
    logits, _ = jax.jit(model.init_with_output)(jax.random.key(0), *empty)
    np.testing.assert_array_equal(logits[0], np.full(L, -3.5))


def test_there_are_no_attention_weights(name: str, token_ids: np.ndarray) -> None:
    model = make(name)
    with pytest.raises(ConfigError, match=r"has no attention weights.*attention_xml"):
        model.apply(
            random_variables(model),
            token_ids,
            LENGTHS,
            np.zeros((B, 1), np.int32),
            method="attention_weights",
        )


def test_the_settings_of_liu_et_al() -> None:
    tokens, one = jnp.zeros((1, 1), jnp.int32), jnp.ones((1,), jnp.int32)
    model = XMLCNN(1000, 300, 3956)
    assert model.dropout == 0.5
    params = jax.eval_shape(model.init, jax.random.key(0), tokens, one)["params"]
    shapes = jax.tree.map(lambda leaf: leaf.shape, params)
    assert shapes == {
        "words": {"vectors": (1000, 300)},
        "convolutions_0": {"kernel": (2, 300, 128), "bias": (128,)},
        "convolutions_1": {"kernel": (4, 300, 128), "bias": (128,)},
        "convolutions_2": {"kernel": (8, 300, 128), "bias": (128,)},
        "layer": {"kernel": (3 * 128 * 8, 512), "bias": (512,)},
        "labels": {"label_weights": (3956, 512), "label_biases": (3956,)},
    }
