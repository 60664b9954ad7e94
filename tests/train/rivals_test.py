"""XML-RNN and XML-CNN through the door that AttentionXML takes: the same run folder and answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from axml_jax import runs
from axml_jax.config import Config, load_file
from axml_jax.data.store import Store
from axml_jax.errors import ConfigError
from axml_jax.evaluation import evaluate_run
from axml_jax.label_layout import ByDocumentsAndLabels
from axml_jax.layout import ByDocuments
from axml_jax.model import load
from axml_jax.models import XMLCNN, XMLRNN
from axml_jax.train import initial, loop
from axml_jax.train.door import train
from axml_jax.train.optimizer import make_optimizer
from axml_jax.train.plan import make_plan
from axml_jax.train.step import make_train_step

pytestmark = pytest.mark.usefixtures("compilation_cache")

NAMES = ["xml_rnn", "xml_cnn"]


def make_config(new_tiny_config: Callable[[], Config], name: str) -> Config:
    config = new_tiny_config()
    config.model.name = name
    config.model.filter_widths, config.model.filters = (2, 3), 4
    config.model.chunks, config.model.bottleneck = 3, 8
    config.train.learning_rate = 0.02
    return config


@pytest.fixture(scope="module", params=NAMES)
def trained(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    tiny_store: Store,
    new_tiny_config: Callable[[], Config],
) -> tuple[Config, Path]:
    config = make_config(new_tiny_config, request.param)
    folder = tmp_path_factory.mktemp(request.param) / "run"
    train(config, tiny_store, folder, devices=jax.local_devices()[:1])
    return config, folder


def test_the_module_is_the_configurations(new_tiny_config: Callable[[], Config]) -> None:
    config = make_config(new_tiny_config, "xml_rnn")
    config.model.embedding_dropout, config.model.precision = 0.125, "bfloat16"
    config.model.train_words = False
    rnn = initial.make_model(config, 100, 7, 12)
    assert isinstance(rnn, XMLRNN)
    assert (rnn.num_words, rnn.num_labels, rnn.width) == (100, 7, 12)
    assert (rnn.hidden, rnn.fully_connected, rnn.recurrence) == (4, (4,), None)
    config.model.name = "xml_cnn"
    cnn = initial.make_model(config, 100, 7, 12)
    assert isinstance(cnn, XMLCNN)
    assert (cnn.filter_widths, cnn.filters, cnn.chunks, cnn.bottleneck) == ((2, 3), 4, 3, 8)
    for model in (rnn, cnn):
        assert (model.dropout, model.embedding_dropout) == (0.5, 0.125)
        assert (model.trainable_words, model.dtype) == (False, jnp.bfloat16)


def test_a_run_is_like_any_other(trained: tuple[Config, Path], tiny_store: Store) -> None:
    config, folder = trained
    assert runs.read_description(folder)["config"]["model"]["name"] == config.model.name
    result = runs.read_json(folder / "result.json")
    assert (result["step"], result["valid_documents"]) == (18, 18)
    kept = result["validation"]

    model = load(folder)
    texts = ["parses flags from the command line", "", "logs it"]
    rows = model.predict(texts, top_k=8)
    assert [len({found.label for found in row}) for row in rows] == [8, 8, 8]
    assert len({row[0].logit for row in rows}) == 3
    for row, alone in zip(rows, map(model.predict, [[text] for text in texts]), strict=True):
        assert [found.logit for found in row] == sorted((f.logit for f in row), reverse=True)
        np.testing.assert_allclose(
            [found.logit for found in row[:5]], [f.logit for f in alone[0]], rtol=1e-5, atol=1e-6
        )
    scores = evaluate_run(folder, split="valid", examples=1)["scores"]["model"]
    assert {name: scores[name]["value"] for name in kept} == pytest.approx(kept)


def test_an_interrupted_run_ends_with_the_same_bits(
    trained: tuple[Config, Path], tiny_store: Store, tmp_path: Path
) -> None:
    config, whole = trained
    one = jax.local_devices()[:1]
    train(config, tiny_store, tmp_path / "run", devices=one, max_minutes=0)
    assert runs.read_json(tmp_path / "run" / "result.json")["step"] == 1
    train(config, tiny_store, tmp_path / "run", devices=one)

    def losses(folder: Path) -> dict[int, Any]:
        records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
        return {record["step"]: record["loss"] for record in records if "loss" in record}

    assert losses(tmp_path / "run") == losses(whole)


@pytest.mark.parametrize("name", NAMES)
def test_any_devices_and_split_labels_train_alike(
    name: str, tiny_store: Store, new_tiny_config: Callable[[], Config]
) -> None:
    config = make_config(new_tiny_config, name)
    config.train.clip_norm = 0.05
    curves, params = [], None
    for devices, parts in ((1, 1), (4, 2)):
        config.parallel.labels = parts
        plan = make_plan(config, tiny_store, jax.local_devices()[:devices])
        assert isinstance(plan.layout, ByDocuments if parts == 1 else ByDocumentsAndLabels)
        optimizer = make_optimizer(config, 100, plan.layout.global_norm)
        if params is None:
            params = jax.device_get(initial.initial_values(plan, jax.random.key(0), True)[0])
        state = plan.layout.placed(optimizer.start(jax.tree.map(jnp.asarray, params)), plan.devices)
        step = plan.layout.compiled(
            make_train_step(plan.model, optimizer, steps_per_epoch=6, layout=plan.layout),
            plan.devices,
        )
        losses = []
        for batch in plan.batches.from_step(0, 18):
            dealt = plan.layout.dealt(batch, plan.devices)
            state, measures = step(state, {}, dealt, jax.random.key(1))
            losses.append(float(measures.loss))
        best = plan.layout.compiled_top_k(plan.model, 3, plan.devices)
        documents = plan.layout.dealt(batch[:2], plan.devices)
        weights = plan.layout.gathered(optimizer.weights(state))
        found = best(plan.layout.placed({"params": weights}, plan.devices), documents)
        logits = np.asarray(found[0]).reshape(-1, 3)
        labels = weights["labels"]
        assert labels["label_weights"].shape[0] == labels["label_biases"].shape[0] == 8
        curves.append(np.concatenate([losses, logits.reshape(-1)]))
        assert np.mean(losses[-6:]) < 0.9 * np.mean(losses[:6])
    np.testing.assert_allclose(curves[1], curves[0], rtol=2e-3, atol=1e-4)


def test_settings_of_other_models_are_named_and_the_call_goes_on(
    tiny_store: Store,
    new_tiny_config: Callable[[], Config],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(loop, "train", lambda *given, **named: calls.append((given, named)))
    config = make_config(new_tiny_config, "xml_rnn")
    config.model.query_init = "label_state"
    train(config, tiny_store, "run", max_minutes=7, devices=jax.local_devices())
    named = {"max_minutes": 7, "devices": jax.local_devices(), "init_from": None}
    assert calls == [((config, tiny_store, "run"), named)]
    assert capsys.readouterr().err == (
        "not read by xml_rnn: config.model.filter_widths, config.model.filters, "
        "config.model.chunks, config.model.bottleneck, config.model.query_init\n"
    )


@pytest.mark.parametrize("name", [*NAMES, "parabel"])
def test_the_projects_configurations_serve_all(name: str, root: Path) -> None:
    config = load_file(root / "launch" / "configs" / "reuters.py")
    config.model.name = name
    unread = config.validate().unread()
    assert "model.query_init" in unread
    assert "model.name" not in unread
    assert ("train.learning_rate" in unread) == (name == "parabel")
    assert ("model.hidden" in unread) == (name != "xml_rnn")


def test_a_run_from_before_the_field_loads_and_goes_on(
    tiny_run: Path, tiny_store: Store, tiny_config: Config, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    description = runs.read_json(folder / "run.json")
    for field in ("name", "filter_widths", "filters", "chunks", "bottleneck"):
        del description["config"]["model"][field]
    runs.write_json(folder / "run.json", description)
    assert load(folder).predict(["a flag"]) == load(tiny_run).predict(["a flag"])
    assert train(tiny_config, tiny_store, folder)["step"] == 18
    tiny_config.model.name = "xml_rnn"
    with pytest.raises(ConfigError, match=r"config\.model\.name: 'attention_xml' there"):
        train(tiny_config, tiny_store, folder)
