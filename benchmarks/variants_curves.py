"""Compares trainings of variants of a configuration, and draws their curves.

Knows results only.  A training is {"curve": [{"epoch", METRICS...}], "best": the point of its curve
where SELECTION is highest}; trainings stand by the variant's name, one for each seed, and the first
variant is what the others are compared with.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import drawing

SELECTION = "nDCG@5"
METRICS = (SELECTION, "P@1", "P@5")

Trained = Mapping[str, Sequence[Mapping[str, Any]]]


def best_point(curve: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The first point of highest SELECTION: the weights that a training would keep."""
    return max(curve, key=lambda point: point[SELECTION])


def compare(trained: Trained) -> dict[str, Any]:
    """By variant and metric: the mean at the best point, and its difference to the first variant.

    Differences are taken between trainings of the same seed.
    """
    compared: dict[str, Any] = {}
    first = next(iter(trained.values()))
    for variant, found in trained.items():
        compared[variant] = {}
        for metric in METRICS:
            scores = [run["best"][metric] for run in found]
            differences = [
                run["best"][metric] - other["best"][metric]
                for run, other in zip(found, first, strict=True)
            ]
            compared[variant][metric] = {
                "mean": statistics.mean(scores),
                "differences": differences,
                "mean_difference": statistics.mean(differences),
                "standard_error": statistics.stdev(differences) / len(differences) ** 0.5
                if len(differences) > 1
                else None,
            }
    return compared


def draw(trained: Trained, title: str, path: Path) -> bool:
    """Draws every curve thinly and each variant's mean boldly; returns whether it was written."""
    pyplot = drawing.pyplot()
    if pyplot is None:
        return False
    figure, panel = pyplot.subplots(figsize=(7, 4.8), layout="constrained")
    for number, (variant, found) in enumerate(trained.items()):
        epochs = [point["epoch"] for point in found[0]["curve"]]
        scores = [[point[SELECTION] for point in run["curve"]] for run in found]
        for one in scores:
            panel.plot(epochs, one, color=f"C{number}", linewidth=0.6, alpha=0.5)
        means = [statistics.mean(at_epoch) for at_epoch in zip(*scores, strict=True)]
        panel.plot(epochs, means, color=f"C{number}", linewidth=2, label=variant)
    panel.set(xlabel="epoch", ylabel=f"{SELECTION} on validation, percent", title=title)
    panel.grid(True, alpha=0.25)
    panel.legend()
    drawing.save(figure, path)
    return True
