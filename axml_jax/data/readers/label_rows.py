"""Labels as numbers, a document a row: bag-of-words files and sparse matrices.

What else such a file holds, the features of the documents, is passed over.  Knows nothing about
texts.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Generator
from pathlib import Path

import numpy as np
import scipy.sparse

from axml_jax.data.corpus import read_lines
from axml_jax.data.readers.documents import Options
from axml_jax.errors import InputError

_HEADER = re.compile(r"\s*\d+\s+\d+\s+\d+\s*")
_LABELS = re.compile(r"(?:\d+(?:,\d+)*)?")
_FEATURE = re.compile(r"\S+:\S+")


def read_bow_labels(path: Path, options: Options) -> Generator[tuple[str, ...], None, None]:
    """Labels of a file in svmlight's format or the Extreme Classification Repository's.

    A row is `3,17,99 0:0.1 5:0.2`: labels between commas, then features; a row without labels
    begins with a space or a feature.  The first line may be a header: documents, features, labels.

    Raises:
      InputError: The file is damaged, a row is no such row, the header promises another number of
        rows, or a label is none of the header's or none of the label file's.
    """
    documents = num_labels = None
    number = rows = 0
    for number, line in enumerate(read_lines(path, options.max_line), start=1):
        if number == 1 and _HEADER.fullmatch(line):
            documents, _, num_labels = map(int, line.split())
            continue
        cell, _, features = line.partition(" ")
        if ":" in cell:
            cell, features = "", line
        if not _LABELS.fullmatch(cell) or (features and not _FEATURE.match(features.lstrip())):
            raise InputError(
                "expected labels and features, such as 3,17,99 0:0.1 5:0.2 (or a header of three "
                f"numbers in the first line), found {line[:60]!r}",
                file=path,
                line=number,
            )
        numbers = tuple(map(int, cell.split(","))) if cell else ()
        if num_labels is not None and numbers and max(numbers) >= num_labels:
            raise InputError(
                f"label {max(numbers)} is not in 0..{num_labels - 1}, as the header has it",
                file=path,
                line=number,
            )
        rows += 1
        yield options.label_names(numbers, path, number)
    if documents is not None and rows != documents:
        raise InputError(
            f"the header promises {documents} rows, but there are {rows}", file=path, line=number
        )


def is_bow(lines: list[str]) -> bool:
    """Whether a file that begins with these lines, two at least, holds features after labels."""
    rows = lines[1:] if lines and _HEADER.fullmatch(lines[0]) else lines
    return (
        bool(rows)
        and any(_FEATURE.search(row) for row in rows)
        and all(_LABELS.fullmatch(row.partition(" ")[0]) or _FEATURE.match(row) for row in rows)
    )


def read_npz_labels(path: Path, options: Options) -> Generator[tuple[str, ...], None, None]:
    """Labels of a sparse matrix [documents, labels] that scipy.sparse.save_npz wrote (PECOS).

    An entry that is not zero is a label.  The matrix is held in memory; nothing in it is unpickled.

    Raises:
      InputError: The file holds no such matrix, or the label file lacks one of its labels.
    """
    matrix = load_matrix(path)
    for row in range(matrix.shape[0]):
        numbers = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]].tolist()
        yield options.label_names(tuple(numbers), path, row + 1)


def load_matrix(path: Path) -> scipy.sparse.csr_array:
    """The label matrix, without its zeros; raises InputError where there is none."""
    try:
        matrix = scipy.sparse.load_npz(path)  # by default without pickle
        if hasattr(matrix, "check_format"):
            matrix.check_format(full_check=True)  # a bad index would be read past the end
        matrix = scipy.sparse.csr_array(matrix)
    except (
        OSError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        EOFError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise InputError(
            f"no sparse matrix of scipy.sparse.save_npz ({error}); fetch or write the file anew",
            file=path,
        ) from error
    if matrix.ndim != 2 or (not np.issubdtype(matrix.dtype, np.number) and matrix.dtype != bool):
        raise InputError("expected a matrix [documents, labels] of numbers", file=path)
    matrix.eliminate_zeros()
    return matrix
