"""Draws documents a second against the number of devices.  Knows results only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import drawing


def draw(results: Mapping[str, Any], title: str, path: Path) -> bool:
    """Writes a PNG: speed over one device's, a line for each way of dealing, and the best there is.

    Args:
      results: "strong" and perhaps "weak", lists of settings; "simulated".
      title: Stands above it.
      path: Of the file.

    Returns:
      Whether it was written: nothing is without matplotlib or without a single figure.
    """
    lines = lines_of(results)
    if not lines:
        return False
    pyplot = drawing.pyplot()
    if pyplot is None:
        return False
    figure, panel = pyplot.subplots(figsize=(6.5, 4.8), layout="constrained")
    for number, (name, points) in enumerate(lines.items()):
        marker = "os^Dv"[number % 5] + "-"
        panel.plot([x for x, _ in points], [y for _, y in points], marker, label=name)
    counts = sorted({x for points in lines.values() for x, _ in points})
    # Simulated devices share the same cores: nothing is gained at best.
    best = [1] * len(counts) if results["simulated"] else counts
    panel.plot(counts, best, "--", color="grey", label="at best")
    panel.set(
        xlabel="devices" + ", simulated on the same cores" * results["simulated"],
        ylabel="documents a second, over one device's",
        title=title,
        ylim=(0, None),
    )
    panel.set_xticks(counts)
    panel.grid(True, alpha=0.25)
    panel.legend()
    drawing.save(figure, path)
    return True


def lines_of(results: Mapping[str, Any]) -> dict[str, list[tuple[int, float]]]:
    """By way of dealing: (devices, speed over one device's); what did not run has no point."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for kind in ("strong", "weak"):
        for about in results.get(kind, ()):
            if "speed_over_first" in about:
                parts = about["label_parts"]
                name = f"{kind} scaling" + f", labels in {parts} parts" * (parts > 1)
                point = (about["devices"], about["speed_over_first"])
                lines.setdefault(name, []).append(point)
    return lines
