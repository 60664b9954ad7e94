"""What the metrics' values mean: intervals, ranks, tests, overlap, labels, calibration, times.

NumPy and SciPy only (matplotlib for one picture, where it is installed); knows nothing about
models or files.  Predictions come as ranked lists of label ids, -1 after the last, or as SciPy
sparse matrices of scores in which every stored entry, zeros too, is a prediction.
"""

from axml_jax.analysis.calibration import Reliability, plot_reliability, reliability
from axml_jax.analysis.intervals import Interval, bootstrap_intervals
from axml_jax.analysis.label_groups import LabelGroup, label_groups
from axml_jax.analysis.label_wise import (
    LabelAreas,
    group_means,
    label_areas,
    label_areas_from_lists,
)
from axml_jax.analysis.ranks import Comparison, average_ranks, compare_pairs, overlap
from axml_jax.analysis.thresholds import Thresholds, choose_thresholds, decide
from axml_jax.analysis.times import Times, training_seconds

__all__ = [
    "Comparison",
    "Interval",
    "LabelAreas",
    "LabelGroup",
    "Reliability",
    "Thresholds",
    "Times",
    "average_ranks",
    "bootstrap_intervals",
    "choose_thresholds",
    "compare_pairs",
    "decide",
    "group_means",
    "label_areas",
    "label_areas_from_lists",
    "label_groups",
    "overlap",
    "plot_reliability",
    "reliability",
    "training_seconds",
]
