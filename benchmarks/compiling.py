"""Compiles several programs at once: XLA needs no lock of Python's, and tunes on a card in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# Of the cores of a machine with a card, most.
AT_ONCE = 12


def compiled_together(lower: Sequence[Callable[[], Any]]) -> list[Any]:
    """Lowers programs one after the other, here, and compiles them beside each other.

    Nothing should run on the device meanwhile: XLA times its products there.

    Args:
      lower: Each gives a lowered program (`jax.stages.Lowered`).

    Returns:
      The compiled programs in that order; in place of one that failed, the error.
    """
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        # Not in the pool: what is compiled for is said by contexts of this thread.
        futures = [pool.submit(_compiled, _outcome(one)) for one in lower]
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # whoever is ended has no time to wait


def _compiled(lowered: Any) -> Any:
    return lowered if isinstance(lowered, Exception) else _outcome(lowered.compile)


def _outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # what became of it is for the caller to tell
        return error


def given(outcome: Any) -> Any:
    """A program of `compiled_together`; raises what is there in place of one."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
