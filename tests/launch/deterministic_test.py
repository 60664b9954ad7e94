"""`--deterministic` on a GPU: two processes that share nothing train to the same bits."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from axml_jax import runs
from axml_jax.config import from_dict
from axml_jax.data.corpus import Document
from axml_jax.data.store import Store, write_store
from tests.train.contents import restored

Launch = Callable[..., subprocess.CompletedProcess[bytes]]

# Sums long enough for their order to show: a word occurs hundreds of times in a batch.
DOCUMENTS, LENGTH, WORDS, LABELS = 128, 200, 100, 300


@pytest.fixture
def store(tmp_path: Path) -> Store:
    random = np.random.default_rng(0)
    documents = (
        Document(
            " ".join(f"w{i}" for i in random.integers(0, WORDS, LENGTH)),
            tuple(str(i) for i in random.choice(LABELS, 5, replace=False)),
        )
        for _ in range(DOCUMENTS)
    )
    return write_store(tmp_path / "store", {"train": documents}, source="test", vectors="none")


@pytest.mark.gpu
@pytest.mark.parametrize("lazy", [True, False], ids=["lazy", "dense"])
def test_two_fresh_processes_give_the_same_weights(
    lazy: bool, store: Store, launch: Launch, tmp_path: Path
) -> None:
    found = []
    for run in ("one", "other"):
        done = launch(
            "train",
            *("--deterministic", "--compilation_cache=off", "--devices=1"),
            *(f"--store={store.path}", f"--run={run}", f"--config.train.lazy_words={lazy}"),
            *("--config.data.max_tokens=200", "--config.data.batch_size=32"),
            *("--config.model.word_vectors=random", "--config.model.hidden=64"),
            *("--config.train.epochs=5", "--config.train.log_steps=1"),
        )
        assert done.returncode == 0, done.stderr.decode()
        folder = tmp_path / run
        config = from_dict(runs.read_description(folder)["config"])
        (state, _), _ = restored(folder, config, store)
        found.append((state, (folder / "metrics.jsonl").read_bytes()))
    (state, metrics), (other_state, other_metrics) = found
    assert metrics == other_metrics
    jax.tree.map(np.testing.assert_array_equal, state, other_state)
