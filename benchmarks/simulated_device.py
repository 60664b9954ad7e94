"""Batches in front of a simulated device: how much of the input's time is hidden behind its steps.

Three ways: one after another, each step awaited before the next batch is made, which hides nothing;
between steps, as NumPy arrays, while the host has begun up to AHEAD steps; and made and put on the
device in another thread by `axml_jax.data.prefetch`, which is what training does.

The device is JAX's, and its step multiplies small matrices for a given time.  A GPU is busy then as
with any step.  On a CPU the step is work of one core: what is hidden is what another core does
meanwhile, and with a single core nothing can be.  Starting a step costs the host time in each way.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from axml_jax.data.batches import Batch
from axml_jax.data.prefetch import prefetch
from axml_jax.layout import AXIS, ByDocuments

AHEAD = 8  # steps that the host runs ahead of the device, as in training
SIZE = 32  # rows of the step's matrices: so small that one core multiplies them, in microseconds
LONG_SECONDS = 0.05  # beside which it is nothing to start a step


def ways(
    batches: Callable[[], Iterator[Any]],
    put: Callable[[Any], Any],
    hand: Callable[[Any], Any],
    step: Callable[[Any], Any],
) -> dict[str, Callable[[], None]]:
    """An epoch with the input made in each way, for whoever times them.

    Args:
      batches: Begins to make the batches of an epoch.
      put: Puts a batch on the device.
      hand: Makes of a batch what the step takes from the host.
      step: Begins a step, whose result can be waited for.

    Returns:
      By name a function that returns when the last step is done.
    """

    def run(ready: Iterable[Any], ahead: int = AHEAD) -> None:
        pending: collections.deque[Any] = collections.deque()
        for rows in ready:
            pending.append(step(rows))
            if len(pending) >= ahead:
                jax.block_until_ready(pending.popleft())
        jax.block_until_ready(list(pending))

    def fetched() -> None:
        with prefetch(batches(), put) as ready:
            run(ready)

    return {
        "one_after_another": lambda: run(map(put, batches()), ahead=1),
        "between_steps": lambda: run(map(hand, batches())),
        "prefetch": fetched,
    }


def simulated_step(
    first: Batch, devices: Sequence[Any], seconds: float
) -> Callable[[Batch], jax.Array]:
    """A step that keeps the device busy for a while and begins when the last one has ended.

    Args:
      first: A batch on the device.
      devices: The device.
      seconds: How long.

    Returns:
      A function of a batch that begins a step.
    """
    layout = ByDocuments()

    def busy(x: jax.Array, rows: Batch, rounds: jax.Array) -> jax.Array:
        tokens = jnp.sum(jnp.asarray(rows.token_ids)).astype(jnp.float32)
        return jax.lax.fori_loop(0, rounds, lambda _, x: x @ x, x) + 0 * tokens

    compiled = jax.pmap(busy, axis_name=AXIS, in_axes=(0, 0, None), devices=devices)
    # A step's result is the next one's x: a CPU would else compute several at once.
    held = [layout.dealt(np.eye(SIZE, dtype=np.float32), devices)]

    def taken(rounds: int) -> float:
        count = layout.placed(jnp.int32(rounds), devices)
        begin = time.perf_counter()
        jax.block_until_ready(compiled(held[0], first, count))
        return time.perf_counter() - begin

    taken(1)
    many = 1000
    while (took := min(taken(many) for _ in range(3))) < LONG_SECONDS:
        many *= 4
    rounds = max(1, round(seconds * many / took))
    count = layout.placed(jnp.int32(rounds), devices)

    def step(rows: Batch) -> jax.Array:
        held[0] = compiled(held[0], rows, count)
        return held[0]

    return step


def compare_ways(documents: int, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Rates, those of prefetch over the others', and shares of the input's time that are hidden.

    Args:
      documents: Of an epoch.
      seconds: What an epoch takes, by way, "device_alone" being one of them.

    Returns:
      "documents_per_second", "prefetch_over" and "hidden"; the latter None where the input takes
      no time.
    """
    slowest, device = seconds["one_after_another"], seconds["device_alone"]
    return {
        "documents_per_second": {way: round(documents / taken) for way, taken in seconds.items()},
        "prefetch_over": {
            way: taken / seconds["prefetch"] for way, taken in seconds.items() if way != "prefetch"
        },
        "hidden": {
            way: (slowest - seconds[way]) / (slowest - device) if slowest > device else None
            for way in ("between_steps", "prefetch")
        },
    }
