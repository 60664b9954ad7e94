"""Keeps the folder of compiled programs readable.

JAX writes into it in place: what a full disk or a kill has cut short it would complain about at
each later start, and never replace.  Imports no JAX.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import warnings
from collections.abc import Iterator
from typing import Any

from axml_jax.progress import say

_COMPLAINT = re.compile(
    r"Error (reading|writing) persistent compilation cache entry for '(.*?)': (.*)", re.DOTALL
)
_LONGEST = 120  # letters of what went wrong


@contextlib.contextmanager
def mended(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Removes what cannot be read of the folder, or was not written whole, while its block runs.

    JAX then compiles it and writes it anew.  A line says so in the place of JAX's warning; where
    nothing can be written, one line for all.

    Args:
      folder: What $JAX_COMPILATION_CACHE_DIR names.
    """
    folder = pathlib.Path(folder)
    with warnings.catch_warnings():
        warnings.filterwarnings("always", message=_COMPLAINT.pattern.partition("'")[0])
        before, told = warnings.showwarning, False

        def show(message: Warning | str, *others: Any, **named: Any) -> None:
            nonlocal told
            found = _COMPLAINT.match(str(message))
            if not found:
                before(message, *others, **named)
                return
            doing, name, reason = found.groups()
            reason = reason.split("\n", 1)[0][:_LONGEST]
            entries = _entries(folder, name)
            if doing == "reading":
                say(f"{folder}: {name} cannot be read ({reason}); it is compiled anew")
            else:
                entries = entries[-1:]
                if not told:
                    say(
                        f"{folder}: compiled programs cannot be kept ({reason}); the next start "
                        "compiles them again. The folder may be deleted at any time."
                    )
                told = True
            for entry in entries:
                with contextlib.suppress(OSError):
                    entry.unlink()

        warnings.showwarning = show
        yield


def _entries(folder: pathlib.Path, name: str) -> list[pathlib.Path]:
    """The compiled programs of a name, the newest last: JAX does not say which it was."""
    pattern = re.compile(re.escape(name) + r"-[0-9a-f]+-cache")
    with contextlib.suppress(OSError):
        found = [path for path in folder.iterdir() if pattern.fullmatch(path.name)]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)
    return []
