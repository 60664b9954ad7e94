"""Opens documents of any format: those of one file, or of all splits at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from axml_jax.data.corpus import Document
from axml_jax.data.readers import line_aligned
from axml_jax.data.readers.documents import Documents, Options
from axml_jax.data.readers.formats import FORMATS
from axml_jax.data.readers.label_file import read_label_file
from axml_jax.data.readers.layouts import Layout
from axml_jax.data.readers.sniffing import sniff
from axml_jax.data.titles import Titles
from axml_jax.errors import InputError

_ADVICE = {
    "text_fields": "--text_column",
    "labels_field": "--labels_column",
    "id_field": "--id_column",
    "label_file": "--label_file",
    "separator": "--separator",
}


class Opened(NamedTuple):
    """Documents of all splits.

    Attributes:
      documents: By split.
      source: Formats and names of the files, for the description of a store.
      notes: Sentences for people: which files are which split, what they are taken for and why.
      titles: What people call the labels, where the data say so beside their names.
    """

    documents: Mapping[str, Iterable[Document]]
    source: str
    notes: Sequence[str] = ()
    titles: Titles | None = None


def open_documents(
    path: str | Path,
    format: str = "auto",
    options: Options | None = None,
    labels: str | Path | None = None,
    ids: str | Path | None = None,
) -> Documents:
    """Opens the documents of a file or a folder.

    Args:
      path: A file, or a folder of JSON files; `.gz` and `.xz` are read directly.
      format: One of FORMATS, or `auto` for what `sniff` takes it for.
      options: How to read it.
      labels: The file of labels, for those formats that begin with `lines`.
      ids: A file of ids, likewise; may be None.

    Returns:
      The documents; each iteration reads the files anew.

    Raises:
      InputError: A file is missing or of no known format, or an option does not concern the format;
        while iterating, a document is damaged.
      ValueError: There is no such format.
    """
    options = options or Options()
    if format == "auto":
        format = sniff(path, options, labels).format
    if format not in FORMATS:
        raise ValueError(f"there is no format {format!r}; expected one of {', '.join(FORMATS)}")
    _check_options(Path(path), format, options)
    opener = FORMATS[format].open
    if opener is None:
        if labels is None:
            raise InputError(
                f"the format {format!r} needs a file of labels beside this one (--train_labels)",
                file=path,
            )
        return line_aligned.open_line_aligned(path, labels, ids, options, format)
    if labels is not None or ids is not None:
        raise InputError(
            f"the format {format!r} has labels and ids within the file; a file of labels or ids "
            "beside it goes with the formats whose names begin with 'lines'",
            file=path,
        )
    return opener(Path(path), options)


def open_splits(layout: Layout, format: str = "auto", options: Options | None = None) -> Opened:
    """Opens the documents of all splits; nothing of them is read but the beginnings.

    Args:
      layout: The files, and the file with the labels' names if there is one.
      format: As in `open_documents`, the same for all splits.
      options: How to read; its `label_file` is that of the layout.

    Raises:
      InputError: As `open_documents`, for any of the files.
    """
    options = options or Options()
    notes = []
    if layout.label_file is not None:
        names = read_label_file(
            layout.label_file, options.max_line, max_expansion=options.max_expansion
        )
        options = dataclasses.replace(options, label_file=names)
        notes.append(f"{names.path.name} names {len(names.names):,} labels")
        if names.repeated:
            notes[-1] += f", {names.repeated:,} of them once more: these got their number appended"
    if layout.unread:
        names_unread = ", ".join(path.name for path in layout.unread)
        notes.append(
            f"not read, though named like a split: {names_unread} (--valid and --test name files)"
        )
    documents, files = {}, dict[str, list[str]]()
    for split, (path, labels, ids) in layout.splits.items():
        if format == "auto":
            chosen, reason = sniff(path, options, labels)
        else:
            chosen, reason = format, f"{path.name} is read as {FORMATS[format].title} [{format}]"
        documents[split] = open_documents(path, chosen, options, labels, ids)
        notes.append(f"{split}: {reason}")
        files.setdefault(chosen, []).append(path.name)
    source = "; ".join(f"{FORMATS[kind].title}: {', '.join(files[kind])}" for kind in files)
    named = options.label_file
    titles = Titles(str(named.path), named.titles, None) if named and named.titles else None
    return Opened(documents, source, notes, titles)


def _check_options(path: Path, format: str, options: Options) -> None:
    unset = Options()
    for name, flag in _ADVICE.items():
        given = getattr(options, name) != getattr(unset, name)
        if given and name not in FORMATS[format].takes:
            raise InputError(
                f"{flag} does not concern the format {format!r} ({FORMATS[format].title}); leave "
                "it out, or choose another format (--format)",
                file=path,
            )
