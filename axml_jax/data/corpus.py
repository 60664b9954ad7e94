"""Readers of documents from files.  Knows nothing about words, ids or models.

A reader is any function that returns an iterable of `Document`; `axml_jax.data.store.write_store`
asks for nothing more.  A reader of another format is one more such function beside this one.
"""

from __future__ import annotations

import contextlib
import gzip
import lzma
import zlib
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple, cast

from axml_jax.errors import InputError

_BOM = b"\xef\xbb\xbf"
_DAMAGED = (OSError, EOFError, lzma.LZMAError, zlib.error)


class Document(NamedTuple):
    """A text with its labels.

    Attributes:
      text: The raw text.
      labels: Names of its labels, each once; none for a document without labels.
      id: A name for the document, or "".
    """

    text: str
    labels: tuple[str, ...] = ()
    id: str = ""


def open_bytes(path: str | Path) -> IO[bytes]:
    """Opens a file for reading, through gzip or xz where it ends in `.gz` or `.xz`.

    Raises:
      InputError: The file cannot be opened.
    """
    path = Path(path)
    try:
        if path.suffix == ".gz":
            return cast(IO[bytes], gzip.open(path, "rb"))
        if path.suffix == ".xz":
            return cast(IO[bytes], lzma.open(path, "rb"))
        return path.open("rb")
    except OSError as error:
        reason = "there is no such file" if not path.exists() else error.strerror
        raise InputError(f"cannot be read: {reason}", file=path) from error


def read_byte_lines(path: str | Path) -> Generator[bytes, None, None]:
    """The lines of a file without their line ends (`\\n` or `\\r\\n`, nothing else ends a line).

    Raises:
      InputError: The file is missing, or its compression is damaged or cut short.
    """
    number = 0
    with open_bytes(path) as file:
        try:
            for number, line in enumerate(file, start=1):
                if number == 1 and line.startswith(_BOM):
                    line = line[len(_BOM) :]
                yield line.rstrip(b"\r\n") if line.endswith(b"\n") else line
        except _DAMAGED as error:
            raise InputError(
                f"damaged or cut short from here on ({error}); fetch or compress the file anew",
                file=path,
                line=number + 1,
            ) from error


def read_lines(path: str | Path) -> Generator[str, None, None]:
    """The lines of a UTF-8 text file without their line ends.

    Raises:
      InputError: As `read_byte_lines`, and where a line is not UTF-8.
    """
    for number, line in enumerate(read_byte_lines(path), start=1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"not UTF-8: byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line; "
                "convert the file to UTF-8 (iconv -f ENCODING -t UTF-8)",
                file=path,
                line=number,
            ) from error


def split_labels(line: str, separator: str | None = None) -> tuple[str, ...]:
    """Label names in a line, each once, in order of appearance.

    Args:
      line: One line of a labels file.
      separator: What stands between two labels; None for white space.  With a separator, labels may
        hold spaces inside; those around them are dropped, and so are empty parts.
    """
    parts = line.split(separator)
    return tuple(dict.fromkeys(name for part in parts if (name := part.strip())))


def read_line_aligned(
    texts_path: str | Path,
    labels_path: str | Path | None,
    separator: str | None = None,
    ids_path: str | Path | None = None,
    on_empty: str = "error",
) -> Iterator[Document]:
    """Reads documents from files that tell about the same document on the same line.

    Files are UTF-8; `.gz` and `.xz` are read directly.  An empty line of labels is a document
    without labels and is kept.  An empty line of text is an error unless it is asked for.

    Args:
      texts_path: One text a line.
      labels_path: The labels of one document a line, or None for texts without labels.
      separator: What stands between two labels; None for white space.
      ids_path: One document id a line, or None.
      on_empty: `error`, or `keep` to take an empty line of text as a document without words.

    Yields:
      A document for every line.

    Raises:
      InputError: A missing or damaged file, a line that is not UTF-8, an empty text, or files of
        unequal length; with file and line.
      ValueError: `separator` is the empty string or `on_empty` is neither of the two.
    """
    if separator == "":
        raise ValueError("the separator of labels is empty; None stands for white space")
    if on_empty not in ("error", "keep"):
        raise ValueError(f"on_empty is {on_empty!r}: expected 'error' or 'keep'")
    paths = [Path(path) for path in (texts_path, labels_path, ids_path) if path is not None]
    for path in paths:  # a wrong name is told before the first gigabyte is read
        open_bytes(path).close()
    return _read_line_aligned(paths, labels_path is not None, separator, on_empty == "keep")


def _read_line_aligned(
    paths: list[Path], has_labels: bool, separator: str | None, keep_empty: bool
) -> Iterator[Document]:
    number = 0
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(contextlib.closing(read_lines(path))) for path in paths]
        while True:
            rows = [next(reader, None) for reader in readers]
            if all(row is None for row in rows):
                break
            if any(row is None for row in rows):
                _refuse_unequal(paths, readers, rows, number)
            number += 1
            text, *rest = cast(list[str], rows)
            if not keep_empty and not text.strip():
                raise InputError(
                    "an empty line where a text was expected; take this line out of every file, or "
                    "ask for on_empty='keep' (--keep_empty) to read it as a document without words",
                    file=paths[0],
                    line=number,
                )
            labels = split_labels(rest.pop(0), separator) if has_labels else ()
            yield Document(text, labels, rest[0].strip() if rest else "")
    if number == 0:
        raise InputError("the file is empty: expected one text a line", file=paths[0])


def _refuse_unequal(
    paths: list[Path], readers: Sequence[Iterator[str]], rows: list[str | None], read: int
) -> None:
    totals = [
        read if row is None else read + 1 + sum(1 for _ in reader)
        for row, reader in zip(rows, readers, strict=True)
    ]
    short = totals.index(min(totals))
    long = totals.index(max(totals))
    raise InputError(
        f"{paths[short].name} has {totals[short]} lines but {paths[long].name} has {totals[long]}; "
        f"they are read line by line: {paths[short].name} ends before line {totals[short] + 1}.",
        file=paths[short],
        line=totals[short] + 1,
    )
