"""Scoring runs and prediction files on a split of a store: the table, the intervals, the record.

Knows the run folder and the store; the metrics themselves are `axml_jax.metrics`.
"""

from __future__ import annotations

import os
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse
from scipy.special import expit

from axml_jax import metrics, runs, sources
from axml_jax.analysis import bootstrap_intervals
from axml_jax.baselines.choices import Reading
from axml_jax.baselines.predictions import Predictions, write_predictions
from axml_jax.data.store import TRAIN, Split, Store, open_store
from axml_jax.data.text import UNK
from axml_jax.data.titles import shown_label
from axml_jax.errors import ConfigError
from axml_jax.model import DEFAULT_TOP_K, Model, load
from axml_jax.progress import say
from axml_jax.tables import printable, show_table

_EXAMPLE_WORDS = 40
_USUAL_CUT_OFFS = (1, 3, 5)
_MODEL, _FREQUENT = "model", "most frequent labels"

Scores = dict[str, dict[str, dict[str, float]]]  # by system, metric, and "value", "low" or "high"
Path = str | os.PathLike[str]
Files = Sequence[Path] | Mapping[str, Reading]


def evaluate_run(
    run_folder: str | os.PathLike[str],
    *,
    store: str | os.PathLike[str] | None = None,
    split: str = "test",
    ks: Sequence[int] = _USUAL_CUT_OFFS,
    data_set: str = "",
    baseline: bool = False,
    examples: int = 0,
    files: Files = (),
    save_predictions: str | os.PathLike[str] | None = None,
    top_k: int | None = None,
) -> dict[str, Any]:
    """Scores a run, prints a table, and writes RUN/evaluation_SPLIT.json.

    What another store than the training's gives goes to RUN/evaluation_STORE_SPLIT.json.

    Args:
      run_folder: A run with weights.
      store: Encoded data with the run's own vocabulary and labels; by default the store
        that the run was trained on.
      split: Which split to score.
      ks: Cut-offs.
      data_set: Chooses the propensity constants; see `metrics.propensity_constants`.
      baseline: Score the most frequent training labels beside the model.
      examples: How many documents to show with their labels.
      files: Other systems' predictions for the split, to score beside the model; by file how to
        read it, where it does not tell by itself.
      save_predictions: Where the model's predictions go, as JSON lines with logits.
      top_k: Labels of a document that go there; by default as many as scoring needs.

    Returns:
      The record that is written.

    Raises:
      ConfigError: a cut-off above the number of labels, beyond the usual ones.
      InputError: no such run, store or split, a store of another vocabulary or label set, or a
        prediction file that is not for this split.
    """
    folder = pathlib.Path(run_folder)
    model = load(folder)
    data = open_store(pathlib.Path(store or model.description["data"]["path"]))
    sources.require_same_ids(model, data)
    _check_cut_offs(ks, data)
    documents = sources.documents_of(data, split)
    # Files first: a wrong one is told before minutes of predicting.
    systems = _read(files, data, split)
    shown = max(*ks, DEFAULT_TOP_K)
    begin = time.perf_counter()
    predicted = sources.from_model(model, data, split, max(shown, top_k or 0))
    seconds = time.perf_counter() - begin
    if save_predictions is not None:
        write_predictions(save_predictions, predicted.cut(top_k or shown), data.label_names)

    # Of this store, as for files: the same predictions have the same scores by either way.
    inverse = inverse_propensities(data, data_set)
    lists = {_MODEL: predicted.top_k(max(ks))}
    if baseline:
        frequent = metrics.most_frequent_labels(model.label_counts, max(ks))
        lists[_FREQUENT] = np.broadcast_to(frequent, (len(documents), len(frequent)))
    lists |= {name: system.top_k(max(ks)) for name, system in systems.items()}
    known = len(model.label_names)
    record = {
        "run": folder.name,
        **_about(data, split, data_set, score_lists(lists, documents, ks, inverse)),
        "unseen_labels": len(data.label_names) - known,
        "unknown_to_model": _unknown(documents, known),
        "prediction_seconds": seconds,
        "read": {name: system.taken_for for name, system in systems.items()},
        "config": model.description["config"],
        "data": {key: value for key, value in model.description["data"].items() if key != "path"},
        "trained_with": {
            key: model.description[key] for key in ("versions", "commit", "device", "cores")
        },
        "evaluated_with": runs.environment(),
    }
    path = record_path(folder, "evaluation", model, data, split)
    runs.write_json(path, record)
    print_scores(record["scores"], split, data)
    say(f"written to {path}")
    if record["unknown_to_model"]["entries"]:
        print(
            "{labels:,} labels of the split, {share:.2%} of its entries, are unknown to the model "
            "and count as missed".format(**record["unknown_to_model"])
        )
    for i in _spread(len(documents), examples):
        _print_example(data, split, i, predicted.cut(min(shown, known)))
    return record


def record_path(
    run_folder: str | os.PathLike[str], what: str, model: Model, data: Store, split: str
) -> pathlib.Path:
    """RUN/WHAT_SPLIT.json, or RUN/WHAT_STORE_SPLIT.json for another store than the training's."""
    own = data.fingerprint == model.description["data"]["fingerprint"]
    of_store = "" if own else f"{data.path.resolve().name}_"
    return pathlib.Path(run_folder) / f"{what}_{of_store}{split}.json"


def evaluate_files(
    files: Files,
    *,
    store: str | os.PathLike[str],
    split: str = "test",
    ks: Sequence[int] = _USUAL_CUT_OFFS,
    data_set: str = "",
) -> dict[str, Any]:
    """Scores prediction files without any run, and writes FILE.evaluation_SPLIT.json beside each.

    Args:
      store: The encoded data.
      files, split, ks, data_set: As for `evaluate_run`.

    Returns:
      The record of all of them; the one beside a file holds that file's scores only.

    Raises:
      ConfigError: a cut-off above the number of labels, beyond the usual ones.
      InputError: no such store or split, or a prediction file that is not for this split.
    """
    data = open_store(pathlib.Path(store))
    _check_cut_offs(ks, data)
    documents = sources.documents_of(data, split)
    systems = _read(files, data, split)
    inverse = inverse_propensities(data, data_set)
    lists = {name: system.top_k(max(ks)) for name, system in systems.items()}
    record = {
        **_about(data, split, data_set, score_lists(lists, documents, ks, inverse)),
        "read": {name: system.taken_for for name, system in systems.items()},
        "data": {"fingerprint": data.fingerprint},
        "evaluated_with": {"versions": runs.versions(), "commit": runs.commit()},
    }
    written = []
    for file, name in zip(dict.fromkeys(files), systems, strict=True):
        own = {part: {name: record[part][name]} for part in ("scores", "read")}
        written.append(f"{os.fspath(file)}.evaluation_{split}.json")
        runs.write_json(written[-1], {**record, **own})
    print_scores(record["scores"], split, data)
    say(f"written to {', '.join(written)}")
    return record


def inverse_propensities(data: Store, data_set: str = "") -> np.ndarray | None:
    """1 / p of each label, by a store's split "train"; None with fewer than three documents."""
    num_documents = len(data.splits[TRAIN])
    if num_documents < 3:
        return None
    a, b = metrics.propensity_constants(data_set)
    return metrics.inverse_propensities(data.label_counts, num_documents, a, b)


def score_lists(
    lists: Mapping[str, np.ndarray],
    documents: Split,
    ks: Sequence[int],
    inverse: np.ndarray | None,
) -> Scores:
    """Every metric of every system, with 95 % bootstrap intervals over documents.

    Args:
      lists: int [N, K] by system, labels best first, -1 after the last.
      documents: What they were predicted for.
      ks: Cut-offs.
      inverse: Inverse propensities [L], or None.

    Returns:
      {"value", "low", "high"} by system and metric.
    """
    truth = documents.label_matrix()
    return {name: _scores(label_ids, truth, ks, inverse) for name, label_ids in lists.items()}


def print_scores(scores: Scores, split: str, data: Store) -> None:
    """Prints a table, a column a system."""
    count = len(data.splits[split])
    _print_table(scores, f"{split}: {count:,} documents, {len(data.label_names):,} labels")


def _check_cut_offs(ks: Sequence[int], data: Store) -> None:
    """The usual ones pass everywhere: labels that are not there count as wrong."""
    count = len(data.label_names)
    if max(ks) > max(count, _USUAL_CUT_OFFS[-1]):
        raise ConfigError(f"--k is {max(ks)}, but the data have {count} labels.")


def _read(files: Files, data: Store, split: str) -> dict[str, Predictions]:
    readings: dict[Path, Reading | None] = dict.fromkeys(files)
    if isinstance(files, Mapping):
        readings.update(files)
    names = (
        f"{name} (file)" if name in (_MODEL, _FREQUENT) else name
        for name in sources.names_of(list(readings))
    )
    return {
        name: sources.from_file(file, data, split, reading)
        for name, (file, reading) in zip(names, readings.items(), strict=True)
    }


def _unknown(documents: Split, known: int) -> dict[str, float]:
    """Labels of a split from `known` on, their entries, and these as a share of all entries."""
    unknown = documents.label_ids[documents.label_ids >= known]
    return {
        "labels": len(np.unique(unknown)),
        "entries": len(unknown),
        "share": len(unknown) / max(len(documents.label_ids), 1),
    }


def _about(data: Store, split: str, data_set: str, scores: Scores) -> dict[str, Any]:
    a, b = metrics.propensity_constants(data_set)
    return {
        "store": {"name": data.path.resolve().name, "fingerprint": data.fingerprint},
        "split": split,
        "documents": len(data.splits[split]),
        "labels": len(data.label_names),
        "propensity": {"A": a, "B": b},
        "scores": scores,
    }


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


def _print_table(scores: Scores, title: str) -> None:
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


def _print_example(data: Store, split: str, i: int, predictions: Predictions) -> None:
    documents = data.splits[split]
    words = data.vocabulary.words
    tokens = documents.document(i)
    text = " ".join("…" if t == UNK else words[t] for t in tokens[:_EXAMPLE_WORDS])
    true = set(documents.labels(i).tolist())
    span = slice(predictions.offsets[i], predictions.offsets[i + 1])

    def shown(j: int) -> str:
        return shown_label(data.label_names[j], data.label_titles[j])

    predicted = (
        f"{shown(j)} {expit(logit):.2f}{' *' if j in true else ''}"
        for logit, j in zip(predictions.scores[span], predictions.label_ids[span], strict=True)
    )
    print()
    for line in (
        documents.ids[i] if documents.ids else f"document {i + 1}",
        f"  text       {text}{' …' if len(tokens) > _EXAMPLE_WORDS else ''}",
        f"  true       {', '.join(sorted(map(shown, true))) or '(none)'}",
        f"  predicted  {', '.join(predicted)}    (* is true)",
    ):
        print(printable(line))
