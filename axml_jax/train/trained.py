"""A trained run as it lies in its folder: what it is, and its best weights.  Executes nothing."""

from __future__ import annotations

import os
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from axml_jax import config as config_lib
from axml_jax import run_names, runs
from axml_jax.config import Config
from axml_jax.data.text import Vocabulary
from axml_jax.data.titles import require_titles
from axml_jax.errors import ConfigError, InputError
from axml_jax.models import TextModel
from axml_jax.train.checkpoint import Checkpoints
from axml_jax.train.initial import make_model


class Trained(NamedTuple):
    """A run without its weights.

    Attributes:
      folder: Where it lies.
      description: What run.json says.
      config: The experiment's configuration.
      vocabulary: Words and their ids.
      labels: What labels.json says: "names", "train_counts", "train_documents", and perhaps
        "titles".
      module: The Flax module; None where the model is none (Parabel).
    """

    folder: pathlib.Path
    description: dict[str, Any]
    config: Config
    vocabulary: Vocabulary
    labels: dict[str, Any]
    module: TextModel | None


def read_run(run_folder: str | os.PathLike[str]) -> Trained:
    """Reads all of a run but its weights.

    Raises:
      InputError: not a run folder, or a damaged one.
    """
    folder = pathlib.Path(run_folder)
    description = runs.read_description(folder)
    vocabulary = Vocabulary.load(folder / "words.json")
    labels = runs.read_json(folder / "labels.json")
    try:
        config = config_lib.from_dict(description["config"])
        has_module = config.model.name != "parabel"
        width = int(description["data"]["word_width"]) if has_module else 0
        num_labels = len(labels["names"])
        missing = {"train_counts", "train_documents"} - labels.keys()
    except (ConfigError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"run.json or labels.json is damaged: {error}", file=folder) from error
    if missing:
        raise InputError(f"{', '.join(missing)} is missing.", file=folder / "labels.json")
    _require_names_and_counts(labels["names"], labels["train_counts"], folder / "labels.json")
    if labels.get("titles") is not None:
        require_titles(labels["titles"], num_labels, folder / "labels.json")
    run_names.require_names(folder)
    module = make_model(config, len(vocabulary), num_labels, width) if has_module else None
    return Trained(folder, description, config, vocabulary, labels, module)


def _require_names_and_counts(names: Any, counts: Any, file: pathlib.Path) -> None:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError("'names' should be a list of texts.", file=file)
    if (
        not isinstance(counts, list)
        or len(counts) != len(names)
        or not all(type(count) is int and 0 <= count < 1 << 63 for count in counts)
    ):
        raise InputError(f"'train_counts' should be a list of {len(names)} counts.", file=file)


def read_variables(run: Trained) -> dict[str, Any]:
    """The run's best weights and its frozen tables: {"params": ..., and perhaps "constants"}.

    Args:
      run: A run with a module.

    Raises:
      InputError: there are no weights yet, or they are damaged.
    """
    assert run.module is not None
    shapes = dict(
        jax.eval_shape(
            run.module.init, jax.random.key(0), jnp.ones((1, 2), jnp.int32), jnp.full((1,), 2)
        )
    )
    params = shapes.pop("params")
    checkpoints = Checkpoints(run.folder, read_only=True)
    try:
        weights, _ = checkpoints.restore_best(params)
        constants = checkpoints.restore_constants(shapes)
    finally:
        checkpoints.close()
    return {"params": weights, **constants}


def best_step(run: Trained) -> int:
    """The step of the run's best weights; raises InputError where there are none yet."""
    checkpoints = Checkpoints(run.folder, read_only=True)
    try:
        return int(checkpoints.best_counters()["step"])
    finally:
        checkpoints.close()
