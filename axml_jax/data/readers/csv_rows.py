"""CSV with a header that names the columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from axml_jax.data.corpus import Document, text_rows
from axml_jax.data.readers.csv_records import (
    Bounds,
    Lines,
    allow_cells,
    records,
    split_header,
    too_long,
)
from axml_jax.data.readers.documents import (
    Documents,
    Options,
    make_document,
    make_documents,
    split_labels,
)
from axml_jax.errors import InputError


def open_csv(path: Path, options: Options) -> Documents:
    """Rows of a CSV file, by default its columns `text`, `labels` and, where there is one, `id`.

    Between cells stand commas, semicolons or tabs, as the header tells.  Cells in double quotes may
    hold those, line ends and doubled quotes.  Empty rows are passed over.

    Raises:
      InputError: The file is missing or lacks a column; while reading, a row is no such row.
    """
    columns = [*(options.text_fields or ("text",)), options.labels_field or "labels"]
    columns += [options.id_field] if options.id_field else []
    delimiter, header = _read_header(path, options, columns)
    if not options.id_field and "id" in header:
        columns.append("id")
    for column in columns:
        if header.count(column) != 1:
            count = "no column" if column not in header else f"{header.count(column)} columns"
            raise InputError(
                f"the header has {count} {column!r}; it has {', '.join(map(repr, header))}; name "
                "columns with --text_column, --labels_column and --id_column",
                file=path,
                line=1,
            )
    texts = [header.index(name) for name in columns[: len(options.text_fields) or 1]]
    labels = header.index(columns[len(texts)])
    name = header.index(columns[-1]) if len(columns) > len(texts) + 1 else None

    def make(row: list[str], file: Path, line: int | None) -> Document:
        if len(row) != len(header):
            raise InputError(
                f"the header has {len(header)} columns, the row that begins here {len(row)}",
                file=file,
                line=line,
                reason="another number of columns",
            )
        return make_document(
            "\n".join(row[i] for i in texts),
            split_labels(row[labels], options.separator),
            "" if name is None else row[name].strip(),
            options,
            file,
            line,
        )

    def read() -> Iterator[Document | InputError]:
        rows = _rows(path, options, delimiter)
        next(rows, None)
        return make_documents(((path, *row) for row in rows), make, options, path)

    return Documents(read, skip=options.skip_bad_rows)


def _read_header(path: Path, options: Options, columns: list[str]) -> tuple[str, list[str]]:
    allow_cells(options.max_line)

    def lines() -> Iterator[str]:
        bounds = _bounds(options)
        found = Lines(_lines(path, options), bounds)
        try:
            yield from found
        except csv.Error as error:
            raise too_long(path, found.taken, bounds) from error

    delimiter, _ = split_header(lines, columns)
    for _, row in _rows(path, options, delimiter):
        if isinstance(row, InputError):
            raise row
        return delimiter, [name.strip() for name in row]
    raise InputError("the file is empty: expected a header and rows", file=path)


def _lines(path: Path, options: Options) -> Iterator[str | InputError]:
    return text_rows(path, options.max_line, options.max_expansion)


def _bounds(options: Options) -> Bounds:
    advice = "If it is meant so, raise the limit (max_line, or --max_line_mib of launch/prepare.py)"
    return Bounds(options.max_line, advice=advice)


def _rows(
    path: Path, options: Options, delimiter: str
) -> Iterator[tuple[int, list[str] | InputError]]:
    return records(_lines(path, options), path, _bounds(options), delimiter)
