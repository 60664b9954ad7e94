"""Files written whole or not at all, their sums; JSON read with errors that name the file."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import stat
from collections.abc import Iterator
from typing import Any

from axml_jax.errors import InputError

_NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


@contextlib.contextmanager
def telling(name: str | os.PathLike[str]) -> Iterator[None]:
    """Has the error of a write within its block say what was written: a full disk does not.

    Args:
      name: The file, or what else is written to.

    Raises:
      OSError: With that name and what to do, for a write that found no room.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno not in _NO_ROOM:
            raise
        raise OSError(
            f"{os.fspath(name)}: it could not be written ({error.strerror}); make room, or allow "
            "larger files (ulimit -f), or name another place, and give the same command again."
        ) from error


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[str]:
    """A place to write a file that appears under its name when its block has ended well.

    Until then it is a hidden file of its own beside it, .NAME.*.partial, which is removed where the
    block fails: of two that write the same file at once, the last to end wins, whole.  What a
    killed process left may be deleted.  A symbolic link stays, what it leads to is replaced.  A
    pipe or a device (/dev/stdout) cannot be replaced and is written to directly.

    Args:
      path: The file; what is there is replaced and keeps its permissions.

    Yields:
      The path to write to.

    Raises:
      OSError: It cannot be written; it names the file.
    """
    if _is_stream(path):
        with telling(path):
            yield os.fspath(path)
        return
    target = pathlib.Path(os.path.realpath(path))
    # Names have limits: of a long one the beginning tells enough.
    partial = target.with_name(f".{target.name[:50]}.{secrets.token_hex(8)}.partial")
    try:
        with telling(path):
            _create(partial, path, 0o600 if target.exists() else 0o666)
            yield str(partial)
            with contextlib.suppress(OSError):
                shutil.copymode(target, partial)
            _sync(partial)
            os.replace(partial, target)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def _is_stream(path: str | os.PathLike[str]) -> bool:
    try:
        kind = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))


def _create(partial: pathlib.Path, path: str | os.PathLike[str], mode: int) -> None:
    """Makes a new empty file, of the permissions that the user's umask leaves of `mode`."""
    try:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    except OSError as error:
        # The user has named the file, not this one.
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def _sync(path: pathlib.Path) -> None:
    """Waits until a file's content is on the disk: a loss of power leaves it or the one before."""
    place = os.open(path, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes UTF-8 JSON, whole or not at all; see `whole_file`.

    Raises:
      InputError: It would hold what is no text: the name of a file that is no UTF-8, say.
      OSError: It cannot be written.
      ValueError: NaN or an infinite number, which JSON has not.
    """
    try:
        with whole_file(path) as partial, open(partial, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=1, ensure_ascii=False, allow_nan=False)
            file.write("\n")
    except UnicodeEncodeError as error:
        at = slice(max(0, error.start - 40), error.end + 40)
        raise InputError(
            f"it would hold {error.object[at]!r}, which is no text in UTF-8; where that is the "
            "name of a file or folder, rename it.",
            file=path,
        ) from error


def file_sum(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
