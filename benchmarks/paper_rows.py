"""Rows of tables that set our figures beside the paper's.  Knows nothing about a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from axml_jax.analysis import average_ranks
from benchmarks.paper_writers import Cell, Row

OURS, PAPER, DIFFERENCE = "ours", "paper", "difference"
INTERVAL = "* The paper's figure lies outside the 95 % bootstrap interval of ours."


def ranks_of(values: Mapping[str, float]) -> dict[str, float]:
    if len(values) < 2:
        return {}
    ranks = average_ranks(np.array([list(values.values())]))
    return dict(zip(values, ranks.tolist(), strict=True))


def beside(
    names: tuple[str, ...],
    ours: Mapping[str, float | None],
    paper: Mapping[str, float | None],
    marked: Callable[[str], bool] = lambda column: False,
    *,
    ranks: Mapping[str, float] | None = None,
    paper_ranks: Mapping[str, float] | None = None,
    decimals: Callable[[str], int] = lambda column: 2,
    best: bool = False,
) -> list[Row]:
    """Our row; the paper's and the difference where the paper has figures."""
    rows = [Row((*names, OURS), _cells(ours, decimals, ranks or {}, best))]
    if paper:
        rows.append(Row((*names, PAPER), _cells(paper, decimals, paper_ranks or {}, best)))
        cells = {
            column: Cell(here - there, decimals(column), marked=marked(column), signed=True)
            for column, here in ours.items()
            if here is not None and (there := paper.get(column)) is not None
        }
        rows.append(Row((*names, DIFFERENCE), cells))
    return rows


def _cells(
    values: Mapping[str, float | None],
    decimals: Callable[[str], int],
    ranks: Mapping[str, float],
    best: bool,
) -> dict[str, Cell]:
    known = [value for value in values.values() if value is not None]
    top = max(known, default=None) if (best or ranks) and len(known) > 1 else None
    return {
        column: Cell(value, decimals(column), ranks.get(column), value is not None and value == top)
        for column, value in values.items()
    }


def outside_of(
    found: Mapping[str, Mapping[str, float]], paper: Mapping[str, float]
) -> Callable[[str], bool]:
    """Whether the paper's figure of a column lies outside the interval of ours."""
    return lambda column: (
        not found[column]["low"] <= paper[column] <= found[column]["high"]
        if column in found and column in paper
        else False
    )


def summary(
    name: str, ours: Mapping[str, float], paper: Mapping[str, float], decimals: int
) -> list[Row]:
    rows = [Row(("", name, OURS), {column: Cell(v, decimals) for column, v in ours.items()})]
    if paper:
        cells = {column: Cell(value, decimals) for column, value in paper.items()}
        rows.append(Row(("", name, PAPER), cells))
    return rows


def note(rows: Sequence[Row]) -> list[str]:
    return [INTERVAL] if any(row.names[-1] == PAPER for row in rows) else []
