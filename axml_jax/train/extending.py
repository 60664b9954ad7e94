"""A run that begins with the weights of another one, and may have labels in addition.

Known labels keep their queries; a new one starts as the mean encoder state of its documents.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from axml_jax import runs
from axml_jax.config import Config
from axml_jax.data.store import TRAIN, Store
from axml_jax.errors import ConfigError, InputError
from axml_jax.models import AttentionXML
from axml_jax.train import processes
from axml_jax.train.initial import label_state_queries
from axml_jax.train.names import other_names
from axml_jax.train.trained import Trained, best_step, read_run, read_variables

if TYPE_CHECKING:
    from axml_jax.train.plan import Plan

# What decides the shapes of weights, or where they are kept.
_SHAPES = (
    *("name", "hidden", "fully_connected", "filter_widths", "filters", "chunks", "bottleneck"),
    "train_words",
)


@dataclasses.dataclass(frozen=True)
class Origin:
    """The run that another one begins with, as much of it as every process knows.

    Attributes:
      folder: Where it lies; only process 0 reads there.
      name: The folder's name alone.
      fingerprint: SHA-256 of its configuration and its data.
      step: The step of its best weights.
      word_width: E.
      num_labels: The labels that it knows.
    """

    folder: str
    name: str
    fingerprint: str
    step: int
    word_width: int
    num_labels: int

    def describe(self) -> dict[str, Any]:
        """For run.json."""
        return {"run": self.name, "fingerprint": self.fingerprint, "step": self.step}


def read_origin(
    run_folder: str | os.PathLike[str] | None, config: Config, store: Store
) -> Origin | None:
    """Looks at the run to begin with; every process calls it, process 0 reads.

    Args:
      run_folder: Its folder; None for a beginning without one.
      config: Of the new run.
      store: Of the new run.

    Raises:
      InputError: No such run, one without weights, or a store of other words or labels.
      ConfigError: A configuration of other shapes.
    """
    if run_folder is None:
        return None

    def look() -> dict[str, Any]:
        run = read_run(run_folder)
        if run.module is None:
            raise ConfigError(
                f"{run.folder} is a run of {run.config.model.name}: it has no weights."
            )
        _require_ids(run, store)
        _require_shapes(run, run.module.width, config, store)
        if run.module.num_labels < store.num_train_labels and config.model.name != "attention_xml":
            raise ConfigError(
                f"{store.path} has labels that {run.folder} does not know; they can be added to a "
                f"run of attention_xml, not to one of {config.model.name}."
            )
        return dataclasses.asdict(
            Origin(
                str(run.folder),
                run.folder.resolve().name,
                _fingerprint(run),
                best_step(run),
                run.module.width,
                run.module.num_labels,
            )
        )

    return Origin(**processes.on_first(look))


def _fingerprint(run: Trained) -> str:
    """SHA-256 of what the run is; how it was dealt to devices may change from start to start."""
    config = runs.experiment(run.description["config"])
    text = json.dumps([config, run.description["data"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _require_ids(run: Trained, store: Store) -> None:
    """Refuses a store in which the run's words or labels have other ids."""
    labels = run.labels["names"]
    ours = store.label_names[: store.num_train_labels][: len(labels)]
    differing = [
        *other_names("words", run.vocabulary.words, store.vocabulary.words),
        *other_names("labels", labels, ours),
    ]
    if differing:
        raise InputError(
            f"to begin with {run.folder}, the store must have that run's words and begin with its "
            f"labels; differing: {'; '.join(differing)}. Prepare it with launch/prepare.py "
            f"--base {run.folder}",
            file=store.path,
        )


def _require_shapes(run: Trained, width: int, config: Config, store: Store) -> None:
    there, here = run.config.model, config.model
    pairs = [
        (f"config.model.{name}", getattr(there, name), getattr(here, name)) for name in _SHAPES
    ]
    if config.model.word_vectors == "random":
        pairs.append(("config.model.word_width", width, here.word_width))
    elif store.vectors is not None:
        pairs.append(("width of the word vectors", width, store.vectors.shape[1]))
    differing = [f"{name}: {old!r} there, {new!r} here" for name, old, new in pairs if old != new]
    if differing:
        raise ConfigError(
            f"{run.folder} has weights of other shapes; give the same configuration to begin with "
            f"it. Differing: {'; '.join(differing)}"
        )


def extended_values(plan: Plan, key: jax.Array, reads: bool) -> tuple[Any, Any]:
    """The parameters before the first step, and the frozen tables, from those of `plan.origin`.

    Args:
      plan: The experiment.
      key: Decides the queries of new labels without documents: Xavier-uniform noise.
      reads: Whether to read that run and the documents; without, shapes are right and values noise.
    """
    model = plan.model.portable()
    tokens, lengths = jnp.ones((1, 2), jnp.int32), jnp.full((1,), 2, jnp.int32)
    variables: dict[str, Any] = dict(jax.jit(model.init)(key, tokens, lengths))
    if reads:
        assert plan.origin is not None
        drawn = variables["params"]["labels"].get("queries", ())
        del variables  # no room is needed for two word tables
        variables = read_variables(read_run(plan.origin.folder))
        labels = {**variables["params"]["labels"]}
        variables["params"] = {**variables["params"], "labels": labels}
        known = plan.origin.num_labels
        if known < len(drawn):
            new = _new_queries(plan, variables, drawn[known:])
            labels["queries"] = jnp.concatenate([labels["queries"], new])
    return variables.pop("params"), variables


def _new_queries(
    plan: Plan, variables: dict[str, Any], drawn: Float[Array, "new D"]
) -> Float[Array, "new D"]:
    """Queries of the labels that the other run does not know.

    A query's length decides how sharply its label attends, and the layers behind it, shared by all
    labels, have learned to read what is attended to that sharply.  Training makes queries longer
    than the 1 that they begin with, so new ones get the median length of the known.
    """
    split = plan.store.splits[TRAIN]
    first = plan.store.num_train_labels - len(drawn)
    truth = split.label_matrix(plan.store.num_train_labels)[plan.parts.train]
    params = variables["params"]
    model = plan.model.portable().clone(dtype=None, num_labels=len(drawn))
    assert isinstance(model, AttentionXML)  # `read_origin` has seen to it
    directions = label_state_queries(
        model,
        {**variables, "params": {**params, "labels": {**params["labels"], "queries": drawn}}},
        [split.document(int(i)) for i in plan.parts.train],
        truth[:, first:],
        buckets=plan.buckets,
        batch_size=plan.batch_size,
    )
    lengths = jnp.linalg.norm(directions, axis=1, keepdims=True)
    wanted = np.median(np.linalg.norm(np.asarray(params["labels"]["queries"]), axis=1))
    return directions / lengths * jnp.float32(wanted)
