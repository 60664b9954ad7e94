"""Labels as numbers, a document a row: bag-of-words files and sparse matrices.

What else such a file holds, the features of the documents, is passed over.  Knows nothing about
texts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Generator
from pathlib import Path

import scipy.sparse

from axml_jax.data import matrix_file
from axml_jax.data.corpus import MAX_EXPANSION, text_rows
from axml_jax.data.readers.documents import Options
from axml_jax.errors import InputError

_BOW_HEADER = re.compile(r"\s*\d{1,18}\s+\d{1,18}\s+\d{1,18}\s*")
_SPARSE_HEADER = re.compile(r"\s*\d{1,18}\s+\d{1,18}\s*")
_LABELS = re.compile(r"(?:\d{1,18}(?:,\d{1,18})*)?")
_FEATURE = re.compile(r"(?:\d{1,18}|qid):[-+.\deE]+(?=\s|$)")
_NUMBERS = re.compile(r"[-+]?\d[\d.,]*")
_DECIMAL = re.compile(r"\d{1,18}:[-+]?\d*\.\d*(?:[eE][-+]?\d+)?")
_ENTRY = re.compile(r"(\d{1,18}):(\S+)")

Rows = Generator[tuple[str, ...] | InputError, None, None]
"""The names of the labels of each row, or in their place what is wrong with it."""


def read_bow_labels(path: Path, options: Options) -> Rows:
    """Labels of a file in svmlight's format or the Extreme Classification Repository's.

    A row is `3,17,99 0:0.1 5:0.2`: labels between commas, then features; a row without labels
    begins with a space or a feature.  The first line may be a header: documents, features, labels.
    A row may be wrong: no such row, or a label is none of the header's or of the label file's.

    Raises:
      InputError: The file is damaged, or the header promises another number of rows.
    """
    expected = "labels and features, such as 3,17,99 0:0.1 5:0.2, or a header of three numbers"
    return _read(path, options, _BOW_HEADER, _bow_row, expected)


def read_sparse_labels(path: Path, options: Options) -> Rows:
    """Labels of a sparse matrix as text, the Extreme Classification Repository's `trn_X_Y.txt`.

    The first line is a header: documents, labels.  A row is `3:1.0 17:1.0`: labels and values; one
    of value 0 is no label.

    Raises:
      InputError: As `read_bow_labels`.
    """
    expected = "labels with values, such as 3:1.0 17:1.0, or a header of two numbers"
    return _read(path, options, _SPARSE_HEADER, _sparse_row, expected)


def is_bow(lines: list[str], path: Path, skip: bool = False) -> bool:
    """Whether a file that begins with these lines holds labels and then features.

    Args:
      lines: Its first lines.
      path: The file.
      skip: Whether rows that cannot be used will be passed over.

    Raises:
      InputError: Some rows end in features, but there is one that is no such row: were they taken
        for names of labels, the features would be, too.
    """
    begin = int(bool(lines and _BOW_HEADER.fullmatch(lines[0])))
    rows = lines[begin:]
    found = [_bow_row(row) for row in rows]
    # Features alone could be names of labels, such as 12:30.
    if None not in found:
        return any(labels and ":" in row for labels, row in zip(found, rows, strict=True))
    similar = next((i for i, row in enumerate(rows) if _seems_bow(row)), None)
    if similar is None or skip:
        return similar is not None
    wrong = found.index(None)
    which = "this line" if wrong == similar else f"line {similar + begin + 1}"
    raise InputError(
        f"{which} seems to have features (index:value) after labels, but {rows[wrong][:60]!r} is "
        "not whole numbers between commas, one space and features, such as 3,17,99 0:0.1 5:0.2; "
        "mend it, or have all that is in a line taken for labels with --format lines",
        file=path,
        line=wrong + begin + 1,
    )


def _seems_bow(row: str) -> bool:
    tokens = row.split()
    begin = next((i for i, token in enumerate(tokens) if _FEATURE.fullmatch(token)), 0)
    labels, features = tokens[:begin], tokens[begin:]
    # After names of labels, 12:30 could be one more.
    return bool(labels) and (
        all(map(_NUMBERS.fullmatch, labels)) or all(map(_DECIMAL.fullmatch, features))
    )


def is_sparse(lines: list[str], skip: bool = False) -> bool:
    """Whether a file that begins with these lines holds a sparse matrix, its header included.

    Args:
      lines: Its first lines.
      skip: Whether rows that cannot be used will be passed over: some that can are then enough.
    """
    header, rows = lines[:1], lines[1:]
    if not (header and any(rows) and _SPARSE_HEADER.fullmatch(header[0])):
        return False
    found = map(_sparse_row, rows)
    return any(found) if skip else all(row is not None for row in found)


def _read(
    path: Path,
    options: Options,
    header: re.Pattern[str],
    parse: Callable[[str], tuple[int, ...] | None],
    expected: str,
) -> Rows:
    documents = num_labels = None
    number = rows = 0
    for number, line in enumerate(
        text_rows(path, options.max_line, options.max_expansion), start=1
    ):
        if number == 1 and isinstance(line, str) and header.fullmatch(line):
            documents, *_, num_labels = map(int, line.split())
            continue
        rows += 1
        if isinstance(line, InputError):
            yield line
            continue
        numbers = parse(line)
        if numbers is None:
            yield InputError(
                f"expected {expected} in the first line, found {line[:60]!r}",
                file=path,
                line=number,
                reason="no row of labels",
            )
        elif num_labels is not None and numbers and max(numbers) >= num_labels:
            yield InputError(
                f"label {max(numbers)} is not in 0..{num_labels - 1}, as the header has it",
                file=path,
                line=number,
                reason="a label that the header lacks",
            )
        else:
            yield _named(numbers, path, number, options)
    if documents is not None and rows != documents:
        raise InputError(
            f"the header promises {documents} rows, but there are {rows}", file=path, line=number
        )


def _named(
    numbers: tuple[int, ...], path: Path, row: int, options: Options
) -> tuple[str, ...] | InputError:
    try:
        return options.label_names(numbers, path, row)
    except InputError as error:
        return error


def _bow_row(line: str) -> tuple[int, ...] | None:
    """The labels of a row; None for what is no such row."""
    cell, _, features = line.partition(" ")
    if ":" in cell:
        cell, features = "", line
    features = features.strip()
    if not _LABELS.fullmatch(cell) or (features and not _FEATURE.match(features)):
        return None
    return tuple(map(int, cell.split(","))) if cell else ()


def _sparse_row(line: str) -> tuple[int, ...] | None:
    """The labels of a row; None for what is no such row."""
    found = []
    for entry in line.split():
        match = _ENTRY.fullmatch(entry)
        if match is None:
            return None
        try:
            value = float(match[2])
        except ValueError:
            return None
        if math.isnan(value):
            return None
        if value:
            found.append(int(match[1]))
    return tuple(found)


def read_npz_labels(path: Path, options: Options) -> Rows:
    """Labels of a sparse matrix [documents, labels] that scipy.sparse.save_npz wrote (PECOS).

    An entry that is not zero is a label.  The matrix is held in memory; nothing in it is unpickled.
    A row may be wrong: a label is none of the label file's.

    Raises:
      InputError: The file holds no such matrix.
    """
    matrix = load_matrix(path, options.max_expansion)
    for row in range(matrix.shape[0]):
        numbers = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]].tolist()
        yield _named(tuple(numbers), path, row + 1, options)


def load_matrix(path: Path, max_expansion: int = MAX_EXPANSION) -> scipy.sparse.csr_array:
    """The label matrix, without its zeros; raises as `matrix_file.load_matrix`."""
    matrix = scipy.sparse.csr_array(matrix_file.load_matrix(path, max_expansion))
    matrix.eliminate_zeros()
    return matrix
