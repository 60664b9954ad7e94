"""What format a file seems to have, and why: told from its name and its first lines."""

from __future__ import annotations

import contextlib
import csv
import itertools
from pathlib import Path
from typing import Any, NamedTuple

from axml_jax.data.corpus import open_bytes, read_lines
from axml_jax.data.readers import json_folder
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.formats import FORMATS, list_formats
from axml_jax.data.readers.label_rows import is_bow, is_sparse
from axml_jax.data.readers.record import Record
from axml_jax.data.readers.tsv import COLUMNS
from axml_jax.errors import InputError

_SHOWN = 60
_LINES = 20
_COMPRESSED = (".gz", ".xz")


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
    name = Path(path.stem) if path.suffix in _COMPRESSED else path
    return name.suffix.lower()


def _first_lines(path: Path, options: Options) -> list[str]:
    with contextlib.closing(read_lines(path, options.max_line)) as lines:
        found = list(itertools.islice((line for line in lines if line.strip()), _LINES))
    if not found:
        raise InputError("the file is empty: expected documents", file=path)
    return found


def _sniff_labels(path: Path, options: Options) -> tuple[str, str]:
    if path.suffix == ".npz":
        return "lines_npz", f"{path.name} ends in .npz"
    with contextlib.closing(read_lines(path, options.max_line)) as lines:
        first = list(itertools.islice(lines, _LINES))
    if is_sparse(first):
        return "lines_sparse", f"{path.name} has a header of two numbers and rows of label:value"
    if is_bow(first):
        return "lines_bow", f"{path.name} has rows of label numbers and features (index:value)"
    return "lines", f"{path.name} has no features (index:value) in its first lines"


def _sniff_folder(path: Path, options: Options) -> tuple[str, str]:
    files = json_folder.json_files(path)
    record = json_folder.read_record(files[0], options.max_line)
    wanted = options.labels_field or json_folder.LABELS_FIELD
    if wanted not in record.fields:
        raise record.error(
            f"the first JSON file of the folder has no {wanted!r}, but {_fields(record)}; name the "
            "fields with --text_column and --labels_column"
        )
    return "json_folder", f"of its {len(files):,} JSON files the first has {wanted!r}"


def _sniff_file(path: Path, options: Options) -> tuple[str, str]:
    first = _first_lines(path, options)[0]
    start = first.lstrip()[:1]
    if start == "{":
        return _sniff_object(path, first, options)
    if start == "[":
        raise InputError(
            "the file begins with '[', a JSON array; expected JSON lines, one object a line "
            "(jq -c '.[]' FILE makes them)",
            file=path,
        )
    header = _csv_cells(first)
    columns = [*(options.text_fields or ("text",)), options.labels_field or "labels"]
    missing = [name for name in columns if name not in header]
    if not missing:
        return "csv", f"its first line is a header with {_names(columns)}"
    if data_suffix(path) == ".csv":
        raise InputError(
            f"the header has no column {missing[0]!r}, but {_names(header)}; name the columns with "
            "--text_column, --labels_column and --id_column",
            file=path,
            line=1,
        )
    for name, expected in COLUMNS.items():
        if first.count("\t") + 1 == len(expected):
            return name, f"its first line has {len(expected)} columns between tabs"
    tabs = first.count("\t")
    seen = f"{tabs} tabs" if tabs else "neither a tab nor an object in braces"
    hint = "" if tabs else "; a text a line needs a file of labels beside it (--train_labels)"
    raise InputError(
        f"this is of no known format: the first line has {seen} and begins with "
        f"{first[:_SHOWN]!r}{hint}; choose one with --format ({list_formats()})",
        file=path,
    )


def _csv_cells(line: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line]), [])]
    except csv.Error:  # no header: it is too long for one
        return []


def _sniff_object(path: Path, first: str, options: Options) -> tuple[str, str]:
    number = 1
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
