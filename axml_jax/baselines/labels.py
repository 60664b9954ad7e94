"""Which of our labels a prediction file means: by name, by our number, or by its own number.

Knows nothing about formats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from axml_jax.baselines.choices import AUTO, JSON_LINES, LABELS, NAMES
from axml_jax.baselines.prediction_files import Raw
from axml_jax.errors import InputError


def resolve(
    raw: Raw,
    label_names: Sequence[str],
    labels: str = AUTO,
    own_names: Sequence[str] | None = None,
    num_train_labels: int | None = None,
    *,
    path: Path,
    line_of: Callable[[int], int | None],
) -> tuple[Int64[np.ndarray, " tokens"], str]:
    """Finds the label id of each token of a file; the arguments are `read_predictions`'.

    Args:
      raw: The file.
      label_names, labels, own_names, num_train_labels: See `read_predictions`.
      path: For messages.
      line_of: The line of an entry, for messages.

    Returns:
      The label id of each token, and how it was found, for people.

    Raises:
      InputError: An unknown label, or another number of labels than there can be.
      ValueError: `labels` is none of its choices.
    """
    if labels not in (AUTO, *LABELS):
        raise ValueError(f"labels is {labels!r}: expected auto, {' or '.join(LABELS)}")
    names = {name: label for label, name in enumerate(label_names)}

    def refuse(token: str, expected: str) -> InputError:
        entry = int(np.argmax(raw.codes == raw.tokens.index(token)))
        row = int(np.searchsorted(raw.offsets, entry, side="right"))
        return InputError(
            f"unknown label {token!r} (row {row}): expected {expected}.",
            file=path,
            line=line_of(entry),
        )

    tokens = raw.tokens
    if own_names is not None:
        _check_count(raw, {len(own_names)}, "names that were given for its labels", path)
        places = [_number(token, len(own_names)) for token in tokens]
        if None in places:
            raise refuse(
                tokens[places.index(None)],
                f"a number from 0 to {len(own_names) - 1} into the file's own labels",
            )
        tokens = [own_names[place] for place in places if place is not None]
    by_name = [names.get(token) for token in tokens]
    known = None not in by_name
    if own_names is not None or labels == NAMES or raw.format == JSON_LINES:
        if not known:
            bad = by_name.index(None)
            shown = "" if own_names is None else f", but its own name {tokens[bad]!r} is none"
            raise refuse(raw.tokens[bad], f"one of the names of the {len(names)} labels{shown}")
        how = "by their own numbers" if own_names is not None else "by their names"
        return _array(by_name), f"labels {how}"
    places = [_number(token, len(names)) for token in tokens]
    if labels == AUTO and known and tokens:
        if None not in places and places != by_name:
            raise InputError(
                "its labels are numbers that are both names of labels and places of others in the "
                f"label set; say which is meant: {_say(path)}.",
                file=path,
            )
        return _array(by_name), "labels by their names, as all of them are names"
    other = [i for i, label in enumerate(by_name) if label is not None and label != places[i]]
    if labels == AUTO and None not in places and other:
        raise InputError(
            f"its labels are all places in the label set, but some are names of other labels too, "
            f"such as {tokens[other[0]]!r}; say which is meant: {_say(path)}.",
            file=path,
        )
    if None in places:
        expected = f"a label's number from 0 to {len(names) - 1}"
        # Where some are names, all were meant to be.
        named = labels == AUTO and any(label is not None for label in by_name)
        bad = by_name.index(None) if named else places.index(None)
        if labels == AUTO:
            expected = f"one of the names of the {len(names)} labels, or {expected}"
        raise refuse(tokens[bad], expected)
    counts = {len(names), num_train_labels or len(names)}
    _check_count(raw, counts, "labels of the store", path)
    return _array(places), "labels by their numbers, as they are in the label set"


def _say(path: Path) -> str:
    return f"{path}::labels=ids or {path}::labels=names (in Python labels='ids' or 'names')"


def _check_count(raw: Raw, counts: set[int], what: str, path: Path) -> None:
    if raw.num_labels is not None and raw.num_labels not in counts:
        expected = " or ".join(str(count) for count in sorted(counts))
        raise InputError(
            f"expected {expected} labels, the number of the {what}, found {raw.num_labels}: it "
            "counts other labels than we; give the names of its labels, one a line in its order: "
            f"{path}::own_names=FILE (in Python own_names=[...]).",
            file=path,
        )


def _number(token: str, end: int) -> int | None:
    """The number that a token is, where it lies from 0 to end - 1."""
    if not (token.isascii() and token.isdecimal()):
        return None
    number = int(token) if len(token) < 19 else end
    return number if number < end else None


def _array(places: Sequence[int | None]) -> Int64[np.ndarray, " tokens"]:
    return np.array([place for place in places if place is not None], np.int64)
