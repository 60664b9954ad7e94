"""Bootstrap intervals over documents.  NumPy only; knows nothing about models or files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from axml_jax.metrics import IDEAL


class Interval(NamedTuple):
    """A metric over all documents, and the ends of its interval."""

    value: float
    low: float
    high: float


def bootstrap_intervals(
    terms: Mapping[str, Float[np.ndarray, " N"]],
    *,
    level: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Computes percentile bootstrap intervals over documents.

    Documents are drawn N times with replacement, `num_resamples` times; the interval reaches from
    the (1 - level) / 2 quantile of the metric over the resamples to the (1 + level) / 2 quantile.
    All metrics see the same resamples.  To compare two systems on the same documents, pass the
    differences of their terms.

    Args:
      terms: float [N] by name, as `metrics.per_document` returns them.  A metric is the mean of its
        terms; where "NAME ideal" is there too, it is the ratio of the two sums (0 if nothing could
        be reached).
      level: Coverage, between 0 and 1.
      num_resamples: How many resamples; beyond the terms, memory does not grow with it.
      seed: The same seed gives the same intervals.

    Returns:
      (value, low, high) by name, in the unit of the terms.

    Raises:
      ValueError: No documents, terms of different lengths or not finite, or a level or number of
        resamples that makes no sense.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level should lie between 0 and 1, but it is {level}.")
    if num_resamples < 1:
        raise ValueError(f"num_resamples should be at least 1, but it is {num_resamples}.")
    names = list(terms)
    lengths = {name: np.shape(terms[name]) for name in names}
    if not names or len(set(lengths.values())) != 1 or len(lengths[names[0]]) != 1:
        raise ValueError(f"All terms should be of one length [N], but their shapes are {lengths}.")
    stacked = np.stack([np.asarray(terms[name], np.float64) for name in names])
    num_documents = stacked.shape[1]
    if num_documents == 0:
        raise ValueError("There are no documents to draw from.")
    if not np.isfinite(stacked).all():
        broken = names[int(np.argmin(np.isfinite(stacked).all(axis=1)))]
        raise ValueError(f"The terms of {broken} are not all finite.")

    metrics = [name for name in names if not name.endswith(IDEAL)]
    generator = np.random.default_rng(seed)
    resampled = np.empty((len(metrics), num_resamples))
    for column in range(num_resamples):
        drawn = generator.integers(0, num_documents, num_documents)
        # How often each document was drawn; a sum with these weights needs no copy of the terms.
        times = np.bincount(drawn, minlength=num_documents).astype(np.float64)
        resampled[:, column] = _metrics(names, metrics, stacked @ times, num_documents)
    whole = _metrics(names, metrics, stacked.sum(axis=1), num_documents)
    low, high = np.quantile(resampled, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=1)
    return {
        name: Interval(float(whole[at]), float(low[at]), float(high[at]))
        for at, name in enumerate(metrics)
    }


def _metrics(
    names: list[str], metrics: list[str], sums: np.ndarray, num_documents: int
) -> np.ndarray:
    by_name = dict(zip(names, sums, strict=True))
    wholes = np.array([by_name.get(name + IDEAL, num_documents) for name in metrics], np.float64)
    totals = np.array([by_name[name] for name in metrics], np.float64)
    return np.divide(totals, wholes, out=np.zeros(len(metrics)), where=wholes != 0)
