"""JSON lines: a document a line, its labels by name, or by number in a label file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from axml_jax.data.corpus import Document, open_bytes, text_rows
from axml_jax.data.readers.documents import (
    Documents,
    Options,
    Row,
    make_document,
    make_documents,
)
from axml_jax.data.readers.record import Record
from axml_jax.errors import InputError


def open_named(path: Path, options: Options) -> Documents:
    """JSON lines whose labels are a list of strings: by default `text`, `labels` and `id`.

    The id may be missing, unless its field was named.  Empty lines are passed over.

    Raises:
      InputError: The file is missing; while reading, a line is no such object.
    """
    text_fields = options.text_fields or ("text",)
    labels_field = options.labels_field or "labels"

    def labels(record: Record) -> tuple[str, ...]:
        return _names(record, labels_field, text_fields)

    return _open(path, options, text_fields, labels, "id")


def open_numbered(path: Path, options: Options) -> Documents:
    """JSON lines whose labels are numbers, as the Extreme Classification Repository has raw text.

    The fields are `title`, `content` (the text: both, on lines of their own), `target_ind` (the
    labels) and `uid` (the id, which may be missing); others, such as `target_rel`, are passed over.

    Raises:
      InputError: The file is missing; while reading, a line is no such object, or the label file
        lacks one of its labels.
    """
    labels_field = options.labels_field or "target_ind"

    def labels(record: Record) -> tuple[str, ...]:
        return options.label_names(record.numbers(labels_field), record.file, record.line)

    text_fields = options.text_fields or ("title", "content")
    titles = options.label_file.titles if options.label_file else None
    return _open(path, options, text_fields, labels, "uid", titles)


def _open(
    path: Path,
    options: Options,
    text_fields: tuple[str, ...],
    labels: Callable[[Record], tuple[str, ...]],
    id_field: str,
    titles: Mapping[str, str] | None = None,
) -> Documents:
    open_bytes(path).close()  # a wrong name is told before the first gigabyte is read

    def make(content: str, file: Path, line: int | None) -> Document:
        record = Record(content, file, line)
        return make_document(
            record.text(*text_fields),
            labels(record),
            record.identifier(options.id_field or id_field, required=bool(options.id_field)),
            options,
            file,
            line,
        )

    return Documents(
        lambda: make_documents(_filled(path, options), make, options, path),
        titles,
        options.skip_bad_rows,
    )


def _names(record: Record, labels_field: str, text_fields: tuple[str, ...]) -> tuple[str, ...]:
    labels = record.fields.get(labels_field)
    if labels and isinstance(labels, list) and all(type(label) is int for label in labels):
        raise record.error(
            f"the field {labels_field!r} should be a list of strings, but it is a list of numbers; "
            "where it is so in all lines, ask for --format xc_json --text_column "
            f"{','.join(text_fields)} --labels_column {labels_field}",
            "a field of another kind",
        )
    return record.names(labels_field)


def _filled(path: Path, options: Options) -> Iterator[Row[str]]:
    """The lines that are not empty."""
    number = 0
    for number, row in enumerate(text_rows(path, options.max_line, options.max_expansion), start=1):
        if isinstance(row, InputError) or row.strip():
            yield path, number, row
    if number == 0:
        raise InputError("the file is empty: expected a JSON object a line", file=path)
