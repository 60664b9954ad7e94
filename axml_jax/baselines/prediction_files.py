"""Readers of prediction files, one function a format, and the function that tells formats apart.

    json_lines    {"labels": [{"label": NAME, "probability": P, "logit": X}, ...]}        ours
    score_matrix  `N L`, then `label:score label:score ...`   Extreme Classification Repository
    pairs         `label:score label:score ...`                                       napkinXC
    omikuji       `label score<TAB>label score<TAB>...`                    omikuji's --out_path
    annexml       `true,labels<TAB>label:score,label:score,...`                         AnnexML
    npz           a sparse matrix [N, L] of SciPy                               PECOS, pyxclib

One document a line (a row), in order; an empty line is an empty list.  Where a line of pairs has a
tab, tabs stand between the pairs, so that a label may hold spaces; it may hold colons anyway.
What a label's token means is not decided here.  Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from axml_jax.baselines.choices import (
    ANNEXML,
    AUTO,
    FORMATS,
    JSON_LINES,
    LOGIT,
    NPZ,
    OMIKUJI,
    PAIRS,
    PROBABILITY,
    SCORE_MATRIX,
)
from axml_jax.data.corpus import open_bytes, read_lines
from axml_jax.data.matrix_file import load_matrix
from axml_jax.errors import InputError

_HEADER = re.compile(r"\s*(\d{1,18})\s+(\d{1,18})\s*")
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_PAIR = re.compile(rf"\S+:{_NUMBER}")
_OMIKUJI = re.compile(rf"\S+ {_NUMBER}(?:\t\S+ {_NUMBER})*\s*")
_ANNEXML = re.compile(rf"(?:[^\s:,]+(?:,[^\s:,]+)*)?\s+[^\s,]+:{_NUMBER}(?:,[^\s,]+:{_NUMBER})*\s*")
_JOINED = re.compile(rf"[^\s,]+:{_NUMBER}(?:,[^\s,]+:{_NUMBER})+\s*")


class Raw(NamedTuple):
    """A file as it was read.

    Attributes:
      tokens: The different labels, as the file writes them.
      codes: int64 [entries], the label of each prediction, as an index into `tokens`.
      scores: float64 [entries].
      offsets: int64 [N + 1], where the list of each document begins, and the end of the last.
      num_labels: How many labels there are, where the file says so.
      first_line: The line of the first document; None in a file that has no lines.
      kind: What the scores are, where the file says so.
      format: Its format.
      why: Why it was taken for that.
    """

    tokens: list[str]
    codes: np.ndarray
    scores: np.ndarray
    offsets: np.ndarray
    num_labels: int | None
    first_line: int | None
    kind: str | None
    format: str
    why: str


def sniff(path: Path) -> tuple[str, str]:
    """Tells the format of a file.

    Returns:
      The format, one of `choices.FORMATS`, and what of the file says so.

    Raises:
      InputError: It cannot be read, or nothing in it tells.
    """
    with open_bytes(path) as file:
        if file.read(4) == b"PK\x03\x04":
            return NPZ, "it begins as a zip archive"
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        where = f"line {number}"
        if line.lstrip().startswith("{"):
            return JSON_LINES, f"{where} begins with a brace"
        if number == 1 and _HEADER.fullmatch(line):
            return SCORE_MATRIX, f"{where} is two whole numbers, N and L"
        if _OMIKUJI.fullmatch(line):
            return OMIKUJI, f"{where} is labels and scores with a space between"
        truth_first = _ANNEXML.fullmatch(line) and _lacks_pair_first(line)
        if truth_first or _JOINED.fullmatch(line.strip()):
            return ANNEXML, f"{where} is label:score joined by commas"
        if all(_PAIR.fullmatch(part.replace(" ", "_")) for part in _parts(line)):
            return PAIRS, f"{where} is label:score"
        raise InputError(
            f"this line fits no format known here ({', '.join(FORMATS)}): {line[:60]!r}.",
            file=path,
            line=number,
        )
    raise InputError("no line of this file holds a prediction; name its format.", file=path)


def read(path: Path, format: str = AUTO) -> Raw:
    """Reads a file.

    Args:
      path: The file.
      format: One of `choices.FORMATS`, or "auto" to let `sniff` tell.

    Raises:
      InputError: It cannot be read, or not as the format it is said to be; with file and line.
      ValueError: There is no such format.
    """
    if format not in (AUTO, *FORMATS):
        raise ValueError(f"format is {format!r}: expected auto or one of {', '.join(FORMATS)}")
    format, why = sniff(path) if format == AUTO else (format, "as asked for")
    if format == NPZ:
        return _read_npz(path, why)
    lines = read_lines(path)
    header = _read_header(path, next(lines, "")) if format == SCORE_MATRIX else None
    first_line = 1 if header is None else 2
    codes, scores, offsets = array("q"), array("d"), array("q", [0])
    numbers: dict[str, int] = {}
    kinds: set[str] = set()
    for number, line in enumerate(lines, start=first_line):
        try:
            for token, score in _ROWS[format](line, number, kinds):
                codes.append(numbers.setdefault(token, len(numbers)))
                scores.append(float(score))
        # ArithmeticError: a whole number beyond all floats.
        except (
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            RecursionError,
            ArithmeticError,
        ) as error:
            raise InputError(
                f"expected a line of format {format}, found {line[:60]!r} ({error}).",
                file=path,
                line=number,
            ) from error
        offsets.append(len(codes))
    if header is not None and header[0] != len(offsets) - 1:
        raise InputError(
            f"its first line says {header[0]} rows, but {len(offsets) - 1} follow: it is cut "
            "short, or two files are in one.",
            file=path,
        )
    if len(kinds) > 1:
        raise InputError("some of its labels have a logit and others none.", file=path)
    return Raw(
        list(numbers),
        np.array(codes, np.int64),
        np.array(scores, np.float64),
        np.array(offsets, np.int64),
        None if header is None else header[1],
        first_line,
        kinds.pop() if kinds else None,
        format,
        why,
    )


def _read_npz(path: Path, why: str) -> Raw:
    matrix = load_matrix(path)
    stored = matrix.nnz
    csr = matrix.tocsr()
    if csr.nnz != stored:  # the conversion has added them up
        raise InputError("a label stands twice in a row; merge its scores first.", file=path)
    columns, codes = np.unique(csr.indices, return_inverse=True)
    return Raw(
        [str(column) for column in columns.tolist()],
        codes.astype(np.int64),
        csr.data.astype(np.float64),
        csr.indptr.astype(np.int64),
        csr.shape[1],
        None,
        None,
        NPZ,
        why,
    )


def _read_header(path: Path, line: str) -> tuple[int, int]:
    found = _HEADER.fullmatch(line)
    if found is None:
        raise InputError(
            f"expected the number of documents and of labels, found {line[:60]!r}.",
            file=path,
            line=1,
        )
    return int(found[1]), int(found[2])


def _parts(line: str) -> list[str]:
    return [part for part in line.split("\t" if "\t" in line else None) if part.strip()]


def _lacks_pair_first(line: str) -> bool:
    """Whether a line begins with something else than label:score: AnnexML's true labels."""
    return line[:1].isspace() or ":" not in line.split()[0]


def _pairs(line: str, number: int, kinds: set[str]) -> Iterator[tuple[str, str]]:
    for part in _parts(line):
        label, colon, score = part.strip().rpartition(":")
        if not colon:
            raise ValueError(f"{part!r} lacks a colon")
        yield label, score


def _omikuji(line: str, number: int, kinds: set[str]) -> Iterator[tuple[str, str]]:
    for part in filter(str.strip, line.split("\t")):
        label, space, score = part.strip().rpartition(" ")
        if not space:
            raise ValueError(f"{part!r} lacks a space")
        yield label, score


def _annexml(line: str, number: int, kinds: set[str]) -> Iterator[tuple[str, str]]:
    parts = line.split()
    if len(parts) > 2:
        raise ValueError("more than true labels and predictions")
    # With one part alone it is the true labels, unless it has scores.
    if parts and ":" in parts[-1]:
        for part in parts[-1].split(","):
            label, colon, score = part.rpartition(":")
            if not colon:
                raise ValueError(f"{part!r} lacks a colon")
            yield label, score


def _json(line: str, number: int, kinds: set[str]) -> Iterator[tuple[str, float]]:
    record = json.loads(line)
    if record.get("line", number) != number:
        raise ValueError(f"it says that it is line {record['line']}, but it is line {number}")
    for label in record["labels"]:
        kind = LOGIT if LOGIT in label else PROBABILITY
        kinds.add(kind)
        if not isinstance(label["label"], str) or isinstance(label[kind], str):
            raise ValueError("a label must be a string and its score a number")
        yield label["label"], label[kind]


_ROWS: dict[str, Callable[[str, int, set[str]], Iterator[tuple[str, str | float]]]] = {
    JSON_LINES: _json,
    SCORE_MATRIX: _pairs,
    PAIRS: _pairs,
    OMIKUJI: _omikuji,
    ANNEXML: _annexml,
}
