"""Documents of a data set by its name: of the catalogue, or any that TFDS has."""

from __future__ import annotations

import difflib
from pathlib import Path

from axml_jax.data.builders.catalogue import DATASETS, PREFIX, PYDOCS
from axml_jax.data.builders.published import Published, checked, from_memory, show_table_one
from axml_jax.data.builders.tfds_documents import Features, open_tfds
from axml_jax.data.opened import Store
from axml_jax.data.readers.opening import Opened
from axml_jax.data.table_one import row_of_store
from axml_jax.errors import ConfigError

TFDS = "tfds:"


def open_dataset(
    name: str,
    *,
    manual_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    other_counts: bool = False,
    features: Features | None = None,
) -> Opened:
    """Opens a data set by name; while it is read it is counted, see `published.checked`.

    Args:
      name: One of `catalogue.DATASETS`, or `tfds:` and what `tfds_documents.open_tfds` takes.
      manual_dir: The folder with its publisher's files; None to fetch them where that is possible.
      data_dir: TFDS's folder, for what is fetched or made; None for TFDS's default.
      other_counts: Whether other numbers of documents or labels than the paper's are only told.
      features: Of a data set of TFDS, which features are read.

    Raises:
      ConfigError: There is no such name, or the data set needs a folder.
      InputError: A file is missing; while reading, one is damaged or counts are others.
    """
    if name.startswith(TFDS):
        rest = name.removeprefix(TFDS)
        own = rest.split("/")[0].split(":")[0].removeprefix(PREFIX)
        kwargs = {"other_counts": other_counts} if rest.startswith(PREFIX + own) else {}
        found = open_tfds(
            rest,
            data_dir=data_dir,
            manual_dir=manual_dir,
            features=features,
            builder_kwargs=kwargs if own in DATASETS else None,
        )
        return Opened({**found}, f"TFDS data set {rest}")
    dataset = _find(name)
    if dataset is PYDOCS:
        from axml_jax.data.builders import pydocs

        documents, about = pydocs.build()
        source = f"{pydocs.source(about)}; fingerprint {about['fingerprint']}"
        return Opened(checked(dataset, from_memory(documents), other_counts), source)
    if manual_dir is not None:
        files = dataset.files(manual_dir)
    elif dataset.urls:
        from axml_jax.data.builders.tfds_builders import fetch

        files = fetch(dataset, data_dir)
    else:
        raise ConfigError(
            f"--dataset {name} needs --manual_dir, the folder with its files: {dataset.source}"
        )
    splits = checked(dataset, dataset.read(files), other_counts)
    return Opened(splits, f"{dataset.name}, {dataset.homepage}")


def show_row(name: str, store: Store) -> None:
    """Prints Table 1 for a store of a data set of the catalogue; nothing for one of TFDS.

    A builder of ours prints it when TFDS makes the data set.

    Args:
      name: As in `open_dataset`.
      store: What was written of its documents.
    """
    if not name.startswith(TFDS):
        show_table_one(_find(name), row_of_store(name, store), "Table 1, of what the store holds")


def _find(name: str) -> Published:
    own = name.removeprefix(PREFIX)
    if own not in DATASETS:
        near = difflib.get_close_matches(own, DATASETS, n=1)
        hint = f"Did you mean {near[0]}?  " if near else ""
        raise ConfigError(
            f"There is no data set {name!r}.  {hint}There are {', '.join(DATASETS)}, and "
            f"{TFDS}NAME for any of TFDS."
        )
    return DATASETS[own]
