"""Files that tell about the same document on the same line: texts, labels, ids."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from axml_jax.data.corpus import Document, open_bytes, text_rows
from axml_jax.data.readers.documents import (
    Documents,
    Options,
    Row,
    make_document,
    make_documents,
    split_labels,
)
from axml_jax.data.readers.label_rows import (
    Rows,
    read_bow_labels,
    read_npz_labels,
    read_sparse_labels,
)
from axml_jax.errors import InputError


class _Part(NamedTuple):
    """One of the files, and how its rows are read."""

    path: Path
    read: Callable[[], Generator[Any, None, None]]


def open_line_aligned(
    texts: str | Path,
    labels: str | Path | None,
    ids: str | Path | None = None,
    options: Options | None = None,
    kind: str = "lines",
) -> Documents:
    """Documents of line-aligned files: one text a line, its labels and its id on the same line.

    Files are UTF-8; `.gz` and `.xz` are read directly.  An empty line of labels is a document
    without labels and is kept.

    Args:
      texts: One text a line.
      labels: The labels of one document a line, or None for texts without labels.
      ids: One document id a line, or None.
      options: How to read; by default labels are separated by white space.
      kind: What the labels are: `lines` of names, `lines_bow` (label numbers before features),
        `lines_sparse` (a sparse matrix as text) or `lines_npz` (one of SciPy).

    A line that cannot be used is one in all files: where such are passed over, the others still
    are of the same document.

    Raises:
      InputError: A file is missing; while reading, one is damaged or holds an empty text, or they
        are of unequal length; with file and line.
    """
    options = options or Options()
    parts = [_lines(texts, options)]
    titles = None
    if labels is not None:
        parts.append(_label_rows(Path(labels), options, kind))
        if kind != "lines" and options.label_file:
            titles = options.label_file.titles
    if ids is not None:
        parts.append(_lines(ids, options))
    for part in parts:  # a wrong name is told before the first gigabyte is read
        open_bytes(part.path).close()
    has_labels = labels is not None

    def make(rows: list[Any], file: Path, line: int | None) -> Document:
        text, *rest = rows
        names = rest.pop(0) if has_labels else ()
        return make_document(text, names, rest[0].strip() if rest else "", options, file, line)

    def read() -> Iterator[Document | InputError]:
        return make_documents(_rows(parts), make, options, parts[0].path)

    return Documents(read, titles, options.skip_bad_rows)


def _lines(path: str | Path, options: Options) -> _Part:
    return _Part(Path(path), lambda: text_rows(path, options.max_line, options.max_expansion))


def _label_rows(path: Path, options: Options, kind: str) -> _Part:
    return _Part(path, lambda: _LABEL_READERS[kind](path, options))


def _named(path: Path, options: Options) -> Rows:
    for line in text_rows(path, options.max_line, options.max_expansion):
        if isinstance(line, InputError):
            yield line
        elif options.separator is None:
            yield tuple(line.split())
        else:
            yield split_labels(line, options.separator)


_LABEL_READERS = {
    "lines": _named,
    "lines_bow": read_bow_labels,
    "lines_sparse": read_sparse_labels,
    "lines_npz": read_npz_labels,
}


def _rows(parts: list[_Part]) -> Iterator[Row[list[Any]]]:
    number = 0
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(contextlib.closing(part.read())) for part in parts]
        while True:
            rows = [next(reader, None) for reader in readers]
            if all(row is None for row in rows):
                break
            if any(row is None for row in rows):
                _refuse_unequal([part.path for part in parts], readers, rows, number)
            number += 1
            bad = next((row for row in rows if isinstance(row, InputError)), None)
            yield parts[0].path, number, rows if bad is None else bad
    if number == 0:
        raise InputError("the file is empty: expected one text a line", file=parts[0].path)


def _refuse_unequal(
    paths: list[Path], readers: list[Generator[Any, None, None]], rows: list[Any], read: int
) -> None:
    totals = [
        read if row is None else read + 1 + sum(1 for _ in reader)
        for row, reader in zip(rows, readers, strict=True)
    ]
    short = totals.index(min(totals))
    long = totals.index(max(totals))
    raise InputError(
        f"{paths[short].name} has {totals[short]} lines but {paths[long].name} has {totals[long]}; "
        f"they are read line by line: {paths[short].name} ends before line {totals[short] + 1}.",
        file=paths[short],
        line=totals[short] + 1,
    )
