"""JSON files: written whole or not at all, and read with errors that name the file; JSON lines."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from axml_jax.errors import InputError


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes UTF-8 JSON by way of a temporary file, so that a reader never sees half of it."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=1, ensure_ascii=False)
            file.write("\n")
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def json_lines(path: str) -> Iterator[Callable[[Any], None]]:
    """Yields a function that writes a value as a line of JSON.

    Args:
      path: The file, which appears when it is whole (until then its name ends in .partial), or "-"
        for standard output, which gets ASCII.
    """
    to_standard_output = path == "-"
    partial = f"{path}.partial"
    place = sys.stdout.fileno() if to_standard_output else partial
    with open(place, "w", encoding="utf-8", closefd=not to_standard_output) as output:

        def write(value: Any) -> None:
            # ASCII: a label's name cannot send control codes to a terminal.
            output.write(json.dumps(value, ensure_ascii=to_standard_output) + "\n")

        yield write
    if not to_standard_output:
        os.replace(partial, path)


def read_json(path: str | os.PathLike[str], remedy: str = "") -> Any:
    """Reads JSON.

    Args:
      path: The file.
      remedy: What to do when it is missing or damaged; ends the message.

    Raises:
      InputError: There is no such file, it cannot be read, or it is not whole JSON.
    """
    end = f"; {remedy}" if remedy else "."
    try:
        return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no such file{end}", file=path) from None
    except OSError as error:
        raise InputError(f"it cannot be read ({error.strerror}){end}", file=path) from error
    # A RecursionError is brackets within brackets, thousands deep.
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is not whole JSON ({error}){end}", file=path) from error
