"""Keeps what orbax logs of a failure off the terminal: the error that is raised says it in a line.

For programs of our own only; whoever uses the library has orbax's log as ever.  Imports no orbax.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Any

_ORBAX = os.path.join("orbax", "checkpoint", "")


def silence() -> None:
    """Drops what orbax, its threads and its event loops say, until the program ends.

    They log tracebacks of pages, the bytes of damaged files as they are, and that they were cut
    short, some of it when the program has all but ended.
    """
    logging.getLogger("absl").addFilter(lambda record: _ORBAX not in record.pathname)
    # Nothing of ours has event loops: these are orbax's.
    logging.getLogger("asyncio").addFilter(
        lambda record: "exception was never retrieved" not in record.getMessage()
    )
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        # What TensorStore's threads call when orbax has given up a reading.
        if str(unraisable.exc_value) != "Event loop is closed":
            before(unraisable)

    sys.unraisablehook = hook
