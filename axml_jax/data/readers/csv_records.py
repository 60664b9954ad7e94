"""Records of CSV out of lines, of which a bad one does not end the others.

Knows nothing about columns and documents.
"""

from __future__ import annotations

import csv
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from axml_jax.data.corpus import LineError
from axml_jax.errors import InputError

HINT = "is a quote not closed, or not doubled?"
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
# What Python's reader says, and what is said here.
_UNCLOSED = "unexpected end of data"
_TOO_MUCH = "a quote that no later line closes"


class Bounds(NamedTuple):
    """What a record may take.

    Attributes:
      characters: Of its lines, their ends included; a record of one line may have more.
      lines: So many.
      advice: What to do about one that takes more and is meant so.
    """

    characters: float
    lines: float = math.inf
    advice: str = ""


# Where lines are read again, after a record that was none: else each could be read very often.
_NEAR = Bounds(1 << 16, 200)


class Lines:
    """Lines as Python's reader takes them, those of the record that is being read kept.

    Args:
      lines: Without their ends, or what is wrong with them.
      bounds: What a record may take.
    """

    def __init__(self, lines: Iterable[str | InputError], bounds: Bounds) -> None:
        self._lines = iter(lines)
        self._again: deque[str | InputError] = deque()
        self._kept: list[str | InputError] = []
        self._read = 0
        self.taken = 0
        self.begin(bounds)

    def begin(self, bounds: Bounds) -> None:
        """A record begins, which may take so much."""
        self._kept.clear()
        self._characters, self._bounds = 0, bounds
        self.is_at_end = False
        self.fault: InputError | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            line = self._again.popleft() if self._again else next(self._lines)
        except StopIteration:
            self.is_at_end = True
            raise
        self._kept.append(line)
        self.taken += 1
        self._read = max(self._read, self.taken)
        if isinstance(line, InputError):
            self.fault = self.fault or line
            line = line.text if isinstance(line, LineError) else ""
        self._characters += len(line) + 1
        # One more, for the line end that a last line may lack.
        beyond = self._characters > self._bounds.characters + 1
        if len(self._kept) > 1 and (beyond or len(self._kept) > self._bounds.lines):
            raise csv.Error(_TOO_MUCH)
        return f"{line}\n"

    @property
    def size(self) -> int:
        """Lines of the record so far."""
        return len(self._kept)

    @property
    def quotes(self) -> int:
        """Quotes in them."""
        return sum(line.count('"') for line in self._kept if isinstance(line, str))

    @property
    def were_read(self) -> bool:
        """Whether the next line was read before."""
        return self.taken < self._read

    def give_back(self, kept: int, bounds: Bounds) -> None:
        """Has all lines but the first `kept` of the record read again, as one that begins there."""
        self._again.extendleft(reversed(self._kept[kept:]))
        self.taken -= len(self._kept) - kept
        self.begin(bounds)

    def skip(self, count: int) -> None:
        """Takes lines, which are in no record then."""
        self.begin(Bounds(math.inf))
        for _ in range(count):
            next(self)


def allow_cells(size: int) -> None:
    """Lets Python's reader have cells of so many characters."""
    # A setting of the whole process, 128 KiB at first: it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), size))


def split_header(lines: Callable[[], Iterable[str]], columns: list[str]) -> tuple[str, list[str]]:
    """Tells what stands between the names of a header.

    Args:
      lines: Begins a reading of lines, of which the header is the first that are not empty.
      columns: Names that it should have.

    Returns:
      The delimiter that gives those columns, or else the most; and the names that it gives.
    """
    found = {}
    for delimiter in DELIMITERS:
        try:
            rows = csv.reader(lines(), delimiter=delimiter)
            found[delimiter] = [name.strip() for name in next(filter(None, rows), [])]
        except csv.Error:  # no header: it is too long for one
            found[delimiter] = []
    best = max(DELIMITERS, key=lambda one: (set(columns) <= set(found[one]), len(found[one])))
    return best, found[best]


class _Reader:
    """Reads records out of lines, and finds where one that is none ends."""

    def __init__(self, lines: Lines, delimiter: str) -> None:
        self.lines = lines
        self._strict = csv.reader(lines, strict=True, delimiter=delimiter)
        self._lenient = csv.reader(lines, delimiter=delimiter)
        self._width = 0

    def read(self) -> list[str]:
        """The next record; raises csv.Error, or StopIteration where there is none."""
        row = next(self._strict)
        self._width = self._width or len(row)
        return row

    def pass_over(self) -> int:
        """Takes the lines of the record that was none, and tells how many these are.

        Those of a record that quotes in the wrong places have spread over lines, but one alone
        where a quote is not closed: then the lines that follow are records.
        """
        self.lines.give_back(0, _NEAR)
        try:
            next(self._lenient)
            count = 1 if self.lines.is_at_end else self.lines.size
        except csv.Error:
            count = 1
        self.lines.give_back(1, _NEAR)
        if count > 1 and not self._is_record():
            self.lines.skip(count - 1)
            return count
        return 1

    def _is_record(self) -> bool:
        """Whether a record begins here that is no rest of another, for all that can be seen."""
        try:
            width, quotes = len(next(self._strict)), self.lines.quotes
        except (csv.Error, StopIteration):
            width, quotes = 0, 1
        self.lines.give_back(0, _NEAR)
        return width == self._width and quotes % 2 == 0


def records(
    lines: Iterable[str | InputError],
    path: Path,
    bounds: Bounds,
    delimiter: str = ",",
    *,
    hint: str = HINT,
    goes_on: bool = False,
) -> Iterator[tuple[int, list[str] | InputError]]:
    """Records that are not empty, or what is wrong with them, each with its first line's number.

    Args:
      lines: Lines without their ends, or what is wrong with them: so is then their record.
      path: What they are from, for messages.
      bounds: What a record may take.
      delimiter: What stands between cells.
      hint: What to do about a record that is none.
      goes_on: Whether a record whose quote is not closed is wrong by itself, and the next one
        begins at its second line; else it is raised, for all that follows may be in it.

    Raises:
      InputError: See above.
    """
    allow_cells(int(bounds.characters))
    source = Lines(lines, bounds)
    reader = _Reader(source, delimiter)
    while True:
        begin, again = source.taken + 1, source.were_read
        source.begin(_NEAR if again else bounds)
        try:
            row = reader.read()
        except StopIteration:
            return
        except csv.Error as error:
            fault, last, why = source.fault, begin, str(error)
            if why in (_UNCLOSED, _TOO_MUCH):
                if not (goes_on or again):
                    if why == _TOO_MUCH:
                        raise too_long(path, source.taken, bounds) from None
                    wrong = _no_csv(why, path, begin, hint)
                    wrong.reason = ""  # never passed over
                    raise wrong from error
                source.give_back(1, _NEAR)
            else:
                last += reader.pass_over() - 1
            if last > begin:
                why = f"{why}, and it ends in line {last}"
            wrong = _no_csv(why, path, begin, hint)
            yield begin, fault if fault and (fault.line or 0) <= last else wrong
            continue
        if source.fault or row:
            yield begin, source.fault or row


def _no_csv(why: str, path: Path, line: int, hint: str) -> InputError:
    message = f"the row that begins here is no CSV ({why}); {hint}"
    return InputError(message, file=path, line=line, reason="no CSV")


def too_long(path: Path, line: int, bounds: Bounds) -> InputError:
    """What is wrong with a record that goes on at this line and takes more than it may."""
    return InputError(
        f"the row that goes on here is longer than {bounds.characters:,} characters; {HINT}  "
        f"{bounds.advice}",
        file=path,
        line=line,
    )
