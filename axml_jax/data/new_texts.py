"""Texts to predict for, out of lines: one a line, or a field of JSON lines, a column of CSV or TSV.

The formats are those of `axml_jax.data.readers`, but labels may be missing, and are passed over
where they are there.  Knows nothing about models.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from axml_jax.data.corpus import MAX_LINE
from axml_jax.data.readers.csv_rows import allow_cells, rows_of
from axml_jax.data.readers.record import Record
from axml_jax.data.readers.sniffing import data_suffix
from axml_jax.data.readers.tsv import COLUMNS, read_header
from axml_jax.errors import InputError

LINES = "lines"
FORMATS = (LINES, "jsonl", "csv", *COLUMNS)
_HINT = "name the text's with --text_column, or have each line read as a text with --format lines"


class NewText(NamedTuple):
    """A text.

    Attributes:
      line: The line at which it begins, from 1.
      id: What the file calls it; "" for nothing.
      text: The text itself, which may be empty.
    """

    line: int
    id: str
    text: str


class NewTexts(NamedTuple):
    """The texts of a file.

    Attributes:
      format: One of FORMATS.
      reason: Why it was taken for that, for people; "" where it was asked for.
      texts: The texts, once.
    """

    format: str
    reason: str
    texts: Iterator[NewText]


def stream_lines(stream: Iterable[bytes], name: str) -> Iterator[str]:
    """The lines of an open file, as `read_lines` has those of a file by name.

    Args:
      stream: Lines as bytes: text is UTF-8 whatever the locale says, only a newline ends a line.
      name: What it is called, for messages.

    Raises:
      InputError: A line is not UTF-8.
    """
    for number, line in enumerate(stream, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(f"not UTF-8: {error}", file=name, line=number) from error


def open_new_texts(
    lines: Iterable[str],
    file: str,
    format: str = "auto",
    text_fields: Sequence[str] = (),
    id_field: str = "",
) -> NewTexts:
    """Begins to read texts; the first line is read at once.

    Args:
      lines: Lines without their ends.
      file: What they are from, for its ending and for messages.
      format: One of FORMATS, or "auto": by the first line and the file's ending; a text a line
        where these do not say otherwise.
      text_fields: Fields or columns of the text, joined by newlines; by default `text`.
      id_field: Field or column of the id; by default `id`, where there is one.

    Raises:
      InputError: A first line that does not go with the fields; while iterating, a damaged line.
    """
    path, stream = Path(file), iter(lines)
    first = next(stream, None)
    whole = stream if first is None else itertools.chain([first], stream)
    names, reason = list(text_fields) or ["text"], ""
    if format == "auto":
        format, reason = _sniff(path, first or "", names)
    if format not in ("jsonl", "csv") and (text_fields or id_field):
        raise InputError(
            f"--text_column and --id_column concern JSON lines and CSV, and this is read as "
            f"{format}; choose another --format",
            file=path,
        )
    if format == LINES:
        texts = (NewText(number, "", line) for number, line in enumerate(whole, start=1))
        return NewTexts(format, reason, texts)
    if format == "jsonl":
        return NewTexts(format, reason, _objects(whole, path, names, id_field))
    if format == "csv":
        allow_cells(MAX_LINE)
        rows = rows_of((f"{line}\n" for line in whole), path, _HINT)
        header = [name.strip() for name in next(rows, (1, []))[1]]
        return NewTexts(format, reason, _columns(rows, path, header, names, id_field))
    return NewTexts(format, reason, _tabbed(whole, path, COLUMNS[format]))


def _sniff(path: Path, first: str, names: list[str]) -> tuple[str, str]:
    if first.lstrip().startswith("{"):
        try:
            value = json.loads(first)
        except (ValueError, RecursionError):
            return LINES, ""
        fields = list(value)  # a JSON text that begins with a brace is an object
        if not all(name in value for name in names):
            raise InputError(
                f"the first line is a JSON object without {_listed(names)}, but with "
                f"{_listed(fields[:10]) or 'nothing'}; {_HINT}",
                file=path,
            )
        return "jsonl", f"its first line is a JSON object with {_listed(names)}"
    if data_suffix(path) == ".csv":
        return "csv", "its name ends in .csv"
    try:
        header = {cell.strip() for cell in next(csv.reader([first]), [])}
    except csv.Error:  # too long for a header
        header = set()
    if {"text", "labels"} <= header or {"text", "id"} <= header:
        return "csv", f"its first line is a header with {_listed(sorted(header))}"
    for name, columns in COLUMNS.items():
        if data_suffix(path) == ".tsv" and first.count("\t") + 1 == len(columns):
            return name, f"its name ends in .tsv, its first line has {len(columns)} columns"
    return LINES, ""


def _objects(
    lines: Iterable[str], path: Path, names: list[str], id_field: str
) -> Iterator[NewText]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            record = Record(line, path, number)
            name = record.identifier(id_field or "id", required=bool(id_field))
            yield NewText(number, name, record.text(*names))


def _columns(
    rows: Iterator[tuple[int, list[str]]],
    path: Path,
    header: list[str],
    names: list[str],
    id_field: str,
) -> Iterator[NewText]:
    wanted = [*names, id_field] if id_field else names
    if missing := [name for name in wanted if header.count(name) != 1]:
        raise InputError(
            f"the header has {header.count(missing[0])} columns {missing[0]!r}; it has "
            f"{_listed(header)}; {_HINT}",
            file=path,
            line=1,
        )
    texts = [header.index(name) for name in names]
    id_field = id_field or "id"
    place = header.index(id_field) if id_field in header else None

    def read() -> Iterator[NewText]:
        for line, row in rows:
            if len(row) != len(header):
                raise InputError(
                    f"the header has {len(header)} columns, the row that begins here {len(row)}",
                    file=path,
                    line=line,
                )
            name = "" if place is None else row[place].strip()
            yield NewText(line, name, "\n".join(row[i] for i in texts))

    return read()


def _tabbed(lines: Iterable[str], path: Path, columns: tuple[str, ...]) -> Iterator[NewText]:
    order = columns
    for number, line in enumerate(lines, start=1):
        cells = line.split("\t")
        if len(cells) != len(columns):
            shown = "<TAB>".join(columns)
            raise InputError(
                f"expected {shown}, found {len(cells)} columns; {_HINT}", file=path, line=number
            )
        header = read_header(line, columns, path) if number == 1 else None
        if header:
            order = header
            continue
        name = cells[order.index("id")].strip() if "id" in order else ""
        yield NewText(number, name, cells[order.index("text")])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
