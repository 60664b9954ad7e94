"""Checkpoints by orbax: the latest whole states, the best weights, the frozen tables.

    checkpoints/latest/STEP   the two latest states, with the loop's own counters
    checkpoints/best/STEP     the weights of the best validation
    checkpoints/constants/0   frozen word vectors, written once
    checkpoints/damaged/      what was found damaged, set aside

orbax writes into a temporary folder and renames it when whole, so that an interrupted
save is never taken for a checkpoint.  What changed since is found by checksums.  No pickle is
involved.
"""

from __future__ import annotations

import contextlib
import pathlib
import re
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax

from axml_jax.errors import InputError
from axml_jax.progress import say
from axml_jax.train import checksums, processes
from axml_jax.train.state import Params, TrainState

if TYPE_CHECKING:
    # Elsewhere where it is used: it takes long, and a new run's first steps need none of it.
    from orbax.checkpoint import CheckpointManager

# None: `save_best` itself removes the others.
_KEEP = {"latest": 2, "best": None, "constants": 1}
# Among the counters; the second, that there have to be checksums: states from before have neither.
_OWN = _SHAPES, _CHECKED = "array_shapes", "has_checksums"
# What TensorStore adds to its account, the last clause of which says what has happened.
_ADDED = re.compile(r" \[(?:os_error_code|source locations|tensorstore_spec)\b")
_LONGEST = 200  # letters of what another library says of a failure


class _DamagedError(InputError):
    """A checkpoint is not what was written."""


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
        self._managers: dict[str, CheckpointManager] = {}

    def _manager(self, name: str) -> CheckpointManager:
        if name not in self._managers:
            from axml_jax.train.orbax_manager import new_manager

            folder = self._folder / name
            if not self._read_only:
                folder.mkdir(parents=True, exist_ok=True)
            self._managers[name] = new_manager(folder, _KEEP[name], tidies=not self._read_only)
        return self._managers[name]

    @staticmethod
    def _path(manager: CheckpointManager, step: int) -> pathlib.Path:
        return pathlib.Path(manager.directory) / str(step)

    @property
    def _latest(self) -> CheckpointManager:
        return self._manager("latest")

    @property
    def _best(self) -> CheckpointManager:
        return self._manager("best")

    @property
    def _constants(self) -> CheckpointManager:
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
        return bool(self._latest_steps())

    def _latest_steps(self) -> list[int]:
        """Of the latest states, the newest first; orbax is asked only where there may be some."""
        there = (self._folder / "latest").is_dir()
        return sorted(self._latest.all_steps(), reverse=True) if there else []

    def restore_latest(self, state: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """The latest whole state, in the shape of `state`, and its counters; None before the first.

        Damaged ones are set aside.

        Raises:
          InputError: all are damaged, or of another model.
        """
        steps = self._latest_steps()
        for step in steps:
            try:
                return self._restore(self._latest, step, state)
            except _DamagedError as error:
                say(f"{error}{self._set_aside(self._latest, step)}")
        if steps:
            raise InputError(
                "no state to continue from is whole. Put back a copy of one; or start the same "
                "command again, which then trains from the beginning.",
                file=self._latest.directory,
            )
        return None

    def save_best(self, step: int, weights: Params, counters: dict[str, Any]) -> None:
        """Replaces the best weights; the old ones go when the new ones are whole."""
        if step in self._best.all_steps() and not self._is_whole(self._best, step):
            self._set_aside(self._best, step)
        if step not in self._best.all_steps():
            # A later one there is of a validation that only time brought about, by a process that
            # was killed before it could save its state: training has gone another way since.
            self._save(self._best, step, weights, counters, force=True)
        for other in set(self._best.all_steps()) - {step}:
            self._best.delete(other)

    def restore_best(self, weights: Params) -> tuple[Params, dict[str, Any]]:
        """The best weights, in the shape of `weights`, and what was saved with them."""
        step = self._best_step()
        with _remedied():
            return self._restore(self._best, step, weights)

    def best_counters(self) -> dict[str, Any]:
        """What was saved with the best weights, without reading these."""
        step = self._best_step()
        with _remedied():
            return _without_own(self._counters(self._best, step))

    def mend_best(self, step: int) -> bool:
        """Sets damaged best weights aside; whether there are none, though there were.

        Args:
          step: That of the best weights so far; 0 before the first.
        """
        for there in self._best.all_steps():
            try:
                self._whole_counters(self._best, there)
            except _DamagedError as error:
                say(f"{error}{self._set_aside(self._best, there)}")
        return step > 0 and self._best.latest_step() is None

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
        if not constants:
            return
        if self._constants.latest_step() is not None and not self._is_whole(self._constants, 0):
            self._set_aside(self._constants, 0)
        if self._constants.latest_step() is None:
            self._save(self._constants, 0, constants, {})

    def restore_constants(self, constants: Params) -> Params:
        """What training never changes, in the shape of `constants`."""
        with _remedied():
            return self._restore(self._constants, 0, constants)[0] if constants else constants

    @staticmethod
    def _save(
        manager: CheckpointManager,
        step: int,
        tree: Any,
        counters: dict[str, Any],
        force: bool = False,
    ) -> None:
        import orbax.checkpoint as ocp

        counters = {**counters, _SHAPES: _shapes(tree), _CHECKED: True}
        if jax.process_count() > 1:
            # orbax refuses arrays of one process's devices, which others need not have.
            tree = jax.device_get(tree)
        try:
            manager.save(
                step,
                args=ocp.args.Composite(
                    arrays=ocp.args.StandardSave(tree), counters=ocp.args.JsonSave(counters)
                ),
                force=force,
            )
            manager.wait_until_finished()
        except (OSError, ValueError) as error:
            # The disk may be full: what could not be finished must not keep it so.
            for path in pathlib.Path(manager.directory).glob(f"{step}.*"):
                shutil.rmtree(path, ignore_errors=True)
            manager.reload()
            before = "Those before it are whole: once" if manager.all_steps() else "Once"
            raise OSError(
                f"{manager.directory}: the checkpoint of step {step:,} could not be written "
                f"({_reason(error)}). {before} there is room, the same command continues."
            ) from error

    def _set_aside(self, manager: CheckpointManager, step: int) -> str:
        """Moves a damaged checkpoint out of the way; returns where to, for the message."""
        if self._read_only:
            return ""
        folder = self._folder / "damaged"
        folder.mkdir(exist_ok=True)
        name = f"{manager.directory.name}_{step}"
        taken = sum(path.name.startswith(f"{name}.") for path in folder.iterdir())
        aside = folder / f"{name}.{taken}"
        self._path(manager, step).rename(aside)
        manager.reload()
        return f" It is set aside as {aside}."

    def _is_whole(self, manager: CheckpointManager, step: int) -> bool:
        try:
            self._whole_counters(manager, step)
        except _DamagedError:
            return False
        return True

    def _whole_counters(self, manager: CheckpointManager, step: int) -> dict[str, Any]:
        """The counters of a checkpoint that is whole by its checksums."""
        wrong = checksums.damage(self._path(manager, step))
        if wrong:
            raise _damaged(manager, step, wrong)
        return self._counters(manager, step)

    def _counters(self, manager: CheckpointManager, step: int) -> dict[str, Any]:
        """The counters, those of `_OWN` among them; arrays are not looked at."""
        import orbax.checkpoint as ocp

        counters = self._read(manager, step, counters=ocp.args.JsonRestore())
        if not isinstance(counters, dict):
            raise _damaged(manager, step, "its counters are none")
        if counters.get(_CHECKED) and not checksums.has_any(self._path(manager, step)):
            raise _damaged(manager, step, f"{checksums.NAME} is missing")
        return counters

    def _restore(self, manager: CheckpointManager, step: int, tree: Any) -> tuple[Any, Any]:
        import orbax.checkpoint as ocp

        counters = self._whole_counters(manager, step)
        # Before orbax begins to read: it ends such a reading with pages of complaints.
        if counters.get(_SHAPES, _shapes(tree)) != _shapes(tree):
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
        arrays = self._read(manager, step, arrays=ocp.args.StandardRestore(shapes))
        return arrays, _without_own(counters)

    def _read(self, manager: CheckpointManager, step: int, **item: Any) -> Any:
        import orbax.checkpoint as ocp

        try:
            (value,) = manager.restore(step, args=ocp.args.Composite(**item)).values()
        except (jax.errors.JaxRuntimeError, MemoryError):
            raise  # the device's or the machine's: there is no room, perhaps
        except Exception as error:  # what orbax and TensorStore stumble over has no one type
            folder = self._path(manager, step)
            wrong = checksums.damage(folder)
            if not wrong and checksums.has_any(folder):
                # Too many open files, perhaps: no reason to go back to an earlier one.
                raise InputError(
                    f"the checkpoint of step {step} is whole, but cannot be read: "
                    f"{_reason(error)}.",
                    file=folder,
                ) from error
            raise _damaged(manager, step, wrong or _reason(error)) from error
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

    def mend_best(self, step: int) -> bool:
        return processes.on_first(lambda: super(SharedCheckpoints, self).mend_best(step))

    def best_counters(self) -> dict[str, Any]:
        return processes.on_first(super().best_counters)

    def save_constants(self, constants: Params) -> None:
        processes.on_first(lambda: super(SharedCheckpoints, self).save_constants(constants))


def _damaged(manager: CheckpointManager, step: int, wrong: str) -> _DamagedError:
    return _DamagedError(
        f"the checkpoint of step {step} is damaged: {wrong}.", file=manager.directory / str(step)
    )


@contextlib.contextmanager
def _remedied() -> Iterator[None]:
    """Says of damage what to do, where reading alone cannot mend it."""
    try:
        yield
    except _DamagedError as error:
        raise InputError(
            f"{error.message} The run's launch/train.py command, started again, makes it anew.",
            file=error.file,
        ) from error


def _reason(error: Exception) -> str:
    """What an error says, without the pages that orbax and TensorStore add."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text, *added = _ADDED.split(str(error).split("\n", 1)[0])
    if added:
        text = text.rpartition(": ")[2]
    return text.rstrip(".") if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _without_own(counters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in counters.items() if name not in _OWN}


def _shapes(tree: Any) -> list[list[int]]:
    return [list(leaf.shape) for leaf in jax.tree.leaves(tree)]
