"""Watches the steps for what is no number, without having a device wait for the host.

The step itself leaves the parameters alone where loss or gradient are not finite (`step`), so it
is enough to learn of it some steps later.  Knows nothing of models or files.
"""

from __future__ import annotations

import collections
import math
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from axml_jax.errors import ConfigError
from axml_jax.progress import say
from axml_jax.train.plan import Plan
from axml_jax.train.step import Measures

# Steps that the host may run ahead of the device: enough to keep it busy, not without end.
AHEAD = 8
_REMEDY = (
    "Look at these documents; begin another run with a lower config.train.learning_rate or with "
    "config.train.clip_norm; or continue this one with a higher config.train.skip_nonfinite, which "
    "is how many such steps are passed over."
)


class Losses(Protocol):
    """What the watch counts, of the loop's counters.

    Attributes:
      loss_sum: The losses of finished steps since the last record.
      loss_steps: How many.
      skipped_steps: Steps of the whole run that moved nothing.
    """

    loss_sum: float
    loss_steps: int
    skipped_steps: int


class Watch:
    """Brings what finished steps tell of themselves to the host, in order.

    Args:
      plan: The experiment.
      losses: Are counted up.
      saved: Names the last checkpoint, for whoever has to go back to it.
    """

    def __init__(self, plan: Plan, losses: Losses, saved: str) -> None:
        self.saved = saved
        self._plan, self._losses = plan, losses
        self._pending: collections.deque[tuple[int, Measures]] = collections.deque()

    def add(self, step: int, measures: Measures) -> None:
        """Takes note of a step, from 1, that may still be running; waits for an earlier one.

        Raises:
          ConfigError: loss or gradient of a step are not finite, and no more may be skipped.
        """
        self._pending.append((step, measures))
        if len(self._pending) >= AHEAD:
            self._read()

    def settle(self) -> None:
        """Waits for all steps; raises as `add`."""
        while self._pending:
            self._read()

    def require_finite(self, state: Any, step: int) -> None:
        """Refuses a state that is about to be kept; all steps are settled.

        Args:
          state: As it lies on the devices.
          step: Steps done.

        Raises:
          ConfigError: an array of it holds what is no number.
        """
        paths, leaves = zip(*jax.tree_util.tree_leaves_with_path(state), strict=True)
        finite = jax.device_get(_all_finite(leaves))
        broken = [
            jax.tree_util.keystr(path, simple=True, separator="/")
            for path, good in zip(paths, finite, strict=True)
            if not good
        ]
        if broken:
            raise ConfigError(
                f"after step {step:,} there are values that are not finite in {', '.join(broken)}: "
                f"training has diverged, and nothing of it is saved. {self.saved} Begin another "
                "run with a lower config.train.learning_rate or with config.train.clip_norm."
            )

    def _read(self) -> None:
        step, measures = self._pending.popleft()
        loss, norm = (float(x) for x in jax.device_get((measures.loss, measures.norms["all"])))
        losses, most = self._losses, self._plan.config.train.skip_nonfinite
        if math.isfinite(loss) and math.isfinite(norm):
            losses.loss_sum += loss
            losses.loss_steps += 1
            return
        if losses.skipped_steps >= most:
            before = f", after {most:,} that were skipped" if most else ""
            raise ConfigError(
                f"training stops at step {step:,}{before}: {self._told(step, measures)} "
                f"{self.saved} {_REMEDY}"
            )
        losses.skipped_steps += 1
        say(
            f"step {step:,} is skipped, number {losses.skipped_steps:,} of at most {most:,}: "
            f"{self._told(step, measures)}"
        )

    def _told(self, step: int, measures: Measures) -> str:
        loss, norms = jax.device_get(measures)
        groups = ", ".join(f"{name} {norm:.3g}" for name, norm in norms.items() if name != "all")
        split = self._plan.store.splits["train"]
        documents = [
            f"{i} ({split.ids[i]})" if split.ids else f"{i}"
            for i in self._plan.batches.documents(step - 1).tolist()
        ]
        return (
            f"the loss is {loss:.6g}, the gradient's norm {norms['all']:.3g} ({groups}), of the "
            f"documents (numbered from 0) {', '.join(documents)} of split 'train'."
        )


@jax.jit
def _all_finite(leaves: tuple[Any, ...]) -> list[jax.Array]:
    """bool [] for each array."""
    return [
        jnp.isfinite(x).all() if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.asarray(True)
        for x in leaves
    ]
