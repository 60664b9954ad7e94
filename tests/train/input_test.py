"""How batches reach the devices: ahead of the steps, in their place, with a thread that ends."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from axml_jax import runs
from axml_jax.config import Config
from axml_jax.data.batches import Batch, TrainBatches
from axml_jax.data.store import Store
from axml_jax.layout import ByDocuments
from axml_jax.train.loop import _Session, train

Train = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.usefixtures("compilation_cache")


def prefetching() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("prefetch")]


@pytest.mark.parametrize("count", [1, 4])
def test_rows_lie_on_their_devices_as_pmap_takes_them(count: int) -> None:
    devices = jax.local_devices()[:count]
    rows = np.arange(24, dtype=np.int32).reshape(4, 6)
    whole = Batch(rows, rows[:, 0], rows, rows[:, 0], rows[:, 0])
    batch = Batch(*(array.reshape(count, -1, *array.shape[1:]) for array in whole))
    dealt = ByDocuments().dealt(whole, devices)
    for device, shard in zip(devices, dealt.token_ids.addressable_shards, strict=True):
        assert shard.device == device
    add = jax.pmap(lambda batch: batch.token_ids.sum() + batch.lengths.sum(), devices=devices)
    pmapped = jax.pmap(lambda x: x, axis_name="devices", devices=devices)(batch.token_ids)
    assert dealt.token_ids.sharding == pmapped.sharding
    expected = add(batch)
    with (
        pytest.raises(Exception, match="Disallowed host-to-device"),
        jax.transfer_guard("disallow"),
    ):
        add(batch)
    with jax.transfer_guard("disallow"):
        found = add(dealt)
    np.testing.assert_array_equal(found, expected)


def test_a_step_moves_nothing_to_or_between_devices(
    tiny_config: Config,
    tiny_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = _Session._steps
    steps = 0

    def guarded_steps(self: _Session, step_fn: Any, *others: Any) -> tuple[int, str]:
        def guarded(*arguments: Any) -> Any:
            nonlocal steps
            steps += 1
            with jax.transfer_guard("disallow"):
                return step_fn(*arguments)

        return original(self, guarded, *others)

    monkeypatch.setattr(_Session, "_steps", guarded_steps)
    tiny_config.train.epochs = 1
    train(tiny_config, tiny_store, tmp_path, devices=jax.local_devices())
    assert steps == 6


def test_an_error_while_a_batch_is_made_ends_training_with_it(
    train_on_one: Train,
    tiny_config: Config,
    tiny_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = TrainBatches.from_step
    makers: list[str] = []

    def from_step(self: TrainBatches, step: int, end: int) -> Iterator[Batch]:
        for number, batch in enumerate(original(self, step, end), step + 1):
            makers.append(threading.current_thread().name)
            if number == 5:
                raise OSError("the disk is gone")
            yield batch

    monkeypatch.setattr(TrainBatches, "from_step", from_step)
    with pytest.raises(OSError, match="the disk is gone") as caught:
        train_on_one(tiny_config, tiny_store, tmp_path)
    assert "from_step" in {entry.name for entry in caught.traceback}
    assert len(makers) == 5
    assert all(name.startswith("prefetch") for name in makers)
    assert prefetching() == []


def test_the_share_of_padding_is_told_and_kept(
    train_on_one: Train,
    tiny_config: Config,
    tiny_store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny_config.train.epochs = 1
    tiny_config.data.max_tokens = 100
    lengths = np.minimum(tiny_store.splits["train"].lengths, 100)
    without = 1 - lengths.sum() / (6 * 8 * lengths.max())
    shares = {}
    for buckets, pool in ((1, 1), (2, 6)):
        tiny_config.data.length_buckets, tiny_config.data.pool_batches = buckets, pool
        folder = tmp_path / str(buckets)
        train_on_one(tiny_config, tiny_store, folder)
        padding = runs.read_description(folder)["data"]["padding"]
        shares[buckets] = padding["share"]
        assert padding["share_without_buckets"] == pytest.approx(without)
        told = (
            f"{100 * shares[buckets]:.0f} of 100 tokens computed are padding "
            f"({100 * without:.0f} without buckets)\n"
        )
        assert told in capsys.readouterr().err
    assert shares[1] == pytest.approx(without)
    assert shares[2] < shares[1]
    assert prefetching() == []
