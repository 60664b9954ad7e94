"""absl flags that name a user's own files, shared by scripts: defined where this is imported."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from absl import flags

from axml_jax.data.corpus import FREE_EXPANSION, MAX_EXPANSION, MAX_LINE
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.formats import FORMATS
from axml_jax.data.readers.layouts import Layout, SplitFiles, find_splits
from axml_jax.data.readers.opening import Opened, open_splits
from axml_jax.errors import ConfigError, InputError

_SPLITS = {"train": "training", "valid": "validation", "test": "test"}
_MIB = 1 << 20

_DATA = flags.DEFINE_string(
    "data", None, "Folder with data as published: training, validation and test files are found."
)
for _split, _name in _SPLITS.items():
    flags.DEFINE_string(_split, None, f"File (or folder of JSON files) of {_name} documents.")
    flags.DEFINE_string(f"{_split}_texts", None, f"File of {_name} texts, one a line.")
    flags.DEFINE_string(f"{_split}_labels", None, "File with their labels, line by line.")
    flags.DEFINE_string(f"{_split}_ids", None, "File with an id for each text (optional).")
_FORMAT = flags.DEFINE_enum(
    "format", "auto", ["auto", *FORMATS], "Of the files; auto tells it from their beginnings."
)
_LABEL_FILE = flags.DEFINE_string(
    "label_file", None, "Names of the labels, one a line, where documents give numbers (from 0)."
)
_TEXT = flags.DEFINE_list(
    "text_column", [], "Fields or columns of the text, between commas; by default the format's."
)
_LABELS = flags.DEFINE_string(
    "labels_column", "", "Field or column of the labels; by default the format's."
)
_ID = flags.DEFINE_string("id_column", "", "Field or column of the id; by default the format's.")
_SEPARATOR = flags.DEFINE_string(
    "separator", None, "Between two labels; by default white space, in CSV and TSV commas too."
)
_KEEP_EMPTY = flags.DEFINE_boolean(
    "keep_empty", False, "Keep empty texts instead of refusing them."
)
_KEEP_REPEATED_IDS = flags.DEFINE_boolean(
    "keep_repeated_ids",
    False,
    "Keep documents with an earlier one's id instead of refusing them.",
)
_ON_BAD_ROW = flags.DEFINE_enum(
    "on_bad_row",
    "fail",
    ["fail", "skip"],
    "What to do about a document that cannot be used: fail says where it stands; skip passes it "
    "over and counts it, which the store then says.",
)
_MAX_EXPANSION = flags.DEFINE_integer(
    "max_expansion",
    MAX_EXPANSION,
    "How many times its size a compressed file may become, after its first "
    f"{FREE_EXPANSION >> 20} MiB.",
    lower_bound=1,
)
_MAX_LINE = flags.DEFINE_integer(
    "max_line_mib",
    MAX_LINE >> 20,
    "The longest line (or document of a file) accepted; of JSON it may take 30 times as much "
    "memory.",
    lower_bound=1,
    upper_bound=4096,  # such a line is held in memory, several times over
)


def named_files() -> Layout | None:
    """The files that the command line names; None where it names none.

    Raises:
      ConfigError: Flags that do not go together.
      InputError: There is no known data in the folder --data.
    """
    label_file = Path(_LABEL_FILE.value) if _LABEL_FILE.value else None
    splits = {split: files for split in _SPLITS if (files := _files_of(split))}
    if _DATA.value:
        if splits:
            raise ConfigError("Name either the folder --data or single files, not both.")
        layout = find_splits(_DATA.value)
        return layout._replace(label_file=label_file) if label_file else layout
    if not splits:
        return None
    return Layout("", splits, label_file)


def open_named(layout: Layout) -> Opened:
    """Opens those files as the command line has it.

    Raises:
      ConfigError: The separator is empty.
      InputError: As `open_splits`.
    """
    if _SEPARATOR.value == "":
        raise ConfigError("--separator is empty: leave it out for the format's own.")
    options = Options(
        text_fields=tuple(_TEXT.value),
        labels_field=_LABELS.value,
        id_field=_ID.value,
        separator=_SEPARATOR.value,
        keep_empty=_KEEP_EMPTY.value,
        keep_repeated_ids=_KEEP_REPEATED_IDS.value,
        skip_bad_rows=_ON_BAD_ROW.value == "skip",
        max_line=_MAX_LINE.value * _MIB,
        max_expansion=_MAX_EXPANSION.value,
    )
    return open_splits(layout, _FORMAT.value, options)


@contextlib.contextmanager
def advised(layout: Layout | None) -> Iterator[None]:
    """Adds to an error about one of the documents how such are passed over."""
    try:
        yield
    except InputError as error:
        files = {path for split in layout.splits.values() for path in split} if layout else set()
        is_row = error.line is not None and Path(error.file or "") in files
        is_row |= Path(error.file or "").parent in files  # a folder of documents
        if not (error.reason and is_row) or _ON_BAD_ROW.value == "skip":
            raise
        message = f"{error.message}; --on_bad_row=skip passes such documents over and counts them"
        raise InputError(message, file=error.file, line=error.line) from error


def _files_of(split: str) -> SplitFiles | None:
    kinds = ("", "_texts", "_labels", "_ids")
    given = [flags.FLAGS[f"{split}{kind}"].value for kind in kinds]
    whole, texts, labels, ids = (Path(name) if name else None for name in given)
    if not any(given):
        return None
    if whole and texts:
        raise ConfigError(f"--{split} and --{split}_texts are the same thing: leave one out.")
    path = whole or texts
    if path is None or (texts and not labels):
        raise ConfigError(f"--{split}_texts and --{split}_labels go together: one is missing.")
    return SplitFiles(path, labels, ids)
