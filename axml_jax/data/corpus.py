"""Documents, and the lines of files.  Knows nothing about formats, words, ids or models.

A reader is any function that returns an iterable of `Document`; `axml_jax.data.store.write_store`
asks for nothing more.  Those of known formats are in `axml_jax.data.readers`.
"""

from __future__ import annotations

import functools
import gzip
import lzma
import math
import os
import stat
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import IO, NamedTuple, cast

from axml_jax.errors import InputError

# Twenty times the longest documents of the paper's data sets.  The limit is one of memory, too: a
# line of JSON may take 30 times its size.
MAX_LINE = 16 << 20
# Of lines that are as long as there are labels: a document's predictions, all names in one.
MAX_LABELS_LINE = 64 << 20
# Text becomes 3 to 30 times its compressed size; a hostile file of zeros 1,000 to 7,000 times.
MAX_EXPANSION = 100
FREE_EXPANSION = 256 << 20
# How files with these endings begin.
COMPRESSED = {".gz": b"\x1f\x8b", ".xz": b"\xfd7zXZ\0"}

BOM = b"\xef\xbb\xbf"
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


class LineError(InputError):
    """A line that is no text; `text` is what can be read of it."""

    text = ""


def open_bytes(path: str | Path, may_be_pipe: bool = False) -> IO[bytes]:
    """Opens a file for reading, through gzip or xz where it ends in `.gz` or `.xz`.

    Args:
      path: The file.
      may_be_pipe: Whether it may be what can be read only once.

    Raises:
      InputError: The file cannot be opened, is no file but a pipe or a device, or is not compressed
        though its name says so.
    """
    path = Path(path)
    try:
        # Before it is opened: opening a pipe waits for whoever writes.
        mode = os.stat(path).st_mode
        is_file = stat.S_ISREG(mode)
        if not (is_file or stat.S_ISDIR(mode) or may_be_pipe):
            raise InputError(
                "expected a file, but this is a pipe or a device, which can be read only once; "
                "write what it gives to a file first",
                file=path,
            )
        begin = COMPRESSED.get(path.suffix)
        if begin and is_file:
            with path.open("rb") as file:
                found = file.read(len(begin))
            if not begin.startswith(found):
                raise InputError(
                    f"its name ends in {path.suffix}, but it is not compressed so: rename it, or, "
                    "if it is damaged, fetch it anew",
                    file=path,
                    reason="a damaged file",
                )
        if path.suffix == ".gz":
            return cast(IO[bytes], gzip.open(path, "rb"))
        if path.suffix == ".xz":
            return cast(IO[bytes], lzma.open(path, "rb", format=lzma.FORMAT_XZ))
        return path.open("rb")
    except OSError as error:
        reason = "there is no such file" if not path.exists() else error.strerror
        raise InputError(f"cannot be read: {reason}", file=path) from error


def byte_rows(
    path: str | Path, max_line: int = MAX_LINE, max_expansion: int = MAX_EXPANSION
) -> Generator[bytes | InputError, None, None]:
    """The lines of a file without their line ends (`\\n` or `\\r\\n`, nothing else ends a line).

    Args:
      path: The file.
      max_line: Bytes that a line may have, its end included; no more are held in memory.
      max_expansion: Bytes that a byte of a compressed file may become, on the whole; the first
        FREE_EXPANSION bytes are given to any file.

    Yields:
      Each line, or in its place what is wrong with it: it is longer.

    Raises:
      InputError: The file is missing, its compression is damaged or cut short, or it expands to
        more.
    """
    path = Path(path)
    number, total, limit = 0, 0, math.inf
    with open_bytes(path) as file:
        try:
            if path.suffix in COMPRESSED:
                limit = max(FREE_EXPANSION, max_expansion * path.stat().st_size)
            lines = iter(functools.partial(file.readline, max_line + 1), b"")
            for number, line in enumerate(lines, start=1):
                total += len(line)
                if len(line) > max_line:
                    yield _too_long(path, number, max_line)
                    while line and not line.endswith(b"\n") and total <= limit:
                        line = file.readline(max_line + 1)
                        total += len(line)
                else:
                    if number == 1 and line.startswith(BOM):
                        line = line[len(BOM) :]
                    yield line.rstrip(b"\r\n") if line.endswith(b"\n") else line
                if total > limit:
                    raise _too_large(path, number, max_expansion)
        except DAMAGED as error:
            raise InputError(
                f"damaged or cut short from here on ({str(error) or 'out of memory'}); "
                "fetch or compress the file anew",
                file=path,
                line=number + 1,
            ) from error


def text_rows(
    path: str | Path, max_line: int = MAX_LINE, max_expansion: int = MAX_EXPANSION
) -> Generator[str | InputError, None, None]:
    """The lines of a UTF-8 text file without their line ends, as `byte_rows` has them.

    Yields:
      Each line, or in its place what is wrong with it: it is longer, not UTF-8, or holds a NUL.

    Raises:
      InputError: As `byte_rows`.
    """
    for number, line in enumerate(byte_rows(path, max_line, max_expansion), start=1):
        yield line if isinstance(line, InputError) else decode_row(line, path, number)


def decode_row(line: bytes, file: str | Path, number: int) -> str | LineError:
    """The text of a line, or what is wrong with it."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        found = LineError(
            f"not UTF-8: byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line; "
            "convert the file to UTF-8 (iconv -f ENCODING -t UTF-8)",
            file=file,
            line=number,
            reason="not UTF-8",
        )
        found.text = line.decode("utf-8", "replace")
        return found
    if "\0" in text:
        found = LineError(
            f"a NUL byte at character {text.index(chr(0)) + 1} of the line; if this is UTF-16, "
            "convert it (iconv -f UTF-16LE -t UTF-8), or else take them out (tr -d '\\000')",
            file=file,
            line=number,
            reason="a NUL byte",
        )
        found.text = text.replace("\0", " ")
        return found
    return text


def read_byte_lines(
    path: str | Path, max_line: int = MAX_LINE, max_expansion: int = MAX_EXPANSION
) -> Generator[bytes, None, None]:
    """The lines of a file, as `byte_rows` has them.

    Raises:
      InputError: As `byte_rows`, and where a line is longer.
    """
    for line in byte_rows(path, max_line, max_expansion):
        if isinstance(line, InputError):
            raise line
        yield line


def read_lines(
    path: str | Path, max_line: int = MAX_LINE, max_expansion: int = MAX_EXPANSION
) -> Generator[str, None, None]:
    """The lines of a UTF-8 text file, as `text_rows` has them.

    Raises:
      InputError: As `byte_rows`, and where a line is longer, not UTF-8, or holds a NUL.
    """
    for line in text_rows(path, max_line, max_expansion):
        if isinstance(line, InputError):
            raise line
        yield line


def _too_long(path: Path, number: int, max_line: int) -> InputError:
    return InputError(
        f"the line is longer than {max_line:,} bytes; is this text with one document a line?  If "
        "so, raise the limit (max_line, or --max_line_mib of launch/prepare.py)",
        file=path,
        line=number,
        reason="a line too long",
    )


def _too_large(path: Path, number: int, max_expansion: int) -> InputError:
    return InputError(
        f"so far the file has expanded to more than {max_expansion:,} times its size; if that is "
        "meant, raise the limit (max_expansion, or --max_expansion of launch/prepare.py), or "
        "uncompress the file first",
        file=path,
        line=number,
    )
