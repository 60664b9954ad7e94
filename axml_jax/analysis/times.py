"""Computation times (Table 7).  Knows nothing about files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Times(NamedTuple):
    """What a system took on a data set.

    Attributes:
      train_minutes: Training, validation included.
      test_minutes: Predicting the test split.
      train_documents: Documents of an epoch of training.
      test_documents: Documents predicted.
      device: What it ran on.
    """

    train_minutes: float
    test_minutes: float
    train_documents: int
    test_documents: int
    device: str

    @property
    def test_milliseconds(self) -> float:
        """Milliseconds for a document of the test split."""
        return 60_000 * self.test_minutes / self.test_documents


def training_seconds(
    timings: Iterable[Mapping[str, float]], train_documents: int, batch_size: int
) -> float:
    """Adds up what timings.jsonl of a run tells: steps by their documents a second, validations.

    Neither opening the data nor compiling the step is in it.  Steps that an interrupted
    training did twice count once, as the last time.

    Args:
      timings: Its records: "step", and "documents_per_second" since the last such record, or
        "validation_seconds".
      train_documents: Documents of an epoch.
      batch_size: Documents of a step; the last of an epoch may have fewer.

    Returns:
      Seconds.

    Raises:
      ValueError: There is no record of any step.
    """
    rates: dict[int, float] = {}
    validations: dict[int, float] = {}
    for record in timings:
        step = int(record["step"])
        if "documents_per_second" in record:
            rates[step] = record["documents_per_second"]
        if "validation_seconds" in record:
            validations[step] = record["validation_seconds"]
    if not rates:
        raise ValueError("the timings tell of no step of training.")
    # Training may end with a validation between two records.
    rates.setdefault(max(rates.keys() | validations.keys()), rates[max(rates)])
    steps_per_epoch = -(-train_documents // batch_size)

    def documents_by(step: int) -> int:
        epoch, index = divmod(step, steps_per_epoch)
        return epoch * train_documents + min(index * batch_size, train_documents)

    seconds, before = 0.0, 0
    for step in sorted(rates):
        seconds += (documents_by(step) - before) / rates[step]
        before = documents_by(step)
    return seconds + sum(validations.values())
