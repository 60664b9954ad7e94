"""Reads a command line; a mistake in it is one line that names the nearest flag.

Knows no flag.
"""

from __future__ import annotations

import difflib
import math
import sys

from absl import flags

from axml_jax.streams import tell
from axml_jax.tables import printable


def _nearest(name: str) -> str:
    """The flag that somebody may have meant, as the end of a sentence; "" where none is near."""
    known = [flag for flag in flags.FLAGS if len(flag) > 1]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    if not close and name.startswith("config."):
        # The right field in the wrong section, or in none.
        last = {flag.rpartition(".")[2]: flag for flag in known if flag.startswith("config.")}
        found = difflib.get_close_matches(name.rpartition(".")[2], list(last), n=1, cutoff=0.7)
        close = [last[field] for field in found]
    return f" did you mean --{close[0]}?" if close else " --help lists all."


def parse(argv: list[str]) -> list[str]:
    """Gives all flags their values; a mistake ends the program with one line.

    Args:
      argv: The program's name and its arguments.

    Returns:
      The name, and the arguments that are no flags.

    Raises:
      SystemExit: A flag is unknown or its value cannot be.
    """
    try:
        rest = flags.FLAGS(argv)
        for name in flags.FLAGS:
            value = flags.FLAGS[name].value
            # Bounds let it pass: it is neither below nor above anything.
            if isinstance(value, float) and math.isnan(value):
                raise flags.Error(f"--{name} is nan; it must be a number.")
        return rest
    except flags.UnrecognizedFlagError as error:
        what = "configuration field" if error.flagname.startswith("config.") else "flag"
        message = f"--{error.flagname}: there is no such {what};{_nearest(error.flagname)}"
    except flags.Error as error:
        message = str(error).removeprefix("flag ")
    complain(message)
    sys.exit(1)


def complain(message: str) -> None:
    """Prints an error as one line on standard error."""
    tell(f"error: {printable(' '.join(message.splitlines()))}")
