"""Compares trainings that differ in the order of their documents, and draws their curves.

Knows results only.  A training is {"curve": [{"epoch", METRIC, ...}], "best": its highest METRIC};
trainings stand by order ("6,50": padded lengths, batches sorted together), one for each seed, and
the first order is what the others are compared with.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

METRIC = "nDCG@5"

Trained = Mapping[str, Sequence[Mapping[str, Any]]]


def compare(trained: Trained) -> dict[str, Any]:
    """By order: the mean best score, and by how much it differs from the first order's, by seed."""
    first = [run["best"] for run in next(iter(trained.values()))]
    compared = {}
    for order, found in trained.items():
        best = [run["best"] for run in found]
        differences = [mine - other for mine, other in zip(best, first, strict=True)]
        compared[order] = {
            "mean_best": statistics.mean(best),
            "differences": differences,
            "mean_difference": statistics.mean(differences),
            "standard_error": statistics.stdev(differences) / len(differences) ** 0.5
            if len(differences) > 1
            else None,
        }
    return compared


def draw(trained: Trained, title: str, path: Path) -> bool:
    """Draws every curve thinly and each order's mean boldly; returns whether it was written."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panel = pyplot.subplots(figsize=(7, 4.8), layout="constrained")
    for number, (order, found) in enumerate(trained.items()):
        epochs = [point["epoch"] for point in found[0]["curve"]]
        scores = [[point[METRIC] for point in run["curve"]] for run in found]
        for one in scores:
            panel.plot(epochs, one, color=f"C{number}", linewidth=0.6, alpha=0.5)
        means = [statistics.mean(at_epoch) for at_epoch in zip(*scores, strict=True)]
        panel.plot(epochs, means, color=f"C{number}", linewidth=2, label=describe(order))
    panel.set(xlabel="epoch", ylabel=f"{METRIC} on validation, percent", title=title)
    panel.grid(True, alpha=0.25)
    panel.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    pyplot.close(figure)
    return True


def describe(order: str) -> str:
    buckets, pool = order.split(",")
    if (buckets, pool) == ("1", "1"):
        return "plain random order"
    return f"{buckets} lengths, {pool} batches sorted together"
