"""Texts to predict for, out of lines: one a line, or a field of JSON lines, a column of CSV or TSV.

The formats are those of `axml_jax.data.readers`, but labels may be missing, and are passed over
where they are there.  Knows nothing about models.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from axml_jax.data.corpus import MAX_LINE, LineError
from axml_jax.data.line_stream import Line, sound
from axml_jax.data.readers.csv_records import DELIMITERS, HINT, Bounds, records, split_header
from axml_jax.data.readers.record import Record
from axml_jax.data.readers.sniffing import data_suffix
from axml_jax.data.readers.tsv import COLUMNS, read_header
from axml_jax.errors import InputError

LINES = "lines"
FORMATS = (LINES, "jsonl", "csv", *COLUMNS)
_AS_LINES = "have each line read as a text with --format lines"
_HINT = f"name the text's with --text_column, or {_AS_LINES}"
# A quote that is not closed keeps no more rows from being answered, even for a while.
_ROW = Bounds(MAX_LINE, lines=10_000)
# Lines that may be empty or unreadable before one tells the format.
_SNIFFED = 20
_LONGEST_HEADER = 1 << 16


class NewText(NamedTuple):
    """A text.

    Attributes:
      line: The line at which it begins, from 1.
      id: What the file calls it; "" for nothing.
      text: The text itself, which may be empty.
      error: What is wrong with it, where something is; id and text are then empty.
    """

    line: int
    id: str
    text: str
    error: InputError | None = None


class NewTexts(NamedTuple):
    """The texts of a file.

    Attributes:
      format: One of FORMATS.
      reason: Why it was taken for that, for people; "" where the format was given.
      texts: The texts, once.
    """

    format: str
    reason: str
    texts: Iterator[NewText]


def open_new_texts(
    lines: Iterable[Line],
    file: str,
    format: str = "auto",
    text_fields: Sequence[str] = (),
    id_field: str = "",
    stops: bool = True,
) -> NewTexts:
    """Begins to read texts; the first line that is not empty is read at once.

    Args:
      lines: Lines without their ends, or what is wrong with them; see `line_stream`.
      file: What they are from, for its ending and for messages.
      format: One of FORMATS, or "auto": by the first line that is not empty and the file's ending;
        a text a line where these do not say otherwise.
      text_fields: Fields or columns of the text, joined by newlines; by default `text`.
      id_field: Field or column of the id; by default `id`, where there is one.
      stops: Whether a bad line ends the reading; else a `NewText` with its error stands for it.

    Raises:
      InputError: A first line that does not go with the fields; while iterating, a bad line.
    """
    path, stream = Path(file), iter(lines)
    begin = list(_begin(stream))
    first = begin[-1] if begin and isinstance(begin[-1], str) else ""
    whole = itertools.chain(begin, stream)
    names, reason = list(text_fields) or ["text"], ""
    if format == "auto":
        format, reason = _sniff(path, first, len(begin), names, bool(text_fields))
    if format not in ("jsonl", "csv") and (text_fields or id_field):
        raise InputError(
            f"--text_column and --id_column concern JSON lines and CSV, and this is read as "
            f"{format}; choose another --format",
            file=path,
        )
    if format == LINES:
        texts = _each(whole, lambda line, number: NewText(number, "", line))
    elif format == "jsonl":
        texts = _objects(whole, path, names, id_field)
    elif format == "csv":
        texts = _columns(whole, path, names, id_field, first)
    else:
        texts = _tabbed(whole, path, COLUMNS[format])
    return NewTexts(format, reason, _without_errors(texts) if stops else texts)


def _without_errors(texts: Iterable[NewText]) -> Iterator[NewText]:
    for text in texts:
        if text.error:
            raise text.error
        yield text


def _wrong(line: int, error: InputError) -> NewText:
    # Thousands may wait for their turn: they hold on to no line.
    if isinstance(error, LineError):
        error.text = ""
    error.__cause__ = error.__context__ = None
    return NewText(line, "", "", error.with_traceback(None))


def _each(lines: Iterable[Line], parse: Callable[[str, int], NewText | None]) -> Iterator[NewText]:
    """What `parse` makes of each line and its number; None is passed over."""
    for number, line in enumerate(lines, start=1):
        try:
            found = parse(sound(line), number)
        except InputError as error:
            found = _wrong(number, error)
        if found:
            yield found


def _begin(lines: Iterator[Line]) -> Iterator[Line]:
    """The lines up to the first that tells something."""
    characters = 0
    for line in itertools.islice(lines, _SNIFFED):
        yield line
        characters += len(line.text if isinstance(line, LineError) else str(line))
        if (isinstance(line, str) and line.strip()) or characters > _LONGEST_HEADER:
            return


def _sniff(
    path: Path, first: str, number: int, names: list[str], are_given: bool
) -> tuple[str, str]:
    """What the first line that is not empty, and its number, tell; and why."""
    what = "first line" if number <= 1 else f"line {number}, the first with text,"
    if first.lstrip().startswith("{"):
        try:
            value = json.loads(first)
        except (ValueError, RecursionError):
            return "jsonl", f"its {what} begins with a brace"
        fields = list(value)  # a JSON text that begins with a brace is an object
        if not all(name in value for name in names):
            raise InputError(
                f"the {what} is a JSON object without {_listed(names)}, but with "
                f"{_listed(fields[:10]) or 'nothing'}; {_HINT}",
                file=path,
            )
        return "jsonl", f"its {what} is a JSON object with {_listed(names)}"
    if data_suffix(path) == ".csv":
        return "csv", "its name ends in .csv"
    delimiter, header = _header(first, names)
    known = names if are_given else ["text"]
    others = header if are_given else {"labels", "id"} & set(header)
    # Between tabs, nothing is quoted, unless the file says that it is CSV.
    if set(known) <= set(header) and others and delimiter != "\t":
        between = f", between {DELIMITERS[delimiter]}" if delimiter != "," else ""
        return "csv", f"its {what} is a header with {_listed(header)}{between}"
    for name, columns in COLUMNS.items():
        if data_suffix(path) == ".tsv" and first.count("\t") + 1 == len(columns):
            return name, f"its name ends in .tsv, its {what} has {len(columns)} columns"
    if not first.strip():
        why = f"none of its first {number} lines has a text that can be read"
        return LINES, why if number else "it is empty"
    return LINES, f"its {what} is neither a JSON object nor a header with {_listed(names)}"


def _header(line: str, names: list[str]) -> tuple[str, list[str]]:
    return split_header(lambda: [line] if len(line) <= _LONGEST_HEADER else [], names)


def _objects(
    lines: Iterable[Line], path: Path, names: list[str], id_field: str
) -> Iterator[NewText]:
    is_json = False

    def parse(line: str, number: int) -> NewText | None:
        nonlocal is_json
        if not line.strip():
            return None
        try:
            record = Record(line, path, number)
        except InputError as error:
            advice = "" if is_json else f"; if this is no JSON, {_AS_LINES}"
            raise InputError(f"{error.message}{advice}", file=path, line=number) from error
        is_json = True
        name = record.identifier(id_field or "id", required=bool(id_field))
        return NewText(number, name, record.text(*names))

    return _each(lines, parse)


def _columns(
    lines: Iterator[Line], path: Path, names: list[str], id_field: str, begin: str
) -> Iterator[NewText]:
    wanted = [*names, id_field] if id_field else names
    delimiter, _ = _header(begin, wanted)
    hint = f"{HINT}  If this is no CSV, {_AS_LINES}"
    rows = records(lines, path, _ROW, delimiter, hint=hint, goes_on=True)
    number, first = next(rows, (1, [""]))
    if isinstance(first, InputError):
        raise first
    header = [name.strip() for name in first]
    if missing := [name for name in wanted if header.count(name) != 1]:
        times = header.count(missing[0])
        raise InputError(
            f"the header has {f'{times} columns' if times else 'no column'} {missing[0]!r}; it has "
            f"{_listed(header)} (it is read as names between {DELIMITERS[delimiter]}); {_HINT}",
            file=path,
            line=number,
        )
    texts = [header.index(name) for name in names]
    id_field = id_field or "id"
    place = header.index(id_field) if id_field in header else None

    def read() -> Iterator[NewText]:
        for line, row in rows:
            if isinstance(row, InputError):
                yield _wrong(line, row)
            elif len(row) != len(header):
                message = f"the header has {len(header)} columns, the row that begins here "
                yield _wrong(line, InputError(f"{message}{len(row)}", file=path, line=line))
            else:
                name = "" if place is None else row[place].strip()
                yield NewText(line, name, "\n".join(row[i] for i in texts))

    return read()


def _tabbed(lines: Iterable[Line], path: Path, columns: tuple[str, ...]) -> Iterator[NewText]:
    order = columns

    def parse(line: str, number: int) -> NewText | None:
        nonlocal order
        cells = line.split("\t")
        if len(cells) != len(columns):
            shown = "<TAB>".join(columns)
            raise InputError(
                f"expected {shown}, found {len(cells)} columns; {_HINT}", file=path, line=number
            )
        header = read_header(line, columns, path) if number == 1 else None
        if header:
            order = header
            return None
        name = cells[order.index("id")].strip() if "id" in order else ""
        return NewText(number, name, cells[order.index("text")])

    return _each(lines, parse)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
