"""What SIGTERM, Ctrl-C and SIGHUP do within the blocks that see to them."""

import asyncio
import gc
import importlib
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from axml_jax import stopping
from axml_jax.stopping import SIGNALS, StopRequest, ended_tidily, stopped_at_once

ONWARD = "the same command continues."


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """In a shell's background SIGINT is ignored, under nohup SIGHUP."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def script(body: str, *, wait: str = "", numbers: tuple[int, ...] = ()) -> tuple[int, str]:
    """Runs a script that hears signals; sends it some, one by one, each once it has said a line.

    Returns:
      Its exit status and what it said, without these lines.
    """
    code = f"import os, signal, sys, time\nfrom axml_jax import stopping\nstopping.hear()\n{body}"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        for number in numbers:
            process.stdout.readline()
            time.sleep(0.15)
            process.send_signal(number)
        told = process.stderr.read()
    return process.returncode, told


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_a_wish_the_second_acts(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = []
    before = signal.signal(number, lambda *_: received.append(number))
    try:
        with StopRequest() as stop:
            signal.raise_signal(number)
            assert stop.name == number.name
            assert received == []
            signal.raise_signal(number)  # `timeout` sends each of its own twice
            assert received == []
            monkeypatch.setattr(stopping, "_SAME_SECONDS", 0)
            signal.raise_signal(number)
            # A shell that ends says so more than once.
            acts = [] if number == signal.SIGHUP else [number]
            assert received == acts
        signal.raise_signal(number)
        assert received == [*acts, number]
    finally:
        signal.signal(number, before)


def test_outside_the_main_thread_signals_stay_as_they_are() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[Any] = []

    def work() -> None:
        with StopRequest() as stop:
            seen.append((stop.name, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, before)]


@pytest.mark.parametrize("number", SIGNALS)
def test_before_anything_can_be_saved_a_signal_is_one_line(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as caught, stopped_at_once(ONWARD):
        signal.raise_signal(number)
    assert caught.value.code == 128 + number
    assert capfd.readouterr().err == f"stopped by {number.name} at once; {ONWARD}\n"
    assert signal.getsignal(number) is before


def test_what_nohup_ignores_stays_ignored(capfd: pytest.CaptureFixture[str]) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopRequest() as stop, stopped_at_once(ONWARD):
        signal.raise_signal(signal.SIGHUP)
    assert stop.name is None
    assert capfd.readouterr().err == ""


def in_gc(act: Callable[[], object]) -> None:
    def callback(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            act()

    gc.callbacks.append(callback)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(callback)


def in_destructor(act: Callable[[], object]) -> None:
    class Dying:
        def __del__(self) -> None:
            act()

    Dying()


@pytest.mark.parametrize("place", [in_gc, in_destructor])
@pytest.mark.parametrize("goes_on", [True, False])
def test_an_end_that_is_swallowed_comes_again(
    place: Callable[[Callable[[], object]], None],
    goes_on: bool,
    capfd: pytest.CaptureFixture[str],
) -> None:
    begin, alarm = time.monotonic(), signal.getsignal(signal.SIGALRM)

    def work() -> None:
        place(lambda: signal.raise_signal(signal.SIGTERM))
        if goes_on:
            time.sleep(60)

    with pytest.raises(SystemExit) as caught, stopped_at_once(ONWARD):
        work()
    assert caught.value.code == 143
    assert time.monotonic() - begin < 50
    assert capfd.readouterr().err == f"stopped by SIGTERM at once; {ONWARD}\n"
    assert signal.getsignal(signal.SIGALRM) is alarm
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_another_exception_in_a_destructor_is_shown_as_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: shown.append(str(what.exc_value)))
    with ended_tidily():
        in_destructor(lambda: [][0])
    in_destructor(lambda: os.environ[""])
    assert shown == ["list index out of range", "''"]


def test_an_import_is_done_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "half_a_module.py").write_text(
        "import signal, time\nsignal.raise_signal(signal.SIGINT)\ntime.sleep(0.1)\nwhole = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit) as caught, ended_tidily():
        importlib.import_module("half_a_module")
    assert caught.value.code == 130
    assert sys.modules["half_a_module"].whole  # type: ignore[attr-defined]
    assert capfd.readouterr().err == "stopped by Ctrl-C\n"


def test_an_event_loop_is_done_before_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(0.1)
        done.append(True)

    done: list[bool] = []
    with pytest.raises(SystemExit) as caught, ended_tidily():
        asyncio.run(work())
    assert (caught.value.code, done) == (143, [True])
    assert capfd.readouterr().err == "stopped by SIGTERM\n"


def test_an_import_without_end_is_left(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text("print(flush=True)\nwhile True: pass\n")
    body = f"sys.path.append({str(tmp_path)!r})\nwith stopping.ended_tidily(): import endless"
    assert script(body, numbers=(signal.SIGTERM,)) == (143, "stopped by SIGTERM\n")


def test_an_error_that_follows_from_the_end_is_not_told() -> None:
    def work() -> None:
        in_destructor(lambda: signal.raise_signal(signal.SIGTERM))
        raise ValueError("half a thing")

    with pytest.raises(SystemExit) as caught, ended_tidily():
        work()
    assert caught.value.code == 143


def test_a_script_ends_without_a_traceback_whenever_it_is_signalled() -> None:
    begin = script("print(flush=True); time.sleep(9)", numbers=(signal.SIGHUP,))
    assert begin == (
        129, "stopped by SIGHUP before anything was begun; the same command begins again.\n"
    )  # fmt: skip
    waits = "print(flush=True); time.sleep(9)"
    twice = (signal.SIGINT, signal.SIGINT)
    within = f"""
with stopping.stopped_at_once({ONWARD!r}), stopping.StopRequest() as stop:
    print(flush=True)
    while not stop.name: time.sleep(0.01)
"""
    wish = "\nSIGINT: saving once this step is done\n"
    assert script(f"{within}    {waits}", numbers=twice) == (
        130, f"{wish}stopped by SIGINT at once; {ONWARD}\n"
    )  # fmt: skip
    # All is said: a further one only hastens the end.
    assert script(f"{within}    stopping.over(130)\n    {waits}", numbers=twice) == (130, wish)


def test_a_second_signal_does_not_wait_for_what_is_tidied_up() -> None:
    body = """
with stopping.ended_tidily():
    try:
        print(flush=True); time.sleep(9)
    finally:
        print(flush=True); time.sleep(9)
"""
    ended = script(body, numbers=(signal.SIGTERM, signal.SIGINT))
    assert ended == (143, "stopped by SIGTERM\n")


def test_a_terminal_that_is_gone_hinders_no_saving(tmp_path: Path) -> None:
    code = f"""
import os, sys, time
from axml_jax import stopping
os.close(os.open(os.ttyname(0), os.O_RDWR))  # the terminal that this session hangs by
stopping.hear()
with stopping.StopRequest() as stop:
    print("ready", flush=True)
    while not stop.name: time.sleep(0.01)
print("a step is done"); print("saved", file=sys.stderr, flush=True)
open({str(tmp_path / "saved")!r}, "w").close()
sys.exit(129)
"""
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=inside, stdout=inside, stderr=inside, start_new_session=True,
    )  # fmt: skip
    os.close(inside)
    assert os.read(terminal, 99).startswith(b"ready")
    os.close(terminal)
    assert process.wait(timeout=60) == 129
    assert (tmp_path / "saved").exists()
