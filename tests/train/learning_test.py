"""The models can learn: one batch of real documents by heart."""

from pathlib import Path

import jax
import numpy as np
import pytest

from axml_jax.config import Config
from axml_jax.data.builders import pydocs
from axml_jax.data.store import write_store
from axml_jax.train.initial import initial_variables
from axml_jax.train.optimizer import make_optimizer
from axml_jax.train.plan import make_plan
from axml_jax.train.step import make_train_step
from axml_jax.train.validation import Validator


@pytest.mark.parametrize("name", ["attention_xml", "xml_rnn", "xml_cnn"])
def test_one_batch_of_40_real_documents_is_learned_by_heart(name: str, tmp_path: Path) -> None:
    splits, _ = pydocs.build(files=pydocs.installed_files(("optax",)))
    documents = splits["train"][:40]
    store = write_store(
        tmp_path / "store", {"train": documents, "valid": documents}, source="", vectors="none"
    )
    config = Config()
    config.model.name = name
    config.model.filters, config.model.bottleneck = 16, 16
    config.data.max_tokens = 64
    config.model.word_vectors = "random"
    config.model.word_width = 16
    config.model.hidden = 16
    config.model.fully_connected = (16,)
    config.model.dropout = 0.0
    config.train.learning_rate = 0.02
    plan = make_plan(config, store, jax.local_devices()[:1])
    assert plan.batches.steps_per_epoch == 1
    params = initial_variables(plan.model, jax.random.key(0), store, config, -3.0)["params"]
    optimizer = make_optimizer(config, 1)
    layout = plan.layout
    step = layout.compiled(
        make_train_step(plan.model, optimizer, steps_per_epoch=1, layout=layout), plan.devices
    )
    state = layout.placed(optimizer.start(params), plan.devices)
    (batch,) = plan.batches.from_step(0, 1)
    validator = Validator(config, store, plan.parts, plan.model, plan.devices, layout)
    sizes = np.diff(store.splits["train"].label_offsets)
    most = 100 * np.minimum(sizes, 5).mean() / 5
    before = validator.score({"params": state.params})["P@5"]
    for _ in range(150):
        state, _ = step(state, {}, layout.dealt(batch, plan.devices), jax.random.key(0))
    after = validator.score({"params": state.params})
    assert before < 0.5 * most
    assert after["P@5"] == pytest.approx(most)
    assert after["nDCG@5"] == pytest.approx(100)
