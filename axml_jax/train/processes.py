"""Several processes that train one model: who has which devices and rows, what all agree on.

Every process runs the same program on its own devices; process 0 alone sees to the run folder.
All processes make the calls of this module in the same order, for most of them wait until
everybody has come.  With a single process they return at once what they were given.
Knows nothing about models or files.
"""

from __future__ import annotations

import collections
import hashlib
import json
import signal
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from axml_jax.errors import ConfigError
from axml_jax.layout import AXIS
from axml_jax.stopping import StopRequest

T = TypeVar("T")


def is_first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return jax.process_index() == 0


def all_devices(per_process: int | None = None) -> list[Any]:
    """The devices of all processes, those of process 0 first.

    Args:
      per_process: How many of each process's devices to take; all by default.

    Raises:
      ConfigError: processes with unequal numbers of devices, or fewer than asked for.
    """
    shares: dict[int, list[Any]] = {}
    for device in jax.devices():
        shares.setdefault(device.process_index, []).append(device)
    counts = {process: len(shares[process]) for process in sorted(shares)}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"process {process} has {count}" for process, count in counts.items())
        raise ConfigError(
            f"all processes need the same number of devices, but {told}; for GPUs, "
            "CUDA_VISIBLE_DEVICES tells a process which to use."
        )
    if per_process and per_process > counts[0]:
        there = "only 1 is" if counts[0] == 1 else f"only {counts[0]} are"
        raise ConfigError(f"--devices is {per_process}, but {there} there.")
    return [device for process in counts for device in shares[process][:per_process]]


def local(devices: Sequence[Any]) -> list[Any]:
    """Those of the devices that are this process's."""
    return [device for device in devices if device.process_index == jax.process_index()]


def own_rows(devices: Sequence[Any], batch_size: int) -> slice:
    """The rows of a global batch that this process's devices get: as many for each device.

    Args:
      devices: From `all_devices`, in the order in which rows are dealt.
      batch_size: Rows of the whole batch, a multiple of the number of devices.
    """
    rows = batch_size // len(devices)
    mine = local(devices)
    first = devices.index(mine[0])
    return slice(first * rows, (first + len(mine)) * rows)


def own_share(total: int) -> slice:
    """This process's contiguous share of `total` things; see `gather`."""
    size = -(-total // jax.process_count())
    first = min(jax.process_index() * size, total)
    return slice(first, min(first + size, total))


def gather(rows: np.ndarray, total: int) -> np.ndarray:
    """Puts together what each process has made of its share.

    Args:
      rows: [own_share(total), ...], int32 or float32.
      total: Rows of all processes.

    Returns:
      [total, ...], the same in every process.
    """
    if jax.process_count() == 1:
        return rows
    size = -(-total // jax.process_count())
    padded = np.zeros((size, *rows.shape[1:]), rows.dtype)
    padded[: len(rows)] = rows
    return np.asarray(multihost_utils.process_allgather(padded, tiled=True))[:total]


def share(tree: T) -> T:
    """Gives every process the arrays of process 0.

    Args:
      tree: Arrays, of the same shapes and types in every process.
    """
    if jax.process_count() == 1:
        return tree
    # Leaf by leaf: for the time being a leaf is on the devices twice.
    shared: T = jax.tree.map(multihost_utils.broadcast_one_to_all, tree)
    return shared


def on_first(act: Callable[[], T]) -> T:
    """Runs `act` in process 0 while the others wait; all get its result, or all fail.

    Args:
      act: Its result is something that JSON can say.

    Raises:
      ConfigError: in the other processes, where `act` raised in process 0.
    """
    if jax.process_count() == 1:
        return act()
    error, value = None, None
    if is_first():
        try:
            value = act()
        except Exception as caught:
            error = caught
    said = np.frombuffer(json.dumps([error is not None, value]).encode(), np.uint8)
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(said))))
    text = np.zeros(length, np.uint8)
    text[: len(said)] = said[:length]
    failed, value = json.loads(bytes(np.asarray(multihost_utils.broadcast_one_to_all(text))))
    if error is not None:
        raise error
    if failed:
        raise ConfigError("process 0 has ended; its own message says why.")
    result: T = value
    return result


def check_same(**parts: Any) -> None:
    """Refuses processes that were started with different settings.

    Args:
      parts: What has to be the same, by name; something that JSON can say.

    Raises:
      ConfigError: in every process; it names the part and the process that differs.
    """
    if jax.process_count() == 1:
        return
    for name, part in parts.items():
        digest = hashlib.sha256(json.dumps(part, sort_keys=True).encode()).digest()
        digests = multihost_utils.process_allgather(np.frombuffer(digest, np.uint8))
        others = [process for process, row in enumerate(digests) if (row != digests[0]).any()]
        if others:
            raise ConfigError(
                f"process {others[0]} has another {name} than process 0; start all processes "
                "with the same command and the same files."
            )


class Agreement:
    """Has all processes stop at the same step: on a signal to any, on the clock of process 0.

    Asking everybody at each step would have the devices wait.  So the question travels with the
    steps that they have been given already, and the answer is read `lag` steps later.

    Args:
      stop: The signals to this process.
      devices: From `all_devices`.
      lag: Steps that the host runs ahead of the devices.

    Attributes:
      lag: Steps between a wish and its fulfilment: 0 with a single process.
      late: Whether the time is up.
    """

    def __init__(self, stop: StopRequest, devices: Sequence[Any], lag: int) -> None:
        self._alone = jax.process_count() == 1
        self.lag = 0 if self._alone else lag
        self.late = False
        self._stop = stop
        self._agreed = 0
        self._forgotten = 0  # of those that are still on the devices
        self._local = len(local(devices))
        self._asked: collections.deque[jax.Array] = collections.deque()  # still on the devices
        self._largest = jax.pmap(
            lambda wishes: jax.lax.pmax(wishes, AXIS),
            axis_name=AXIS,
            out_axes=None,
            devices=devices,
        )

    @property
    def stop(self) -> str | None:
        """The signal to stop for, at once where there is a single process."""
        if self._alone:
            return self._stop.name
        return signal.Signals(self._agreed).name if self._agreed else None

    def exchange(self, late: bool) -> None:
        """Tells the others of this step's wishes, and learns of those of `lag` steps ago.

        Args:
          late: Whether this process thinks that the time is up.
        """
        if self._alone:
            self.late = late
            return
        number = signal.Signals[self._stop.name] if self._stop.name else 0
        wishes = np.array([number, late and is_first()], np.int32)
        self._asked.append(self._largest(np.tile(wishes, (self._local, 1))))
        if len(self._asked) > self.lag:
            self._agreed, late_number = map(int, np.asarray(self._asked.popleft()))
            self.late = bool(late_number) and not self._forgotten
            self._forgotten = max(self._forgotten - 1, 0)

    def forget_late(self) -> None:
        """Forgets who thought until now that the time was up: a validation has found some left."""
        self._forgotten = len(self._asked)
