"""absl flags that name a data set, shared by scripts: defined where this is imported."""

from __future__ import annotations

from absl import flags

from axml_jax.data.builders.named import TFDS, open_dataset, show_row
from axml_jax.data.builders.tfds_documents import Features
from axml_jax.data.opened import Store
from axml_jax.data.readers import flags as reader_flags
from axml_jax.data.readers.opening import Opened
from axml_jax.errors import ConfigError

del reader_flags  # defines --text_column, --labels_column, --id_column and --on_bad_row

_DATASET = flags.DEFINE_string(
    "dataset",
    None,
    "A data set by name: pydocs, eurlex57k, rcv1, eurlex4k, wiki10_31k, wikilshtc, amazoncat_13k; "
    f"or {TFDS}NAME[/CONFIG] for any of TFDS with a text and a sequence of labels.",
)
_MANUAL = flags.DEFINE_string(
    "manual_dir", None, "Folder with the files of --dataset as their publisher distributes them."
)
_TFDS = flags.DEFINE_string(
    "tfds_data_dir", None, "TFDS's folder, for what is fetched or made; by default TFDS's own."
)
_OTHER_COUNTS = flags.DEFINE_boolean(
    "other_counts",
    False,
    "Go on where --dataset has other numbers of documents or labels than in the paper.",
)


def is_named() -> bool:
    """Whether the command line names a data set."""
    return _DATASET.value is not None


def open_named() -> Opened:
    """Opens the data set that the command line names.

    Raises:
      ConfigError: There is no such data set, or flags that do not go together.
      InputError: As `named.open_dataset`.
    """
    name = _DATASET.value or ""
    values = flags.FLAGS
    if values.on_bad_row == "skip":
        raise ConfigError(
            "--on_bad_row=skip concerns your own files, not --dataset: those of a data set are "
            "whole, or have to be fetched anew."
        )
    features = Features(tuple(values.text_column), values.labels_column, values.id_column)
    if any(features) and not name.startswith(TFDS):
        raise ConfigError(
            f"--text_column, --labels_column and --id_column concern files and {TFDS}NAME, not "
            f"--dataset {name}."
        )
    return open_dataset(
        name,
        manual_dir=_MANUAL.value,
        data_dir=_TFDS.value,
        other_counts=_OTHER_COUNTS.value,
        features=features,
    )


def show_written(store: Store) -> None:
    """Prints Table 1 for the store of the data set that the command line names, if it names one."""
    if _DATASET.value:
        show_row(_DATASET.value, store)
