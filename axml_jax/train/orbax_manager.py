"""orbax's manager of a folder of checkpoints, which get checksums.  Importing it imports orbax."""

from __future__ import annotations

import asyncio
import os
import pathlib

import jax
import orbax.checkpoint as ocp

from axml_jax.train import checksums


class Checksummed(ocp.path.atomicity.AtomicRenameTemporaryPath):  # type: ignore[misc]
    """How orbax makes a checkpoint's folder, with checksums of its files before the rename."""

    async def finalize(self) -> None:
        # The items within it, which are folders of their own, come first.
        if self.get_final().name.isdigit():
            folder = pathlib.Path(os.fspath(self.get()))
            await asyncio.to_thread(checksums.write, folder)
        await super().finalize()


def new_manager(
    folder: pathlib.Path, max_to_keep: int | None, *, tidies: bool
) -> ocp.CheckpointManager:
    """A manager of checkpoints that consist of arrays and counters.

    Args:
      folder: Theirs; it exists, unless nothing is to be written.
      max_to_keep: How many are kept; None keeps all.
      tidies: Whether what a killed save left is removed.
    """
    options = ocp.CheckpointManagerOptions(
        max_to_keep=max_to_keep,
        create=False,  # which orbax does only where all processes take part
        cleanup_tmp_directories=tidies,
        enable_async_checkpointing=False,
        multiprocessing_options=_alone(),
        temporary_path_class=Checksummed,
    )
    return ocp.CheckpointManager(folder, options=options, item_names=("arrays", "counters"))


def _alone() -> ocp.options.MultiprocessingOptions:
    """Has orbax wait for no other process."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    process = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=process, active_processes={process}, barrier_sync_key_prefix=str(process)
    )
