"""Documents, and the lines of files.  Knows nothing about formats, words, ids or models.

A reader is any function that returns an iterable of `Document`; `axml_jax.data.store.write_store`
asks for nothing more.  Those of known formats are in `axml_jax.data.readers`.
"""

from __future__ import annotations

import functools
import gzip
import lzma
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import IO, NamedTuple, cast

from axml_jax.errors import InputError

MAX_LINE = 64 << 20

_BOM = b"\xef\xbb\xbf"
# MemoryError: an .xz file may ask for 4 GiB to be unpacked in.
DAMAGED = (OSError, EOFError, lzma.LZMAError, zlib.error, MemoryError)


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
            return cast(IO[bytes], lzma.open(path, "rb", format=lzma.FORMAT_XZ))
        return path.open("rb")
    except OSError as error:
        reason = "there is no such file" if not path.exists() else error.strerror
        raise InputError(f"cannot be read: {reason}", file=path) from error


def read_byte_lines(path: str | Path, max_line: int = MAX_LINE) -> Generator[bytes, None, None]:
    """The lines of a file without their line ends (`\\n` or `\\r\\n`, nothing else ends a line).

    Args:
      path: The file.
      max_line: Bytes that a line may have, its end included; no more are held in memory.

    Raises:
      InputError: The file is missing, its compression is damaged or cut short, or a line is longer.
    """
    number = 0
    with open_bytes(path) as file:
        try:
            lines = iter(functools.partial(file.readline, max_line + 1), b"")
            for number, line in enumerate(lines, start=1):
                if len(line) > max_line:
                    raise InputError(
                        f"the line is longer than {max_line:,} bytes; is this text with one "
                        "document a line?  If so, raise the limit (max_line, or --max_line_mib of "
                        "launch/prepare.py)",
                        file=path,
                        line=number,
                    )
                if number == 1 and line.startswith(_BOM):
                    line = line[len(_BOM) :]
                yield line.rstrip(b"\r\n") if line.endswith(b"\n") else line
        except DAMAGED as error:
            raise InputError(
                f"damaged or cut short from here on ({str(error) or 'out of memory'}); "
                "fetch or compress the file anew",
                file=path,
                line=number + 1,
            ) from error


def read_lines(path: str | Path, max_line: int = MAX_LINE) -> Generator[str, None, None]:
    """The lines of a UTF-8 text file without their line ends.

    Args:
      path: The file.
      max_line: Bytes that a line may have.

    Raises:
      InputError: As `read_byte_lines`, and where a line is not UTF-8.
    """
    for number, line in enumerate(read_byte_lines(path, max_line), start=1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"not UTF-8: byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line; "
                "convert the file to UTF-8 (iconv -f ENCODING -t UTF-8)",
                file=path,
                line=number,
            ) from error
