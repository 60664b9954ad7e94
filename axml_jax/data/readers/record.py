"""One JSON object and its fields, with errors that name the file.  Knows nothing about formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from axml_jax.errors import InputError

_NO_JSON = "no JSON object"


def parse_json(content: str | bytes, file: Path, line: int | None = None) -> Any:
    """The value that JSON stands for.

    Args:
      content: Its text, or its bytes as UTF-8.
      file: The file that it is from.
      line: Its line there; None where it is all of the file.

    Raises:
      InputError: It is no whole JSON, or none that Python can hold.
    """
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        place = line if line is not None else error.lineno
        message = f"no whole JSON: {error.msg} at column {error.colno}"
        raise InputError(message, file=file, line=place, reason=_NO_JSON) from error
    except RecursionError:
        message = "JSON with brackets nested too deep"
        raise InputError(message, file=file, line=line, reason=_NO_JSON) from None
    except ValueError as error:  # bytes that are no UTF-8, a number of thousands of digits
        message = f"no readable JSON: {error}"
        raise InputError(message, file=file, line=line, reason=_NO_JSON) from error


class Record:
    """A JSON object from a file.

    Attributes:
      file, line: As given.
      fields: Its fields.

    Args:
      content: The text of the object, or its bytes as UTF-8.
      file: The file that it is from.
      line: Its line there; None where the object is all of the file.

    Raises:
      InputError: It is no whole JSON, or no object.
    """

    def __init__(self, content: str | bytes, file: Path, line: int | None = None) -> None:
        self.file, self.line = file, line
        self.fields = parse_json(content, file, line)
        if not isinstance(self.fields, dict):
            raise self.error(f"expected a JSON object, found {kind_of(self.fields)}", _NO_JSON)

    def error(self, message: str, reason: str = "") -> InputError:
        """An error that names file and line."""
        return InputError(message, file=self.file, line=self.line, reason=reason)

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
        """A field that holds a string or a whole number; "" where it may be and is missing or null.

        Raises:
          InputError: It is missing though required, or holds something else.
        """
        if not required and self.fields.get(name) is None:
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
            message = f"the object has no field {name!r}; its fields: {found}"
            raise self.error(message, f"no field {name!r}") from None

    def _unexpected(self, name: str, expected: str, value: Any) -> InputError:
        message = f"the field {name!r} should be {expected}, but it is {kind_of(value)}"
        return self.error(message, "a field of another kind")


def _is_list_of(value: Any, kind: type) -> bool:
    # The exact type: true and false are numbers to Python.
    return isinstance(value, list) and all(type(item) is kind for item in value)


def kind_of(value: Any) -> str:
    """What a JSON value is, as part of a message."""
    if isinstance(value, list):
        others = sorted({kind_of(item) for item in value if not isinstance(item, list)})
        return f"a list of {' and '.join(others)}" if others else "a list"
    names = {dict: "an object", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
