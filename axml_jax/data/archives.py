"""Zip archives that anybody may have written: none fills a disk or the memory by a lie.

Knows nothing about what is in them.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from axml_jax.data.corpus import FREE_EXPANSION, MAX_EXPANSION
from axml_jax.errors import InputError


def refuse_bomb(archive: zipfile.ZipFile, path: Path, max_expansion: int = MAX_EXPANSION) -> None:
    """Refuses an archive that says to hold far more than one of its size does.

    No more than it says is ever unpacked: zipfile stops there.

    Args:
      archive: The opened archive.
      path: Its file.
      max_expansion: How many times its size it may become; FREE_EXPANSION bytes are given to any.

    Raises:
      InputError: It unpacks to more than that.
    """
    unpacked = sum(part.file_size for part in archive.infolist())
    if unpacked > max(FREE_EXPANSION, max_expansion * os.path.getsize(path)):
        raise InputError(
            f"the archive unpacks to {unpacked:,} bytes, more than {max_expansion:,} times its "
            "size; if that is meant, write it anew without compression, or raise the limit "
            "(max_expansion, or --max_expansion of launch/prepare.py)",
            file=path,
        )
