"""Thresholds and calibration of a run: chosen and measured on its store, kept as JSON files.

Knows the run folder, the store and models; the arithmetic is `axml_jax.analysis`.
"""

from __future__ import annotations

import math
import os
import pathlib
from typing import Any

import numpy as np
from scipy.special import expit

from axml_jax import evaluation, sources
from axml_jax.analysis import Reliability, Thresholds, choose_thresholds, reliability
from axml_jax.baselines.choices import LOGIT
from axml_jax.data.store import Store, open_store
from axml_jax.errors import InputError
from axml_jax.jsonio import read_json, write_json
from axml_jax.model import DEFAULT_TOP_K, Model, load
from axml_jax.train.plan import choose_parts

_REMEDY = "choose them with launch/thresholds.py --run RUN --output FILE"


def thresholds_of_run(
    run_folder: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    store: str | os.PathLike[str] | None = None,
    split: str | None = None,
    top_k: int = 100,
    shrinkage: float = 10.0,
) -> tuple[Thresholds, int]:
    """Chooses a threshold for each label of a run and writes them.

    Args:
      run_folder: A run with weights.
      path: The JSON file.
      store: Encoded data of the run's words and labels; by default the training's.
      split: The documents; None for those that the run was validated on.
      top_k: Labels predicted of each document; a true label beyond counts as missed.
      shrinkage: As for `choose_thresholds`.

    Returns:
      The thresholds of the run's labels, for logits, and how many documents they were chosen on.

    Raises:
      InputError: No such run, store or split, or nothing to choose by.
    """
    model, data = _opened(run_folder, store)
    chosen = None
    if split is None:
        parts = choose_parts(model.config, data)
        split, chosen = parts.valid_split, parts.valid
        if not len(chosen):
            raise InputError(
                "the run was trained without validation documents: name a split that it was not "
                "trained on.",
                file=run_folder,
            )
    predicted = sources.from_model(model, data, split, top_k, chosen)
    truth = data.splits[split].label_matrix(len(data.label_names))
    if chosen is not None:
        truth = truth[chosen]
    known = len(model.label_names)
    try:
        found = choose_thresholds(predicted.matrix()[:, :known], truth[:, :known], shrinkage)
    except ValueError as error:
        raise InputError(f"{error}", file=data.path) from error
    about = {"run": pathlib.Path(run_folder).name, "split": split, "documents": len(predicted)}
    record = {**about, "top_k": top_k, "shrinkage": shrinkage, "kind": LOGIT}
    by_name = dict(zip(model.label_names, found.by_label.tolist(), strict=True))
    write_json(path, {**record, "common": found.common, "labels": by_name})
    return found, len(predicted)


def read_thresholds(path: str | os.PathLike[str], model: Model) -> tuple[Thresholds, int]:
    """Reads what `thresholds_of_run` wrote.

    Args:
      path: The JSON file.
      model: Whose labels they must be.

    Returns:
      The thresholds, and how many labels of a document they were chosen among.

    Raises:
      InputError: No such file, not of thresholds for logits, or of other labels.
    """
    read = read_json(path, _REMEDY)
    expected: dict[str, Any] = {"kind": str, "common": (int, float), "labels": dict, "top_k": int}
    if not isinstance(read, dict) or not all(
        isinstance(read.get(name), kind) for name, kind in expected.items()
    ):
        raise InputError(f"these are no thresholds; {_REMEDY}.", file=path)
    by_name = read["labels"]
    if read["kind"] != LOGIT or by_name.keys() != set(model.label_names):
        raise InputError(
            f"expected thresholds of logits for the model's {len(model.label_names)} labels, found "
            f"{read['kind']!r} for {len(by_name)}, not all the same ones; {_REMEDY}.",
            file=path,
        )
    values = [read["common"], *(by_name[name] for name in model.label_names)]
    if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in values):
        raise InputError(f"a threshold is no finite number; {_REMEDY}.", file=path)
    top_k = min(max(read["top_k"], 1), len(model.label_names))
    return Thresholds(float(values[0]), np.array(values[1:], np.float64)), top_k


def calibrate_run(
    run_folder: str | os.PathLike[str],
    *,
    store: str | os.PathLike[str] | None = None,
    split: str = "test",
    top_k: int = DEFAULT_TOP_K,
    num_bins: int = 15,
) -> tuple[Reliability, pathlib.Path]:
    """Measures how far a run's probabilities are from how often they come true.

    Args:
      run_folder, store: As for `thresholds_of_run`.
      split: Which split to score.
      top_k: Labels of each document that count.
      num_bins: As for `reliability`.

    Returns:
      The bins, and the file that they are in: RUN/calibration_SPLIT.json, or
      RUN/calibration_STORE_SPLIT.json for another store than the training's.

    Raises:
      InputError: No such run, store or split.
    """
    model, data = _opened(run_folder, store)
    predicted = sources.from_model(model, data, split, top_k)
    probabilities = predicted.matrix()
    probabilities.data = expit(probabilities.data)
    truth = data.splits[split].label_matrix(len(data.label_names))
    found = reliability(probabilities, truth, num_bins)
    path = evaluation.record_path(run_folder, "calibration", model, data, split)
    counts, edges = found.counts.tolist(), found.edges.tolist()
    bins = [
        {"from": low, "to": high, "predictions": count, "predicted": said, "observed": true}
        for low, high, count, said, true in zip(
            edges[:-1],
            edges[1:],
            counts,
            _or_none(found.predicted),
            _or_none(found.observed),
            strict=True,
        )
    ]
    about = {"run": pathlib.Path(run_folder).name, "store": data.fingerprint, "split": split}
    sizes = {"documents": len(predicted), "top_k": top_k}
    record = {**about, **sizes, "expected_calibration_error": found.error, "bins": bins}
    write_json(path, record)
    return found, path


def _or_none(values: np.ndarray) -> list[float | None]:
    """JSON has no NaN."""
    return [None if math.isnan(value) else value for value in values.tolist()]


def _opened(
    run_folder: str | os.PathLike[str], store: str | os.PathLike[str] | None
) -> tuple[Model, Store]:
    model = load(run_folder)
    data: Any = open_store(pathlib.Path(store or model.description["data"]["path"]))
    sources.require_same_ids(model, data)
    return model, data
