"""What checkpoints take is told before training; weights leave the devices only to be kept."""

import collections
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from axml_jax.config import Config
from axml_jax.data.store import Store
from axml_jax.label_layout import ByDocumentsAndLabels
from axml_jax.train import room
from axml_jax.train.loop import train
from axml_jax.train.state import TrainState
from axml_jax.train.validation import Validator


def a_state(rows: int) -> TrainState:
    """Of `rows` x 1,000 weights and Adam's two moments, as shapes."""

    def state() -> TrainState:
        weights = jnp.zeros((rows, 1000))
        return TrainState(jnp.int32(0), {"queries": weights}, (weights, weights), ())

    shapes: TrainState = jax.eval_shape(state)
    return shapes


@pytest.mark.parametrize(
    ("rows", "free", "told"),
    [
        (1_000, 10**12, ""),
        (1_000, 40_000_000, "note: the checkpoints in RUN take up to 44.0 MB, but only 40.0 MB are "
         "there for them\n"),
        (1_000_000, 10**12, "a checkpoint takes 12.0 GB, in memory as well while it is written; up "
         "to 44.0 GB stand in RUN at a time\n"),
    ],
)  # fmt: skip
def test_large_checkpoints_and_little_room_are_told(
    rows: int,
    free: int,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    room.tell(tmp_path, a_state(rows))
    assert capsys.readouterr().err == told.replace("RUN", str(tmp_path / "checkpoints"))


def test_checkpoints_that_stand_there_have_their_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: SimpleNamespace(free=40_000_000))
    (tmp_path / "checkpoints").mkdir()
    with (tmp_path / "checkpoints" / "arrays").open("wb") as file:
        file.truncate(5_000_000)
    room.tell(tmp_path, a_state(1_000))
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("compilation_cache")
def test_weights_split_by_labels_are_gathered_only_to_be_kept(
    new_tiny_config: Callable[[], Config],
    tiny_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = new_tiny_config()
    config.parallel.labels, config.train.epochs = 2, 2
    config.train.learning_rate = 1e-9  # so that a later validation is no better
    gathered: collections.Counter[type] = collections.Counter()
    scored: list[Any] = []
    gather, score = ByDocumentsAndLabels.gathered, Validator.score

    def counted(self: ByDocumentsAndLabels, tree: Any) -> Any:
        gathered[type(tree)] += 1
        return gather(self, tree)

    def seen(self: Validator, variables: Any) -> Any:
        scored.append(variables["params"]["labels"]["queries"].sharding.num_devices)
        found = score(self, variables)
        assert self._predictor.variables == {}
        return found

    monkeypatch.setattr(ByDocumentsAndLabels, "gathered", counted)
    monkeypatch.setattr(Validator, "score", seen)
    train(config, tiny_store, tmp_path / "run", devices=jax.local_devices()[:2])
    assert capsys.readouterr().err.count("(best)") == gathered[dict] < len(scored)
    assert set(scored) == {2}
