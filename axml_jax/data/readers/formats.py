"""The formats that are read, by name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from axml_jax.data.readers import csv_rows, json_folder, json_lines, tsv
from axml_jax.data.readers.documents import Documents, Options


class Format(NamedTuple):
    """A format.

    Attributes:
      title: What it is, as part of a sentence.
      takes: Names of the options that it obeys, aside from those that all obey.
      open: Opens one path; None where there are files of texts and of labels.
    """

    title: str
    takes: tuple[str, ...]
    open: Callable[[Path, Options], Documents] | None = None


_FIELDS = ("text_fields", "labels_field", "id_field")

FORMATS = {
    "jsonl": Format("JSON lines with a text and labels by name", _FIELDS, json_lines.open_named),
    "xc_json": Format(
        "JSON lines with 'title', 'content' and 'target_ind' (Extreme Classification Repository)",
        (*_FIELDS, "label_file"),
        json_lines.open_numbered,
    ),
    "csv": Format("CSV with named columns", (*_FIELDS, "separator"), csv_rows.open_csv),
    "tsv": Format(
        "labels<TAB>text",
        ("separator",),
        functools.partial(tsv.open_tsv, columns=tsv.COLUMNS["tsv"]),
    ),
    "tsv_id": Format(
        "id<TAB>labels<TAB>text",
        ("separator",),
        functools.partial(tsv.open_tsv, columns=tsv.COLUMNS["tsv_id"]),
    ),
    "json_folder": Format(
        "a folder of JSON files, one a document (EURLEX57K)", _FIELDS, json_folder.open_json_folder
    ),
    "lines": Format("a text a line, its labels on the same line of a second file", ("separator",)),
    "lines_bow": Format(
        "a text a line, its labels in a bag-of-words file (svmlight, Extreme Classification "
        "Repository)",
        ("label_file",),
    ),
    "lines_sparse": Format(
        "a text a line, its labels in a sparse matrix as text (Extreme Classification Repository's "
        "trn_X_Y.txt)",
        ("label_file",),
    ),
    "lines_npz": Format(
        "a text a line, its labels in a sparse matrix .npz (PECOS)", ("label_file",)
    ),
}


def list_formats() -> str:
    """All formats, as part of a message."""
    return "; ".join(f"{name}: {about.title}" for name, about in FORMATS.items())
