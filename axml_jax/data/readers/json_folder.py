"""A folder with one JSON file a document, as EURLEX57K is published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from axml_jax.data.corpus import DAMAGED, Document, open_bytes
from axml_jax.data.readers.documents import (
    CountedDocuments,
    Options,
    make_document,
    make_documents,
)
from axml_jax.data.readers.record import Record
from axml_jax.errors import InputError

# The header repeats the title; so the data set's authors read it, too (Chalkidis et al., 2019).
TEXT_FIELDS = ("header", "recitals", "main_body", "attachments")
LABELS_FIELD = "concepts"
ID_FIELD = "celex_id"
_SUFFIXES = (".json", ".json.gz", ".json.xz")


def json_files(folder: Path) -> list[Path]:
    """The JSON files in a folder, hidden ones aside, in order of their names.

    Raises:
      InputError: The folder is missing or has none.
    """
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError as error:
        raise InputError(f"the folder cannot be read: {error.strerror}", file=folder) from error
    names = [name for name in names if name.endswith(_SUFFIXES) and not name.startswith(".")]
    if not names:
        raise InputError("the folder has no file that ends in .json", file=folder)
    return [folder / name for name in sorted(names)]


def read_record(path: Path, max_bytes: int) -> Record:
    """Reads the JSON object that a file holds.

    Raises:
      InputError: It cannot be read, is damaged, is longer than `max_bytes` or holds something else.
    """
    with open_bytes(path) as file:
        try:
            content = file.read(max_bytes + 1)
        except DAMAGED as error:
            message = f"damaged or cut short ({error})"
            raise InputError(message, file=path, reason="a damaged file") from error
    if len(content) > max_bytes:
        raise InputError(
            f"the file is longer than {max_bytes:,} bytes; is it one document?  If so, raise the "
            "limit (max_line, or --max_line_mib of launch/prepare.py)",
            file=path,
            reason="a file too long",
        )
    try:
        return Record(content, path)
    except InputError as error:
        message = f"{error.message}; a folder is read as one document a JSON file"
        raise InputError(message, file=path, line=error.line, reason=error.reason) from error


def open_json_folder(folder: Path, options: Options) -> CountedDocuments:
    """One document a file, in order of the files' names.

    By default the fields are EURLEX57K's: `header`, `recitals`, `main_body` and `attachments` (the
    text), `concepts` (the labels) and `celex_id` (the id).

    Raises:
      InputError: The folder has no JSON file; while reading, a file is no such object.
    """
    files = json_files(folder)
    text_fields = options.text_fields or TEXT_FIELDS
    labels_field = options.labels_field or LABELS_FIELD

    def make(file: Path, _: Path, line: int | None) -> Document:
        record = read_record(file, options.max_line)
        name = record.identifier(options.id_field or ID_FIELD, required=bool(options.id_field))
        labels = record.names(labels_field)
        return make_document(record.text(*text_fields), labels, name, options, file, line)

    def read() -> Iterator[Document | InputError]:
        return make_documents(((file, None, file) for file in files), make, options, folder)

    return CountedDocuments(read, len(files), skip=options.skip_bad_rows)
