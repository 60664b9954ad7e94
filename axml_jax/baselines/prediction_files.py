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
from itertools import islice
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
from axml_jax.data.corpus import MAX_LABELS_LINE, open_bytes, read_lines
from axml_jax.data.matrix_file import load_matrix
from axml_jax.errors import InputError

_HEADER = re.compile(r"\s*(\d{1,18})\s+(\d{1,18})\s*")
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_PAIR = re.compile(rf"\S+:{_NUMBER}")
_OMIKUJI = re.compile(rf"\S+ {_NUMBER}(?:\t\S+ {_NUMBER})*\s*")
_ANNEXML = re.compile(rf"(?:[^\s:,]+(?:,[^\s:,]+)*)?\s+[^\s,]+:{_NUMBER}(?:,[^\s,]+:{_NUMBER})*\s*")
_JOINED = re.compile(rf"[^\s,]+:{_NUMBER}(?:,[^\s,]+:{_NUMBER})+\s*")
_TRUTH = re.compile(r"[^\s:,]+(?:,[^\s:,]+)*")
_ONE_OR_JOINED = re.compile(rf"[^\s,]+:{_NUMBER}(?:,[^\s,]+:{_NUMBER})*")
_SNIFFED = 100  # lines


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
    left, first = list(_FITS), dict[str, int]()  # what may be, and where it first showed
    numbered = (
        (n, line)
        for n, line in enumerate(read_lines(path, MAX_LABELS_LINE), start=1)
        if line.strip()
    )
    for number, line in islice(numbered, _SNIFFED):
        if number > 1 and SCORE_MATRIX not in first:  # its header is the first line
            left = [format for format in left if format != SCORE_MATRIX]
        fitting = [format for format in left if _FITS[format](line, number)]
        shown = [f for f in fitting if f != ANNEXML or _shows_annexml(line)]
        if fitting == [ANNEXML] and not shown and ANNEXML not in first:
            continue  # true labels alone, or a damaged line of something else
        if not fitting and not first:
            raise InputError(
                f"this line fits no format known here ({', '.join(FORMATS)}): {line[:60]!r}; where "
                f"it is one of these, say so: {path}::format=NAME.",
                file=path,
                line=number,
            )
        if not fitting:
            break  # whoever reads it as what is left tells what is wrong with this line
        left = fitting
        first = dict.fromkeys(shown, number) | first
    for format in left:
        if format in first:
            return format, f"line {first[format]} {_WHY[format]}"
    raise InputError(
        f"no line of this file holds a prediction; name its format: {path}::format=NAME.",
        file=path,
    )


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
    lines = read_lines(path, MAX_LABELS_LINE)
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
                f"expected a line of format {format}, found {line[:60]!r} ({error}); is it another "
                f"format, {path}::format=NAME?",
                file=path,
                line=number,
            ) from error
        offsets.append(len(codes))
    if header is not None and header[0] != len(offsets) - 1:
        raise InputError(
            f"its first line says {header[0]} rows, but {len(offsets) - 1} follow: it is cut "
            "short, two files are in one, or this is another format than score_matrix: say which, "
            f"{path}::format=NAME.",
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


def _are_pairs(line: str) -> bool:
    return all(_PAIR.fullmatch(part.replace(" ", "_")) for part in _parts(line))


def _may_be_annexml(line: str) -> bool:
    """Whether it could be AnnexML's: it may lack its true labels, or its predictions."""
    *truth, last = line.split()
    if not truth and _TRUTH.fullmatch(last):
        return True
    return bool(_ONE_OR_JOINED.fullmatch(last)) and (
        not truth or (len(truth) == 1 and bool(_TRUTH.fullmatch(truth[0])))
    )


def _shows_annexml(line: str) -> bool:
    """Whether a line is AnnexML's beyond doubt: true labels first, or pairs joined by commas."""
    lacks_pair_first = line[:1].isspace() or ":" not in line.split()[0]
    truth_first = _ANNEXML.fullmatch(line) and lacks_pair_first
    return bool(truth_first or _JOINED.fullmatch(line.strip()))


# What a line of each format looks like, by its number; where several stay, the first is taken.
_FITS: dict[str, Callable[[str, int], object]] = {
    JSON_LINES: lambda line, number: line.lstrip().startswith("{"),
    SCORE_MATRIX: lambda line, n: _HEADER.fullmatch(line) if n == 1 else _are_pairs(line),
    OMIKUJI: lambda line, number: _OMIKUJI.fullmatch(line),
    ANNEXML: lambda line, number: _may_be_annexml(line),
    PAIRS: lambda line, number: _are_pairs(line),
}
_WHY = {
    JSON_LINES: "begins with a brace",
    SCORE_MATRIX: "is two whole numbers, N and L",
    OMIKUJI: "is labels and scores with a space between",
    ANNEXML: "is label:score joined by commas",
    PAIRS: "is label:score",
}


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
