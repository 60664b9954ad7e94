"""The folder in which the statistics of a store lie.  Knows nothing about what they say."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from axml_jax.errors import InputError

NUMBERS = "statistics.json"


def claim(path: str | os.PathLike[str]) -> Path:
    """Makes the folder, or takes one of before, and tries whether something can be written there.

    Raises:
      InputError: It holds other things and no statistics, or nothing can be written.
    """
    folder = Path(path)
    try:
        names = sorted(os.listdir(folder)) if folder.is_dir() else []
        # A killed process leaves one that begins so; all else is written after the numbers.
        others = [name for name in names if not name.startswith(f".{NUMBERS}")]
        if others and NUMBERS not in names:
            raise InputError(
                f"it holds other files, such as {others[0]}, and no statistics of before; choose "
                "another --out",
                file=folder,
            )
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(
            f"nothing can be written there ({error.strerror}); choose another --out", file=folder
        ) from error
    return folder
