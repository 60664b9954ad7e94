"""Predictions: in input order, independent of company, in bounded memory, ranked by logits."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from axml_jax import predict
from axml_jax.errors import InputError
from axml_jax.layout import ByDocuments
from axml_jax.models import XMLRNN
from axml_jax.models.attention_xml import AttentionXML
from axml_jax.predict import Predictor, predict_buckets

L = 9
MAX_TOKENS = 12
MODEL = AttentionXML(num_words=50, width=4, num_labels=L, hidden=3, fully_connected=(4,))
RANDOM = np.random.default_rng(0)
# Lengths from 1 to beyond the cut; 11 documents: two windows of two batches of four, and three.
DOCUMENTS = [
    RANDOM.integers(1, 50, length).astype(np.int32)
    for length in (5, 1, 20, 12, 3, 8, 2, 13, 1, 7, 4)
]

pytestmark = pytest.mark.usefixtures("compilation_cache")


@pytest.fixture(scope="module")
def variables(compilation_cache: Any) -> Any:
    tokens, lengths = jnp.ones((1, 2), jnp.int32), jnp.ones((1,), jnp.int32)
    variables = jax.jit(MODEL.init)(jax.random.key(1), tokens, lengths)
    # Attention and layers of a trained model's size: scores differ well from label to label.
    return jax.tree.map(lambda leaf: 3 * leaf, variables)


@pytest.fixture(scope="module")
def expected(variables: Any) -> np.ndarray:
    """All logits of each document, one document at a time."""
    score = jax.jit(lambda ids, length: MODEL.apply(variables, ids, length))
    rows = []
    for document in DOCUMENTS:
        cut = document[:MAX_TOKENS]
        ids = np.zeros((1, MAX_TOKENS), np.int32)
        ids[0, : len(cut)] = cut
        rows.append(np.asarray(score(ids, np.array([len(cut)], np.int32)))[0])
    return np.stack(rows)


@pytest.fixture(autouse=True)
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "_WINDOW_BATCHES", 2)
    monkeypatch.setattr(predict, "_AHEAD", 1)


def predictor(variables: Any, devices: int = 4, batch_size: int = 4) -> Predictor:
    return Predictor(
        MODEL,
        variables,
        max_tokens=MAX_TOKENS,
        batch_size=batch_size,
        devices=jax.local_devices()[:devices],
    )


@pytest.mark.parametrize("devices", [1, 4])
def test_answers_come_in_input_order_best_first(
    devices: int, variables: Any, expected: np.ndarray
) -> None:
    logits, label_ids = predictor(variables, devices).top_k_arrays(DOCUMENTS, 3)
    best = np.argsort(-expected, axis=1, kind="stable")[:, :3]
    np.testing.assert_array_equal(label_ids, best)
    np.testing.assert_allclose(logits, np.take_along_axis(expected, best, axis=1), rtol=1e-4)
    assert logits.dtype == np.float32
    assert label_ids.dtype == np.int32


def test_an_answer_does_not_depend_on_what_else_is_asked(
    variables: Any, expected: np.ndarray
) -> None:
    one = predictor(variables)
    for chosen in ([7], [3, 9, 0], [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]):
        logits, label_ids = one.top_k_arrays([DOCUMENTS[i] for i in chosen], L)
        for row, i in enumerate(chosen):
            np.testing.assert_allclose(logits[row], expected[i][label_ids[row]], rtol=1e-4)
            assert sorted(label_ids[row]) == list(range(L))


def test_a_batch_is_rounded_up_to_what_devices_can_share(
    variables: Any, expected: np.ndarray
) -> None:
    _, label_ids = predictor(variables, devices=3, batch_size=4).top_k_arrays(DOCUMENTS, 1)
    np.testing.assert_array_equal(label_ids[:, 0], expected.argmax(axis=1))


def test_input_is_read_by_windows_never_as_a_whole(variables: Any) -> None:
    read = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal read
        while True:
            read += 1
            yield DOCUMENTS[read % len(DOCUMENTS)]

    answers = predictor(variables).top_k(endless(), 2)
    assert read == 0
    for answered in range(1, 18):
        next(answers)
        # A window is two batches of four.
        assert read == 8 * -(-answered // 8)


@pytest.mark.parametrize(("devices", "entries"), [(1, 1), (1, 3 * L), (4, 1), (4, 1 << 20)])
def test_all_logits_unranked(
    devices: int,
    entries: int,
    variables: Any,
    expected: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predict, "_ALL_LOGITS", entries)
    found = list(predictor(variables, devices).all_logits(DOCUMENTS))
    places = np.concatenate([some for some, _ in found])
    np.testing.assert_array_equal(np.sort(places), range(len(DOCUMENTS)))
    logits = np.concatenate([some for _, some in found])
    np.testing.assert_allclose(logits, expected[places], rtol=1e-4)
    assert logits.dtype == np.float32
    most = max(devices, min(4, entries // L))
    assert max(len(some) for some, _ in found) == most
    assert list(predictor(variables, devices).all_logits([])) == []


@pytest.mark.parametrize("kind", [AttentionXML, XMLRNN])
def test_memory_of_all_logits_does_not_grow_with_the_labels(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = 1 << 16
    monkeypatch.setattr(predict, "_ALL_LOGITS", entries)
    needed = []
    for num_labels in (1 << 11, 1 << 15):
        model = kind(num_words=50, width=4, num_labels=num_labels, hidden=2, fully_connected=(2,))
        tokens, lengths = jnp.ones((1, 2), jnp.int32), jnp.ones((1,), jnp.int32)
        shapes = jax.eval_shape(model.init, jax.random.key(1), tokens, lengths)
        zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
        devices = jax.local_devices()[:1]
        one = Predictor(model, zeros, max_tokens=40, batch_size=64, devices=devices)
        documents = [np.ones(40, np.int32)] * 70
        next(one.all_logits(documents))  # compiles
        tracemalloc.start()
        try:
            seen = sum(len(places) for places, _ in one.all_logits(documents))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert seen == 70
        assert peak < 3 * 4 * entries
        rows = min(64, entries // num_labels)
        batch = np.ones((rows, 40), np.int32), np.full(rows, 40, np.int32)
        dealt = ByDocuments().dealt(batch, devices)
        run: Any = ByDocuments().compiled_logits(model, devices)  # what pmap returns
        memory = run.lower(one.variables, dealt).compile().memory_analysis()
        assert memory.output_size_in_bytes == 4 * entries
        needed.append(memory.temp_size_in_bytes)
    assert needed[1] <= needed[0] < 8 * 2**20


def test_no_documents_no_answers(variables: Any) -> None:
    logits, label_ids = predictor(variables).top_k_arrays([], 3)
    assert logits.shape == label_ids.shape == (0, 3)


def test_the_variables_of_the_moment_are_used(variables: Any) -> None:
    one = predictor(variables)
    before, _ = one.top_k_arrays(DOCUMENTS[:2], 2)
    one.variables = jax.tree.map(lambda leaf: leaf / 2, variables)
    after, _ = one.top_k_arrays(DOCUMENTS[:2], 2)
    assert not np.allclose(before, after)


@pytest.mark.parametrize(
    ("most", "buckets"),
    [(500, (125, 250, 500)), (12, (3, 6, 12)), (5, (2, 3, 5)), (2, (1, 2)), (1, (1,))],
)
def test_lengths_are_a_quarter_a_half_and_all(most: int, buckets: tuple[int, ...]) -> None:
    assert predict_buckets(most) == buckets


def test_scores_that_are_not_finite_are_told(variables: Any) -> None:
    broken = jax.tree.map(lambda leaf: leaf * np.float32(np.nan), variables)
    with pytest.raises(InputError, match=r"scores are not finite: .* training has diverged"):
        list(predictor(broken).top_k(DOCUMENTS[:2], 3))


def test_what_is_raised_between_two_batches_ends_the_prediction(variables: Any) -> None:
    batches = 0

    def between() -> None:
        nonlocal batches
        batches += 1
        if batches == 2:
            raise KeyError("enough")

    ended = Predictor(MODEL, variables, max_tokens=MAX_TOKENS, batch_size=4, between=between)
    with pytest.raises(KeyError, match="enough"):
        ended.top_k_arrays(DOCUMENTS, 3)
    assert batches == 2
