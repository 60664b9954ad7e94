"""What stands in Tables 1 to 7: our figures, and the paper's beside them.

All figures come from what the steps of a `Study` left, by way of `axml_jax.analysis`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from axml_jax.analysis import average_ranks, bootstrap_intervals, compare_pairs, overlap
from axml_jax.data import table_one
from benchmarks import paper_published as published
from benchmarks.paper_notes import scale_notes, training_notes
from benchmarks.paper_paired import first_of, paired_differences
from benchmarks.paper_plan import DataSet
from benchmarks.paper_rows import (
    BRACKETS,
    INTERVAL,
    PAPER,
    beside,
    ends_of,
    note,
    outside_of,
    ranks_of,
    summary,
)
from benchmarks.paper_study import KS, Study
from benchmarks.paper_systems import System
from benchmarks.paper_writers import Row, Table

_TOPS = (1, 2, 3, 4, 5)


def all_tables(study: Study) -> list[Table]:
    """Tables 1 to 7 of a study whose steps are all done, and one of paired differences."""
    first, *others = [
        data_sets(study),
        comparison(study, 2, "P"),
        comparison(study, 3, "nDCG"),
        overlaps(study),
        consensus(study),
        label_wise(study),
        times(study),
        paired_differences(study),
    ]
    scale = scale_notes(study)
    others[0] = others[0]._replace(notes=[*others[0].notes, *training_notes(study)])
    return [first, *(table._replace(notes=[*table.notes, *scale]) for table in others)]


def data_sets(study: Study) -> Table:
    """Table 1."""
    rows, notes = [], ["D is the size of the store's vocabulary, and is not compared."]
    for data in study.data:
        row = table_one.row_of_store(data.name, study.store(data), study.test)
        found: dict[str, Any] = row._asdict()
        paper = published.of_table(1, data.paper)
        told = table_one.differences(found, paper, data.paper or "") if paper else []
        notes += [f"* {data.name}: {difference}" for difference in told]
        names = {field: table_one.column(field) for field in table_one.Row._fields[1:]}
        rows += beside(
            (data.name,),
            {column: found[field] for field, column in names.items()},
            {column: paper[field] for field, column in names.items()} if paper else {},
            {names[difference.field] for difference in told},
            whole={column for field, column in names.items() if isinstance(found[field], int)},
        )
    return Table(1, "Data sets", ("data set", "whose"), table_one.COLUMNS, rows, notes)


def comparison(study: Study, number: int, metric: str) -> Table:
    """Table 2 (P@k) or 3 (nDCG@k): all systems but consensuses, as in the paper."""
    systems = [system for system in study.systems if not system.is_consensus]
    everywhere = [s for s in systems if all(s in study.systems_of(data) for data in study.data)]
    shown = [system.shown for system in systems]
    ranked = [system.shown for system in everywhere]
    rows, results = [], []
    for data in study.data:
        scores = _scores(study, data, systems)
        for k in KS:
            name = f"{metric}@{k}"
            of_name = {system: values[name] for system, values in scores.items()}
            ours = {system: value["value"] for system, value in of_name.items()}
            paper = (published.of_table(number, data.paper) or {}).get(name, {})
            results.append([ours[system] for system in ranked])
            rows += beside(
                (data.name, name),
                ours,
                {method: figure["value"] for method, figure in paper.items()},
                outside_of(of_name, {m: figure["value"] for m, figure in paper.items()}),
                ranks=ranks_of({system: ours[system] for system in ranked}),
                paper_ranks={method: figure["rank"] for method, figure in paper.items()},
                intervals=ends_of(of_name),
            )
    figures = published.figures()[f"table_{number}"]
    with_paper = any(row.names[-1] == PAPER for row in rows)
    columns = [*shown, *(m for m in published.METHODS if with_paper and m not in shown)]
    table = np.array(results)
    notes = [BRACKETS, *([INTERVAL] if with_paper else [])]
    if len(ranked) > 1:
        ranks = dict(zip(ranked, average_ranks(table).tolist(), strict=True))
        rows += summary("average rank", ranks, figures["average_ranks"] if with_paper else {}, 2)
        first = first_of(everywhere).shown
        column = dict(zip(ranked, table.T, strict=True))
        p = {n: compare_pairs(column[first], column[n]).p_value for n in ranked if n != first}
        rows += summary("p-value", p, figures["p_values"] if with_paper else {}, -1)
        notes.append(
            f"p-values: Wilcoxon's signed-rank test of {first} against each, two-sided, over the "
            f"{len(table)} results of ours; ranks are of the systems with results on every data "
            "set."
        )
        notes += _recurrent_against_convolutions(column, figures, with_paper)
    return Table(
        number,
        f"{metric}@k in percent (and rank)",
        ("data set", "metric", "whose"),
        tuple(columns),
        rows,
        notes,
    )


def overlaps(study: Study) -> Table:
    """Table 4, for each two systems that a consensus joins."""
    rows: list[Row] = []
    for data in study.data:
        there = {system.key: system for system in study.systems_of(data)}
        pairs = [p for s in there.values() if s.parts for p in combinations(s.parts, 2)]
        for pair in dict.fromkeys(pairs):
            one, other = (study.predictions(data, there[key]).top_k(max(_TOPS)) for key in pair)
            terms = {f"Top{k}": 100 * overlap(one, other, k) for k in _TOPS}
            found = {
                name: dict(zip(("value", "low", "high"), interval, strict=True))
                for name, interval in bootstrap_intervals(terms).items()
            }
            of_paper = set(pair) == {"attention_xml", "parabel"}
            paper = published.of_table(4, data.paper if of_paper else None) or {}
            rows += beside(
                (data.name, f"{there[pair[0]].shown}, {there[pair[1]].shown}"),
                {name: value["value"] for name, value in found.items()},
                paper,
                outside_of(found, paper),
            )
    heads, columns = ("data set", "systems", "whose"), tuple(f"Top{k}" for k in _TOPS)
    return Table(4, "Overlap of the first k labels, in percent", heads, columns, rows, note(rows))


def consensus(study: Study) -> Table:
    """Table 5: each consensus and what it joins."""
    rows: list[Row] = []
    columns: dict[str, None] = {}
    for data in study.data:
        there = {system.key: system for system in study.systems_of(data)}
        for joint in (system for system in there.values() if system.is_consensus):
            members = [*(there[part] for part in joint.parts), joint]
            scores = _scores(study, data, members)
            figures = published.of_table(5, data.paper) if joint.shown == "Consensus" else None
            for metric in ("P", "nDCG"):
                for k in KS:
                    name = f"{metric}@{k}"
                    found = {system: values[name] for system, values in scores.items()}
                    ours = {system: value["value"] for system, value in found.items()}
                    paper = (figures or {}).get(name, {})
                    outside = outside_of(found, paper)
                    ends = ends_of(found)
                    rows += beside(
                        (data.name, name), ours, paper, outside, best=True, intervals=ends
                    )
            columns |= dict.fromkeys(member.shown for member in members)
    heads = ("data set", "metric", "whose")
    title = "The consensus, 1 - prod(1 - P), and what it joins, in percent"
    notes = [BRACKETS, *note(rows)] if rows else []
    return Table(5, title, heads, tuple(columns), rows, notes)


def label_wise(study: Study) -> Table:
    """Table 6: mean AUC and AUPR in three groups of labels."""
    rows: list[Row] = []
    kinds = ("AUC", "AUPR")
    columns: dict[str, None] = {}
    listed: dict[str, int] = {}
    for data in study.data:
        systems = study.systems_of(data)
        areas = {system.shown: study.result(data, system, "areas") for system in systems}
        lengths = {
            system.shown: study.result(data, system, "predict")["longest"]
            for system in systems
            if not areas[system.shown]["exact"]
        }
        listed |= {f"{shown} on {data.name}": longest for shown, longest in lengths.items()}
        # Lists of one length compare among themselves, where nothing exact is beside them.
        is_of_one_kind = len(lengths) == len(areas) and len(set(lengths.values())) == 1
        apart = () if is_of_one_kind else tuple(lengths)
        paper, groups = published.of_table(6, data.paper) or [], study.groups(data)
        if len(groups) != len(paper):
            paper = []  # the second of two groups is not the second of three
        for number, group in enumerate(groups):
            below = f"{group.lowest} ≤ t" + (f" < {group.below}" if group.below else "")
            about = (data.name, below, f"{len(group.labels):,}", f"{100 * group.share:.2f}")
            for kind in kinds:
                found = {n: area["means"][number][kinds.index(kind)] for n, area in areas.items()}
                theirs = paper[number] if paper else {}
                rows += beside((*about, kind), found, theirs.get(kind, {}), best=True, listed=apart)
        columns |= dict.fromkeys(areas)
        columns |= dict.fromkeys(paper[0]["AUC"] if paper else ())
    notes = [
        "t: occurrences in the split that is scored; the groups are of labels of at least five, "
        "and of total occurrence as equal as possible. The paper's groups, the first to the third, "
        "have bounds of their own; they stand beside three groups only.",
        "What was trained here: from the scores of all labels; labels that Parabel's search did "
        "not reach are tied below the others.",
    ]
    if listed:
        shown = ", ".join(f"{name} ({longest})" for name, longest in listed.items())
        notes.append(
            "From lists alone, whose unlisted labels are taken as tied below all listed ones; such "
            "figures compare only at one length, and not with those from all scores: beside others "
            f"they have a dagger (†) and are never the best. {shown}."
        )
    heads = ("data set", "occurrence", "labels", "percentage", "area", "whose")
    return Table(6, "AUC and AUPR by label frequency", heads, tuple(columns), rows, notes)


def times(study: Study) -> Table:
    """Table 7: minutes of training and of prediction."""
    rows: list[Row] = []
    devices = set()
    columns = ("train", "test", "milliseconds/test document")
    for data in study.data:
        for system in study.systems_of(data):
            found = study.times(data, system)
            if found is None:
                continue
            devices.add(f"{system.shown} on {data.name}: {found.device}")
            of_paper = system.key == "attention_xml"
            paper = published.of_table(7, data.paper if of_paper else None) or {}
            ours = (found.train_minutes, found.test_minutes, found.test_milliseconds)
            values = dict(zip(columns, ours, strict=True))
            rows += beside((data.name, system.shown), values, paper)
    notes = [
        "Ours: training with validation, without opening the data and compiling the step; "
        "prediction with compilation. Devices: " + ("; ".join(sorted(devices)) or "none") + ".",
        f"The paper's device: {published.figures()['table_7']['device']}.",
    ]
    return Table(7, "Minutes", ("data set", "method", "whose"), columns, rows, notes)


def _scores(study: Study, data: DataSet, systems: Sequence[System]) -> dict[str, dict[str, Any]]:
    there = study.systems_of(data)
    return {s.shown: study.result(data, s, "score") for s in systems if s in there}


def _recurrent_against_convolutions(
    column: Mapping[str, np.ndarray], figures: Mapping[str, Any], with_paper: bool
) -> list[str]:
    pair = [published.SHOWN[name] for name in ("xml_rnn", "xml_cnn")]
    if not set(pair) <= column.keys():
        return []
    found = compare_pairs(*(column[name] for name in pair))
    told = f"{pair[0]} against {pair[1]}: p = {found.p_value:.2e}"
    if with_paper:
        told += f", in the paper {figures['p_value_xml_rnn_xml_cnn']['value']:.2e}"
    return [f"{told}; higher in {found.wins}, lower in {found.losses}."]
