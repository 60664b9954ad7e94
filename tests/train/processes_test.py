"""Who has which rows, documents and devices; command lines that cannot be."""

from __future__ import annotations

import atexit
import types
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from jax.experimental import multihost_utils

from axml_jax.errors import ConfigError
from axml_jax.stopping import StopRequest
from axml_jax.train import processes
from axml_jax.train.joining import joined

BecomeProcess = Callable[[int, list[int]], None]


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> BecomeProcess:
    """become(PROCESS, [PROCESS of each device]): as if this were one of several processes."""

    def become(process: int, owners: list[int]) -> None:
        devices = [types.SimpleNamespace(id=i, process_index=p) for i, p in enumerate(owners)]
        monkeypatch.setattr(jax, "process_index", lambda: process)
        monkeypatch.setattr(jax, "process_count", lambda: len(set(owners)))
        monkeypatch.setattr(jax, "devices", lambda: devices)

    return become


@pytest.mark.parametrize("per_process", [None, 1, 2])
def test_rows_are_dealt_device_by_device(become: BecomeProcess, per_process: int | None) -> None:
    rows: list[int] = []
    for process in (0, 1, 2):
        become(process, [2, 0, 1, 0, 1, 2])
        devices = processes.all_devices(per_process)
        assert [d.process_index for d in devices] == sorted([0, 1, 2] * (per_process or 2))
        assert {d.process_index for d in processes.local(devices)} == {process}
        rows += range(12)[processes.own_rows(devices, 12)]
    assert rows == list(range(12))


@pytest.mark.parametrize("total", [0, 1, 5, 6, 7, 18])
def test_every_document_is_in_one_share(become: BecomeProcess, total: int) -> None:
    shares = []
    for process in range(3):
        become(process, [0, 1, 2])
        shares.append(range(total)[processes.own_share(total)])
    assert [i for share in shares for i in share] == list(range(total))
    assert max(map(len, shares)) <= -(-total // 3)


def test_unequal_numbers_of_devices_are_refused(become: BecomeProcess) -> None:
    become(0, [0, 0, 1])
    with pytest.raises(ConfigError, match="process 0 has 2, process 1 has 1; for GPUs, CUDA_VIS"):
        processes.all_devices()


def test_alone_everything_comes_back_at_once() -> None:
    tree = {"a": np.arange(3)}
    assert processes.share(tree) is tree
    assert processes.gather(tree["a"], 3) is tree["a"]
    assert processes.on_first(lambda: tree) is tree
    processes.check_same(anything=tree.keys())
    assert processes.all_devices() == jax.local_devices()


def test_what_process_0_finds_or_fails_at_all_hear(
    become: BecomeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Any] = []

    def broadcast(value: Any) -> Any:
        if jax.process_index() == 0:
            said.append(value)
            return value
        return said.pop(0)

    monkeypatch.setattr(multihost_utils, "broadcast_one_to_all", broadcast)

    def not_here() -> None:
        raise AssertionError("only process 0 acts")

    def fail() -> None:
        raise OSError("the disk is gone")

    become(0, [0, 1])
    assert processes.on_first(lambda: {"step": 3}) == {"step": 3}
    become(1, [0, 1])
    assert processes.on_first(not_here) == {"step": 3}
    become(0, [0, 1])
    with pytest.raises(OSError, match="the disk is gone"):
        processes.on_first(fail)
    become(1, [0, 1])
    with pytest.raises(ConfigError, match="process 0 has ended; its own message says why"):
        processes.on_first(not_here)
    assert said == []


def test_the_first_process_that_differs_is_named(
    become: BecomeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    become(0, [0, 1, 2])
    stores = ["a", "a", "a"]

    def gathered(digest: np.ndarray) -> np.ndarray:
        changes = [stores[0] != store for store in stores]
        return np.stack([digest ^ change for change in np.array(changes, np.uint8)])

    monkeypatch.setattr(multihost_utils, "process_allgather", gathered)
    processes.check_same(store="a")
    stores[2] = "b"
    with pytest.raises(ConfigError, match="process 2 has another store than process 0; start all"):
        processes.check_same(store="a")


def test_wishes_from_before_a_validation_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "process_count", lambda: 2)  # so that wishes travel with the steps
    agreed = processes.Agreement(StopRequest(), devices, 3)
    late = []
    # The time seems to be up after steps 2 to 6; after step 5 a validation finds that it is not.
    # From step 9 on it is.
    for step in range(1, 14):
        agreed.exchange(step in (2, 3, 4, 5, 6) or step >= 9)
        late.append(agreed.late)
        if step == 5:
            assert agreed.late
            agreed.forget_late()
    # The answer comes three steps later; those to steps 3 to 5 are no answers any more.
    assert [step for step, is_late in enumerate(late, 1) if is_late] == [5, 9, 12, 13]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("host:1", 2, None), "^--process_id is missing: --coordinator, --num_processes and"),
        ((None, None, 0), "^--coordinator and --num_processes are missing"),
        (("localhost:1", 2, 2), "--process_id is 2, but with --num_processes=2 the processes are"),
        (("localhost", 2, 1), "--coordinator is 'localhost'; expected HOST:PORT, such as"),
        (("localhost:65536", 2, 1), "--coordinator is 'localhost:65536'; expected HOST:PORT"),
        (("no host:1", 2, 1), "--coordinator is no host:1, but no host is no address that this"),
    ],
)
def test_settings_that_cannot_be_are_told_before_anything_begins(
    arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message), joined(*arguments):
        raise AssertionError("the block must not run")
    assert not jax.distributed.is_initialized()


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (OSError("the disk is gone"), 1, ""),
        (KeyboardInterrupt(), 130, ""),
        (jax.errors.JaxRuntimeError("peer closed"), 1, "another one has ended: see its messages"),
        (SystemExit(143), None, ""),
    ],
)
def test_one_that_fails_waits_for_no_other_at_its_exit(
    error: BaseException, code: int | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaving: list[Any] = []
    monkeypatch.setattr(atexit, "register", lambda *call: leaving.append(call))
    monkeypatch.setattr(jax.distributed, "initialize", lambda *given, **named: None)
    monkeypatch.setattr(jax.config, "update", lambda name, value: None)
    with pytest.raises(type(error)) as caught, joined("localhost:1", 2, 1):
        raise error
    assert caught.value is error
    assert [given for _, *given in leaving] == ([] if code is None else [[code]])
    assert told in "".join(getattr(error, "__notes__", []))
