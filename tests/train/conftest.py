"""Trainings that several tests look at, and ways to interrupt one."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import pytest

if TYPE_CHECKING:
    from axml_jax.config import Config
    from axml_jax.data.store import Store

Train = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def collected_here() -> Iterator[None]:
    """What a module's tests leave behind is told while its own filters hold, in its last test."""
    yield
    gc.collect()


@pytest.fixture
def config(new_tiny_config: Callable[[], Config]) -> Config:
    """The tiny model with everything that a state can hold; see `_busy`."""
    return _busy(new_tiny_config())


def _busy(config: Config) -> Config:
    """Moments, an average, a rate that changes, two validations an epoch."""
    config.train.warmup_steps = 3
    config.train.decay = "linear"
    config.train.clip_norm = 1.0
    config.train.average_steps = 4
    config.train.evaluations_per_epoch = 2
    config.train.checkpoint_steps = 5
    return config


@pytest.fixture(scope="session")
def train_on_one() -> Train:
    """`train` on a single device, where results repeat bit for bit."""
    from axml_jax.train.loop import train

    def train_on_one(config: Config, store: Store, folder: Path, **others: Any) -> dict[str, Any]:
        return train(config, store, folder, devices=jax.local_devices()[:1], **others)

    return train_on_one


@pytest.fixture(scope="session")
def whole(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_store: Store,
    new_tiny_config: Callable[[], Config],
    train_on_one: Train,
    compilation_cache: Path,
) -> Path:
    """An uninterrupted run of `config`."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train_on_one(_busy(new_tiny_config()), tiny_store, folder)
    return folder


@pytest.fixture
def before_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], None]], None]:
    """Has a function called with each step's number, from 1, before that step is taken."""
    from axml_jax.train.loop import _Session

    # Where the loop takes its batches: they are made earlier, and in another thread.
    original: Callable[..., tuple[int, str]] = _Session._steps

    def install(act: Callable[[int], None]) -> None:
        def acting(batches: Iterator[Any], step: int) -> Iterator[Any]:
            for number, batch in enumerate(batches, step + 1):
                act(number)
                yield batch

        def steps(
            self: _Session, step_fn: Any, state: Any, constants: Any, step: int, *others: Any
        ) -> tuple[int, str]:
            *between, batches = others
            ready = acting(batches, step)
            return original(self, step_fn, state, constants, step, *between, ready)

        monkeypatch.setattr(_Session, "_steps", steps)

    return install
