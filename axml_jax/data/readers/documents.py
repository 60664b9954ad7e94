"""What readers of all formats share: their options, and documents that can be read again.

Knows nothing about any format.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from axml_jax.data.corpus import MAX_LINE, Document
from axml_jax.data.readers.label_file import LabelFile
from axml_jax.errors import InputError

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
      max_line: Bytes that a line (or a file of one document) may have.

    Raises:
      ValueError: The separator is empty, or no byte is allowed.
    """

    text_fields: tuple[str, ...] = ()
    labels_field: str = ""
    id_field: str = ""
    label_file: LabelFile | None = None
    separator: str | None = None
    keep_empty: bool = False
    max_line: int = MAX_LINE

    def __post_init__(self) -> None:
        if self.separator == "":
            raise ValueError("the separator of labels is empty; None stands for the format's own")
        if self.max_line < 1:
            raise ValueError(f"max_line is {self.max_line}: a line has at least one byte")

    def label_names(self, numbers: tuple[int, ...], file: Path, line: int) -> tuple[str, ...]:
        """Names of labels given as numbers; raises InputError for one that the file has not."""
        if self.label_file is None:
            return tuple(map(str, numbers))
        return self.label_file.names_of(numbers, file, line)


class Documents:
    """The documents of one split; each iteration reads the files anew.

    Attributes:
      repeated_labels: How many documents named a label twice, in the latest iteration so far.
      titles: What labels are called, by name, where their names are mere identifiers.

    Args:
      read: Begins a reading.
      titles: See above.
    """

    def __init__(
        self, read: Callable[[], Iterator[Document]], titles: Mapping[str, str] | None = None
    ) -> None:
        self._read = read
        self.titles = dict(titles or {})
        self.repeated_labels = 0

    def __iter__(self) -> Iterator[Document]:
        """Yields each document with each of its labels once."""
        self.repeated_labels = 0
        for document in self._read():
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
        return Documents(lambda: through(self._read()), self.titles)


class CountedDocuments(Documents):
    """Documents whose number is known before they are read."""

    def __init__(
        self,
        read: Callable[[], Iterator[Document]],
        count: int,
        titles: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(read, titles)
        self._count = count

    def __len__(self) -> int:
        return self._count

    def passing(
        self, through: Callable[[Iterator[Document]], Iterator[Document]]
    ) -> CountedDocuments:
        return CountedDocuments(lambda: through(self._read()), self._count, self.titles)


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
        written as UTF-8.
    """
    if not options.keep_empty and (not text or text.isspace()):
        raise InputError(
            "an empty text; take this document out, or ask for keep_empty (--keep_empty) to read "
            "it as a document without words",
            file=file,
            line=line,
        )
    for what in (name, *labels):
        if not what.isascii() and not _is_writable(what):
            raise InputError(
                f"a label or an id should be text that UTF-8 can hold, but it is {what!r}",
                file=file,
                line=line,
            )
    return Document(text, labels, name)


def _is_writable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True
