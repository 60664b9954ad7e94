"""What format a file seems to have, and why: told from its name and its first lines."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any, NamedTuple

from axml_jax.data.corpus import COMPRESSED, open_bytes, text_rows
from axml_jax.data.readers import json_folder
from axml_jax.data.readers.csv_records import DELIMITERS, split_header
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.formats import FORMATS, list_formats
from axml_jax.data.readers.label_rows import is_bow, is_sparse
from axml_jax.data.readers.record import Record
from axml_jax.data.readers.tsv import COLUMNS, read_header
from axml_jax.errors import InputError

_SHOWN = 60
_LINES = 20
_CHARACTERS = 1 << 20
_NUMBERS = re.compile(r"[\d,\s]*")


class Sniffed(NamedTuple):
    """What a file is taken for.

    Attributes:
      format: One of FORMATS.
      reason: A sentence for people: what it is taken for, and why.
    """

    format: str
    reason: str


def sniff(
    path: str | Path, options: Options | None = None, labels: str | Path | None = None
) -> Sniffed:
    """Tells the format of a file or a folder.

    Args:
      path: The file or the folder.
      options: Names of fields and columns to look for.
      labels: A file of labels beside it, if there is one: the path then holds one text a line.

    Raises:
      InputError: It cannot be read, or is of no known format.
    """
    path, options = Path(path), options or Options()
    if labels is not None:
        open_bytes(path).close()
        found, why = _sniff_labels(Path(labels), options)
        names = f"{path.name} and {Path(labels).name} are"
    else:
        found, why = _sniff_folder(path, options) if path.is_dir() else _sniff_file(path, options)
        names = f"{path.name} is"
    return Sniffed(found, f"{names} taken for {FORMATS[found].title} [{found}]: {why}")


def data_suffix(path: Path) -> str:
    """The end of a file's name without that of its compression: ".json" of trn.json.gz."""
    name = Path(path.stem) if path.suffix in COMPRESSED else path
    return name.suffix.lower()


def _first_lines(path: Path, options: Options) -> list[str]:
    """The first lines, empty ones included: few where they are long.

    Where bad rows are passed over, lines that cannot be read are empty.
    """
    found: list[str] = []
    filled = length = 0
    rows = text_rows(path, options.max_line, options.max_expansion)
    with contextlib.closing(rows) as lines:
        for row in lines:
            if isinstance(row, InputError) and not options.skip_bad_rows:
                raise row
            line = "" if isinstance(row, InputError) else row
            found.append(line)
            filled += bool(line.strip())
            length += len(line) + 1
            if filled == _LINES or length >= _CHARACTERS:
                break
    return found


def _sniff_labels(path: Path, options: Options) -> tuple[str, str]:
    if path.suffix == ".npz":
        return "lines_npz", f"{path.name} ends in .npz"
    first = _first_lines(path, options)
    if is_sparse(first, options.skip_bad_rows):
        return "lines_sparse", f"{path.name} has a header of two numbers and rows of label:value"
    if is_bow(first, path, options.skip_bad_rows):
        return "lines_bow", f"{path.name} has rows of label numbers and features (index:value)"
    why = f"{path.name} does not begin with rows of label numbers and features (index:value)"
    with_comma = next((line.strip() for line in first if "," in line), None)
    if with_comma and options.separator is None and all(map(_NUMBERS.fullmatch, first)):
        why += (
            f"; a comma, as in {with_comma[:_SHOWN]!r}, does not end a label but is taken for a "
            "part of its name, unless --separator is ','"
        )
    return "lines", why


def _sniff_folder(path: Path, options: Options) -> tuple[str, str]:
    files = json_folder.json_files(path)
    wanted = options.labels_field or json_folder.LABELS_FIELD
    if options.skip_bad_rows:
        return "json_folder", f"it has {len(files):,} JSON files"
    record = json_folder.read_record(files[0], options.max_line)
    if wanted not in record.fields:
        raise record.error(
            f"the first JSON file of the folder has no {wanted!r}, but {_fields(record)}; name the "
            "fields with --text_column and --labels_column"
        )
    return "json_folder", f"of its {len(files):,} JSON files the first has {wanted!r}"


def _sniff_file(path: Path, options: Options) -> tuple[str, str]:
    lines = _first_lines(path, options)
    filled = [i for i, line in enumerate(lines, start=1) if line.strip()]
    if not filled:
        raise InputError("the file is empty: expected documents", file=path)
    try:
        return _sniff_lines(path, lines, filled[0], options)
    except InputError:
        for number in filled[1:] if options.skip_bad_rows else ():
            with contextlib.suppress(InputError):
                return _sniff_lines(path, lines, number, options)
        raise


def _sniff_lines(path: Path, lines: list[str], number: int, options: Options) -> tuple[str, str]:
    """What the line with this number, and those below, are taken for."""
    first = lines[number - 1]
    start = first.lstrip()[:1]
    if start == "{":
        return _sniff_object(path, first, number, options)
    if start == "[":
        raise InputError(
            "the file begins with '[', a JSON array; expected JSON lines, one object a line "
            "(jq -c '.[]' FILE makes them)",
            file=path,
        )
    columns = [*(options.text_fields or ("text",)), options.labels_field or "labels"]
    delimiter, header = split_header(lambda: [first], columns)
    missing = [name for name in columns if name not in header]
    is_csv = data_suffix(path) == ".csv"
    # Between tabs, nothing is quoted, unless the file says that it is CSV.
    if not missing and (is_csv or delimiter != "\t"):
        between = f", between {DELIMITERS[delimiter]}" if delimiter != "," else ""
        return "csv", f"its first line is a header with {_names(columns)}{between}"
    if is_csv:
        raise InputError(
            f"the header has no column {missing[0]!r}, but {_names(header)} (it is read as names "
            f"between {DELIMITERS[delimiter]}); name the columns with --text_column, "
            "--labels_column and --id_column",
            file=path,
            line=number,
        )
    found = _sniff_tabs(path, lines[number - 1 :], number, options)
    if found is not None:
        return found
    tabs = first.count("\t")
    seen = f"{tabs} tabs" if tabs else "neither a tab nor an object in braces"
    hint = "" if tabs else "; a text a line needs a file of labels beside it (--train_labels)"
    raise InputError(
        f"this is of no known format: the first line has {seen} and begins with "
        f"{first[:_SHOWN]!r}{hint}; choose one with --format ({list_formats()})",
        file=path,
    )


def _sniff_tabs(
    path: Path, lines: list[str], begin: int, options: Options
) -> tuple[str, str] | None:
    """None where the columns of the first line are those of no format."""
    counts = [line.count("\t") + 1 for line in lines]
    name = next((name for name, columns in COLUMNS.items() if len(columns) == counts[0]), None)
    if name is None:
        return None
    for number, (line, count) in enumerate(zip(lines, counts, strict=True), start=begin):
        if count != counts[0] and line.strip() and not options.skip_bad_rows:
            raise InputError(
                f"expected {'<TAB>'.join(COLUMNS[name])}, as line {begin} has {counts[0]} columns, "
                f"found {count} column{'s' * (count != 1)}; a tab within the text, here or there, "
                "would have to be a space",
                file=path,
                line=number,
            )
    why = f"its first line has {counts[0]} columns between tabs"
    header = read_header(lines[0], COLUMNS[name], path) if begin == 1 else None
    return name, f"{why}, {_names(list(header))}" if header else why


def _sniff_object(path: Path, first: str, number: int, options: Options) -> tuple[str, str]:
    record = Record(first, path, number)
    texts, labels = options.text_fields or ("text",), options.labels_field or "labels"
    if _holds(record, labels, str) and all(name in record.fields for name in texts):
        both = _names([*texts, labels])
        return "jsonl", f"its first line is an object with {both}"
    numbered = options.labels_field or "target_ind"
    if _holds(record, numbered, int):
        return "xc_json", f"its first line is an object with {numbered!r}, a list of numbers"
    raise record.error(
        f"an object without {_names([*texts, labels])}, and without 'title' and 'target_ind'; it "
        f"has {_fields(record)}; name the fields with --text_column and --labels_column"
    )


def _holds(record: Record, name: str, kind: type) -> bool:
    """Whether a field holds a list of `kind`; an empty list may be one of anything."""
    value: Any = record.fields.get(name)
    return isinstance(value, list) and all(type(item) is kind for item in value)


def _fields(record: Record) -> str:
    return _names(list(record.fields)[:10]) or "no field"


def _names(names: list[str]) -> str:
    shown = [repr(name) for name in names]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
