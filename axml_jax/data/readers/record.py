"""One JSON object and its fields, with errors that name the file.  Knows nothing about formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from axml_jax.errors import InputError


class Record:
    """A JSON object from a file.

    Args:
      content: The text of the object, or its bytes as UTF-8.
      file: The file that it is from.
      line: Its line there; None where the object is all of the file.

    Raises:
      InputError: It is no whole JSON, or no object.
    """

    def __init__(self, content: str | bytes, file: Path, line: int | None = None) -> None:
        self._file, self._line = file, line
        try:
            self.fields = json.loads(content)
        except json.JSONDecodeError as error:
            self._line = line if line is not None else error.lineno
            raise self.error(f"no whole JSON: {error.msg} at column {error.colno}") from error
        except RecursionError:
            raise self.error("JSON with brackets nested too deep") from None
        except ValueError as error:  # bytes that are no UTF-8, a number of thousands of digits
            raise self.error(f"no readable JSON: {error}") from error
        if not isinstance(self.fields, dict):
            raise self.error(f"expected a JSON object, found {_kind(self.fields)}")

    def error(self, message: str) -> InputError:
        """An error that names file and line."""
        return InputError(message, file=self._file, line=self._line)

    def text(self, *names: str) -> str:
        """The text of fields that hold strings or lists of strings; all parts on their own lines.

        Raises:
          InputError: A field is missing or holds something else.
        """
        parts: list[str] = []
        for name in names:
            value = self._get(name)
            if isinstance(value, str):
                parts.append(value)
            elif _is_list_of(value, str):
                parts += value
            else:
                raise self._unexpected(name, "a string or a list of strings", value)
        return "\n".join(filter(None, parts))

    def names(self, name: str) -> tuple[str, ...]:
        """A field that holds a list of names, without spaces around them and without empty ones.

        Raises:
          InputError: It is missing, or no list of strings.
        """
        value = self._get(name)
        if not _is_list_of(value, str):
            raise self._unexpected(name, "a list of strings", value)
        return tuple([stripped for item in value if (stripped := item.strip())])

    def numbers(self, name: str) -> tuple[int, ...]:
        """A field that holds a list of whole numbers; raises InputError where it does not."""
        value = self._get(name)
        if not _is_list_of(value, int):
            raise self._unexpected(name, "a list of whole numbers", value)
        return tuple(value)

    def identifier(self, name: str, required: bool) -> str:
        """A field that holds a string or a whole number; "" where it is missing and may be.

        Raises:
          InputError: It is missing though required, or holds something else.
        """
        if not required and name not in self.fields:
            return ""
        value = self._get(name)
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise self._unexpected(name, "a string or a whole number", value)
        return str(value).strip()

    def _get(self, name: str) -> Any:
        try:
            return self.fields[name]
        except KeyError:
            found = ", ".join(map(repr, list(self.fields)[:10])) or "none"
            raise self.error(f"the object has no field {name!r}; its fields: {found}") from None

    def _unexpected(self, name: str, expected: str, value: Any) -> InputError:
        return self.error(f"the field {name!r} should be {expected}, but it is {_kind(value)}")


def _is_list_of(value: Any, kind: type) -> bool:
    # The exact type: true and false are numbers to Python.
    return isinstance(value, list) and all(type(item) is kind for item in value)


def _kind(value: Any) -> str:
    if isinstance(value, list):
        others = sorted({_kind(item) for item in value if not isinstance(item, list)})
        return f"a list of {' and '.join(others)}" if others else "a list"
    names = {dict: "an object", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
