"""What can be said of a prediction file; apart, for --help need not wait for NumPy."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from axml_jax.errors import ConfigError

JSON_LINES, SCORE_MATRIX, PAIRS = "json_lines", "score_matrix", "pairs"
OMIKUJI, ANNEXML, NPZ = "omikuji", "annexml", "npz"
FORMATS = (JSON_LINES, SCORE_MATRIX, PAIRS, OMIKUJI, ANNEXML, NPZ)

NAMES, IDS = "names", "ids"
LABELS = (NAMES, IDS)

LOGIT, PROBABILITY, SCORE = "logit", "probability", "score"
KINDS = (LOGIT, PROBABILITY, SCORE)

AUTO = "auto"

_CHOICES: dict[str, tuple[str, ...]] = {
    "format": (AUTO, *FORMATS),
    "labels": (AUTO, *LABELS),
    "own_names": (),
    "scores": (AUTO, *KINDS),
}
_MARK = "::"


class Reading(NamedTuple):
    """How a prediction file is to be read; see `predictions.read_predictions`.

    Attributes:
      format: The format, or "auto".
      labels: "names", "ids" or "auto".
      own_names: A file with the system's own label names, one a line, or None.
      scores: What the scores are, or "auto".
      assumed: Those of `own_names` and `scores` that were said of several files at once, so that
        what a file says of itself comes first.
    """

    format: str = AUTO
    labels: str = AUTO
    own_names: str | os.PathLike[str] | None = None
    scores: str = AUTO
    assumed: frozenset[str] = frozenset()


def reading_of(flag: str, value: str, general: Reading | None = None) -> tuple[str, Reading]:
    """Takes a file of the command line apart from what is said of it.

    Args:
      flag: The flag, for messages.
      value: FILE, or FILE::OPTION=VALUE, with as many options as are wanted.
      general: What was said of all files.

    Returns:
      The file, and how to read it.

    Raises:
      ConfigError: An option that is none, or a value that it cannot have.
    """
    path, *options = value.split(_MARK)
    if options and os.path.isdir(path):
        raise ConfigError(f"--{flag} has {value!r}, but a run folder needs no such options.")
    said: dict[str, str] = {}
    for option in options:
        name, equals, wanted = option.partition("=")
        choices = _CHOICES.get(name)
        known = choices is not None and (wanted in choices if choices else bool(wanted))
        if not (path and equals and known) or name in said:
            forms = ", ".join(f"{_MARK}{n}={'|'.join(c) or 'FILE'}" for n, c in _CHOICES.items())
            raise ConfigError(
                f"--{flag} has {value!r}; expected a file, then what is said of it, each once at "
                f"most: {forms}."
            )
        said[name] = wanted
    general = general or Reading()
    left = general.assumed - said.keys()
    return path, general._replace(**said, assumed=left)


def readings_of(
    flag: str, values: Iterable[str], general: Reading | None = None
) -> dict[str, Reading]:
    """How to read each file of a flag, by file; see `reading_of`.

    Raises:
      ConfigError: As `reading_of`, or one file stands there twice.
    """
    found: dict[str, Reading] = {}
    for value in values:
        path, reading = reading_of(flag, value, general)
        if any(os.path.realpath(path) == os.path.realpath(other) for other in found):
            raise ConfigError(f"--{flag} names {path} twice; different ones are expected.")
        found[path] = reading
    return found
