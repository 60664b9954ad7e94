"""Do probabilities mean what they say?  Calibration error and the reliability diagram.

NumPy and SciPy only, and matplotlib for the picture; knows nothing about models.
"""

from __future__ import annotations

import os
from typing import IO, Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from axml_jax.errors import ConfigError
from axml_jax.metric_terms import binary, checked_truth


class Reliability(NamedTuple):
    """Predictions in bins of probability.

    Attributes:
      edges: [M + 1], ends of the bins.
      counts: [M], predictions in each.
      predicted: [M], their mean probability; NaN in an empty bin.
      observed: [M], the part of them that is true; NaN in an empty bin.
      error: The expected calibration error, 0 to 1.
    """

    edges: Float[np.ndarray, " M+1"]
    counts: Int[np.ndarray, " M"]
    predicted: Float[np.ndarray, " M"]
    observed: Float[np.ndarray, " M"]
    error: float


def reliability(probabilities: Any, truth: Any, num_bins: int = 15) -> Reliability:
    """Expected calibration error, over all (document, label) pairs that are listed.

        sum over bins of (predictions in the bin / all) * |mean probability - part that is true|

    Bins are of equal width; a bin holds its lower end, the last one both.  Pairs that are not
    listed do not count: with the best K of each document, these are the probabilities that
    somebody would act on, not the millions near zero that are right anyway.
    (Guo et al., On Calibration of Modern Neural Networks, 2017.)

    Args:
      probabilities: SciPy sparse [N, L]; every stored entry, zeros too, is a prediction.
      truth: SciPy sparse [N, L]; an entry that is not zero is a true label.
      num_bins: M.

    Returns:
      The bins and the error.

    Raises:
      ValueError: Shapes that do not fit, nothing listed, or a probability outside 0..1.
    """
    if num_bins < 1:
        raise ValueError(f"num_bins should be at least 1, but it is {num_bins}.")
    listed = sp.csr_matrix(probabilities)
    hits = listed_hits(listed, truth)
    values = listed.data
    if not len(values):
        raise ValueError("there is no prediction to look at.")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("probabilities should lie between 0 and 1.")
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    bins = np.minimum(np.searchsorted(edges, values, side="right") - 1, num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    with np.errstate(invalid="ignore"):
        predicted = np.bincount(bins, values, num_bins) / counts
        observed = np.bincount(bins, hits, num_bins) / counts
    gaps = np.abs(predicted - observed)
    error = float(np.nansum(counts * gaps) / len(values))
    return Reliability(edges, counts, predicted, observed, error)


def listed_hits(listed: sp.csr_matrix, truth: Any) -> np.ndarray:
    """Which of the stored entries are true, bool [entries].

    Raises:
      ValueError: The two matrices are not of one shape.
    """
    known = binary(checked_truth(truth), 0)
    if known.shape != listed.shape:
        raise ValueError(f"both should be [N, L]; they are {listed.shape} and {known.shape}.")
    width = listed.shape[1]
    keys = _keys(listed.indptr, listed.indices, width)
    return np.isin(keys, _keys(known.indptr, known.indices, width))


def plot_reliability(
    result: Reliability, path: str | os.PathLike[str] | IO[bytes], title: str = ""
) -> None:
    """Draws the reliability diagram, with the number of predictions in each bin below it.

    Args:
      result: Of `reliability`.
      path: The picture; its ending decides the format.  An open file gets a PNG.
      title: Stands above it.

    Raises:
      ConfigError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "the diagram needs matplotlib, which is not installed: pip install 'matplotlib>=3.9', "
            "or axml_jax with its extra: pip install -e '.[plot]'"
        ) from error
    figure = Figure(figsize=(4.5, 5.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    width = np.diff(result.edges)
    filled = result.counts > 0
    above.plot([0, 1], [0, 1], color="0.6", linewidth=1, label="perfect")
    above.plot(result.predicted[filled], result.observed[filled], "o-", label="observed")
    above.set_ylabel("part that is true")
    above.set_title(title or f"expected calibration error {result.error:.3f}")
    above.legend()
    below.bar(result.edges[:-1], result.counts, width, align="edge", edgecolor="white")
    below.set_yscale("symlog")
    below.set_ylabel("predictions")
    below.set_xlabel("probability")
    named = isinstance(path, (str, os.PathLike))
    figure.savefig(path, dpi=150, format=None if named else "png")


def _keys(offsets: np.ndarray, columns: np.ndarray, width: int) -> np.ndarray:
    rows = np.repeat(np.arange(len(offsets) - 1, dtype=np.int64), np.diff(offsets))
    return rows * width + columns
