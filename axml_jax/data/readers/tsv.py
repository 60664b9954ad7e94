"""Columns separated by tabs: labels and text, with or without an id before them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from axml_jax.data.corpus import Document, open_bytes, read_lines
from axml_jax.data.readers.documents import Documents, Options, make_document, split_labels
from axml_jax.errors import InputError

COLUMNS = {"tsv": ("labels", "text"), "tsv_id": ("id", "labels", "text")}


def open_tsv(path: Path, options: Options, columns: tuple[str, ...]) -> Documents:
    """Rows of `columns`, one of COLUMNS; nothing is quoted, and a text holds no tab.

    A first line of just the columns' names is passed over.

    Raises:
      InputError: The file is missing; while reading, a row has another number of columns.
    """
    open_bytes(path).close()
    shown = "<TAB>".join(columns)

    def read() -> Iterator[Document]:
        number = 0
        for number, line in enumerate(read_lines(path, options.max_line), start=1):
            cells = line.split("\t")
            if len(cells) != len(columns):
                raise InputError(
                    f"expected {shown}, found {len(cells)} column{'s' * (len(cells) != 1)}; "
                    "a tab within the text would have to be a space",
                    file=path,
                    line=number,
                )
            if number == 1 and is_header(cells):
                continue
            labels = split_labels(cells[-2], options.separator)
            name = cells[0].strip() if len(cells) == 3 else ""
            yield make_document(cells[-1], labels, name, options, path, number)
        if number == 0:
            raise InputError(f"the file is empty: expected {shown} in each line", file=path)

    return Documents(read)


def is_header(cells: list[str]) -> bool:
    """Whether a row is the columns' names."""
    return tuple(cell.strip().lower() for cell in cells) in COLUMNS.values()
