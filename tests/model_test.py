"""fit, load and Model: from texts to labels in memory, and what they refuse."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

import axml_jax
from axml_jax import metrics, runs
from axml_jax.config import Config
from axml_jax.data.store import Store
from axml_jax.errors import ConfigError, InputError
from axml_jax.model import Model, fit, load

pytestmark = pytest.mark.usefixtures("compilation_cache")

TEXTS = [
    "Parses flags from the command line.",
    "",
    "Raises an exception, or logs it?",
    "unseenword",
]


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> Model:
    return load(tiny_run)


def test_the_package_gives_its_names_without_importing_jax_before_its_time() -> None:
    assert axml_jax.fit is fit
    assert axml_jax.load is load
    assert (axml_jax.Model, axml_jax.Config, axml_jax.InputError) == (Model, Config, InputError)
    assert set(axml_jax.__all__) <= set(dir(axml_jax))
    with pytest.raises(AttributeError, match="'axml_jax' has no attribute 'train_it'"):
        axml_jax.train_it  # noqa: B018
    code = "import axml_jax, sys; axml_jax.Config; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_loaded_model_knows_its_run(model: Model, tiny_store: Store) -> None:
    assert model.label_names == tiny_store.label_names[: tiny_store.num_train_labels]
    np.testing.assert_array_equal(model.label_counts, tiny_store.label_counts[:8])
    assert model.num_train_documents == 44
    assert model.config.model.hidden == 4
    assert model.description["data"]["fingerprint"] == tiny_store.fingerprint


def test_predictions_are_names_with_probability_and_logit(model: Model) -> None:
    rows = model.predict(TEXTS, top_k=3)
    assert [len(row) for row in rows] == [3, 3, 3, 3]
    for row in rows:
        assert len({found.label for found in row}) == 3
        assert {found.label for found in row} <= set(model.label_names)
        logits = [found.logit for found in row]
        assert logits == sorted(logits, reverse=True)
        for found in row:
            assert found.probability == pytest.approx(1 / (1 + np.exp(-found.logit)))
    # An empty text and one of unknown words are both a single unknown word.
    np.testing.assert_allclose(
        [found.logit for found in rows[1]], [found.logit for found in rows[3]], rtol=1e-5
    )


def test_the_cut_off_leaves_out_the_improbable(model: Model) -> None:
    whole = model.predict(TEXTS, top_k=8)
    limit = float(np.median([found.probability for row in whole for found in row]))
    cut = model.predict(TEXTS, top_k=8, min_probability=limit)
    assert 0 < sum(map(len, cut)) < sum(map(len, whole))
    expected = [[found.label for found in row if found.probability >= limit] for row in whole]
    assert [[found.label for found in row] for row in cut] == expected
    assert model.predict(TEXTS, min_probability=1.0) == [[], [], [], []]


def test_labels_are_ranked_by_logits_where_probabilities_saturate(model: Model) -> None:
    variables = jax.tree.map(lambda leaf: leaf, model.variables)
    variables["params"]["labels"]["output_bias"] = jnp.float32(60.0)
    certain = Model(
        model.config,
        model.description,
        model.vocabulary,
        {"names": model.label_names, "train_counts": model.label_counts, "train_documents": 44},
        model.module,
        variables,
    )
    rows = certain.predict(TEXTS, top_k=8)
    assert {found.probability for row in rows for found in row} == {1.0}
    for row, plain in zip(rows, model.predict(TEXTS, top_k=8), strict=True):
        assert [found.label for found in row] == [found.label for found in plain]
    # A single word is all that any label can attend to: equal logits, in order of the label ids.
    for row, differ in zip(rows, (True, False, True, False), strict=True):
        assert (row[0].logit > row[-1].logit) == differ
    assert [found.label for found in rows[1]] == model.label_names


def test_texts_are_read_as_they_are_wanted(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("axml_jax.predict._WINDOW_BATCHES", 1)
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield TEXTS[0]

    answers = model.predict_stream(endless())
    assert read == 0
    next(answers)
    assert read == 64


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda model: model.predict("one text"), "a single string came"),
        (lambda model: model.predict_stream("one text"), "a single string came"),
        (lambda model: model.predict(["a", None]), "a text must be a string; None came"),
        (lambda model: model.predict(["a"], top_k=9), r"top_k is 9; this model has 8 labels"),
        (lambda model: model.predict_stream(["a"], top_k=9), r"must be from 1 to 8"),
        (lambda model: model.predict(["a"], top_k=0), "top_k is 0"),
        (lambda model: model.predict(["a"], min_probability=1.5), "min_probability is 1.5"),
        (lambda model: model.evaluate("text", [["absl"]]), "a single string came"),
        (lambda model: model.evaluate(["a"], ["absl"]), "the string 'absl' came"),
        (lambda model: model.evaluate(["a"], []), "1 texts but 0 label lists"),
        (lambda model: model.evaluate([], []), "no documents"),
    ],
)
def test_mistakes_are_told_at_once(ask: Callable[[Model], Any], message: str, model: Model) -> None:
    with pytest.raises(ValueError, match=message):
        ask(model)


def test_evaluate_is_the_metrics_of_the_predictions(model: Model) -> None:
    # The second document's label is none of the model's; the third has two, one of them twice.
    names = [["absl"], ["never seen"], ["app", "absl", "app"], []]
    ids = {name: i for i, name in enumerate([*model.label_names, "never seen"])}
    truth = scipy.sparse.lil_matrix((4, 9))
    for row, labels in enumerate(names):
        for name in labels:
            truth[row, ids[name]] = 1
    predicted = np.array(
        [[ids[found.label] for found in row] for row in model.predict(TEXTS, top_k=5)]
    )
    inverse = metrics.inverse_propensities(np.append(model.label_counts, 0), 44)
    expected = metrics.evaluate(
        predicted, scipy.sparse.csr_matrix(truth), (1, 3, 5), inverse_propensities=inverse
    )
    assert model.evaluate(TEXTS, names) == pytest.approx(expected)
    assert 0 < expected["P@1"] < 100
    # A cut-off beyond the labels counts what is missing as wrong.
    assert model.evaluate(TEXTS, names, ks=(16,))["P@16"] == pytest.approx(100 * 3 / 4 / 16)


def test_the_folder_alone_suffices_wherever_it_lies(
    tiny_run: Path, model: Model, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("run.json", "words.json", "labels.json"):
        shutil.copy(tiny_run / name, moved)
    shutil.copytree(tiny_run / "checkpoints" / "best", moved / "checkpoints" / "best")
    description = json.loads((moved / "run.json").read_text())
    description["data"]["path"] = "gone"
    (moved / "run.json").write_text(json.dumps(description))
    assert load(moved).predict(TEXTS) == model.predict(TEXTS)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("run.json", None, "not a run folder"),
        ("words.json", None, "no such file"),
        ("labels.json", None, "no such file"),
        ("labels.json", lambda labels: labels.pop("names"), "damaged: 'names'"),
        ("labels.json", lambda labels: labels.pop("train_counts"), "train_counts is missing"),
        ("labels.json", lambda labels: labels["names"].append(3), "'names' should be a list of te"),
        ("labels.json", lambda labels: labels.update(names="abc"), "'names' should be a list of t"),
        ("labels.json", lambda labels: labels["train_counts"].pop(), "should be a list of .* coun"),
        ("labels.json", lambda labels: labels["train_counts"].__setitem__(0, -1), "list of .* cou"),
        ("run.json", lambda run: run["data"].pop("word_width"), "damaged: 'word_width'"),
        ("run.json", lambda run: run["config"].update(modell={"a": 1}), "Did you mean"),
        ("run.json", lambda run: run["config"]["model"].update(hidden=0), "hidden is 0"),
    ],
)
def test_a_damaged_run_is_told(
    name: str, change: Callable[[Any], Any] | None, message: str, tiny_run: Path, tmp_path: Path
) -> None:
    for file in ("run.json", "words.json", "labels.json"):
        shutil.copy(tiny_run / file, tmp_path)
    if change is None:
        (tmp_path / name).unlink()
    else:
        content = runs.read_json(tmp_path / name)
        change(content)
        runs.write_json(tmp_path / name, content)
    with pytest.raises(InputError, match=message):
        load(tmp_path)


def test_a_run_without_weights_yet_is_told(tiny_run: Path, tmp_path: Path) -> None:
    for file in ("run.json", "words.json", "labels.json"):
        shutil.copy(tiny_run / file, tmp_path)
    with pytest.raises(InputError, match="stopped before its first validation"):
        load(tmp_path)


@pytest.fixture(scope="module")
def labelled(tiny_store: Store) -> tuple[list[str], list[list[str]]]:
    """The tiny store's training documents as texts and label names."""
    split, words = tiny_store.splits["train"], tiny_store.vocabulary.words
    texts = [" ".join(words[t] for t in split.document(i)) for i in range(len(split))]
    labels = [[tiny_store.label_names[j] for j in split.labels(i)] for i in range(len(split))]
    return texts, labels


def test_fit_gives_what_load_gives_and_continues(
    labelled: tuple[list[str], list[list[str]]], tiny_config: Config, tmp_path: Path
) -> None:
    texts, labels = labelled
    tiny_config.data.valid_fraction = 0.2
    tiny_config.model.word_width = 8

    def again(**others: Any) -> Model:
        return fit(texts, labels, config=tiny_config, run_folder=tmp_path / "run", **others)

    early = again(max_minutes=0)
    assert runs.read_json(tmp_path / "run" / "result.json")["step"] == 1
    fitted = again()
    assert runs.read_json(tmp_path / "run" / "result.json")["step"] == 15
    assert fitted.predict(TEXTS) == load(tmp_path / "run").predict(TEXTS)
    assert fitted.predict(TEXTS) != early.predict(TEXTS)
    assert sorted(fitted.label_names) == sorted({name for names in labels for name in names})
    assert fitted.evaluate(texts, labels)["P@1"] > 50

    # Other texts, labels or settings are not taken for those of the folder.
    other = [*texts[:-1], "something else"]
    with pytest.raises(ConfigError, match=r"run\.store was made of other texts or labels"):
        fit(other, labels, config=tiny_config, run_folder=tmp_path / "run")
    with pytest.raises(ConfigError, match=r"run\.store was made of other texts or labels"):
        fit(texts, [["x"], *labels[1:]], config=tiny_config, run_folder=tmp_path / "run")
    tiny_config.model.hidden = 5
    with pytest.raises(ConfigError, match=r"config\.model\.hidden: 4 there, 5 here"):
        again()
    tiny_config.seed = 1
    with pytest.raises(ConfigError, match="with another seed"):
        again()


def test_fit_begins_with_a_run_and_adds_labels(
    labelled: tuple[list[str], list[list[str]]], tiny_config: Config, tiny_run: Path, tmp_path: Path
) -> None:
    texts, labels = labelled
    labels = [[*names, "added"] if i % 4 == 0 else names for i, names in enumerate(labels)]
    tiny_config.data.valid_fraction = 0.2
    tiny_config.train.epochs = 1
    folder = tmp_path / "run"
    fitted = fit(texts, labels, config=tiny_config, run_folder=folder, init_from=tiny_run)
    assert fitted.label_names == [*load(tiny_run).label_names, "added"]
    assert fitted.vocabulary.words == load(tiny_run).vocabulary.words
    moved = shutil.copytree(tiny_run, tmp_path / "renamed")
    again = fit(texts, labels, config=tiny_config, run_folder=folder, init_from=moved)
    assert again.predict(TEXTS) == fitted.predict(TEXTS)
    with pytest.raises(ConfigError, match="for a run begun otherwise"):
        fit(texts, labels, config=tiny_config, run_folder=folder)


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (["a", "b"], [["x"]], "2 texts but 1 label lists"),
        ("ab", [["x"], ["y"]], "a single string came"),
        (["a", "b"], ["sport", "news"], "the string 'sport' came"),
        (["a", None], [["x"], ["y"]], "a text must be a string; None came"),
        (["a", "b"], [[], []], "has a label"),
    ],
)
def test_fit_refuses_what_it_cannot_learn_from(
    texts: Any, labels: Any, message: str, tiny_config: Config, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        fit(texts, labels, config=tiny_config, run_folder=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
