"""Differences of systems on the same documents, with intervals; the paper has no such table.

A rank test over the few results of a study tells little: the documents of one data set are many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from axml_jax import metrics
from axml_jax.analysis import bootstrap_intervals
from benchmarks.paper_plan import DataSet
from benchmarks.paper_rows import OURS
from benchmarks.paper_study import KS, Study
from benchmarks.paper_systems import System
from benchmarks.paper_writers import Cell, Row, Table

_METRICS = tuple(f"{metric}@{k}" for metric in ("P", "nDCG") for k in KS)


def first_of(systems: Sequence[System]) -> System:
    """What others are set against: AttentionXML, else a seed of it, else the first of all."""
    ours = [system for system in systems if system.method == "attention_xml"]
    return min(ours or systems[:1], key=lambda system: system.seed is not None)


def paired_differences(study: Study) -> Table:
    """Each system less the first one, document by document."""
    rows: list[Row] = []
    columns: dict[str, None] = {}
    first = first_of(study.systems)
    for data in study.data:
        systems = study.systems_of(data)
        others = [system for system in systems if system != first]
        if first not in systems or not others:
            continue
        columns |= dict.fromkeys(system.shown for system in others)
        base = _terms(study, data, first)
        cells: dict[str, dict[str, Cell]] = {name: {} for name in _METRICS}
        for system in others:
            own = _terms(study, data, system)
            found = bootstrap_intervals({name: own[name] - base[name] for name in _METRICS})
            for name, (value, low, high) in found.items():
                cells[name][system.shown] = Cell(
                    value, signed=True, interval=(low, high), marked=low > 0 or high < 0
                )
        rows += [Row((data.name, name, OURS), cells[name]) for name in _METRICS]
    notes = [
        f"Each system less {first.shown} on the same documents; [low, high]: 95 % bootstrap "
        "interval of the mean difference over the documents; * it leaves out zero. The paper has "
        "no such table."
    ]
    heads = ("data set", "metric", "whose")
    title = f"Paired differences from {first.shown}, in percentage points"
    return Table(8, title, heads, tuple(columns), rows, notes if rows else [])


def _terms(study: Study, data: DataSet, system: System) -> Mapping[str, np.ndarray]:
    store = study.store(data)
    truth = store.splits[study.test].label_matrix(len(store.label_names))
    return metrics.per_document(study.predictions(data, system).top_k(max(KS)), truth, KS)
