"""Rows of tables that set our figures beside the paper's.  Knows nothing about a study."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import numpy as np

from axml_jax.analysis import average_ranks
from benchmarks.paper_writers import Cell, Row

OURS, PAPER, DIFFERENCE = "ours", "paper", "difference"
BRACKETS = "[low, high]: 95 % bootstrap interval over the documents that are scored."
INTERVAL = "* The paper's figure lies outside the 95 % bootstrap interval of ours."


def ranks_of(values: Mapping[str, float]) -> dict[str, float]:
    """The place of each system by one figure; {} for one alone."""
    if len(values) < 2:
        return {}
    ranks = average_ranks(np.array([list(values.values())]))
    return dict(zip(values, ranks.tolist(), strict=True))


def beside(
    names: tuple[str, ...],
    ours: Mapping[str, float | None],
    paper: Mapping[str, float | None],
    marked: Container[str] = (),
    *,
    ranks: Mapping[str, float] | None = None,
    paper_ranks: Mapping[str, float] | None = None,
    whole: Container[str] = (),
    best: bool = False,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    listed: Container[str] = (),
) -> list[Row]:
    """Our row; the paper's and the difference where the paper has figures.

    Args:
      names: What the rows are of.
      ours, paper: Figures by column; None where there is none.
      marked: Columns whose difference gets a star.
      ranks, paper_ranks: Places to show, by column.
      whole: Columns of whole numbers.
      best: Whether the highest of a row is marked as the best; with ranks it always is.
      intervals: Of ours, by column.
      listed: Columns of ours that get a dagger; they are not compared with the others.
    """
    cells = _cells(ours, whole, ranks or {}, best, listed)
    for column, ends in (intervals or {}).items():
        cells[column] = cells[column]._replace(interval=ends)
    rows = [Row((*names, OURS), cells)]
    if paper:
        rows.append(Row((*names, PAPER), _cells(paper, whole, paper_ranks or {}, best)))
        cells = {
            column: Cell(
                here - there, 0 if column in whole else 2, marked=column in marked, signed=True
            )
            for column, here in ours.items()
            if here is not None and (there := paper.get(column)) is not None
        }
        rows.append(Row((*names, DIFFERENCE), cells))
    return rows


def _cells(
    values: Mapping[str, float | None],
    whole: Container[str],
    ranks: Mapping[str, float],
    best: bool,
    listed: Container[str] = (),
) -> dict[str, Cell]:
    known = [v for column, v in values.items() if v is not None and column not in listed]
    top = max(known, default=None) if (best or ranks) and len(known) > 1 else None
    return {
        column: Cell(
            value,
            0 if column in whole else 2,
            ranks.get(column),
            best=value is not None and value == top and column not in listed,
            listed=column in listed,
        )
        for column, value in values.items()
    }


def ends_of(found: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """The ends of the interval of each column."""
    return {column: (value["low"], value["high"]) for column, value in found.items()}


def outside_of(found: Mapping[str, Mapping[str, float]], paper: Mapping[str, float]) -> set[str]:
    """The columns in which the paper's figure lies outside the interval of ours."""
    return {
        column
        for column, value in found.items()
        if column in paper and not value["low"] <= paper[column] <= value["high"]
    }


def summary(
    name: str, ours: Mapping[str, float], paper: Mapping[str, float], decimals: int
) -> list[Row]:
    """Rows below all data sets: ours, and the paper's where it has some."""
    rows = [Row(("", name, OURS), {column: Cell(v, decimals) for column, v in ours.items()})]
    if paper:
        cells = {column: Cell(value, decimals) for column, value in paper.items()}
        rows.append(Row(("", name, PAPER), cells))
    return rows


def note(rows: Sequence[Row]) -> list[str]:
    """What the stars mean, where there can be some."""
    return [INTERVAL] if any(row.names[-1] == PAPER for row in rows) else []
