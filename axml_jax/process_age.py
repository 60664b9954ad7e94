"""For how long this process has run: what a user of a script waits for, imports included."""

from __future__ import annotations

import os
import pathlib
import time

_STARTED = 22  # its place among the fields of /proc/PID/stat, proc(5), counted from 1
_AFTER_NAME = 3  # that of the first field behind the name, which may hold anything
_IMPORTED = time.monotonic()


def seconds() -> float:
    """Seconds since the process was started, to a hundredth; since imports where nothing tells."""
    try:
        text = pathlib.Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace")
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, AttributeError):  # not on Linux
        return time.monotonic() - _IMPORTED
    fields = text.rpartition(")")[2].split()
    started = int(fields[_STARTED - _AFTER_NAME]) / os.sysconf("SC_CLK_TCK")
    # Some containers know of no beginnings.
    return now - started if started else time.monotonic() - _IMPORTED
