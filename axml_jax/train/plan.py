"""What a configuration makes of a store: documents, batches, model.  Nothing is written here.

Whatever cannot be with this data or these devices is refused here, before a run folder exists.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from axml_jax.config import Config
from axml_jax.data.batches import Padding, TrainBatches
from axml_jax.data.buckets import bucket_lengths
from axml_jax.data.store import Store
from axml_jax.errors import ConfigError, InputError
from axml_jax.layout import Layout
from axml_jax.layout_choice import check_devices, choose_layout
from axml_jax.models.text_model import TextModel
from axml_jax.train import initial, processes
from axml_jax.train.extending import Origin

# These numbers keep the draws apart from the epochs' orders, which are drawn from (seed, epoch).
_VALID_DRAW = 0x7661
_TRAIN_DRAW = 0x7472


@dataclasses.dataclass
class Parts:
    """Which documents train and which validate.

    Attributes:
      train: int64, documents of the split "train".
      valid_split: The split that holds the validation documents.
      valid: int64, documents of `valid_split`; empty without validation.
    """

    train: np.ndarray
    valid_split: str
    valid: np.ndarray


def choose_parts(config: Config, store: Store) -> Parts:
    """Splits off the validation part by seed where the store has no split "valid".

    Raises:
      ConfigError: more training documents are wanted than there are.
      InputError: no split "train", or no document is left to train on.
    """
    if "train" not in store.splits:
        raise InputError(
            f"the store has no split 'train'; it has {', '.join(sorted(store.splits))}.",
            file=store.path,
        )
    documents = np.arange(len(store.splits["train"]))
    valid_split, valid = "train", documents[:0]
    if "valid" in store.splits:
        valid_split, valid = "valid", np.arange(len(store.splits["valid"]))
    elif config.data.valid_fraction > 0:
        order = np.random.default_rng((config.seed, _VALID_DRAW, 0)).permutation(documents)
        count = max(1, round(config.data.valid_fraction * len(documents)))
        valid, documents = np.sort(order[:count]), np.sort(order[count:])
    wanted = config.data.train_documents
    if wanted > len(documents):
        raise ConfigError(
            f"config.data.train_documents is {wanted}, but only {len(documents)} documents "
            "are there to train on."
        )
    if wanted:
        draw = np.random.default_rng((config.seed, _TRAIN_DRAW, 0)).permutation(documents)
        documents = np.sort(draw[:wanted])
    if len(documents) == 0:
        raise InputError(
            f"no document is left to train on: with config.data.valid_fraction="
            f"{config.data.valid_fraction} {len(valid)} of {len(store.splits['train'])} validate.",
            file=store.path,
        )
    return Parts(train=documents, valid_split=valid_split, valid=valid)


@dataclasses.dataclass
class Plan:
    """One experiment on one store and these devices; see `make_plan`.

    Attributes:
      buckets: Padded lengths.
      devices: Of all processes.
      batch_size: Rows of a training batch: the configured ones, or those that there is use for.
      batches: This process's rows of the training batches, by step.
      model: The module, without parameters.
      layout: How work is dealt to the devices.
      padding: How much of what an epoch computes is padding.
      origin: The run that this one begins with, or None.
    """

    config: Config
    store: Store
    devices: list[Any]
    parts: Parts
    buckets: tuple[int, ...]
    batch_size: int
    batches: TrainBatches
    model: TextModel
    layout: Layout
    padding: Padding
    origin: Origin | None = None

    @property
    def total_steps(self) -> int:
        """Steps of all epochs."""
        return self.config.train.epochs * self.batches.steps_per_epoch

    @property
    def max_tokens(self) -> int:
        """Tokens read of a document: the configured ones, or those the store kept if fewer."""
        kept = self.store.description["settings"]["max_tokens"]
        return min(kept or self.config.data.max_tokens, self.config.data.max_tokens)

    def notes(self) -> list[str]:
        """Sentences about how the run begins, and settings that will not do what they say."""
        origin, found = self.origin, []
        if origin:
            known = origin.num_labels
            found.append(
                f"begins with {origin.folder} (step {origin.step:,}): {known:,} labels keep their "
                f"queries, {self.store.num_train_labels - known:,} are new"
            )
        wanted, documents = self.config.data.batch_size, len(self.parts.train)
        if self.batch_size < wanted:
            found.append(
                f"note: config.data.batch_size is {wanted:,}, but there are {documents:,} "
                "documents to train on: each step is given all of them"
            )
        settings, total = self.config.train, self.total_steps
        if settings.warmup_steps > total:
            found.append(
                f"note: config.train.warmup_steps is {settings.warmup_steps:,}, but all epochs "
                f"have {total:,} steps: the learning rate never reaches its peak"
            )
        if settings.average_steps > total:
            found.append(
                f"note: config.train.average_steps is {settings.average_steps:,}, but all epochs "
                f"have {total:,} steps: the mean of the weights holds on to their beginning"
            )
        return found

    def data(self) -> dict[str, Any]:
        """What run.json says of the data; see `axml_jax.runs.open_run`."""
        vectors = self.store.description.get("vectors")
        return {
            "path": str(self.store.path.resolve()),
            "fingerprint": self.store.fingerprint,
            "vectors": vectors and vectors["sha256"],
            "max_tokens": self.max_tokens,
            "source": self.store.description.get("source"),
            "init_from": self.origin and self.origin.describe(),
        }


def make_plan(
    config: Config, store: Store, devices: list[Any], origin: Origin | None = None
) -> Plan:
    """Chooses parts, batches and model.

    Args:
      config: The experiment.
      store: Encoded documents.
      devices: Of all processes.
      origin: The run to begin with; None for a new beginning.

    Raises:
      ConfigError: settings that cannot be with this data or these devices.
      InputError: a store that cannot be trained on.
    """
    config.validate()
    data = config.data
    check_devices(config, devices)
    layout = choose_layout(devices, store.num_train_labels, config.parallel.labels)
    parts = choose_parts(config, store)
    # No room for documents that are not there; at least a row a device.
    batch_size = min(data.batch_size, -(-len(parts.train) // len(devices)) * len(devices))
    split = store.splits["train"]
    buckets = bucket_lengths(split.lengths[parts.train], data.max_tokens, data.length_buckets)
    batches = TrainBatches(
        split,
        parts.train,
        num_labels=store.num_train_labels,
        batch_size=batch_size,
        pool_batches=data.pool_batches,
        buckets=buckets,
        seed=config.seed,
        rows=processes.own_rows(devices, batch_size),
    )
    width = origin.word_width if origin else initial.word_width(config, store)
    model = initial.make_model(config, len(store.vocabulary), store.num_train_labels, width)
    try:
        # Shapes only: finds what the model refuses, such as an attention that is not served.
        jax.eval_shape(
            model.init, jax.random.key(0), jnp.ones((1, 1), jnp.int32), jnp.ones((1,), jnp.int32)
        )
    except NotImplementedError as error:
        raise ConfigError(
            f"config.model.attention={config.model.attention}, config.model.recurrence="
            f"{config.model.recurrence}: {error}"
        ) from error
    padding = batches.padding()
    return Plan(
        *(config, store, devices, parts, buckets, batch_size, batches, model, layout, padding),
        origin,
    )
