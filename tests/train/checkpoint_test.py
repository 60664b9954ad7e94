"""Checkpoints: whole, the newest two, the best one, and nothing half-written taken for one."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from axml_jax.config import Config
from axml_jax.errors import InputError
from axml_jax.train.checkpoint import Checkpoints
from axml_jax.train.optimizer import make_optimizer
from axml_jax.train.state import TrainState


def make_state(step: int, averaged: bool = True) -> TrainState:
    random = np.random.default_rng(step)
    table = jnp.asarray(random.normal(size=(3, 2)), jnp.float32)
    params = {"words": {"vectors": table}, "b": {"c": jnp.float32(2)}}
    config = Config()
    config.train.average_steps = 3 * averaged
    return make_optimizer(config, 10).start(params).replace(step=jnp.int32(step))


def assert_same(one: Any, other: Any) -> None:
    assert str(jax.tree.structure(one)) == str(jax.tree.structure(other))
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Iterator[Checkpoints]:
    checkpoints = Checkpoints(tmp_path)
    yield checkpoints
    checkpoints.close()


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("averaged", [True, False])
def test_the_whole_state_comes_back(checkpoints: Checkpoints, averaged: bool) -> None:
    assert not checkpoints.has_latest()
    assert checkpoints.restore_latest(make_state(0, averaged)) is None
    saved = make_state(5, averaged)
    counters = {"best": 1 / 3, "best_step": 4, "finished": "", "loss_sum": 0.1 + 0.2}
    checkpoints.save_latest(saved, counters)
    assert checkpoints.has_latest()
    restored = checkpoints.restore_latest(make_state(0, averaged))
    assert restored is not None
    assert_same(restored[0], saved)
    assert restored[1] == counters


def test_the_newest_two_states_are_kept(checkpoints: Checkpoints, tmp_path: Path) -> None:
    for step in (3, 5, 9):
        checkpoints.save_latest(make_state(step), {"n": step})
    checkpoints.save_latest(make_state(9), {"n": -1})  # there already: the newer counters count
    kept = {path.name for path in (tmp_path / "checkpoints" / "latest").iterdir()}
    assert kept == {"5", "9"}
    restored = checkpoints.restore_latest(make_state(0))
    assert restored is not None
    assert (int(restored[0].step), restored[1]) == (9, {"n": -1})


def test_better_weights_replace_the_best(checkpoints: Checkpoints, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no best weights yet"):
        checkpoints.restore_best(make_state(0).params)
    with pytest.raises(InputError, match="no best weights yet"):
        checkpoints.best_counters()
    for step in (3, 5):
        checkpoints.save_best(
            step, make_state(step).params, {"step": step, "metrics": {"P@1": 0.5}}
        )
    weights, counters = checkpoints.restore_best(make_state(0).params)
    assert_same(weights, make_state(5).params)
    assert counters == checkpoints.best_counters() == {"step": 5, "metrics": {"P@1": 0.5}}
    assert [path.name for path in (tmp_path / "checkpoints" / "best").iterdir()] == ["5"]


def test_a_best_of_an_abandoned_way_makes_room(tmp_path: Path) -> None:
    killed = Checkpoints(tmp_path)
    killed.save_best(7, make_state(7).params, {"step": 7})
    killed.close()
    # It continues from an earlier state, validates elsewhere, and there is better.
    again = Checkpoints(tmp_path)
    again.save_best(5, make_state(5).params, {"step": 5})
    weights, counters = again.restore_best(make_state(0).params)
    assert_same(weights, make_state(5).params)
    assert counters == {"step": 5}
    again.close()
    assert [path.name for path in (tmp_path / "checkpoints" / "best").iterdir()] == ["5"]


def test_constants_are_saved_once(checkpoints: Checkpoints) -> None:
    assert checkpoints.restore_constants({}) == {}
    checkpoints.save_constants({})
    first = {"constants": {"words": {"vectors": jnp.ones((4, 2))}}}
    checkpoints.save_constants(first)
    other = jax.tree.map(jnp.zeros_like, first)
    checkpoints.save_constants(other)
    assert_same(checkpoints.restore_constants(other), first)


def test_shapes_alone_suffice_to_restore(checkpoints: Checkpoints) -> None:
    params = make_state(3).params
    checkpoints.save_best(3, params, {})
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), params)
    assert_same(checkpoints.restore_best(shapes)[0], params)


def test_reading_leaves_the_folder_as_it_is(checkpoints: Checkpoints, tmp_path: Path) -> None:
    checkpoints.save_best(3, make_state(3).params, {"step": 3})
    half = tmp_path / "checkpoints" / "latest" / "4.orbax-checkpoint-tmp"
    half.mkdir(parents=True)  # another process is just saving
    before = tree(tmp_path)
    reader = Checkpoints(tmp_path, read_only=True)
    assert_same(reader.restore_best(make_state(0).params)[0], make_state(3).params)
    assert not reader.has_latest()
    assert reader.restore_constants({}) == {}
    reader.close()
    assert tree(tmp_path) == before


def test_reading_where_nothing_is_makes_nothing(tmp_path: Path) -> None:
    reader = Checkpoints(tmp_path, read_only=True)
    assert not reader.has_latest()
    with pytest.raises(InputError, match="no best weights yet"):
        reader.best_counters()
    reader.close()
    assert tree(tmp_path) == []


def test_what_a_killed_save_left_is_no_checkpoint(tmp_path: Path) -> None:
    first = Checkpoints(tmp_path)
    first.save_latest(make_state(3), {"n": 3})
    first.save_latest(make_state(6), {"n": 6})
    first.close()
    latest = tmp_path / "checkpoints" / "latest"
    (latest / "6").rename(latest / "9.orbax-checkpoint-tmp")

    second = Checkpoints(tmp_path)
    restored = second.restore_latest(make_state(0))
    assert restored is not None
    assert restored[1] == {"n": 3}
    second.save_latest(make_state(9), {"n": 9})
    assert int(second.restore_latest(make_state(0))[0].step) == 9  # type: ignore[index]
    assert {path.name for path in latest.iterdir()} == {"3", "9"}
    second.close()


def test_weights_of_another_model_are_refused(checkpoints: Checkpoints) -> None:
    checkpoints.save_best(3, make_state(3).params, {})
    wider = {"words": {"vectors": jnp.zeros((3, 7))}, "b": {"c": jnp.float32(0)}}
    with pytest.raises(InputError, match="of another model"):
        checkpoints.restore_best(wider)


def test_a_damaged_checkpoint_is_told(checkpoints: Checkpoints, tmp_path: Path) -> None:
    checkpoints.save_best(3, make_state(3).params, {})
    shutil.rmtree(tmp_path / "checkpoints" / "best" / "3" / "arrays")
    with pytest.raises(InputError, match="the checkpoint of step 3 is damaged") as caught:
        checkpoints.restore_best(make_state(0).params)
    assert str(tmp_path) in str(caught.value)
