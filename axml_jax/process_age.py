"""For how long this process has run: what a user of a script waits for, imports included."""

from __future__ import annotations

import os
import pathlib
import time

_STARTED = 22  # its place among the fields of /proc/PID/stat, proc(5), counted from 1
_AFTER_NAME = 3  # that of the first field behind the name, which may hold anything


def seconds() -> float:
    """Seconds since the process was started, to a hundredth."""
    text = pathlib.Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace")
    fields = text.rpartition(")")[2].split()
    started = int(fields[_STARTED - _AFTER_NAME]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started
