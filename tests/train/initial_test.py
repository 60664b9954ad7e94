"""Initial values: the store's vectors, the mean log-odds, label queries from encoder states."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

from axml_jax.config import Config
from axml_jax.data.corpus import Document
from axml_jax.data.store import Store, write_store
from axml_jax.errors import ConfigError
from axml_jax.models.attention_xml import AttentionXML
from axml_jax.models.text_model import TextModel
from axml_jax.train import initial
from axml_jax.train.loop import train

pytestmark = pytest.mark.usefixtures("compilation_cache")


@pytest.mark.parametrize(
    ("pairs", "documents", "labels", "odds"), [(20, 10, 4, 1.0), (3, 10, 3, 1 / 9), (9, 4, 3, 3.0)]
)
def test_the_bias_is_the_log_odds_of_the_mean_frequency(
    pairs: int, documents: int, labels: int, odds: float
) -> None:
    assert initial.log_odds_of_mean(pairs, documents, labels) == pytest.approx(
        float(np.log(odds)), abs=1e-9
    )


def test_the_bias_stays_finite_where_no_or_every_label_is_there() -> None:
    assert initial.log_odds_of_mean(0, 10, 3) == pytest.approx(-16.1, abs=0.1)
    assert initial.log_odds_of_mean(30, 10, 3) == pytest.approx(16.1, abs=0.1)
    assert np.isfinite(initial.log_odds_of_mean(0, 0, 0))


def variables_of(config: Config, store: Store, seed: int = 0) -> tuple[TextModel, Any]:
    width = initial.word_width(config, store)
    model = initial.make_model(config, len(store.vocabulary), store.num_train_labels, width)
    return model, initial.initial_variables(model, jax.random.key(seed), store, config, -2.5)


def test_trained_vectors_start_as_the_stores(tiny_config: Config, tiny_store: Store) -> None:
    model, variables = variables_of(tiny_config, tiny_store)
    assert model.width == 8
    assert set(variables) == {"params"}
    np.testing.assert_array_equal(variables["params"]["words"]["vectors"], tiny_store.vectors)
    assert float(variables["params"]["labels"]["output_bias"]) == -2.5


def test_frozen_vectors_are_no_parameters_and_random_ones_have_the_configured_width(
    tiny_config: Config, tiny_store: Store
) -> None:
    tiny_config.model.train_words = False
    tiny_config.model.word_vectors = "random"
    tiny_config.model.word_width = 5
    _, variables = variables_of(tiny_config, tiny_store)
    assert "words" not in variables["params"]
    vectors = variables["constants"]["words"]["vectors"]
    assert vectors.shape == (len(tiny_store.vocabulary), 5)
    assert float(jnp.abs(vectors).max()) > 0.1
    # The key decides.
    _, other = variables_of(tiny_config, tiny_store, seed=1)
    assert not np.array_equal(vectors, other["constants"]["words"]["vectors"])


def test_a_store_without_vectors_is_told_what_to_do(tmp_path: Path) -> None:
    documents = [Document("one two", ("a",)), Document("two three", ("b",))]
    store = write_store(tmp_path / "store", {"train": documents}, source="", vectors="none")
    with pytest.raises(ConfigError, match=r"no word vectors.*--config\.model\.word_vectors=random"):
        initial.word_width(Config(), store)


def test_the_module_is_the_configurations(tiny_config: Config) -> None:
    tiny_config.model.dropout = 0.25
    tiny_config.model.embedding_dropout = 0.125
    tiny_config.model.train_words = False
    tiny_config.model.attention = "reference"
    model = initial.make_model(tiny_config, 100, 7, 12)
    assert isinstance(model, AttentionXML)
    assert (model.num_words, model.num_labels, model.width) == (100, 7, 12)
    assert (model.hidden, model.fully_connected) == (4, (4,))
    assert (model.dropout, model.embedding_dropout) == (0.25, 0.125)
    assert (model.trainable_words, model.attention) == (False, "reference")
    other = initial.make_model(Config(), 100, 7, 12)
    assert isinstance(other, AttentionXML)
    assert other.attention is None


def test_parabel_is_no_module(tiny_config: Config, tiny_store: Store, tmp_path: Path) -> None:
    tiny_config.model.name = "parabel"
    message = r"config\.model\.name is parabel, which axml_jax\.train\.door trains"
    with pytest.raises(ConfigError, match=message):
        train(tiny_config, tiny_store, tmp_path / "run")
    assert not (tmp_path / "run").exists()


DOCUMENTS = [
    np.array(tokens, np.int32)
    for tokens in ([2], [3, 4, 5], [6, 2], [7, 3, 9, 8, 2, 4, 5, 6, 7], [5, 5])
]
# Label 3 has no document.
LABELS = scipy.sparse.csr_matrix(
    np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 1, 0]], np.float32)
)


def test_label_queries_are_the_normalised_mean_states_of_their_documents() -> None:
    model = AttentionXML(num_words=10, width=4, num_labels=4, hidden=3, fully_connected=(4,))
    tokens, lengths = jnp.ones((1, 2), jnp.int32), jnp.ones((1,), jnp.int32)
    variables = jax.jit(model.init)(jax.random.key(3), tokens, lengths)

    # By hand: one document at a time, cut at 6 tokens.
    encode = jax.jit(lambda ids, length: model.apply(variables, ids, length, method="encode"))
    means = []
    for document in DOCUMENTS:
        cut = document[:6]
        padded = np.zeros((1, 6), np.int32)
        padded[0, : len(cut)] = cut
        states = np.asarray(encode(padded, np.array([len(cut)], np.int32)), np.float64)
        means.append(states[0, : len(cut)].mean(axis=0))
    centred = np.array(means) - np.mean(means, axis=0)
    expected = np.array(variables["params"]["labels"]["queries"], np.float64)
    for label in range(3):
        mean = centred[LABELS.toarray()[:, label] == 1].mean(axis=0)
        expected[label] = mean / np.linalg.norm(mean)

    for batch_size, buckets in ((2, (2, 6)), (8, (6,))):
        queries = initial.label_state_queries(
            model, variables, DOCUMENTS, LABELS, buckets=buckets, batch_size=batch_size
        )
        assert queries.dtype == jnp.float32
        np.testing.assert_allclose(queries, expected, rtol=1e-4, atol=1e-5)
