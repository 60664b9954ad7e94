"""Tables for people, on standard output: ruled where rich is installed, aligned elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def printable(text: str) -> str:
    """Replaces what a terminal would obey instead of show by escapes: \\x1b, \\u202e.

    Args:
      text: Anything, for instance a label's name out of a file.

    Returns:
      The text, every character in it printable (`str.isprintable`); spaces stay.
    """
    return "".join(map(_shown, text))


def show_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str = ""
) -> None:
    """Prints a table; titles and cells are shown as they are, markup and control codes too.

    Args:
      title: Stands above it; "" for none.
      columns: Header of each column; the first is aligned to the left, the others to the right.
      rows: Cells, as many in each row as there are columns.
      caption: Stands below it; "" for none.

    Raises:
      ValueError: A row has another number of cells.
    """
    title, caption = printable(title), printable(caption)
    cells = [[printable(cell) for cell in row] for row in (columns, *rows)]
    if any(len(row) != len(columns) for row in cells):
        raise ValueError(f"Each row of the table should have {len(columns)} cells.")
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        print("\n".join(filter(None, (title, plain_table(cells), caption))))
        return
    # Text, unlike str, is not searched for rich's own markup in square brackets.
    table = Table(title=Text(title) if title else None, caption=Text(caption) if caption else None)
    for number, header in enumerate(cells[0]):
        table.add_column(Text(header), justify="right" if number else "left")
    for row in cells[1:]:
        table.add_row(*map(Text, row))
    Console(file=sys.stdout).print(table)


def plain_table(rows: Sequence[Sequence[str]]) -> str:
    """Aligns columns with spaces, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        aligned = [first.ljust(widths[0])]
        aligned += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def _shown(character: str) -> str:
    if character.isprintable():  # of white space the common space alone
        return character
    point = ord(character)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
