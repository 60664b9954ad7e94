"""What SIGTERM and Ctrl-C do to a training: never a traceback, never something half done.

Knows nothing about what is trained.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def stopped_at_once(folder: pathlib.Path) -> Iterator[None]:
    """Has SIGTERM and Ctrl-C end the program within its block, with a line on how to go on.

    Outside the main thread signals stay as they are.
    """

    def end(number: int, frame: Any) -> None:
        del frame
        print(
            f"stopped by {signal.Signals(number).name} at once; the same command continues from "
            f"what {folder} holds.",
            file=sys.stderr,
            flush=True,
        )
        raise SystemExit(128 + number)

    previous = {}
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError):
                # None stands for a handler that was not set from Python.
                previous[number] = signal.signal(number, end) or signal.SIG_DFL
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class StopRequest:
    """Turns SIGTERM and Ctrl-C into a wish that training honours at its next step.

    A second Ctrl-C stops at once.  Outside the main thread signals stay as they are.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError):
                # None stands for a handler that was not set from Python.
                self._previous[number] = signal.signal(number, self._receive) or signal.SIG_DFL
        return self

    def _receive(self, number: int, frame: Any) -> None:
        del frame
        self.name = signal.Signals(number).name
        signal.signal(number, self._previous[number])
        # A step and the saving may take a while; os.write, unlike print, may stand in a handler.
        os.write(2, f"\n{self.name}: saving once this step is done\n".encode())

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
