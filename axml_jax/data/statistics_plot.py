"""Draws the statistics of a store.  Knows results only."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from axml_jax.data.description import TRAIN
from axml_jax.data.statistics import RARE
from axml_jax.errors import ConfigError
from axml_jax.jsonio import whole_file
from axml_jax.tables import printable

LENGTHS = "lengths.png"
LABELS = "labels.png"
_DPI = 120
# From so many on, an axis has room for powers of ten only.
_MANY = 5000
# Characters that fit side by side above the bars.
_ROOM = 72


def draw(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes two pictures: documents by length, and labels by frequency.

    Args:
      found: What `axml_jax.data.statistics.gather` found.
      folder: Where they go; it exists.

    Returns:
      The files written.

    Raises:
      ConfigError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ConfigError(
            "the pictures need matplotlib, which is not installed: pip install 'matplotlib>=3.9', "
            "or axml_jax with its extra: pip install -e '.[plot]'"
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    # A dollar in a name is no mathematics.
    settings = {"text.parse_math": False, "font.size": 11}
    with pyplot.rc_context(settings), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; that harms no number.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        files = []
        for file, one in ((LENGTHS, _lengths), (LABELS, _labels)):
            figure = one(found, pyplot)
            with whole_file(folder / file) as partial:
                figure.savefig(partial, dpi=_DPI, format="png", metadata={"Software": None})
            pyplot.close(figure)
            files.append(folder / file)
    return files


def _lengths(found: Mapping[str, Any], pyplot: Any) -> Any:
    """Share of each split's documents by length, with lines where they might be cut."""
    figure, panel = pyplot.subplots(figsize=(9, 5), layout="constrained")
    histogram = found["length_histogram"]
    edges = np.array(histogram["edges"])
    for number, (name, counts) in enumerate(histogram["documents"].items()):
        shares = 100 * np.array(counts) / sum(counts)
        label = f"{name}: {sum(counts):,} documents"
        style = {"color": f"C{number}", "linewidth": 1.8}
        panel.stairs(shares, edges, label=label, fill=number == 0, alpha=0.35 if not number else 1,
                     **style)  # fmt: skip
    panel.set_xscale("log")
    filled = np.flatnonzero(np.sum(list(histogram["documents"].values()), axis=0))
    panel.set_xlim(edges[filled[0]], edges[-1])
    # Room above for what the lines say.
    panel.set_ylim(0, 1.4 * max(panel.dataLim.ymax, 1e-9))
    for about in found["splits"][TRAIN]["cut"]:
        if not edges[filled[0]] < about["cut_off"] < edges[-1] or not about["documents_share"]:
            continue
        panel.axvline(about["cut_off"], color="0.3", linestyle="--", linewidth=1)
        panel.annotate(
            f"{about['cut_off']:,}: {about['documents_share']:.1%} cut",
            (about["cut_off"], 0.99),
            xycoords=panel.get_xaxis_transform(),
            # Beside the line, not behind it.
            xytext=(-4, 0),
            textcoords="offset points",
            rotation=90,
            ha="right",
            va="top",
            fontsize=9,
            color="0.3",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    _number_ticks(panel.xaxis, (1, 2, 5))
    panel.set(
        xlabel="length of a document, words (logarithmic)",
        ylabel="share of the split's documents, percent a bin",
        title=f"{printable(found['name'])}: documents by length",
    )
    panel.grid(True, alpha=0.25)
    # Below, where it hides neither bars nor lines.
    figure.legend(loc="outside lower center", ncols=4, title=f"dashed: share of {TRAIN} cut there")
    return figure


def _labels(found: Mapping[str, Any], pyplot: Any) -> Any:
    """Documents of each label by its rank, and how many labels have how many documents."""
    from matplotlib.patches import Patch

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 5), layout="constrained")
    about = found["documents_per_label"]
    counts, labels = np.array(about["distribution"][::-1]).T
    ranks = np.concatenate([[1], np.cumsum(labels)])
    # Labels of equal frequency are a level stretch from the first one's rank to the last one's.
    xs = np.stack([np.concatenate([[1], ranks[1:-1] + 1]), ranks[1:]], axis=1).ravel()
    left.plot(xs, np.repeat(counts, 2), color="C0", linewidth=2)
    left.set(
        xscale="log",
        yscale="log",
        xlabel="rank of the label, most frequent first",
        ylabel="training documents with the label",
        title="frequency by rank",
    )
    left.grid(True, which="both", alpha=0.2)
    for axis, most in ((left.xaxis, ranks[-1]), (left.yaxis, counts.max())):
        # Powers of ten alone would be two or three ticks.
        _number_ticks(axis, (1, 2, 5) if most < _MANY else (1,))

    edges = _edges(int(counts.max()))
    numbers, _ = np.histogram(counts, edges, weights=labels)
    names = [_bin(low, high - 1) for low, high in itertools.pairwise(edges)]
    colors = ["C1" if high - 1 <= RARE else "C0" for high in edges[1:]]
    bars = right.bar(names, numbers, color=colors)
    heights = [f"{number:,.0f}" if number else "" for number in numbers]
    # Upright where they would run into each other.
    upright = len(names) * max(map(len, heights)) > _ROOM
    right.bar_label(bars, heights, fontsize=9, rotation=90 if upright else 0, padding=3 * upright)
    right.margins(y=0.3 if upright else 0.1)
    kinds = (f"labels of at most {RARE} documents", "C1"), ("of more", "C0")
    handles = [Patch(color=color, label=kind) for kind, color in kinds]
    # Below, where it hides no bar.
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    right.grid(True, axis="y", alpha=0.25)
    right.set_axisbelow(True)
    right.tick_params(axis="x", rotation=45 if len(names) > 7 else 0)
    right.set(
        xlabel="training documents with the label",
        ylabel="number of labels",
        title=f"{about['rare_share']:.1%} of {int(labels.sum()):,} labels have at most {RARE} "
        "documents",
    )
    right.yaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    right.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    figure.suptitle(f"{printable(found['name'])}: labels by frequency")
    return figure


def _number_ticks(axis: Any, subs: tuple[int, ...]) -> None:
    """Plain numbers along a logarithmic axis, at these multiples of each power of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.set_minor_formatter(NullFormatter())


def _edges(most: int) -> list[int]:
    """First values of the bins 1, 2, 3-5, 6-10, 11-20, 21-50 and so on, and the end of the last."""
    edges = [1, 2, 3]
    power = 1
    while edges[-1] <= most:
        edges += [5 * power + 1, 10 * power + 1, 20 * power + 1]
        power *= 10
    end = next(place for place, edge in enumerate(edges) if edge > most)
    return edges[: end + 1]


def _bin(first: int, last: int) -> str:
    return f"{first:,}" if first == last else f"{first:,}\u2013{last:,}"
