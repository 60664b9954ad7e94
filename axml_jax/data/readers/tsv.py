"""Columns separated by tabs: labels and text, with or without an id before them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from axml_jax.data.corpus import Document, text_rows
from axml_jax.data.readers.documents import (
    Documents,
    Options,
    file_rows,
    make_document,
    make_documents,
    split_labels,
)
from axml_jax.errors import InputError

COLUMNS = {"tsv": ("labels", "text"), "tsv_id": ("id", "labels", "text")}
_SPELLINGS = {"labels": ("labels", "label"), "text": ("text", "texts"), "id": ("id", "ids", "uid")}
_NAMES = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings}


def open_tsv(path: Path, options: Options, columns: tuple[str, ...]) -> Documents:
    """Rows of `columns`, one of COLUMNS; nothing is quoted, and a text holds no tab.

    A first line of the columns' names, such as text<TAB>labels, gives their order.

    Raises:
      InputError: The file is missing, or its first line names other columns; while reading, a row
        has another number of columns.
    """
    shown = "<TAB>".join(columns)
    with contextlib.closing(text_rows(path, options.max_line, options.max_expansion)) as lines:
        first = next(lines, "")
        if isinstance(first, InputError) and not options.skip_bad_rows:
            raise first
        header = None if isinstance(first, InputError) else read_header(first, columns, path)
    order = header or columns
    texts, labels = order.index("text"), order.index("labels")
    ids = order.index("id") if "id" in order else None

    def make(row: str, file: Path, line: int | None) -> Document:
        cells = row.split("\t")
        if len(cells) != len(columns):
            raise InputError(
                f"expected {shown}, found {len(cells)} column{'s' * (len(cells) != 1)}; "
                "a tab within the text would have to be a space",
                file=file,
                line=line,
                reason="another number of columns",
            )
        names = split_labels(cells[labels], options.separator)
        name = "" if ids is None else cells[ids].strip()
        return make_document(cells[texts], names, name, options, file, line)

    def read() -> Iterator[Document | InputError]:
        rows = file_rows(path, options)
        begin = next(rows, None)
        if begin is None:
            raise InputError(f"the file is empty: expected {shown} in each line", file=path)
        whole = rows if header else itertools.chain([begin], rows)
        return make_documents(whole, make, options, path)

    return Documents(read, skip=options.skip_bad_rows)


def read_header(line: str, columns: tuple[str, ...], path: Path) -> tuple[str, ...] | None:
    """The order of the columns as a file's first line has it.

    Args:
      line: The first line.
      columns: One of COLUMNS.
      path: The file.

    Returns:
      The columns in their order; None where the line is a document.

    Raises:
      InputError: It seems to be a header, but of other columns.
    """
    cells = [cell.strip().lower() for cell in line.split("\t")]
    names = [_NAMES.get(cell, cell) for cell in cells]
    known = sum(cell in _NAMES for cell in cells)
    # One cell may be a document's: a label may be called "text".
    is_header = known > 1 or (known == 1 and not any(len(cell.split()) > 1 for cell in cells))
    if len(cells) != len(columns) or not is_header:
        return None
    if sorted(names) != sorted(columns):
        raise InputError(
            f"the first line seems to name the columns, but {', '.join(map(repr, cells))} are not "
            f"{', '.join(map(repr, columns))} (in any order); rename them, or, if this is a "
            f"document, put the line {'<TAB>'.join(columns)} before it",
            file=path,
            line=1,
        )
    return tuple(names)
