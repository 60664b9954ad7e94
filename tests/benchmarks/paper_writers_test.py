"""Tables as text: names and figures come out as they are, in each of three languages."""

import json

import pytest

from benchmarks.paper_writers import Cell, Row, Table, latex, markdown, plain

ODD = "a_b & 50% #1 {x} \\y ~ ^ $2 <c> |d| *e* `f`"


def table() -> Table:
    cells = {
        "first": Cell(1234.567, rank=1.5, best=True, listed=True),
        "odd_one": Cell(-0.126, marked=True, interval=(-1.254, 1.0)),
    }
    rows = [Row((ODD, "ours"), cells), Row(("plain", "paper"), {"first": Cell(None)})]
    return Table(2, "50 % of it", ("data set", "whose"), ("first", "odd_one"), rows, ["a * b"])


def test_markdown() -> None:
    lines = markdown([table()]).splitlines()
    assert lines[0] == "## Table 2: 50 % of it"
    assert lines[2:4] == ["| data set | whose | first | odd\\_one |", "| --- | --- | ---: | ---: |"]
    name = "a\\_b \\& 50% \\#1 {x} \\\\y \\~ ^ \\$2 \\<c\\> \\|d\\| \\*e\\* \\`f\\`"
    assert lines[4] == f"| {name} | ours | **1,234.57 (1.5)†** | −0.13 \\[−1.25, 1.00\\]\\* |"
    assert lines[5] == "| plain | paper | - |  |"
    assert lines[7] == "a \\* b"


def test_latex() -> None:
    text = latex([table()])
    assert r"\caption{50 \% of it. a * b}" in text
    assert r"\begin{tabular}{llrr}" in text
    name = (
        r"a\_b \& 50\% \#1 \{x\} \textbackslash{}y \textasciitilde{} \textasciicircum{} \$2 "
        r"\textless{}c\textgreater{} \textbar{}d\textbar{} *e* `f`"
    )
    assert (
        f"{name} & ours & " + r"\textbf{1,234.57 (1.5)$\dagger$} & $-$0.13 [$-$1.25, 1.00]* \\"
        in text
    )
    assert r"plain & paper & - &  \\" in text
    assert text.count("{table}") == 2 == text.count("{tabular}")


def test_control_codes_are_shown() -> None:
    row = Row(("\x1b[2J\u202e\nx", "ours"), {})
    odd = Table(1, "t", ("data set", "whose"), ("\x07",), [row], [])
    for text in (markdown([odd]), latex([odd])):
        assert not [c for c in text if c != "\n" and not c.isprintable()]
        assert "x1b" in text
        assert "u202e" in text


def test_json_keeps_every_digit() -> None:
    (found,) = json.loads(json.dumps(plain([table()])))
    assert found["rows"][0] == {
        "data set": ODD,
        "whose": "ours",
        "values": {"first": 1234.567, "odd_one": -0.126},
        "ranks": {"first": 1.5},
        "intervals": {"odd_one": [-1.254, 1.0]},
        "marked": ["odd_one"],
        "listed": ["first"],
    }
    assert found["rows"][1]["values"] == {"first": None}


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell(3, 0), "3"),
        (Cell(2.5, signed=True), "+2.50"),
        (Cell(-2.5, signed=True), "−2.50"),
        (Cell(0.00133, -1), "1.33e−03"),
        (Cell(0.25, -1), "0.250"),
        (Cell(2.5, signed=True, interval=(-1, 4), rank=2), "+2.50 [−1.00, +4.00] (2)"),
    ],
)
def test_figures(cell: Cell, text: str) -> None:
    assert cell.text() == text
