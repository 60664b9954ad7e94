"""The standard streams of a script: there, whoever started it, and never what ends its work.

Knows no flags, nor what is written.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import IO, Any, TextIO, cast

from axml_jax.errors import InputError
from axml_jax.jsonio import telling


def stand_in() -> None:
    """Lets a script print whatever it has to, also where a standard stream was closed (`>&-`)."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # Else the next file that is opened has this number, and gets what is printed.
            _lead_nowhere(number)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names are of all scripts, a terminal's or a pipe's encoding may be ASCII.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stdout = cast("TextIO", Watched(sys.stdout, _named))


def standard_input() -> IO[bytes]:
    """The bytes of standard input.

    Raises:
      InputError: It is closed.
    """
    if sys.stdin is None:
        raise InputError("it is closed; name a file with --input FILE.", file="standard input")
    return sys.stdin.buffer


def tell(text: str) -> None:
    """Prints on standard error; where that takes no more, nothing is told from then on."""
    if sys.stderr is not None:
        print(text, file=forgiving(sys.stderr), flush=True)


def turn_away(stream: IO[str]) -> None:
    """Leads a stream that takes no more nowhere, so that Python's last flush does not fail too."""
    # A stream of a test has no number.
    with contextlib.suppress(OSError):
        _lead_nowhere(stream.fileno())


class Watched:
    """A text stream whose writes are watched; all else is the stream's own.

    Args:
      stream: What is written to.
      watch: Gives a context for the stream, in which each write is made.
    """

    def __init__(
        self, stream: IO[str], watch: Callable[[IO[str]], contextlib.AbstractContextManager[None]]
    ) -> None:
        self._stream = stream
        self._watch = watch

    def write(self, text: str) -> int:
        """Writes."""
        with self._watch(self._stream):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes."""
        with self._watch(self._stream):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def forgiving(stream: IO[str]) -> Watched:
    """The stream, whose failing ends no work: it takes nothing from then on."""
    return Watched(stream, _forgiven)


@contextlib.contextmanager
def _forgiven(stream: IO[str]) -> Iterator[None]:
    try:
        yield
    except BlockingIOError:  # a slow reader may take the next line
        pass
    except OSError:
        turn_away(stream)


@contextlib.contextmanager
def _named(stream: IO[str]) -> Iterator[None]:
    try:
        with telling("standard output"):
            yield
    except BrokenPipeError:
        raise
    except OSError:
        turn_away(stream)
        raise


def _lead_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere == number:
        os.set_inheritable(number, True)
        return
    os.dup2(nowhere, number)
    os.close(nowhere)
