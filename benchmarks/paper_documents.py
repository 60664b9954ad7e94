"""Random documents with the lengths and labels of the paper's data sets, for benchmarks of speed.

Lengths are log-normal around the means of Table 1; words and labels are drawn evenly.  Knows
nothing about what is measured on them.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from axml_jax.data.store import Split


class DataSet(NamedTuple):
    """A row of Table 1: mean words and labels of a training document, and labels in all."""

    words: float
    labels: float
    num_labels: int


LONG = "long documents"
"""No data set: every document is longer than what is kept of it."""

DATA_SETS = {
    LONG: DataSet(0.0, 5.30, 3_956),
    "RCV1": DataSet(267.51, 3.18, 103),
    "EUR-Lex": DataSet(1248.58, 5.30, 3_956),
    "Wiki10-31K": DataSet(2484.30, 8.52, 30_938),
    "WikiLSHTC": DataSet(122.74, 1.86, 36_504),
    "AmazonCat-13K": DataSet(246.61, 5.04, 13_330),
}

_SPREAD = 0.88  # of the logarithm of the length, as in EURLEX57K
_WORDS = 100_000


def draw_lengths(
    name: str, documents: int, max_tokens: int, random: np.random.Generator
) -> np.ndarray:
    """int64 [documents]: tokens of each before cutting; above max_tokens for LONG."""
    if name == LONG:
        return random.integers(max_tokens + 1, max_tokens + 100, documents)
    # The mean of a log-normal variable is exp(mu + sigma^2 / 2).
    mu = np.log(DATA_SETS[name].words) - _SPREAD**2 / 2
    return np.maximum(random.lognormal(mu, _SPREAD, documents).astype(np.int64), 1)


def draw_split(name: str, documents: int, max_tokens: int, folder: Path, *, seed: int = 0) -> Split:
    """Draws documents of a data set and maps them from files in `folder`, as a store does.

    Args:
      name: Key of DATA_SETS.
      documents: How many.
      max_tokens: What will be kept of a document; see LONG.
      folder: Of the files; those of an earlier call are replaced.
      seed: Decides all of it.
    """
    random, about = np.random.default_rng(seed), DATA_SETS[name]
    lengths = draw_lengths(name, documents, max_tokens, random)
    counts = 1 + random.poisson(about.labels - 1, documents)
    labels = [np.unique(random.integers(0, about.num_labels, count)) for count in counts.tolist()]
    arrays = {
        "tokens": random.integers(2, _WORDS, lengths.sum(), dtype=np.int32),
        "offsets": np.append(0, np.cumsum(lengths)),
        "label_ids": np.concatenate(labels).astype(np.int32),
        "label_offsets": np.append(0, np.cumsum([len(ids) for ids in labels])),
    }
    mapped = {}
    for key, array in arrays.items():
        file = folder / f"{key}.npy"
        file.unlink(missing_ok=True)  # it may still be mapped
        np.save(file, array)
        mapped[key] = np.load(file, mmap_mode="r")
    return Split(**mapped, num_labels=about.num_labels)
