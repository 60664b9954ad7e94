"""Checkpoints by orbax: the latest whole states, the best weights, the frozen tables.

    checkpoints/latest/STEP   the two latest states, with the loop's own counters
    checkpoints/best/STEP     the weights of the best validation
    checkpoints/constants/0   frozen word vectors, written once

orbax writes into a temporary folder and renames it when whole, so that an interrupted
save is never taken for a checkpoint.  No pickle is involved.
"""

from __future__ import annotations

import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp

from axml_jax.errors import InputError
from axml_jax.train.state import Params, TrainState


class Checkpoints:
    """The checkpoints of one run.

    Args:
      folder: The run folder.
    """

    def __init__(self, folder: str | pathlib.Path) -> None:
        # orbax takes absolute paths only.
        self._folder = pathlib.Path(folder).resolve() / "checkpoints"
        self._latest = self._manager("latest", keep=2)
        self._best = self._manager("best", keep=1)
        self._constants = self._manager("constants", keep=1)

    def _manager(self, name: str, keep: int) -> ocp.CheckpointManager:
        return ocp.CheckpointManager(
            self._folder / name,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep, create=True, enable_async_checkpointing=False
            ),
            item_names=("arrays", "counters"),
        )

    def save_latest(self, state: TrainState, counters: dict[str, Any]) -> None:
        """Saves the whole state and the loop's counters under the state's step."""
        step = int(state.step)
        if step not in self._latest.all_steps():
            self._save(self._latest, step, state, counters)

    def has_latest(self) -> bool:
        """Whether there is a state to continue from."""
        return self._latest.latest_step() is not None

    def restore_latest(self, state: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """The latest state, in the shape of `state`, and its counters; None before the first."""
        step = self._latest.latest_step()
        return None if step is None else self._restore(self._latest, step, state)

    def save_best(self, step: int, weights: Params, counters: dict[str, Any]) -> None:
        """Replaces the best weights; the old ones go when the new ones are whole."""
        if step not in self._best.all_steps():
            self._save(self._best, step, weights, counters)

    def restore_best(self, weights: Params) -> tuple[Params, dict[str, Any]]:
        """The best weights, in the shape of `weights`, and what was saved with them."""
        step = self._best.latest_step()
        if step is None:
            raise InputError(
                "the run has no best weights yet: it stopped before its first validation. The "
                "same launch/train.py command continues it.",
                file=self._folder.parent,
            )
        return self._restore(self._best, step, weights)

    def save_constants(self, constants: Params) -> None:
        """Saves what training never changes, once."""
        if constants and self._constants.latest_step() is None:
            self._save(self._constants, 0, constants, {})

    def restore_constants(self, constants: Params) -> Params:
        """What training never changes, in the shape of `constants`."""
        return self._restore(self._constants, 0, constants)[0] if constants else constants

    @staticmethod
    def _save(manager: ocp.CheckpointManager, step: int, tree: Any, counters: Any) -> None:
        manager.save(
            step,
            args=ocp.args.Composite(
                arrays=ocp.args.StandardSave(tree), counters=ocp.args.JsonSave(counters)
            ),
        )
        manager.wait_until_finished()

    @staticmethod
    def _restore(manager: ocp.CheckpointManager, step: int, tree: Any) -> tuple[Any, Any]:
        device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), tree
        )
        restored = manager.restore(
            step,
            args=ocp.args.Composite(
                arrays=ocp.args.StandardRestore(shapes), counters=ocp.args.JsonRestore()
            ),
        )
        return restored["arrays"], restored["counters"]

    def close(self) -> None:
        """Releases orbax's resources."""
        for manager in (self._latest, self._best, self._constants):
            manager.close()
