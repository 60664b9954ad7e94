"""Draws time and memory of label attention by the number of labels.  Knows results only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import drawing


def draw(sweep: Mapping[str, Any], device: str, path: Path) -> bool:
    """Writes a PNG of two panels, one line a contender, both axes logarithmic.

    Args:
      sweep: The results' "sweep": workload (B, T, D, layers), points (num_labels, contenders).
      device: What it was measured on.
      path: Of the file.

    Returns:
      Whether it was written: nothing is without matplotlib or without a single figure.
    """
    times, peaks = lines(sweep)
    if not times and not peaks:
        return False
    pyplot = drawing.pyplot()
    if pyplot is None:
        return False
    figure, panels = pyplot.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
    names = list(dict.fromkeys([*times, *peaks]))  # a contender has one colour in both
    for panel, found, label in (
        (panels[0], times, "training loss and its gradients, milliseconds (median)"),
        (panels[1], peaks, "peak memory beside the inputs, MB"),
    ):
        for number, name in enumerate(names):
            xs, ys = [x for x, _ in found.get(name, ())], [y for _, y in found.get(name, ())]
            panel.plot(xs, ys, "osD^vPX*"[number % 8] + "-", color=f"C{number}", label=name)
        panel.set(xscale="log", yscale="log", xlabel="number of labels L", ylabel=label)
        panel.grid(True, which="both", alpha=0.25)
    panels[0].legend()
    shape = sweep["workload"]
    layers = ", ".join(map(str, shape["layers"]))
    figure.suptitle(
        f"Label attention on {device}\n"
        f"B = {shape['batch']}, T = {shape['tokens']}, D = {shape['width']}, F = {layers}"
    )
    drawing.save(figure, path)
    return True


def lines(sweep: Mapping[str, Any]) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """By contender: (labels, milliseconds), and (labels, MB); what did not run has no point."""
    times: dict[str, list[Any]] = {}
    peaks: dict[str, list[Any]] = {}
    for point in sweep["points"]:
        for name, about in point["contenders"].items():
            median = about.get("training", {}).get("median_s")
            if median:
                times.setdefault(name, []).append((point["num_labels"], 1e3 * median))
            peak = about.get("peak", {}).get("peak_bytes")
            if peak:  # zero: below what the system counts
                peaks.setdefault(name, []).append((point["num_labels"], peak / 1e6))
    return times, peaks
