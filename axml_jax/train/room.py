"""How much room the checkpoints of a run take, told before training where it is much.

Knows what stands in the folder of checkpoints at a time, and nothing of how it is written.
"""

from __future__ import annotations

import pathlib
import shutil
from typing import Any

import jax

from axml_jax.progress import say
from axml_jax.train.state import TrainState

_TOLD_FROM = 1_000_000_000  # bytes of a checkpoint
# While another is written, the two latest states and the best weights stay.
_STATES, _BEST = 3, 2


def tell(folder: str | pathlib.Path, state: TrainState) -> None:
    """Says what a checkpoint takes where it is a gigabyte, and whether the disk has too little.

    Args:
      folder: The run folder, which exists.
      state: The whole state, as checkpoints have it; its shapes are looked at.
    """
    one = _bytes(state)
    most = _STATES * one + _BEST * _bytes(state.params)
    there = pathlib.Path(folder) / "checkpoints"
    if one >= _TOLD_FROM:
        say(
            f"a checkpoint takes {_shown(one)}, in memory as well while it is written; up to "
            f"{_shown(most)} stand in {there} at a time"
        )
    held = sum(path.stat().st_size for path in there.rglob("*") if path.is_file())
    free = shutil.disk_usage(folder).free
    if held + free < most:
        say(
            f"note: the checkpoints in {there} take up to {_shown(most)}, but only "
            f"{_shown(held + free)} are there for them"
        )


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _shown(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= _TOLD_FROM else f"{count / 1e6:,.1f} MB"
