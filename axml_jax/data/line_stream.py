"""Lines of an open file, of which a bad one does not end the others.  Knows no format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from axml_jax.data.corpus import BOM, DAMAGED, MAX_LINE, decode_row
from axml_jax.errors import InputError

Line = str | InputError
"""A line without its end, or what is wrong with it."""


def stream_lines(
    stream: IO[bytes], name: str, max_line: int = MAX_LINE
) -> Iterator[str | InputError]:
    """The lines of an open file; a bad one is an error in its place, and the next ones follow.

    Args:
      stream: What is read: text is UTF-8 whatever the locale says, only a newline ends a line.
      name: What it is called, for messages.
      max_line: Bytes that a line may have, its end included; no more are held in memory.

    Raises:
      InputError: Nothing more can be read: it is damaged or cut short.
    """
    number = 0
    try:
        while line := stream.readline(max_line + 1):
            number += 1
            if len(line) > max_line:
                yield InputError(
                    f"the line is longer than {max_line:,} bytes; is this text with one document "
                    "a line?",
                    file=name,
                    line=number,
                )
                while line and not line.endswith(b"\n"):
                    line = stream.readline(max_line)
                continue
            if number == 1:
                line = line.removeprefix(BOM)
            yield decode_row(line.rstrip(b"\r\n"), name, number)
    except DAMAGED as error:
        message = f"damaged or cut short from here on ({error})"
        raise InputError(message, file=name, line=number + 1) from error


def sound(line: Line) -> str:
    """The line; raises the InputError where it is one."""
    if isinstance(line, InputError):
        raise line
    return line
