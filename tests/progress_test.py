"""Progress on standard error: silent, by lines, or a bar; never in the way of the work."""

import io
import sys
from collections.abc import Iterator

import pytest

from axml_jax import progress as progress_lib
from axml_jax.progress import bar, progress, say


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress_lib.time, "monotonic", clock)
    return clock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def new_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """What standard error is from now on; no fixture, as pytest puts its own there after those."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    return terminal


def test_short_work_is_silent(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    seen = []
    for item in progress(iter("abc"), "counting", 3):
        seen.append(item)
        clock.now += 0.3
    assert seen == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


def test_long_work_prints_a_line_every_ten_seconds(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in progress(range(2000), "reading", unit="files"):
        clock.now += 0.0125
    assert capsys.readouterr().err.splitlines() == [
        "reading: 800 of 2,000 files, 80/s, 0:15 left",
        "reading: 1,600 of 2,000 files, 80/s, 0:05 left",
        "reading: 2,000 of 2,000 files, 80/s",
    ]


def test_work_of_unknown_length_has_no_end_in_sight(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in progress(iter(range(30)), "reading"):
        clock.now += 1
    assert capsys.readouterr().err.splitlines() == [
        "reading: 10 documents, 1.0/s",
        "reading: 20 documents, 1.0/s",
        "reading: 30 documents, 1.0/s",
    ]


def test_a_resumed_bar_counts_what_was_done_but_not_its_speed(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with bar("training", 10_000, done=1000) as advance:
        clock.now += 10
        advance(50, "loss 0.25")
        clock.now += 4000
        advance(0)
    assert capsys.readouterr().err.splitlines() == [
        "training: 1,050 of 10,000 documents, 5.0/s, 29:50 left  loss 0.25",
        "training: 1,050 of 10,000 documents, 0.01/s, 199:23:10 left  loss 0.25",
    ]


def test_a_note_after_the_end_is_no_line(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with bar("training", 4) as advance:
        clock.now += 2
        advance(4, "loss 0.5")
        clock.now += 20
        advance(0, "loss 0.5  best 7")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("loss 0.5")


def test_compilation_is_no_part_of_the_rate(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with bar("training", 1000, first="compiling") as advance:
        assert capsys.readouterr().err == "training: compiling\n"
        clock.now += 60
        advance(8, "loss 0.5")
        assert capsys.readouterr().err == ""
        clock.now += 10
        advance(32)
        clock.now += 10
        advance(960)
    assert capsys.readouterr().err.splitlines() == [
        "training: 40 of 1,000 documents, 3.2/s, 5:00 left  loss 0.5",
        "training: 1,000 of 1,000 documents, 50/s  loss 0.5",
    ]


def test_a_terminal_sees_what_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    terminal = new_terminal(monkeypatch)
    with bar("training", 4, first="compiling") as advance:
        assert "compiling" in terminal.getvalue()
        begin = len(terminal.getvalue())
        advance(1)
        advance(3)
    last = terminal.getvalue()[begin:].rpartition("training")[2]
    assert "4/4" in last
    assert "/s" in last
    assert "compiling" not in last


def test_leaving_early_is_possible(capsys: pytest.CaptureFixture[str]) -> None:
    items = progress(iter(range(100)), "counting", 100)
    assert next(items) == 0
    assert isinstance(items, Iterator)
    items.close()  # type: ignore[attr-defined]
    assert capsys.readouterr().err == ""


def test_a_terminal_sees_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    terminal = new_terminal(monkeypatch)
    with bar("[bold]training", 4, "[documents]") as advance:
        advance(4, "loss [0.5]")
        say("a line in between")
    shown = terminal.getvalue()
    # Square brackets are text here, not rich's markup.
    for part in ("[bold]training", "4/4", "[documents]", "loss [0.5]", "a line in between"):
        assert part in shown


def test_without_rich_a_terminal_sees_lines(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    terminal = new_terminal(monkeypatch)
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    for _ in progress([1, 2], "counting"):
        clock.now += 1
    assert terminal.getvalue() == "counting: 2 of 2 documents, 1.0/s\n"


def test_an_error_inside_is_not_swallowed() -> None:
    with pytest.raises(KeyError, match="inside"), bar("training", 3):
        raise KeyError("inside")
