"""How fast documents are trained, and whether there is time for more.  Knows nothing of models."""

from __future__ import annotations

import time

# What compiling the validation may take, on a slow processor.
_COMPILATION_SECONDS = 15.0


class Pace:
    """The clock of a training.

    Documents are counted in intervals, from one record of the metrics to the next.

    Args:
      begin: When training began, of `time.monotonic`.
      max_minutes: When it has to end, from then; None for no such time.
    """

    def __init__(self, begin: float, max_minutes: float | None) -> None:
        self._begin = begin
        self._deadline = None if max_minutes is None else begin + 60 * max_minutes
        self._least = 0.0  # seconds of a document in the fastest interval: without compilation
        self.start_interval()

    def seconds(self) -> float:
        """Since training began."""
        return time.monotonic() - self._begin

    def start_interval(self) -> None:
        """Forgets the documents counted since the last interval."""
        self._start, self._documents = time.monotonic(), 0

    def count(self, documents: int) -> None:
        """Adds documents that were trained to the interval."""
        self._documents += documents

    def end_interval(self) -> float:
        """Starts another interval; returns the seconds that a document took in this one."""
        seconds = self._mean()
        self._least = min(self._least or seconds, seconds)
        self.start_interval()
        return seconds

    def is_up(self, validation_seconds: float, valid_documents: int, documents: int) -> bool:
        """Whether training has to end now, for its validation to be done in time.

        Args:
          validation_seconds: What the last validation took; 0 before the first, which is expected
            to take as long for a document as training, and to be compiled.
          valid_documents: How many it has.
          documents: How many will be trained before training can end.
        """
        if self._deadline is None:
            return False
        seconds = self._least or (self._mean() if self._documents else 0.0)
        validation = validation_seconds or _COMPILATION_SECONDS + valid_documents * seconds
        return time.monotonic() + validation + documents * seconds > self._deadline

    def _mean(self) -> float:
        return max(time.monotonic() - self._start, 1e-9) / max(self._documents, 1)
