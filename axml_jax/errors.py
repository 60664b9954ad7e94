"""The exceptions of axml_jax.  Knows nothing about files or formats."""

from __future__ import annotations

import os


class InputError(ValueError):
    """Bad data or a bad file: what was expected, what came, and what to do.

    Args:
      message: One or two sentences for the person who has to mend the input.
      file: The file at fault, when there is one; it leads the message.
      line: 1-based line (or row) number within `file`.
      reason: What is wrong in a few words that are the same for every row of that kind, by which
        rows that are passed over are counted; "" for what never is.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | os.PathLike[str] | None = None,
        line: int | None = None,
        reason: str = "",
    ) -> None:
        self.message = message
        self.reason = reason
        self.file = None if file is None else os.fspath(file)
        self.line = line
        place = "" if self.file is None else self.file
        if line is not None:
            place += f":{line}"
        super().__init__(f"{place}: {message}" if place else message)


class ConfigError(ValueError):
    """A setting that cannot be, alone or with the data and devices at hand."""
