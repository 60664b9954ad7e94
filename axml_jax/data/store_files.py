"""The files of a store: their names, reading and writing them, and the sum over their content.

Knows nothing about what the arrays mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from axml_jax.errors import InputError
from axml_jax.jsonio import file_sum

DESCRIPTION = "store.json"
WORDS = "words.json"
LABELS = "labels.json"
TITLES = "titles.json"
VECTORS = "vectors.npy"
IDS = "ids.json"
ARRAYS: dict[str, type] = {
    "tokens": np.int32,
    "offsets": np.int64,
    "label_ids": np.int32,
    "label_offsets": np.int64,
}
REMEDY = "write the store anew with launch/prepare.py"


def split_files(split: str, has_ids: bool) -> list[str]:
    """Names of a split's files within the folder of the store."""
    names = [f"{split}/{name}.npy" for name in ARRAYS]
    return [*names, f"{split}/{IDS}"] if has_ids else names


def fingerprint(path: Path, splits: Mapping[str, Any]) -> str:
    """SHA-256 over names and contents of all files that hold words, labels and splits."""
    names = [WORDS, LABELS]
    for split in sorted(splits):
        names += split_files(split, splits[split]["ids"])
    lines = "".join(f"{name} {file_sum(path / name)}\n" for name in names)
    return hashlib.sha256(lines.encode()).hexdigest()


def read_array(file: Path, dtype: type, dimensions: int) -> np.ndarray:
    """Maps an array of `dtype` into memory, read-only; raises InputError where there is none."""
    try:
        # Not np.load, which would read other kinds of files than this one, too.
        array = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # what a parser of headers stumbles over has no one type
        raise InputError(f"no readable array ({error}); {REMEDY}", file=file) from error
    if array.dtype != dtype or array.ndim != dimensions:
        raise InputError(
            f"expected {np.dtype(dtype).name} in {dimensions} dimensions, found {array.dtype} in "
            f"{array.ndim}; {REMEDY}",
            file=file,
        )
    return array
