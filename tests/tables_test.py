"""Tables: aligned, with rich and without, and no way to the terminal for what data holds."""

import sys

import pytest

from axml_jax.tables import plain_table, printable, show_table

ROWS = [("a [bold]label[/bold]", "1,000"), ("\x1b[31mred", "2")]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, été 中", "plain text, été 中"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\tc\r", r"a\x0ab\x09c\x0d"),
        ("\x7f\x9b\xa0\xad", r"\x7f\x9b\xa0\xad"),
        ("left\u202eright\u2028", r"left\u202eright\u2028"),
        ("half \ud800", r"half \ud800"),
        ("tag \U000e0001", r"tag \U000e0001"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert all(character.isprintable() for character in shown)


@pytest.mark.parametrize("rich", [True, False])
def test_everything_is_shown_as_it_is(
    rich: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if rich:
        pytest.importorskip("rich")
    else:
        for name in [name for name in sys.modules if name.split(".")[0] == "rich"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setenv("COLUMNS", "100")
    show_table("[red]title\x07", ("", "[b]count"), ROWS, caption="below[/]")
    shown = capsys.readouterr().out
    for text in ("a [bold]label[/bold]", r"\x1b[31mred", "1,000", "below[/]", r"[red]title\x07"):
        assert text in shown
    assert "[b]count" in shown
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert ("─" in shown) == rich


@pytest.mark.parametrize("title", ["", "a title"])
def test_title_and_caption_may_be_left_out(
    title: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    show_table(title, ("", "n"), [("x", "1")])
    assert capsys.readouterr().out == (title and title + "\n") + "   n\nx  1\n"


def test_columns_are_aligned() -> None:
    assert plain_table([("", "a"), ("long name", "1,000")]) == "               a\nlong name  1,000"


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="should have 2 cells"):
        show_table("", ("a", "b"), [("1",)])
