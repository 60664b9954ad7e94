"""Scoring a run on a split of a store: the table, the intervals, the record of it.

Knows the run folder and the store; the metrics themselves are `axml_jax.metrics`.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse
from scipy.special import expit

from axml_jax import metrics, runs
from axml_jax.analysis import bootstrap_intervals
from axml_jax.data.store import Store, open_store
from axml_jax.data.text import UNK
from axml_jax.errors import InputError
from axml_jax.model import DEFAULT_TOP_K, Model, load
from axml_jax.progress import progress
from axml_jax.tables import printable, show_table
from axml_jax.top_k import PAD

_EXAMPLE_WORDS = 40


def evaluate_run(
    run_folder: str | os.PathLike[str],
    *,
    store: str | os.PathLike[str] | None = None,
    split: str = "test",
    ks: Sequence[int] = (1, 3, 5),
    data_set: str = "",
    baseline: bool = False,
    examples: int = 0,
) -> dict[str, Any]:
    """Scores a run, prints a table, and writes RUN/evaluation_SPLIT.json.

    Args:
      run_folder: A run with weights.
      store: Encoded data with the run's own vocabulary and labels; by default the store
        that the run was trained on.
      split: Which split to score.
      ks: Cut-offs.
      data_set: Chooses the propensity constants; see `metrics.propensity_constants`.
      baseline: Score the most frequent training labels beside the model.
      examples: How many documents to show with their labels.

    Returns:
      The record that is written.

    Raises:
      InputError: no such run, store or split, or a store of another vocabulary or label set.
    """
    folder = pathlib.Path(run_folder)
    model = load(folder)
    data = open_store(pathlib.Path(store or model.description["data"]["path"]))
    _require_same_ids(model, data)
    if split not in data.splits:
        raise InputError(
            f"the store has no split {split!r}; it has {', '.join(data.splits)}.", file=data.path
        )
    known = len(model.label_names)
    documents = data.splits[split]
    if len(documents) == 0:
        raise InputError(f"the split {split!r} has no documents.", file=data.path)
    truth = documents.label_matrix(len(data.label_names))
    # Where the model has fewer labels than k, P@k still divides by k.
    shown = min(max(*ks, DEFAULT_TOP_K), known)
    answers = model.predict_ids((documents.document(i) for i in range(len(documents))), shown)
    rows = list(progress(answers, f"predicting {split}", len(documents)))
    label_ids = np.stack([ids for _, ids in rows])

    a, b = metrics.propensity_constants(data_set)
    inverse = model.inverse_propensities(len(data.label_names), data_set)
    scores = {"model": _scores(label_ids, truth, ks, inverse)}
    if baseline:
        frequent = metrics.most_frequent_labels(model.label_counts, max(ks))
        same = np.broadcast_to(frequent, (len(documents), len(frequent)))
        scores["most frequent labels"] = _scores(same, truth, ks, inverse)
    record = {
        "run": folder.name,
        "split": split,
        "documents": len(documents),
        "labels": len(data.label_names),
        "unseen_labels": len(data.label_names) - known,
        "propensity": {"A": a, "B": b},
        "scores": scores,
        "config": model.description["config"],
        "data": {key: value for key, value in model.description["data"].items() if key != "path"},
        "trained_with": {
            key: model.description[key] for key in ("versions", "commit", "device", "cores")
        },
        "evaluated_with": runs.environment(),
    }
    runs.write_json(folder / f"evaluation_{split}.json", record)
    _print_table(scores, f"{split}: {len(documents):,} documents, {len(data.label_names):,} labels")
    for i in _spread(len(documents), examples):
        _print_example(model, data, split, i, rows[i], truth)
    return record


def _require_same_ids(model: Model, data: Store) -> None:
    known = len(model.label_names)
    if (
        data.label_names[:known] != model.label_names
        or data.vocabulary.words != model.vocabulary.words
    ):
        raise InputError(
            "this store has another vocabulary or other labels than the run; score the run on "
            "the store it was trained on, or on one prepared with the same training texts.",
            file=data.path,
        )


def _scores(
    label_ids: np.ndarray,
    truth: scipy.sparse.csr_matrix,
    ks: Sequence[int],
    inverse: np.ndarray | None,
) -> dict[str, dict[str, float]]:
    terms = metrics.per_document(label_ids, truth, ks, inverse_propensities=inverse)
    return {
        name: {"value": value, "low": low, "high": high}
        for name, (value, low, high) in bootstrap_intervals(terms).items()
    }


def _spread(count: int, wanted: int) -> list[int]:
    """`wanted` places spread evenly over 0..count-1: shown examples are not picked by hand."""
    wanted = min(wanted, count)
    return [int((i + 0.5) * count / wanted) for i in range(wanted)]


def _print_table(scores: dict[str, dict[str, dict[str, float]]], title: str) -> None:
    names = list(next(iter(scores.values())))
    rows = [
        [
            name,
            *(
                f"{s[name]['value']:6.2f} [{s[name]['low']:.2f}, {s[name]['high']:.2f}]"
                for s in scores.values()
            ),
        ]
        for name in names
    ]
    caption = "percent, with 95 % bootstrap intervals over documents"
    show_table(title, ["metric", *scores], rows, caption)


def _print_example(
    model: Model,
    data: Store,
    split: str,
    i: int,
    row: tuple[np.ndarray, np.ndarray],
    truth: scipy.sparse.csr_matrix,
) -> None:
    documents = data.splits[split]
    words = model.vocabulary.words
    tokens = documents.document(i)
    text = " ".join("…" if t == UNK else words[t] for t in tokens[:_EXAMPLE_WORDS])
    true = set(truth[i].indices.tolist())
    logits, label_ids = row
    predicted = (
        f"{data.label_names[j]} {expit(float(logit)):.2f}{' *' if j in true else ''}"
        for logit, j in zip(logits, label_ids, strict=True)
        if j != PAD
    )
    print()
    for line in (
        documents.ids[i] if documents.ids else f"document {i + 1}",
        f"  text       {text}{' …' if len(tokens) > _EXAMPLE_WORDS else ''}",
        f"  true       {', '.join(sorted(data.label_names[j] for j in true)) or '(none)'}",
        f"  predicted  {', '.join(predicted)}    (* is true)",
    ):
        print(printable(line))
