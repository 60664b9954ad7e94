"""Zip archives that anybody may have written: none fills a disk or the memory by a lie.

Knows nothing about what is in them.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from axml_jax.errors import InputError

# Text, and sparse matrices of ones, become about ten times smaller.
_MOST_SMALLER = 100
_SMALL = 64 << 20


def refuse_bomb(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuses an archive that says to hold far more than one of its size does.

    No more than it says is ever unpacked: zipfile stops there.

    Args:
      archive: The opened archive.
      path: Its file.

    Raises:
      InputError: It unpacks to more than a hundred times its size, and more than 64 MiB.
    """
    unpacked = sum(part.file_size for part in archive.infolist())
    if unpacked > max(_SMALL, _MOST_SMALLER * os.path.getsize(path)):
        raise InputError(
            f"the archive unpacks to {unpacked:,} bytes, more than {_MOST_SMALLER} times its size; "
            "if it is sound, write it anew without compression",
            file=path,
        )
