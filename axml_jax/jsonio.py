"""Files written whole or not at all; JSON read with errors that name the file."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from axml_jax.errors import InputError


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[str]:
    """A place to write a file that appears under its name when its block has ended well.

    Until then it is NAME.partial, which is removed where the block fails.  One that a killed
    process left is written over by the next that writes the same file.

    Args:
      path: The file; what is there is replaced.

    Yields:
      The path to write to.
    """
    partial = f"{os.fspath(path)}.partial"
    try:
        yield partial
        os.replace(partial, path)
    finally:
        pathlib.Path(partial).unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes UTF-8 JSON by way of a temporary file, so that a reader never sees half of it."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=1, ensure_ascii=False)
            file.write("\n")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        # A full disk does not say for which file.
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_json(path: str | os.PathLike[str], remedy: str = "") -> Any:
    """Reads JSON.

    Args:
      path: The file.
      remedy: What to do when it is missing or damaged; ends the message.

    Raises:
      InputError: There is no such file, it cannot be read, or it is not whole JSON of text that
        UTF-8 can hold.
    """
    end = f"; {remedy}" if remedy else "."
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except FileNotFoundError:
        raise InputError(f"no such file{end}", file=path) from None
    except OSError as error:
        raise InputError(f"it cannot be read ({error.strerror}){end}", file=path) from error
    # Half of a surrogate pair can be written in JSON, but in no file of ours.
    except UnicodeEncodeError as error:
        raise InputError(f"it holds what is no text ({error}){end}", file=path) from error
    # A RecursionError is brackets within brackets, thousands deep.
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is not whole JSON ({error}){end}", file=path) from error
