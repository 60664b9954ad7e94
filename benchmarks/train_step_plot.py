"""Draws the time of a training step against T, L, B and V.  Knows results only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import drawing

LABELS = {
    "tokens": "tokens T",
    "num_labels": "labels L",
    "batch": "documents of a batch B",
    "num_words": "words V",
}


def draw(sweep: Mapping[str, Any], device: str, path: Path) -> bool:
    """Writes a PNG of a panel for each size, one line a contender, both axes logarithmic.

    Args:
      sweep: The results' "sweep": shape, sizes (by name of a size: points of value, contenders).
      device: What it was measured on.
      path: Of the file.

    Returns:
      Whether it was written: nothing is without matplotlib or without a single figure.
    """
    found = {size: lines(points) for size, points in sweep["sizes"].items()}
    found = {size: some for size, some in found.items() if some}
    if not found:
        return False
    pyplot = drawing.pyplot()
    if pyplot is None:
        return False
    figure, panels = pyplot.subplots(
        1, len(found), figsize=(1 + 4.5 * len(found), 4.8), layout="constrained", squeeze=False
    )
    # A contender has one colour in all.
    names = list(dict.fromkeys(name for some in found.values() for name in some))
    for panel, (size, some) in zip(panels[0], found.items(), strict=True):
        for number, name in enumerate(names):
            xs, ys = [x for x, _ in some.get(name, ())], [y for _, y in some.get(name, ())]
            panel.plot(xs, ys, "osD^vPX*"[number % 8] + "-", color=f"C{number}", label=name)
        panel.set(xscale="log", yscale="log", xlabel=LABELS[size])
        panel.grid(True, which="both", alpha=0.25)
    panels[0][0].set_ylabel("training step, milliseconds (median)")
    panels[0][0].legend()
    shape = sweep["shape"]
    layers = ", ".join(map(str, shape["layers"]))
    figure.suptitle(
        f"Training step on {device}\n"
        f"where not varied B = {shape['batch']}, T = {shape['tokens']}, V = {shape['num_words']}, "
        f"E = {shape['word_width']}, H = {shape['hidden']}, L = {shape['num_labels']}, F = {layers}"
    )
    drawing.save(figure, path)
    return True


def lines(points: Any) -> dict[str, list[tuple[int, float]]]:
    """By contender: (value, milliseconds); what did not run has no point."""
    found: dict[str, list[tuple[int, float]]] = {}
    for point in points:
        for name, about in point["contenders"].items():
            median = about.get("training", {}).get("median_s")
            if median:
                found.setdefault(name, []).append((point["value"], 1e3 * median))
    return found
