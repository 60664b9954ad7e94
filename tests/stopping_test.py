"""What SIGTERM and Ctrl-C do within the blocks that see to them."""

import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from axml_jax.stopping import StopRequest, stopped_at_once


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_wish_the_second_acts(number: signal.Signals) -> None:
    received = []
    before = signal.signal(number, lambda *_: received.append(number))
    try:
        with StopRequest() as stop:
            signal.raise_signal(number)
            assert stop.name == number.name
            assert received == []
            signal.raise_signal(number)
            assert received == [number]
        signal.raise_signal(number)
        assert received == [number, number]
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_before_anything_can_be_saved_a_signal_is_one_line(
    number: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as caught, stopped_at_once(tmp_path):
        signal.raise_signal(number)
    assert caught.value.code == 128 + number
    assert capsys.readouterr().err == (
        f"stopped by {number.name} at once; the same command continues from what {tmp_path} holds."
        "\n"
    )
    assert signal.getsignal(number) is before
