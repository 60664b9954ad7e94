"""Tables as Markdown, LaTeX and JSON.  Knows nothing about what is in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from axml_jax.tables import printable

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "−": "$-$",
    "≤": r"$\le$",
    "†": r"$\dagger$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


class Cell(NamedTuple):
    """A figure.

    Attributes:
      value: None where there is none.
      decimals: Digits shown after the point; -1 for two significant ones with an exponent.
      rank: Its place among those beside it, shown in brackets; None for none.
      best: Whether it is the best of those beside it.
      marked: Whether it gets a star.
      signed: Whether a plus is shown.
      interval: The ends of its interval, shown behind it; None for none.
      listed: Whether it gets a dagger: it compares with few of those beside it.
    """

    value: float | None
    decimals: int = 2
    rank: float | None = None
    best: bool = False
    marked: bool = False
    signed: bool = False
    interval: tuple[float, float] | None = None
    listed: bool = False

    def text(self) -> str:
        """The figure for people."""
        if self.value is None:
            return "-"
        if self.decimals < 0:
            shown = f"{self.value:.2e}" if self.value < 0.01 else f"{self.value:.3f}"
        else:
            form = f"{'+' if self.signed else ''},.{self.decimals}f"
            shown = f"{self.value:{form}}"
            if self.interval is not None:
                shown += " [{:{form}}, {:{form}}]".format(*self.interval, form=form)
        shown = shown.replace("-", "−")
        if self.rank is not None:
            shown += f" ({self.rank:g})"
        return shown + "†" * self.listed + "*" * self.marked


class Row(NamedTuple):
    """A row: what it is of, and its figures by column; a column without one is left empty."""

    names: tuple[str, ...]
    cells: dict[str, Cell]


class Table(NamedTuple):
    """A table.

    Attributes:
      number: As in the paper.
      title: What it shows.
      heads: What the names at the beginning of a row are.
      columns: Of the figures.
      rows: In order.
      notes: Sentences that stand below it.
    """

    number: int
    title: str
    heads: tuple[str, ...]
    columns: tuple[str, ...]
    rows: Sequence[Row]
    notes: Sequence[str] = ()


def markdown(tables: Sequence[Table]) -> str:
    """GitHub's Markdown; names stay as they are, whatever signs are in them."""
    parts = []
    for table in tables:
        heads = [_plain(head) for head in (*table.heads, *table.columns)]
        rule = ["---"] * len(table.heads) + ["---:"] * len(table.columns)
        lines = [f"## Table {table.number}: {_plain(table.title)}", ""]
        lines += [_pipes(cells) for cells in (heads, rule)]
        lines += [_pipes(_cells(table, row, _plain, "**{}**")) for row in table.rows]
        parts.append("\n".join([*lines, *(f"\n{_plain(note)}" for note in table.notes), ""]))
    return "\n".join(parts)


def latex(tables: Sequence[Table]) -> str:
    """LaTeX that needs no package: one `table` a table, to be taken in by `\\input`."""
    parts = []
    for table in tables:
        form = "l" * len(table.heads) + "r" * len(table.columns)
        rows = [[_tex(head) for head in (*table.heads, *table.columns)]]
        rows += [_cells(table, row, _tex, r"\textbf{{{}}}") for row in table.rows]
        first, *others = (" & ".join(row) + r" \\" for row in rows)
        caption = f"{_tex(table.title)}. {' '.join(map(_tex, table.notes))}".strip()
        parts.append(
            "\n".join(
                [
                    r"\begin{table}",
                    rf"\caption{{{caption}}}",
                    rf"\begin{{tabular}}{{{form}}}",
                    *(r"\hline", first, r"\hline", *others, r"\hline"),
                    r"\end{tabular}",
                    "\\end{table}\n",
                ]
            )
        )
    return "\n".join(parts)


def plain(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """What JSON can hold: every figure unrounded."""
    return [
        {
            "number": table.number,
            "title": table.title,
            "columns": list(table.columns),
            "notes": list(table.notes),
            "rows": [
                {
                    **dict(zip(table.heads, row.names, strict=True)),
                    "values": {name: cell.value for name, cell in row.cells.items()},
                    "ranks": {n: c.rank for n, c in row.cells.items() if c.rank is not None},
                    "intervals": {n: c.interval for n, c in row.cells.items() if c.interval},
                    "marked": [name for name, cell in row.cells.items() if cell.marked],
                    "listed": [name for name, cell in row.cells.items() if cell.listed],
                }
                for row in table.rows
            ],
        }
        for table in tables
    ]


def _cells(table: Table, row: Row, escape: Any, bold: str) -> list[str]:
    cells = [escape(name) for name in row.names]
    for column in table.columns:
        cell = row.cells.get(column)
        text = escape(cell.text()) if cell else ""
        cells.append(bold.format(text) if cell and cell.best else text)
    return cells


def _pipes(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#~$&])", r"\\\1", printable(text))


def _tex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in printable(text))
