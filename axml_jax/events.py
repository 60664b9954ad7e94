"""TensorBoard's events, where tensorboardX is installed; written by the caller's own thread.

tensorboardX's SummaryWriter writes in another thread, which a full disk ends; whoever gives it
events then waits without end.
"""

from __future__ import annotations

import os
import pathlib
import time
from typing import Any


class Events:
    """A file of events.

    Args:
      folder: Where it goes; made if missing.
      purge_step: TensorBoard drops earlier events from this step on; None for none.

    Raises:
      ImportError: tensorboardX is not installed.
      OSError: Here and in each method: the file cannot be written.
    """

    def __init__(self, folder: pathlib.Path, purge_step: int | None) -> None:
        from tensorboardX import event_file_writer, summary
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self._event, self._scalar = Event, summary.scalar
        folder.mkdir(exist_ok=True)
        self._writer: Any = event_file_writer.EventsWriter(os.fspath(folder / "events"))
        if purge_step is not None:
            started = SessionLog(status=SessionLog.START)
            self._write(step=purge_step, file_version="brain.Event:2")
            self._write(step=purge_step, session_log=started)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Adds a number."""
        self._write(step=step, summary=self._scalar(name, value))

    def _write(self, **parts: Any) -> None:
        self._writer.write_event(self._event(wall_time=time.time(), **parts))

    def flush(self) -> None:
        """Brings all to the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()
