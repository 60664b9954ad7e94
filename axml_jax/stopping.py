"""What SIGTERM, Ctrl-C and SIGHUP do: never a traceback, never something half done.

A script hears them from its first line on (`hear`), and may be ended without unwinding, since what
it writes stands under its name only when it is whole.  Elsewhere they are heard within blocks, as
exceptions.  Signals that are ignored, as `nohup` has it, stay ignored; outside the main thread all
stay as they are.  Knows nothing about what is trained, and imports nothing that takes long.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

# `timeout`, and a terminal that closes, send one wish twice, to a process and to its group.
_SAME_SECONDS = 0.1
_AGAIN_SECONDS = 0.05
# An exception in there may abort the process, or leaves threads behind that complain or are waited
# for; most of it is done by then.
_DELICATE = ("importlib", "_frozen_importlib", "asyncio", "jax._src.xla_bridge")
_DELICATE_SECONDS = 0.5
_SHOW_CURSOR = b"\x1b[?25h"  # a progress bar hides it


class _Script:
    """What a script that hears signals has said.

    Attributes:
      stderr: A copy, which stays while native code is silenced; -1 where no script hears.
      status: Its exit status, once there is nothing left to say.
    """

    stderr = -1
    status: int | None = None


def in_script() -> bool:
    """Whether this process is a script, which hears signals from its first line on."""
    return _Script.stderr >= 0


def may_end_at_once() -> bool:
    """Whether a script is running in which nothing is to be tidied up."""
    return any(isinstance(signal.getsignal(number), _AtOnce) for number in SIGNALS)


def hear() -> None:
    """Has signals end a script at once, with one line, until a block below says otherwise."""
    if in_script():
        return
    _Script.stderr = 2
    with contextlib.suppress(OSError):  # there is none
        # Above the standard streams: one of them may be closed, and be stood in for.
        _Script.stderr = fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 3)
    handler = _AtOnce("before anything was begun; the same command begins again.")
    for number in _heard():
        with contextlib.suppress(ValueError):
            signal.signal(number, handler)


def over(status: int) -> None:
    """Has further signals only hasten the end of a script, which has said all it has to say."""
    if in_script() and _Script.status is None:
        _Script.status = status


@contextlib.contextmanager
def stopped_at_once(onward: str) -> Iterator[None]:
    """Has a signal end the program within its block, with a line that says `onward`: how to go on.

    In a script, at once; elsewhere, and where something is to be tidied up, by SystemExit.
    """
    where = f"at once; {onward}"
    if may_end_at_once():
        with _handled(_AtOnce(where)):
            yield
    else:
        with _raised(lambda number: f"stopped by {signal.Signals(number).name} {where}"):
            yield


@contextlib.contextmanager
def ended_tidily() -> Iterator[None]:
    """Has a signal end the program within its block by SystemExit: what is half done is removed."""

    def line(number: int) -> str:
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        return f"stopped by {name}"

    with _raised(line):
        yield


class StopRequest:
    """Turns a signal into a wish that training honours at its next step.

    A second one does what it would have done without this.

    Attributes:
      name: The signal's, once there was one.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self._since = 0.0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> StopRequest:
        self._stack.enter_context(_handled(self._receive))
        return self

    def _receive(self, number: int, frame: Any) -> None:
        del frame
        if self.name is None:
            self.name, self._since = signal.Signals(number).name, time.monotonic()
            # A step and the saving may take a while.
            _tell(number, f"\n{self.name}: saving once this step is done")
        elif not _is_the_same(number, self._since):
            self._stack.close()
            signal.raise_signal(number)

    def __exit__(self, *exception: object) -> None:
        self._stack.close()


class _AtOnce:
    """A handler that ends a script with one line."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._speaks = False

    def __call__(self, number: int, frame: Any) -> None:
        del frame
        if _Script.status is None:
            if self._speaks:  # another signal within the lines below
                return
            self._speaks = True
            _tell(number, f"stopped by {signal.Signals(number).name} {self._where}")
            _Script.status = 128 + number
        _leave(_Script.status)


class _Raising:
    """A handler that says a line and raises SystemExit, again where that was swallowed.

    Python lets no exception out of a garbage collection or a destructor.
    """

    def __init__(self, line: Callable[[int], str]) -> None:
        self.number = 0
        self._line = line
        self._since = 0.0
        self._exit: SystemExit | None = None
        self._hook = sys.unraisablehook
        self._alarm: Any = None
        self._hears = False

    def __call__(self, number: int, frame: Any) -> None:
        if not self.number:
            self.number, self._since = number, time.monotonic()
            _tell(number, self._line(number))
            self._end(frame)
        elif not _is_the_same(number, self._since):
            if in_script():
                _leave(128 + self.number)
            self._end(frame)

    def _end(self, frame: Any) -> None:
        if _is_delicate(frame):
            if time.monotonic() - self._since < _DELICATE_SECONDS:
                self._end_soon()
                return
            if in_script():
                _leave(128 + self.number)
        self._exit = SystemExit(128 + self.number)
        raise self._exit

    def _end_soon(self) -> None:
        before = signal.signal(signal.SIGALRM, lambda _, frame: self._end(frame))
        if self._alarm is None:
            self._alarm = before or signal.SIG_DFL
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)

    def unraisable(self, what: Any) -> None:
        """Takes the place of `sys.unraisablehook`."""
        if self._exit is not None and what.exc_value is self._exit:
            self._end_soon()
        else:
            self._hook(what)

    def __enter__(self) -> None:
        self._hears = threading.current_thread() is threading.main_thread()
        if self._hears:
            sys.unraisablehook = self.unraisable

    def __exit__(self, *exception: object) -> None:
        if self._alarm is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._alarm)
        if self._hears:
            sys.unraisablehook = self._hook


@contextlib.contextmanager
def _raised(line: Callable[[int], str]) -> Iterator[None]:
    """Has a signal end its block by SystemExit, whatever is done with exceptions there."""
    handler = _Raising(line)
    with _handled(handler), handler:
        try:
            yield
        finally:
            if handler.number:  # whatever else may have come of it
                raise SystemExit(128 + handler.number)


@contextlib.contextmanager
def _handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Sets a handler for its block."""
    previous = {}
    try:
        for number in _heard():
            with contextlib.suppress(ValueError):
                # None stands for a handler that was not set from Python.
                previous[number] = signal.signal(number, handler) or signal.SIG_DFL
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


def _heard() -> list[signal.Signals]:
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def _is_the_same(number: int, since: float) -> bool:
    """Whether a signal is no second wish; a shell that ends says more than once that it does."""
    return number == signal.SIGHUP or time.monotonic() - since < _SAME_SECONDS


def _is_delicate(frame: Any) -> bool:
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if any(module == name or module.startswith(f"{name}.") for name in _DELICATE):
            return True
        frame = frame.f_back
    return False


def _tell(number: int, line: str) -> None:
    if number == signal.SIGHUP:
        _let_go_of_the_terminal()
    # Unlike print, it may stand in a handler.
    with contextlib.suppress(OSError):
        os.write(_Script.stderr if in_script() else 2, f"{line}\n".encode())


def _leave(status: int) -> NoReturn:
    with contextlib.suppress(OSError):
        if os.isatty(_Script.stderr):
            os.write(_Script.stderr, _SHOW_CURSOR)
    os._exit(status)


def _let_go_of_the_terminal() -> None:
    """Has output go nowhere where the terminal is gone: writing there would be an error."""
    for stream in (1, 2):
        try:
            termios.tcgetattr(stream)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream)
                os.close(nowhere)
