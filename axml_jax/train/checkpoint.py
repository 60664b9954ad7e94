"""Checkpoints by orbax: the latest whole states, the best weights, the frozen tables.

    checkpoints/latest/STEP   the two latest states, with the loop's own counters
    checkpoints/best/STEP     the weights of the best validation
    checkpoints/constants/0   frozen word vectors, written once

orbax writes into a temporary folder and renames it when whole, so that an interrupted
save is never taken for a checkpoint.  No pickle is involved.
"""

from __future__ import annotations

import pathlib
import shutil
from typing import Any

import jax
import orbax.checkpoint as ocp

from axml_jax.errors import InputError
from axml_jax.train import processes
from axml_jax.train.state import Params, TrainState

# None: `save_best` itself removes the others.
_KEEP = {"latest": 2, "best": None, "constants": 1}
_SHAPES = "array_shapes"  # among the counters


class Checkpoints:
    """The checkpoints of one run.

    Args:
      folder: The run folder.
      read_only: Nothing is made or tidied up: another process may be training there.
    """

    def __init__(self, folder: str | pathlib.Path, read_only: bool = False) -> None:
        self._read_only = read_only
        # orbax takes absolute paths only.
        self._folder = pathlib.Path(folder).resolve() / "checkpoints"
        self._managers: dict[str, ocp.CheckpointManager] = {}

    def _manager(self, name: str) -> ocp.CheckpointManager:
        if name not in self._managers:
            if not self._read_only:
                (self._folder / name).mkdir(parents=True, exist_ok=True)
            options = ocp.CheckpointManagerOptions(
                max_to_keep=_KEEP[name],
                create=False,  # which orbax does only where all processes take part
                # What a killed save left.
                cleanup_tmp_directories=not self._read_only,
                enable_async_checkpointing=False,
                multiprocessing_options=_alone(),
            )
            self._managers[name] = ocp.CheckpointManager(
                self._folder / name, options=options, item_names=("arrays", "counters")
            )
        return self._managers[name]

    @property
    def _latest(self) -> ocp.CheckpointManager:
        return self._manager("latest")

    @property
    def _best(self) -> ocp.CheckpointManager:
        return self._manager("best")

    @property
    def _constants(self) -> ocp.CheckpointManager:
        return self._manager("constants")

    def save_latest(self, state: TrainState, counters: dict[str, Any]) -> None:
        """Saves the whole state and the loop's counters under the state's step."""
        step = int(state.step)
        if step in self._latest.all_steps():
            # With what the loop knew before it was stopped.  Half a removal must not look whole.
            aside = self._folder / "latest" / f"{step}.orbax-checkpoint-tmp"
            shutil.rmtree((self._folder / "latest" / str(step)).rename(aside))
            self._latest.reload()
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
            # A later one there is of a validation that only time brought about, by a process that
            # was killed before it could save its state: training has gone another way since.
            self._save(self._best, step, weights, counters, force=True)
        for other in set(self._best.all_steps()) - {step}:
            self._best.delete(other)

    def restore_best(self, weights: Params) -> tuple[Params, dict[str, Any]]:
        """The best weights, in the shape of `weights`, and what was saved with them."""
        return self._restore(self._best, self._best_step(), weights)

    def best_counters(self) -> dict[str, Any]:
        """What was saved with the best weights, without reading these."""
        counters = self._read(self._best, self._best_step(), counters=ocp.args.JsonRestore())
        return {name: value for name, value in counters.items() if name != _SHAPES}

    def _best_step(self) -> int:
        step = self._best.latest_step()
        if step is None:
            raise InputError(
                "the run has no best weights yet: it stopped before its first validation. The "
                "same launch/train.py command continues it.",
                file=self._folder.parent,
            )
        return int(step)

    def save_constants(self, constants: Params) -> None:
        """Saves what training never changes, once."""
        if constants and self._constants.latest_step() is None:
            self._save(self._constants, 0, constants, {})

    def restore_constants(self, constants: Params) -> Params:
        """What training never changes, in the shape of `constants`."""
        return self._restore(self._constants, 0, constants)[0] if constants else constants

    @staticmethod
    def _save(
        manager: ocp.CheckpointManager,
        step: int,
        tree: Any,
        counters: dict[str, Any],
        force: bool = False,
    ) -> None:
        counters = {**counters, _SHAPES: _shapes(tree)}
        if jax.process_count() > 1:
            # orbax refuses arrays of one process's devices, which others need not have.
            tree = jax.device_get(tree)
        manager.save(
            step,
            args=ocp.args.Composite(
                arrays=ocp.args.StandardSave(tree), counters=ocp.args.JsonSave(counters)
            ),
            force=force,
        )
        manager.wait_until_finished()

    def _restore(self, manager: ocp.CheckpointManager, step: int, tree: Any) -> tuple[Any, Any]:
        counters = self._read(manager, step, counters=ocp.args.JsonRestore())
        # Before orbax begins to read: it ends such a reading with pages of complaints.
        if counters.pop(_SHAPES, _shapes(tree)) != _shapes(tree):
            raise InputError(
                f"the checkpoint of step {step} is of another model than run.json describes.",
                file=manager.directory,
            )
        device = jax.sharding.SingleDeviceSharding(
            jax.config.jax_default_device or jax.local_devices()[0]  # type: ignore[attr-defined]
        )
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), tree
        )
        return self._read(manager, step, arrays=ocp.args.StandardRestore(shapes)), counters

    @staticmethod
    def _read(manager: ocp.CheckpointManager, step: int, **item: Any) -> Any:
        try:
            (value,) = manager.restore(step, args=ocp.args.Composite(**item)).values()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"the checkpoint of step {step} is damaged: {error}", file=manager.directory
            ) from error
        return value

    def close(self) -> None:
        """Releases orbax's resources."""
        for manager in self._managers.values():
            manager.close()
        self._managers.clear()


class SharedCheckpoints(Checkpoints):
    """The checkpoints of a run that several processes train; only process 0 sees the folder.

    All of them make the same calls, which return when process 0 is done.  Numbers are returned to
    all; the arrays that are restored, to process 0 alone: see `processes.share`.
    """

    def save_latest(self, state: TrainState, counters: dict[str, Any]) -> None:
        processes.on_first(lambda: super(SharedCheckpoints, self).save_latest(state, counters))

    def has_latest(self) -> bool:
        return processes.on_first(super().has_latest)

    def restore_latest(self, state: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        restored = [state]

        def restore() -> dict[str, Any] | None:
            found = super(SharedCheckpoints, self).restore_latest(state)
            if found is None:
                return None
            restored[0], counters = found
            return counters

        counters = processes.on_first(restore)
        return None if counters is None else (restored[0], counters)

    def save_best(self, step: int, weights: Params, counters: dict[str, Any]) -> None:
        processes.on_first(
            lambda: super(SharedCheckpoints, self).save_best(step, weights, counters)
        )

    def best_counters(self) -> dict[str, Any]:
        return processes.on_first(super().best_counters)

    def save_constants(self, constants: Params) -> None:
        processes.on_first(lambda: super(SharedCheckpoints, self).save_constants(constants))


def _alone() -> ocp.options.MultiprocessingOptions:
    """Has orbax wait for no other process."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    process = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=process, active_processes={process}, barrier_sync_key_prefix=str(process)
    )


def _shapes(tree: Any) -> list[list[int]]:
    return [list(leaf.shape) for leaf in jax.tree.leaves(tree)]
