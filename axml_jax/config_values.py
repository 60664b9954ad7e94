"""Values of settings, read as their fields' types.  Knows no field."""

from __future__ import annotations

import difflib
import numbers
from typing import Any

from axml_jax.errors import ConfigError


def convert(name: str, value: Any, kind: Any) -> Any:
    """The value as a field of this type has it.

    Args:
      name: The field's, for the message.
      value: A string, or something near the type.
      kind: bool, int, float, str or tuple[int, ...].

    Raises:
      ConfigError: The type cannot take the value.
    """
    wanted, read = _READERS.get(kind, ("whole numbers separated by commas", _whole_numbers))
    try:
        return read(value)
    except (ValueError, TypeError, KeyError, OverflowError):
        raise ConfigError(f"config.{name} takes {wanted}; {value!r} came.") from None


def _truth(value: Any) -> bool:
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}[value.lower()]
    if isinstance(value, bool):
        return value
    raise TypeError


def _whole_number(value: Any) -> int:
    # A bool is an Integral to Python; as a number it is a mistake.
    if isinstance(value, bool) or not isinstance(value, str | numbers.Integral):
        raise TypeError
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str | numbers.Real):
        raise TypeError
    return float(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError


def _whole_numbers(value: Any) -> tuple[int, ...]:
    if isinstance(value, str):
        value = [part for part in value.strip("()[] ").split(",") if part.strip()]
    return tuple(_whole_number(part) for part in value)


_READERS: dict[Any, tuple[str, Any]] = {
    bool: ("true or false", _truth),
    int: ("a whole number", _whole_number),
    float: ("a number", _number),
    str: ("a text", _text),
}


def nearest(name: str, known: tuple[str, ...]) -> str:
    """A question after the known name that is most like this one; "" where none is."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" Did you mean {close[0]}?" if close else ""
