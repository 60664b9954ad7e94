"""Progress on standard error: a bar in a terminal, a plain line now and then elsewhere.

The bar is `rich`'s (it comes with Flax).  Where rich is missing or standard error is
not a terminal (a log file, a batch system), a line is printed every ten seconds
instead, so that a log stays readable.  Work of under a second prints nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import IO, TypeVar, cast

from axml_jax.streams import forgiving, tell
from axml_jax.tables import printable

Item = TypeVar("Item")
Advance = Callable[..., None]

_LINE_SECONDS = 10.0
_SILENT_SECONDS = 1.0


_silent = False


@contextmanager
def silenced() -> Iterator[None]:
    """Neither lines nor bars while its block runs: one of several processes speaks for all."""
    global _silent
    before, _silent = _silent, True
    try:
        yield
    finally:
        _silent = before


def say(message: str) -> None:
    """Prints one line on standard error, above a running bar where there is one.

    Neither it nor a bar ends the work where standard error takes no more.
    """
    if not _silent:
        # Names out of data may stand in it.
        tell("\n".join(map(printable, message.split("\n"))))


@contextmanager
def bar(
    description: str,
    total: int | None = None,
    unit: str = "documents",
    done: int = 0,
    first: str = "",
) -> Iterator[Advance]:
    """Shows progress while its block runs.

    Args:
      description: What is being done, in a word or two.
      total: How many units there are; None when nobody knows.
      unit: What is counted.
      done: Units already done before this call (a resumed run).
      first: What is done before the first advance beside the work itself ("compiling"): it is
        shown meanwhile, and rate and time left are those of what follows.

    Yields:
      advance(n=1, note=None): call it when n more units are done; a `note` replaces the
      text at the end of the line (a loss, say).
    """
    if sys.stderr is not None and sys.stderr.isatty() and not _silent:
        try:
            import rich.progress
        except ImportError:
            pass
        else:
            with _rich_bar(rich.progress, description, total, unit, done, first) as advance:
                yield advance
            return
    yield _plain_lines(description, total, unit, done, first)


def progress(
    iterable: Iterable[Item], description: str, total: int | None = None, unit: str = "documents"
) -> Iterator[Item]:
    """Iterates over `iterable` while showing progress; see `bar`."""
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    with bar(description, total, unit) as advance:
        for item in iterable:
            yield item
            advance()


@contextmanager
def _rich_bar(rich_progress, description, total, unit, done, first) -> Iterator[Advance]:  # type: ignore[no-untyped-def]
    from rich.console import Console
    from rich.markup import escape

    columns = (
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TextColumn(escape(unit)),
        rich_progress.TextColumn("{task.fields[rate]}", markup=False),
        rich_progress.TimeRemainingColumn(),
        rich_progress.TextColumn("{task.fields[note]}", markup=False),
    )
    begin, counted = time.monotonic(), done
    shown, waits = done, bool(first)
    console = Console(file=cast("IO[str]", forgiving(sys.stderr)))
    with rich_progress.Progress(
        *columns, console=console, transient=False, refresh_per_second=4
    ) as display:
        task = display.add_task(description, total=total, completed=done, note=first, rate="")

        def advance(n: int = 1, note: str | None = None) -> None:
            nonlocal shown, begin, counted, waits
            shown += n
            fields = {}
            if waits:
                begin, counted, waits = time.monotonic(), shown, False
                fields["note"] = ""
            else:
                fields["rate"] = _per_second(shown - counted, begin)
            if note is not None:
                fields["note"] = note
            display.update(task, advance=n, **fields)

        yield advance


def _plain_lines(description: str, total: int | None, unit: str, done: int, first: str) -> Advance:
    begin = last = time.monotonic()
    counted = shown = done
    waits = bool(first)
    if waits:
        say(f"{description}: {first}")
    latest_note = ""

    def advance(n: int = 1, note: str | None = None) -> None:
        nonlocal begin, last, counted, shown, waits, latest_note
        shown += n
        if note is not None:
            latest_note = note
        now = time.monotonic()
        if waits:
            begin, last, counted, waits = now, now, shown, False
            return
        finished = total is not None and shown >= total
        wait = _SILENT_SECONDS if finished else _LINE_SECONDS
        if finished and n == 0:
            return  # the last line is out
        if now - (begin if finished else last) < wait:
            return
        last = now
        rate = (shown - counted) / max(now - begin, 1e-9)
        left = ""
        if total is not None and rate > 0 and not finished:
            left = f", {_clock((total - shown) / rate)} left"
        of = "" if total is None else f" of {total:,}"
        note_text = f"  {latest_note}" if latest_note else ""
        say(f"{description}: {shown:,}{of} {unit}, {_shown_rate(rate)}{left}{note_text}")

    return advance


def _per_second(count: int, begin: float) -> str:
    return _shown_rate(count / max(time.monotonic() - begin, 1e-9))


def _shown_rate(rate: float) -> str:
    places = 0 if rate >= 9.95 else 1 if rate >= 1 else 2
    return f"{rate:,.{places}f}/s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
