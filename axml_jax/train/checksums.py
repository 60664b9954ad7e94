"""Checksums beside what orbax writes, inside the folder that it renames when whole.

A rename promises nothing about what the disk has of the files when the power goes, and nothing
about what happens to them later.  Knows nothing of what is in them.
"""

from __future__ import annotations

import pathlib

from axml_jax.errors import InputError
from axml_jax.jsonio import file_sum, read_json, write_json

NAME = "checksums.json"
# orbax writes these once more just before the rename; nothing is read of them.
_LATER = ("_CHECKPOINT_METADATA", "commit_success.txt")


def has_any(folder: pathlib.Path) -> bool:
    """Whether a checkpoint has checksums; one from before there were any has none."""
    return (folder / NAME).exists()


def damage(folder: pathlib.Path) -> str:
    """What is wrong with a checkpoint by its checksums, or "".

    Args:
      folder: The checkpoint; without checksums it passes.
    """
    try:
        if not has_any(folder):
            return ""
        kept = read_json(folder / NAME)
        for name, digest in kept.items():
            if not (folder / name).is_file():
                return f"{name} is missing"
            if file_sum(folder / name) != digest:
                return f"{name} is not what its checksum says"
    except InputError as error:
        return f"{NAME}: {error.message.rstrip('.')}"
    except (OSError, AttributeError, TypeError) as error:
        return f"it cannot be read ({error})"
    return ""


def write(folder: pathlib.Path) -> None:
    """Writes those of all files of a checkpoint that is still in the making."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path: path.relative_to(folder).as_posix() for path in files}
    write_json(
        folder / NAME, {name: file_sum(path) for path, name in names.items() if name not in _LATER}
    )
