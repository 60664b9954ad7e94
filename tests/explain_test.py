"""explain: labels, words and attention of texts, against the whole model and NumPy."""

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax

from axml_jax import explain as explain_lib
from axml_jax.config import Config
from axml_jax.data.text import tokenize
from axml_jax.errors import ConfigError, InputError
from axml_jax.explain import MOST_MISSED, Explanation, explain
from axml_jax.model import Model, load
from axml_jax.models import XMLRNN

pytestmark = pytest.mark.usefixtures("compilation_cache")

TEXTS = [
    "Parses flags from the command line.",
    "Unseenword, then: logs   it\nand raises an exception!",
    "word " * 30,  # the model reads 16
    "flag",
]


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> Model:
    return load(tiny_run)


def whole(model: Model, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits [L] and attention [L, T] of all labels: eqs. (4) and (5) of the model's own states."""
    ids = model.encode(text)
    # All of one length: compiled once.
    padded, lengths = np.zeros((1, 16), np.int32), np.array([len(ids)], np.int32)
    padded[0, : len(ids)] = ids
    assert model.module is not None
    logits = np.asarray(model.module.apply(model.variables, padded, lengths))[0]
    states = model.module.apply(model.variables, padded, lengths, method="encode")
    hidden = np.asarray(states, np.float64)[0, : len(ids)]
    queries = np.asarray(model.variables["params"]["labels"]["queries"], np.float64)
    return logits, softmax(queries @ hidden.T, axis=1)


def check(model: Model, about: Explanation) -> None:
    logits, attention = whole(model, about.text)
    for label in about.labels:
        label_id = model.label_names.index(label.label)
        assert label.logit == pytest.approx(float(logits[label_id]), abs=1e-5)
        assert label.probability == pytest.approx(float(expit(logits[label_id])), abs=1e-6)
        assert label.weights.shape == (about.num_read,)
        assert float(label.weights.sum()) == pytest.approx(1.0, abs=1e-5)
        np.testing.assert_allclose(label.weights, attention[label_id], atol=1e-6)


def test_predicted_labels_and_their_attention_are_the_models(model: Model) -> None:
    found = list(explain(model, TEXTS, top_k=3))
    assert [about.text for about in found] == TEXTS
    predicted = model.predict(TEXTS, top_k=3)
    for about, row in zip(found, predicted, strict=True):
        check(model, about)
        assert [label.label for label in about.labels] == [one.label for one in row]
        assert [(label.is_predicted, label.is_true) for label in about.labels] == [(True, None)] * 3
        assert [token.word for token in about.tokens] == tokenize(about.text)
        known = [token.word in model.vocabulary for token in about.tokens]
        assert about.is_known == known
    assert not found[1].is_known[0]
    assert [about.num_read for about in found] == [6, 8, 16, 1]
    assert len(found[2].tokens) == 30


def test_true_labels_are_told_apart_and_missed_ones_follow_best_first(model: Model) -> None:
    text = TEXTS[0]
    ranked = [one.label for one in model.predict([text], top_k=len(model.label_names))[0]]
    true = [ranked[5], ranked[0], "never seen", ranked[3], ranked[5]]
    (about,) = explain(model, [text], [true], top_k=2)
    check(model, about)
    assert [(label.label, label.is_predicted, label.is_true) for label in about.labels] == [
        (ranked[0], True, True),
        (ranked[1], True, False),
        (ranked[3], False, True),
        (ranked[5], False, True),
    ]
    assert about.unknown_labels == ("never seen",)
    assert about.num_left_out == 0


def test_more_missed_labels_than_can_be_shown_are_counted(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_MISSED > 8, "or this model shows them all"
    monkeypatch.setattr(explain_lib, "MOST_MISSED", 2)
    (about,) = explain(model, [TEXTS[0]], [model.label_names], top_k=1)
    check(model, about)
    ranked = [one.label for one in model.predict([TEXTS[0]], top_k=len(model.label_names))[0]]
    assert [label.label for label in about.labels] == ranked[:3], "the most probable are shown"
    assert about.num_left_out == len(model.label_names) - 3


def test_texts_of_several_batches_stay_in_order(model: Model) -> None:
    texts = [f"{'logs flags and raises ' * (1 + i % 3)} {i}" for i in range(20)]
    found = list(explain(model, iter(texts), top_k=1))
    assert [about.text for about in found] == texts
    for about in found[::6]:
        check(model, about)


def test_queries_of_other_labels_are_never_looked_at(model: Model) -> None:
    params = dict(model.variables["params"])
    queries = np.array(params["labels"]["queries"])
    queries[[0, 2, 3, 5, 6, 7]] = np.nan
    few = load_like(model, {**params, "labels": {**params["labels"], "queries": queries}})
    document = model.encode(TEXTS[0])
    ((logits, weights),) = explain_lib._ChosenLabels(few)([document], [[4, 1]])
    expected, attention = whole(model, TEXTS[0])
    np.testing.assert_allclose(logits, expected[[4, 1]], atol=1e-5)
    np.testing.assert_allclose(weights, attention[[4, 1]], atol=1e-6)


def load_like(model: Model, params: dict[str, object]) -> Model:
    labels = {
        "names": model.label_names,
        "train_counts": model.label_counts,
        "train_documents": model.num_train_documents,
    }
    return Model(
        model.config,
        model.description,
        model.vocabulary,
        labels,
        model.module,
        {**model.variables, "params": params},
    )


def test_what_cannot_be_explained_is_refused(model: Model) -> None:
    with pytest.raises(InputError, match=r"text 2 has no word, '\?!'"):
        list(explain(model, ["flags", "?!"]))
    with pytest.raises(InputError, match="not equally many"):
        list(explain(model, ["flags", "logs"], [["a"]]))
    with pytest.raises(ValueError, match="a single string came"):
        explain(model, "flags")
    with pytest.raises(ValueError, match="a list of names a text; 'flags' came"):
        list(explain(model, ["flags"], ["flags"]))
    with pytest.raises(ConfigError, match="top_k is 9; this model has 8 labels"):
        explain(model, ["flags"], top_k=9)


def test_a_model_without_attention_is_refused() -> None:
    config = Config()
    config.model.name = "xml_rnn"
    for module in (XMLRNN(9, 4, 3), None):
        other: Any = types.SimpleNamespace(module=module, config=config)
        with pytest.raises(ConfigError, match=r"this run, xml_rnn, has no attention"):
            explain(other, ["flags"])
