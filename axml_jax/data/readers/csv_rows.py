"""CSV with a header that names the columns."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from axml_jax.data.corpus import Document, byte_rows, decode_row, read_lines
from axml_jax.data.readers.documents import (
    Documents,
    Options,
    make_document,
    make_documents,
    split_labels,
)
from axml_jax.errors import InputError

_HINT = "is a quote not closed, or not doubled?"
_UNCLOSED = "unexpected end of data"
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}


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


def split_header(lines: Callable[[], Iterable[str]], columns: list[str]) -> tuple[str, list[str]]:
    """Tells what stands between the names of a header.

    Args:
      lines: Begins a reading of lines, of which the header is the first that are not empty.
      columns: Names that it should have.

    Returns:
      The delimiter that gives those columns, or else the most; and the names that it gives.
    """
    found = {}
    for delimiter in DELIMITERS:
        try:
            rows = csv.reader(lines(), delimiter=delimiter)
            found[delimiter] = [name.strip() for name in next(filter(None, rows), [])]
        except csv.Error:  # no header: it is too long for one
            found[delimiter] = []
    best = max(DELIMITERS, key=lambda one: (set(columns) <= set(found[one]), len(found[one])))
    return best, found[best]


def _read_header(path: Path, options: Options, columns: list[str]) -> tuple[str, list[str]]:
    allow_cells(options.max_line)

    def lines() -> Iterator[str]:
        found = read_lines(path, options.max_line, options.max_expansion)
        return _bounded((f"{line}\n" for line in found), _Row(), path, options.max_line)

    delimiter, _ = split_header(lines, columns)
    for _, row in rows_of(lines(), path, _HINT, delimiter):
        return delimiter, [name.strip() for name in row]
    raise InputError("the file is empty: expected a header and rows", file=path)


@dataclasses.dataclass
class _Row:
    """What is known about the row that is being read: its characters, what is wrong with lines."""

    size: int = 0
    faults: list[InputError] = dataclasses.field(default_factory=list)


def _bounded(lines: Iterable[str], row: _Row, path: Path, max_line: int) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        row.size += len(line)
        if row.size > max_line + 1:  # of which one is the line end that a last line may lack
            raise InputError(
                f"the row that goes on here is longer than {max_line:,} characters; {_HINT}  If it "
                "is meant so, raise the limit (max_line, or --max_line_mib of launch/prepare.py)",
                file=path,
                line=number,
            )
        yield line


def _lines(path: Path, options: Options, faults: list[InputError]) -> Iterator[str]:
    """All lines, those with a fault mended: where a row ends, they tell all the same."""
    lines = byte_rows(path, options.max_line, options.max_expansion)
    for number, line in enumerate(lines, start=1):
        text = line if isinstance(line, InputError) else decode_row(line, path, number)
        if isinstance(text, InputError):
            faults.append(text)
            text = "" if isinstance(line, InputError) else line.decode("utf-8", "replace")
        yield f"{text}\n"


def allow_cells(size: int) -> None:
    """Lets Python's reader have cells of so many characters."""
    # A setting of the whole process, 128 KiB at first: it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), size))


def _rows(
    path: Path, options: Options, delimiter: str
) -> Iterator[tuple[int, list[str] | InputError]]:
    allow_cells(options.max_line)
    begun = _Row()
    lines = _bounded(_lines(path, options, begun.faults), begun, path, options.max_line)
    for line, row in _rows_or_errors(lines, path, _HINT, delimiter):
        if begun.faults or row:
            yield line, begun.faults[0] if begun.faults else row
        begun.faults.clear()
        begun.size = 0


def rows_of(
    lines: Iterable[str], path: Path, hint: str, delimiter: str = ","
) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, each with the line at which it begins.

    Args:
      lines: Lines with their ends; see `allow_cells` for long ones.
      path: What they are from, for messages.
      hint: What to do about a row that is none.
      delimiter: What stands between cells.

    Raises:
      InputError: A row is no CSV.
    """
    for line, row in _rows_or_errors(lines, path, hint, delimiter):
        if isinstance(row, InputError):
            raise row
        if row:
            yield line, row


def _rows_or_errors(
    lines: Iterable[str], path: Path, hint: str, delimiter: str
) -> Iterator[tuple[int, list[str] | InputError]]:
    """As `rows_of`; a row that is no CSV is an error in its place, unless all the rest is in it."""
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            message = f"the row that begins here is no CSV ({error}); {hint}"
            wrong = InputError(message, file=path, line=line, reason="no CSV")
            if str(error) == _UNCLOSED:  # all lines that follow would be passed over
                raise wrong from error
            yield line, wrong
            continue
        yield line, row
