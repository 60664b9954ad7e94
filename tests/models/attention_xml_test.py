"""The whole model against NumPy, its gradients against finite differences, and its invariances."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from axml_jax.losses import binary_cross_entropy
from axml_jax.models import AttentionXML
from axml_kernels import interpreted
from tests.models import oracle

V, E, L, H = 9, 3, 7, 2
LENGTHS = np.array([6, 1, 3, 0, 5], np.int32)
B, T = len(LENGTHS), 6
# The oracle has no empty documents: the layers above see one zero state there.
FULL = np.flatnonzero(LENGTHS)


def make(**settings: Any) -> AttentionXML:
    return AttentionXML(V, E, L, hidden=H, **{"fully_connected": (5,)} | settings)


@pytest.fixture(scope="module")
def token_ids() -> np.ndarray:
    drawn = np.random.default_rng(0).integers(1, V, (B, T)).astype(np.int32)
    drawn[0, 2] = 0  # a padding id inside a document counts as a zero vector
    return np.where(np.arange(T)[None, :] < LENGTHS[:, None], drawn, 0).astype(np.int32)


@functools.cache
def compiled(model: AttentionXML, method: str | None = None) -> Callable[..., Any]:
    """The jitted model: run(variables, token_ids, lengths, ...); compiled once for each shape."""
    return jax.jit(functools.partial(model.apply, method=method), static_argnames="k")


def random_variables(model: AttentionXML, seed: int = 1) -> dict[str, Any]:
    """Variables of the model's shapes, all of a size that matters: biases too."""
    tokens, one = jnp.zeros((1, 1), jnp.int32), jnp.ones((1,), jnp.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), tokens, one)
    draw = np.random.default_rng(seed).normal
    return jax.tree.map(lambda s: jnp.asarray(0.8 * draw(size=s.shape), s.dtype), shapes)


def as_float64(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: np.array(leaf, np.float64), tree)


def documents(token_ids: np.ndarray) -> list[list[int]]:
    return [token_ids[b, : LENGTHS[b]].tolist() for b in FULL]


@pytest.fixture(params=["reference", "chunked", "pallas"])
def attention(request: pytest.FixtureRequest) -> Iterator[str]:
    """An implementation by name; without a GPU the Pallas kernels are interpreted."""
    if request.param == "pallas" and jax.default_backend() != "gpu":
        with interpreted():
            yield request.param
    else:
        yield request.param


@pytest.mark.parametrize("fully_connected", [(5,), (5, 4)])
def test_logits_equal_numpy(
    token_ids: np.ndarray, fully_connected: tuple[int, ...], attention: str
) -> None:
    model = make(fully_connected=fully_connected, attention=attention)
    variables = random_variables(model)
    logits = compiled(model)(variables, token_ids, LENGTHS)
    assert logits.dtype == jnp.float32
    assert logits.shape == (B, L)
    params = as_float64(variables["params"])
    expected = np.array([oracle.logits(params, d) for d in documents(token_ids)])
    error = np.abs(np.asarray(logits)[FULL] - expected).max()
    assert error < 1e-5 * np.abs(expected).max()


def test_logits_in_float64_equal_numpy_to_the_last_digits(token_ids: np.ndarray) -> None:
    with jax.enable_x64(True):
        model = make(fully_connected=(5, 4))
        variables = jax.tree.map(jnp.asarray, as_float64(random_variables(model)))
        logits = compiled(model)(variables, token_ids, LENGTHS)
        params = as_float64(variables["params"])
        expected = np.array([oracle.logits(params, d) for d in documents(token_ids)])
        np.testing.assert_allclose(np.asarray(logits)[FULL], expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("fully_connected", [(5,), (5, 4)])
def test_gradients_equal_finite_differences(
    token_ids: np.ndarray, fully_connected: tuple[int, ...], attention: str
) -> None:
    model = make(fully_connected=fully_connected, attention=attention)
    params = random_variables(model)["params"]
    label_ids = np.array([[0, 3], [L, L], [6, L], [2, 5]], np.int32)
    targets = np.zeros((len(FULL), L + 1))
    np.put_along_axis(targets, label_ids, 1, axis=1)

    @jax.jit
    @jax.grad
    def gradient_of(params: Any) -> jax.Array:
        logits = model.apply(
            {"params": params}, jnp.asarray(token_ids[FULL]), jnp.asarray(LENGTHS[FULL])
        )
        return binary_cross_entropy(jnp.asarray(logits), jnp.asarray(label_ids))

    gradient = gradient_of(params)
    exact = as_float64(params)
    step = 1e-6
    leaves = jax.tree.leaves(exact)
    for leaf, analytic in zip(leaves, jax.tree.leaves(gradient), strict=True):
        numeric = np.empty_like(leaf)
        for place in np.ndindex(leaf.shape):
            losses = []
            kept = leaf[place]
            for side in (1, -1):
                leaf[place] = kept + side * step
                losses.append(oracle.loss(exact, documents(token_ids), targets[:, :L]))
            leaf[place] = kept
            numeric[place] = (losses[0] - losses[1]) / (2 * step)
        assert np.abs(analytic - numeric).max() < 1e-5 * np.abs(numeric).max() + 1e-9


def test_neither_padding_nor_batch_changes_a_document(token_ids: np.ndarray) -> None:
    model = make()
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


@pytest.mark.parametrize("outside", [V, -1, -V, -V - 1])
def test_a_word_outside_the_table_is_loud(token_ids: np.ndarray, outside: int) -> None:
    model = make()
    token_ids = token_ids.copy()
    token_ids[2, 1] = outside
    logits = np.asarray(compiled(model)(random_variables(model), token_ids, LENGTHS))
    assert np.isnan(logits[2]).all()
    assert np.isfinite(np.delete(logits, 2, axis=0)).all()


def test_top_k(token_ids: np.ndarray) -> None:
    model = make()
    variables = random_variables(model)
    logits = np.asarray(compiled(model)(variables, token_ids, LENGTHS))
    best, labels = compiled(model, "top_k")(variables, token_ids, LENGTHS, k=3)
    for b in FULL:
        expected = np.argsort(-logits[b])[:3]
        np.testing.assert_array_equal(labels[b], expected)
        np.testing.assert_allclose(best[b], logits[b][expected], rtol=1e-5, atol=1e-6)


def test_attention_weights(token_ids: np.ndarray) -> None:
    model = make()
    variables = random_variables(model)
    chosen = np.array([4, 1], np.int32)
    label_ids = np.tile(chosen, (B, 1))
    weights = compiled(model, "attention_weights")(variables, token_ids, LENGTHS, label_ids)
    hidden = np.asarray(compiled(model, "encode")(variables, token_ids, LENGTHS), np.float64)
    queries = as_float64(variables["params"]["labels"]["queries"])[chosen]
    for b in FULL:
        length = LENGTHS[b]
        expected = oracle.attention(hidden[b, :length], queries)
        np.testing.assert_allclose(weights[b, :, :length], expected, rtol=1e-5)
        assert (weights[b, :, length:] == 0).all()


def test_a_portable_model_runs_where_the_named_kernels_do_not(token_ids: np.ndarray) -> None:
    model = make(attention="pallas", recurrence="cudnn")
    portable = model.portable()
    assert (portable.attention, portable.recurrence) == ("chunked", "scan")
    variables = random_variables(portable)
    # Not even inside the interpreter is a kernel run.
    with interpreted():
        program = str(jax.make_jaxpr(portable.apply)(variables, token_ids, LENGTHS))
    assert "pallas_call" not in program
    expected = compiled(make(attention="reference"))(variables, token_ids, LENGTHS)
    found = compiled(portable)(variables, token_ids, LENGTHS)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_dropout_lies_between_encoder_and_attention(token_ids: np.ndarray) -> None:
    model = make()
    variables = random_variables(model)
    keys = jax.random.split(jax.random.key(0), B)
    encode = compiled(model, "encode")
    plain = np.asarray(encode(variables, token_ids, LENGTHS))
    dropped = np.asarray(encode(variables, token_ids, LENGTHS, document_keys=keys))
    kept = dropped != 0
    np.testing.assert_array_equal(dropped[kept], 2 * plain[kept])
    assert 0.2 < kept[plain != 0].mean() < 0.8
    trained = compiled(model)(variables, token_ids, LENGTHS, document_keys=keys)
    score = jax.jit(lambda hidden: model.bind(variables).labels(hidden, jnp.asarray(LENGTHS)))
    np.testing.assert_allclose(trained, score(dropped), rtol=1e-5, atol=1e-6)


def test_dropout_of_words_and_none_at_rate_zero(token_ids: np.ndarray) -> None:
    keys = jax.random.split(jax.random.key(0), B)
    variables = random_variables(make())

    def encode(words: float, states: float, keys: jax.Array | None) -> np.ndarray:
        run = compiled(make(embedding_dropout=words, dropout=states), "encode")
        return np.asarray(run(variables, token_ids, LENGTHS, document_keys=keys))

    plain = encode(0.5, 0.5, None)
    np.testing.assert_array_equal(encode(0.0, 0.0, keys), plain)
    words_only = encode(0.5, 0.0, keys)
    assert not np.allclose(words_only, plain)
    np.testing.assert_array_equal(words_only != 0, plain != 0)


def test_each_dropout_has_its_rate_and_its_own_masks(
    token_ids: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def record(x: jax.Array, document_keys: jax.Array, site: int, rate: float) -> jax.Array:
        calls.append((x.shape[-1], site, rate))
        return x

    monkeypatch.setattr("axml_jax.models.attention_xml.document_dropout", record)
    model = make(embedding_dropout=0.25)
    keys = jax.random.split(jax.random.key(0), B)
    variables = random_variables(model)
    jax.eval_shape(
        lambda keys: model.apply(variables, token_ids, LENGTHS, document_keys=keys), keys
    )
    (words, first, words_rate), (states, second, states_rate) = calls
    assert (words, words_rate, states, states_rate) == (E, 0.25, 2 * H, 0.5)
    assert first != second


def test_one_device_and_four_train_alike() -> None:
    devices = jax.local_devices()[:4]
    assert len(devices) == 4, "tests/conftest.py simulates four devices"
    model = make(embedding_dropout=0.2)
    params = random_variables(model)["params"]
    rng = np.random.default_rng(5)
    batch = (
        rng.integers(1, V, (8, T)).astype(np.int32),
        rng.integers(0, T + 1, 8).astype(np.int32),
        rng.integers(0, L + 1, (8, 1)).astype(np.int32),
        jax.random.key_data(jax.random.split(jax.random.key(7), 8)),
    )

    def loss_of(params: Any, tokens: Any, lengths: Any, label_ids: Any, keys: Any) -> jax.Array:
        logits = model.apply({"params": params}, tokens, lengths, document_keys=keys)
        return binary_cross_entropy(jnp.asarray(logits), label_ids)

    def step(params: Any, *shard: Any) -> Any:
        return jax.lax.pmean(jax.value_and_grad(loss_of)(params, *shard), "devices")

    one = jax.jit(jax.value_and_grad(loss_of))(params, *batch)
    shards = (np.asarray(array).reshape(4, 2, *array.shape[1:]) for array in batch)
    run: Callable[..., Any] = jax.pmap(
        step, "devices", in_axes=(None, 0, 0, 0, 0), out_axes=None, devices=devices
    )
    for a, b in zip(jax.tree.leaves(run(params, *shards)), jax.tree.leaves(one), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_frozen_words_are_no_parameters(token_ids: np.ndarray) -> None:
    model = make(trainable_words=False)
    variables = random_variables(model)
    assert set(variables) == {"params", "constants"}
    assert set(variables["params"]) == {"encoder", "labels"}
    assert variables["constants"]["words"]["vectors"].shape == (V, E)
    moved = {"params": dict(variables["params"]) | variables["constants"]}
    np.testing.assert_array_equal(
        compiled(model)(variables, token_ids, LENGTHS),
        compiled(make())(moved, token_ids, LENGTHS),
    )


@pytest.mark.parametrize("trainable", [True, False])
def test_initial_values_that_callers_choose(token_ids: np.ndarray, trainable: bool) -> None:
    table = np.arange(V * E, dtype=np.float32).reshape(V, E)
    model = make(
        trainable_words=trainable,
        initial_output_bias=-3.5,
        vectors_init=lambda key, shape, dtype: jnp.asarray(table, dtype),
        queries_init=jax.nn.initializers.zeros,
    )
    variables = jax.jit(model.init)(jax.random.key(0), token_ids, LENGTHS)
    assert variables["params"]["labels"]["output_bias"] == -3.5
    assert (variables["params"]["labels"]["queries"] == 0).all()
    collection = "params" if trainable else "constants"
    np.testing.assert_array_equal(variables[collection]["words"]["vectors"], table)
    # An empty document is a zero state: with biases of 0 only the output bias is left of it.
    logits = compiled(model)(variables, token_ids, LENGTHS)
    np.testing.assert_array_equal(logits[3], np.full(L, -3.5))


def test_bfloat16_states_give_float32_logits_near_the_exact_ones(token_ids: np.ndarray) -> None:
    variables = random_variables(make())
    # XLA's CPU compiler (0.10) cannot run every bfloat16 product that "chunked" is made of.
    narrow = compiled(make(dtype=jnp.bfloat16, attention="reference"))(
        variables, token_ids, LENGTHS
    )
    exact = compiled(make())(variables, token_ids, LENGTHS)
    assert narrow.dtype == jnp.float32
    assert 1e-6 < np.abs(narrow - exact).max() < 0.05 * np.abs(exact).max()


@pytest.mark.parametrize(
    ("hidden", "fully_connected", "layers"),
    [
        (256, (256,), {"kernel_0": (512, 256), "bias_0": (256,), "output": (256, 1)}),
        (
            512,
            (512, 256),
            {
                "kernel_0": (1024, 512),
                "bias_0": (512,),
                "kernel_1": (512, 256),
                "bias_1": (256,),
                "output": (256, 1),
            },
        ),
    ],
)
def test_the_papers_two_settings(
    hidden: int, fully_connected: tuple[int, ...], layers: dict[str, tuple[int, ...]]
) -> None:
    labels: dict[str, tuple[int, ...]] = {"queries": (3956, 2 * hidden), "output_bias": ()}
    model = AttentionXML(1000, 300, 3956, hidden=hidden, fully_connected=fully_connected)
    assert model.dropout == 0.5
    tokens, one = jnp.zeros((1, 1), jnp.int32), jnp.ones((1,), jnp.int32)
    params = jax.eval_shape(model.init, jax.random.key(0), tokens, one)["params"]
    shapes = jax.tree.map(lambda leaf: leaf.shape, params)
    assert shapes == {
        "words": {"vectors": (1000, 300)},
        "encoder": {
            "input_kernel": (2, 300, 4 * hidden),
            "recurrent_kernel": (2, hidden, 4 * hidden),
            "bias": (2, 4 * hidden),
        },
        "labels": labels | layers,
    }


@pytest.mark.parametrize("fully_connected", [(), (4, 4, 4)])
def test_refuses_other_numbers_of_layers(fully_connected: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one or two layers"):
        random_variables(make(fully_connected=fully_connected))
