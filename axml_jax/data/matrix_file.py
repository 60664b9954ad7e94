"""Sparse matrices of SciPy in .npz files that anybody may have written.

Nothing is unpickled, and what a file claims is compared with what it holds before memory is taken
for it.  Knows nothing about what the matrices mean.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from axml_jax.data.archives import refuse_bomb
from axml_jax.data.corpus import MAX_EXPANSION
from axml_jax.errors import InputError

_ROWS_ALONE = 1 << 24


def load_matrix(path: Path, max_expansion: int = MAX_EXPANSION) -> Any:
    """Reads a sparse matrix that scipy.sparse.save_npz wrote, in the format that it has there.

    Args:
      path: The file.
      max_expansion: As in `archives.refuse_bomb`.

    Returns:
      A sparse array or matrix of SciPy [N, L] of numbers, its indices checked.

    Raises:
      InputError: The file is missing, damaged or of something else, or claims to hold far more than
        a file of its size does.
    """
    try:
        _refuse_more_than_there_is(path, max_expansion)
        matrix = scipy.sparse.load_npz(path)  # which never unpickles
        if hasattr(matrix, "check_format"):
            matrix.check_format(full_check=True)  # a bad index would be read past the end
    except InputError:
        raise
    except Exception as error:  # what parsers of archives and arrays stumble over has no one type
        raise InputError(
            f"expected a sparse matrix of scipy.sparse.save_npz ({error}); fetch or write the file "
            "anew",
            file=path,
        ) from error
    if matrix.ndim != 2 or (not np.issubdtype(matrix.dtype, np.number) and matrix.dtype != bool):
        raise InputError(
            f"expected a matrix [documents, labels] of numbers, found {matrix.dtype} of shape "
            f"{matrix.shape}",
            file=path,
        )
    rows = matrix.shape[0]
    if matrix.format != "csr" and rows > _ROWS_ALONE + 2 * matrix.nnz:
        raise InputError(
            f"the matrix claims {rows:,} rows, but has {matrix.nnz:,} entries; write it as CSR if "
            "this is so (matrix.tocsr())",
            file=path,
        )
    return matrix


def _refuse_more_than_there_is(path: Path, max_expansion: int) -> None:
    """Refuses bombs, and arrays whose headers claim more than the archive has of them."""
    with zipfile.ZipFile(path) as archive:
        refuse_bomb(archive, path, max_expansion)
        for part in archive.infolist():
            with archive.open(part) as file:
                version = np.lib.format.read_magic(file)
                if version == (1, 0):
                    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
                else:
                    shape, _, dtype = np.lib.format.read_array_header_2_0(file)
                claimed = file.tell() + math.prod(shape) * dtype.itemsize
            # Objects have no size: NumPy refuses them.
            if claimed != part.file_size and not dtype.hasobject:
                raise InputError(
                    f"its part {part.filename!r} claims {claimed:,} bytes, but has "
                    f"{part.file_size:,}; fetch or write the file anew",
                    file=path,
                )
