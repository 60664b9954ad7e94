"""What readers of all formats share: their options, and documents that can be read again.

Knows nothing about any format.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from axml_jax.data.corpus import MAX_EXPANSION, MAX_LINE, Document, text_rows
from axml_jax.data.readers.label_file import LabelFile
from axml_jax.errors import InputError

T = TypeVar("T")
Row = tuple[Path, int | None, T | InputError]

_PLACES = 5
_BREAKS = frozenset("\n\r\0")
_COMMAS_AND_SPACES = re.compile(r"[,\s]+")


@dataclasses.dataclass(frozen=True)
class Options:
    """How to read; each format looks at those that concern it.

    Attributes:
      text_fields: Fields or columns of the text, joined by newlines; () for those of the format.
      labels_field: Field or column of the labels; "" for that of the format.
      id_field: Field or column of the id; "" for that of the format, where a document has it.
      label_file: Names of labels that the documents give as numbers; None: the numbers are names.
      separator: What stands between two labels of a cell or a line; None for that of the format.
      keep_empty: Whether a document without text is kept instead of refused.
      keep_repeated_ids: Whether a document with an earlier one's id is kept, not refused.
      skip_bad_rows: Whether documents that cannot be used are counted and passed over.
      max_line: Bytes that a line (or a file of one document) may have.
      max_expansion: Bytes that a byte of a compressed file may become.

    Raises:
      ValueError: The separator is empty, or no byte is allowed.
    """

    text_fields: tuple[str, ...] = ()
    labels_field: str = ""
    id_field: str = ""
    label_file: LabelFile | None = None
    separator: str | None = None
    keep_empty: bool = False
    keep_repeated_ids: bool = False
    skip_bad_rows: bool = False
    max_line: int = MAX_LINE
    max_expansion: int = MAX_EXPANSION

    def __post_init__(self) -> None:
        if self.separator == "":
            raise ValueError("the separator of labels is empty; None stands for the format's own")
        if self.max_line < 1:
            raise ValueError(f"max_line is {self.max_line}: a line has at least one byte")
        if self.max_expansion < 1:
            raise ValueError(f"max_expansion is {self.max_expansion}: a byte becomes at least one")

    def label_names(
        self, numbers: tuple[int, ...], file: Path, line: int | None
    ) -> tuple[str, ...]:
        """Names of labels given as numbers; raises InputError for one that the file has not."""
        if self.label_file is None:
            return tuple(map(str, numbers))
        return self.label_file.names_of(numbers, file, line)


@dataclasses.dataclass
class Skipped:
    """Rows that were passed over for one reason.

    Attributes:
      rows: How many.
      first: Where the first few of them stand: the file's name, a colon, the line.
    """

    rows: int = 0
    first: list[str] = dataclasses.field(default_factory=list)

    def add(self, error: InputError) -> None:
        """Counts a row."""
        self.rows += 1
        if len(self.first) < _PLACES:
            name = Path(error.file or "").name
            self.first.append(name if error.line is None else f"{name}:{error.line}")


class Documents:
    """The documents of one split; each iteration reads the files anew.

    Attributes:
      repeated_labels: How many documents named a label twice, in the latest iteration so far.
      skipped: By reason, the rows that were passed over, in the latest iteration so far.
      titles: What labels are called, by name, where their names are mere identifiers.

    Args:
      read: Begins a reading, which gives each document, or in its place what is wrong with it.
      titles: See above.
      skip: Whether what is wrong is counted and passed over, instead of raised.
    """

    def __init__(
        self,
        read: Callable[[], Iterator[Document | InputError]],
        titles: Mapping[str, str] | None = None,
        skip: bool = False,
    ) -> None:
        self._read = read
        self._skip = skip
        self.titles = dict(titles or {})
        self.repeated_labels = 0
        self.skipped: dict[str, Skipped] = {}

    def _good(self) -> Iterator[Document]:
        """The documents that can be used; raises InputError where there is none."""
        self.skipped = {}
        found, bad = False, None
        for document in self._read():
            if isinstance(document, InputError):
                if not self._skip:
                    raise document
                bad = bad or document
                self.skipped.setdefault(document.reason, Skipped()).add(document)
            else:
                found = True
                yield document
        if bad and not found:
            rows = sum(about.rows for about in self.skipped.values())
            raise InputError(
                f"none of the {rows:,} rows can be used; the first: {bad.message}",
                file=bad.file,
                line=bad.line,
            )

    def __iter__(self) -> Iterator[Document]:
        """Yields each document with each of its labels once."""
        self.repeated_labels = 0
        for document in self._good():
            labels = tuple(dict.fromkeys(document.labels))
            if len(labels) < len(document.labels):
                self.repeated_labels += 1
                document = document._replace(labels=labels)
            yield document

    def passing(self, through: Callable[[Iterator[Document]], Iterator[Document]]) -> Documents:
        """The same documents with their titles, and their number if it is known.

        Args:
          through: Gives each document on, with its labels as they were read.
        """
        return Documents(lambda: through(self._good()), self.titles)


class CountedDocuments(Documents):
    """Documents whose number, with those passed over, is known before they are read."""

    def __init__(
        self,
        read: Callable[[], Iterator[Document | InputError]],
        count: int,
        titles: Mapping[str, str] | None = None,
        skip: bool = False,
    ) -> None:
        super().__init__(read, titles, skip)
        self._count = count

    def __len__(self) -> int:
        return self._count

    def passing(
        self, through: Callable[[Iterator[Document]], Iterator[Document]]
    ) -> CountedDocuments:
        return CountedDocuments(lambda: through(self._good()), self._count, self.titles)


def file_rows(path: Path, options: Options) -> Iterator[Row[str]]:
    """The lines of a file, as `make_documents` takes rows; raises InputError as `text_rows`."""
    lines = text_rows(path, options.max_line, options.max_expansion)
    return ((path, number, line) for number, line in enumerate(lines, start=1))


def make_documents(
    rows: Iterable[Row[T]],
    make: Callable[[T, Path, int | None], Document],
    options: Options,
    path: Path,
) -> Iterator[Document | InputError]:
    """Makes documents of rows.

    Args:
      rows: For each its file, its line (None where it is all of the file) and what is read there,
        or what is wrong with it.
      make: Makes a document of a row, its file and its line, or raises InputError.
      options: How to read.
      path: The file or folder that the rows are from.

    Yields:
      Each document, or in its place what is wrong with it.

    Raises:
      InputError: There is no row.
    """
    seen: set[str] = set()
    empty = True
    for file, line, row in rows:
        empty = False
        if isinstance(row, InputError):
            yield row
            continue
        try:
            document = make(row, file, line)
        except InputError as error:
            yield error
            continue
        if document.id and not options.keep_repeated_ids:
            if document.id in seen:
                yield InputError(
                    f"an earlier document has the id {document.id!r}, too; tell them apart, or "
                    "ask for keep_repeated_ids (--keep_repeated_ids) to read both",
                    file=file,
                    line=line,
                    reason="an id that stands twice",
                )
                continue
            seen.add(document.id)
        yield document
    if empty:
        raise InputError("the file holds no document", file=path)


def split_labels(cell: str, separator: str | None) -> tuple[str, ...]:
    """Label names in a cell, in order; one that stands twice comes twice.

    Args:
      cell: The labels of one document.
      separator: What stands between two labels; None for commas and white space.  With a separator,
        labels may hold spaces inside; those around them are dropped, and so are empty parts.
    """
    parts = _COMMAS_AND_SPACES.split(cell) if separator is None else cell.split(separator)
    return tuple(name for part in parts if (name := part.strip()))


def make_document(
    text: str,
    labels: tuple[str, ...],
    name: str,
    options: Options,
    file: str | Path,
    line: int | None = None,
) -> Document:
    """A document that can be used.

    Raises:
      InputError: The text is empty and that is not asked for, or a label or the id cannot be
        written as a line of UTF-8.
    """
    if not options.keep_empty and (not text or text.isspace()):
        raise InputError(
            "an empty text; take this document out, or ask for keep_empty (--keep_empty) to read "
            "it as a document without words",
            file=file,
            line=line,
            reason="an empty text",
        )
    for what in (name, *labels):
        if not (what.isascii() and what.isprintable()) and not _is_writable(what):
            raise InputError(
                "a label or an id should be a line of text that UTF-8 can hold, but it is "
                f"{what!r}",
                file=file,
                line=line,
                reason="a label or an id that is no line of text",
            )
    return Document(text, labels, name)


def _is_writable(name: str) -> bool:
    # Files of labels and of predictions have one name a line.
    if not _BREAKS.isdisjoint(name):
        return False
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True
