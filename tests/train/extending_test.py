"""Runs that begin with another run's weights, with labels added."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import axml_jax
from axml_jax import runs
from axml_jax.config import Config
from axml_jax.data.corpus import Document
from axml_jax.data.store import Store, write_store
from axml_jax.errors import ConfigError, InputError
from axml_jax.train.extending import extended_values, read_origin
from axml_jax.train.loop import train
from axml_jax.train.plan import Plan, make_plan
from tests.models import oracle

Train = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.usefixtures("compilation_cache")


def texts_of(store: Store, split: str) -> list[Document]:
    """A split's documents, their words as text."""
    documents, words = store.splits[split], store.vocabulary.words
    return [
        Document(
            " ".join(words[t] for t in documents.document(i)),
            tuple(store.label_names[j] for j in documents.labels(i)),
        )
        for i in range(len(documents))
    ]


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path, tiny_store: Store) -> Store:
    """The tiny store prepared from the tiny run, every third and every eleventh document new."""
    train = [
        document._replace(
            labels=(*document.labels, *["a third"] * (i % 3 == 0), *["eleventh"] * (i % 11 == 5))
        )
        for i, document in enumerate(texts_of(tiny_store, "train"))
    ]
    splits = {"train": train, "valid": texts_of(tiny_store, "valid")}
    return write_store(
        tmp_path_factory.mktemp("extended") / "store", splits, source="", base=tiny_run
    )


def losses(folder: Path) -> list[tuple[int, float]]:
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [(record["step"], record["loss"]) for record in records if "loss" in record]


def plan_of(config: Config, store: Store, run: Path, devices: list[Any] | None = None) -> Plan:
    devices = devices or jax.local_devices()[:1]
    return make_plan(config, store, devices, read_origin(run, config, store))


def leaves(tree: Any) -> dict[str, np.ndarray]:
    return {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


QUERIES = "['labels']['queries']"


def test_all_but_the_new_queries_is_the_run_bit_for_bit(
    tiny_config: Config, extended: Store, tiny_run: Path
) -> None:
    plan = plan_of(tiny_config, extended, tiny_run)
    params, constants = extended_values(plan, jax.random.key(5), True)
    theirs = leaves(axml_jax.load(tiny_run).variables["params"])
    ours = leaves(params)
    assert constants == {}
    assert ours.keys() == theirs.keys()
    known = len(theirs[QUERIES])
    assert (known, len(ours[QUERIES])) == (8, 10)
    assert ours[QUERIES][:known].tobytes() == theirs.pop(QUERIES).tobytes()
    for name, leaf in theirs.items():
        assert ours[name].tobytes() == leaf.tobytes(), name


def mean_state(params: Any, tokens: np.ndarray) -> np.ndarray:
    """The mean over a document's tokens of their hidden states, by the oracle."""
    words, encoder = params["words"]["vectors"], params["encoder"]
    weights = (encoder[name] for name in ("input_kernel", "recurrent_kernel", "bias"))
    states: np.ndarray = oracle.bilstm(words[tokens], *weights)
    return states.mean(0)


def test_new_queries_are_their_documents_mean_states_as_long_as_known_ones(
    tiny_config: Config, extended: Store, tiny_run: Path
) -> None:
    params, _ = extended_values(plan_of(tiny_config, extended, tiny_run), jax.random.key(5), True)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    split = extended.splits["train"]
    most = tiny_config.data.max_tokens
    means = np.array([mean_state(params, split.document(i)[:most]) for i in range(len(split))])
    known = params["labels"]["queries"][:8]
    length = np.median([np.sqrt((row**2).sum()) for row in known])
    assert abs(length - 1) > 0.02  # what is asserted below could not tell it from 1
    for label, name in ((8, "a third"), (9, "eleventh")):
        assert extended.label_names[label] == name
        own = [i for i in range(len(split)) if label in split.labels(i)]
        assert len(own) >= 3
        direction = means[own].mean(0) - means.mean(0)
        expected = length * direction / np.sqrt((direction**2).sum())
        np.testing.assert_allclose(
            params["labels"]["queries"][label], expected, rtol=2e-3, atol=2e-4
        )


@pytest.mark.parametrize(("devices", "labels"), [(1, 1), (4, 1), (4, 2)])
@pytest.mark.parametrize("lazy", [True, False])
def test_before_the_first_step_known_labels_are_predicted_as_by_the_run(
    tiny_config: Config,
    extended: Store,
    tiny_run: Path,
    tmp_path: Path,
    devices: int,
    labels: int,
    lazy: bool,
) -> None:
    # So small a step changes no weight; validated and kept are then those before it.
    tiny_config.train.learning_rate = 1e-30
    tiny_config.train.lazy_words = lazy
    tiny_config.parallel.labels = labels
    chosen = jax.local_devices()[:devices]
    train(tiny_config, extended, tmp_path, devices=chosen, init_from=tiny_run, max_minutes=0)
    before, after = axml_jax.load(tiny_run), axml_jax.load(tmp_path)
    assert after.label_names == [*before.label_names, "a third", "eleventh"]
    texts = [document.text for document in texts_of(extended, "valid")]
    expected = before.predict(texts, top_k=8)
    known = [
        [found for found in row if found.label in before.label_names]
        for row in after.predict(texts, top_k=10)
    ]
    for ours, theirs in zip(known, expected, strict=True):
        assert [found.label for found in ours] == [found.label for found in theirs]
        np.testing.assert_allclose(
            [found.logit for found in ours], [found.logit for found in theirs], rtol=1e-6
        )


def test_the_run_tells_what_it_began_with_and_continues(
    train_on_one: Train,
    tiny_config: Config,
    extended: Store,
    tiny_run: Path,
    tmp_path: Path,
) -> None:
    origin = tmp_path / "origin"
    shutil.copytree(tiny_run, origin)
    tiny_config.train.epochs = 1
    train_on_one(tiny_config, extended, tmp_path / "whole", init_from=origin)
    train_on_one(tiny_config, extended, tmp_path / "run", init_from=origin, max_minutes=0)
    about = runs.read_description(tmp_path / "run")["data"]["init_from"]
    assert about["run"] == "origin"
    assert about["step"] == runs.read_json(tiny_run / "result.json")["best_step"]
    assert str(tmp_path) not in str(about)
    assert runs.read_json(tmp_path / "run" / "result.json")["step"] == 1
    # It may have been renamed in between, and been dealt to devices in another way.
    moved = origin.rename(tmp_path / "moved")
    config = runs.read_description(moved)["config"]
    runs.update_description(moved, {**config, "parallel": {"labels": 2}})
    result = train_on_one(tiny_config, extended, tmp_path / "run", init_from=moved)
    assert result["step"] == 6
    whole, continued = (losses(tmp_path / name) for name in ("whole", "run"))
    assert [step for step, _ in whole] == [2, 4, 6]
    assert continued == whole

    # Begun otherwise, it is another run.
    with pytest.raises(ConfigError, match=r"data\.init_from\.fingerprint: "):
        train_on_one(tiny_config, extended, tmp_path / "whole", init_from=tmp_path / "run")


def test_frozen_words_are_the_runs(
    train_on_one: Train, tiny_config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    tiny_config.model.train_words = False
    tiny_config.train.epochs = 1
    train_on_one(tiny_config, tiny_store, tmp_path / "first")
    train_on_one(tiny_config, tiny_store, tmp_path / "second", init_from=tmp_path / "first")
    constants = axml_jax.load(tmp_path / "second").variables["constants"]
    np.testing.assert_array_equal(constants["words"]["vectors"], tiny_store.vectors)
    # The same store and configuration, but another beginning.
    with pytest.raises(ConfigError, match=r"data\.init_from: \{.*\} there, None here"):
        train_on_one(tiny_config, tiny_store, tmp_path / "second")
    with pytest.raises(ConfigError, match=r"data\.init_from: None there, \{.*\} here"):
        train_on_one(tiny_config, tiny_store, tmp_path / "first", init_from=tmp_path / "second")


def test_a_store_of_other_ids_is_refused(
    tiny_config: Config, tiny_run: Path, tiny_store: Store, tmp_path: Path
) -> None:
    names = tiny_store.label_names[:8]
    other = write_store(
        tmp_path / "store",
        {"train": [Document("flags of absl", ("absl", "zzz"))]},
        source="",
        vectors="none",
    )
    with pytest.raises(InputError) as caught:
        train(tiny_config, other, tmp_path / "run", init_from=tiny_run)
    words = len(tiny_store.vocabulary)
    for part in (
        f"of the run's {words:,} words: 2 is {tiny_store.vocabulary.words[2]!r} there, 'absl' here",
        f"of the run's 8 labels: 1 is {names[1]!r} there, 'zzz' here, 2 is {names[2]!r} there",
        "None here, ...",
        f"launch/prepare.py --base {tiny_run}",
    ):
        assert part in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_configuration_of_other_shapes_is_refused(
    tiny_config: Config, tiny_run: Path, extended: Store, tiny_store: Store, tmp_path: Path
) -> None:
    tiny_config.model.hidden = 5
    tiny_config.model.fully_connected = (4, 3)
    tiny_config.model.train_words = False
    tiny_config.model.word_vectors = "random"
    tiny_config.model.word_width = 9
    with pytest.raises(
        ConfigError,
        match=r"hidden: 4 there, 5 here; .*fully_connected: \(4,\) there, \(4, 3\) here; "
        r".*train_words: True there, False here; .*word_width: 8 there, 9 here",
    ):
        train(tiny_config, extended, tmp_path / "run", init_from=tiny_run)
    assert not (tmp_path / "run").exists()


def as_if_of(name: str, run: Path, folder: Path) -> Path:
    """What is read of a run before its weights, and it says that it is of another model."""
    folder.mkdir()
    for file in ("run.json", "words.json", "labels.json"):
        shutil.copy(run / file, folder)
    description = runs.read_json(folder / "run.json")
    description["config"]["model"]["name"] = name
    runs.write_json(folder / "run.json", description)
    return folder


def test_a_run_without_weights_is_refused(
    tiny_config: Config, tiny_run: Path, extended: Store, tmp_path: Path
) -> None:
    parabel = as_if_of("parabel", tiny_run, tmp_path / "parabel")
    with pytest.raises(ConfigError, match=r"/parabel is a run of parabel: it has no weights\.$"):
        train(tiny_config, extended, tmp_path / "run", init_from=parabel)
    assert not (tmp_path / "run").exists()


def test_new_labels_are_refused_where_a_label_has_no_query(
    tiny_config: Config, tiny_run: Path, extended: Store, tmp_path: Path
) -> None:
    tiny_config.model.name = "xml_rnn"
    rnn = as_if_of("xml_rnn", tiny_run, tmp_path / "rnn")
    message = "labels that .*/rnn does not know; .* run of attention_xml, not to one of xml_rnn"
    with pytest.raises(ConfigError, match=message):
        train(tiny_config, extended, tmp_path / "run", init_from=rnn)
    assert not (tmp_path / "run").exists()


def test_without_the_run_a_store_from_a_run_has_no_vectors(
    tiny_config: Config, extended: Store, tiny_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="--init_from RUN"):
        train(tiny_config, extended, tmp_path / "run")
    with pytest.raises(InputError, match="not a run folder"):
        train(tiny_config, extended, tmp_path / "run", init_from=tmp_path)
    for name in ("run.json", "words.json", "labels.json"):
        (tmp_path / "early").mkdir(exist_ok=True)
        shutil.copy(tiny_run / name, tmp_path / "early")
    with pytest.raises(InputError, match="stopped before its first validation"):
        train(tiny_config, extended, tmp_path / "run", init_from=tmp_path / "early")
