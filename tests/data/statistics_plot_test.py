"""The pictures of a store are pictures, of all its numbers."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from axml_jax.data import statistics_plot
from axml_jax.errors import ConfigError

pytest.importorskip("matplotlib", reason='needs matplotlib: pip install -e ".[plot]"')


def numbers(counts: list[list[int]], documents: dict[str, list[int]]) -> dict[str, Any]:
    edges = [1, 10, 100, 1000][: len(next(iter(documents.values()))) + 1]
    shares = {50: 0.25, 60: 0.0, 5000: 0.1}  # a line only where documents are, and are cut
    cut = [{"cut_off": at, "documents_share": share} for at, share in shares.items()]
    return {
        "name": "cats & $dogs$ \x1b[31m 猫",
        "length_histogram": {"edges": edges, "documents": documents},
        "splits": {"train": {"cut": cut}},
        "documents_per_label": {"distribution": counts, "rare_share": 0.5},
    }


@pytest.mark.parametrize(
    ("counts", "documents"),
    [
        ([[1, 4], [3, 2], [40, 1]], {"train": [1, 5, 3], "test": [0, 2, 7]}),
        ([[1, 1]], {"train": [1]}),
        ([[7, 90], [3_000_000, 2]], {"train": [0, 0, 9], "valid": [0, 0, 1], "test": [0, 1, 0]}),
    ],
)
def test_pictures_have_a_size_and_something_on_them(
    tmp_path: Path, counts: list[list[int]], documents: dict[str, list[int]]
) -> None:
    from matplotlib import image

    files = statistics_plot.draw(numbers(counts, documents), tmp_path)
    assert [file.name for file in files] == ["lengths.png", "labels.png"]
    for file, width in zip(files, (1080, 1440), strict=True):
        picture = image.imread(file)
        assert picture.shape == (600, width, 4)
        inked = np.mean(np.any(picture[:, :, :3] < 0.9, axis=2))
        assert 0.01 < inked < 0.8


def test_both_panels_draw_every_label(tmp_path: Path) -> None:
    from matplotlib import pyplot

    found = numbers([[1, 4], [3, 2], [40, 1]], {"train": [1, 5, 3]})
    left, right = statistics_plot._labels(found, pyplot).axes
    (line,) = left.lines
    assert line.get_xydata().tolist() == [[1, 40], [1, 40], [2, 3], [3, 3], [4, 1], [7, 1]]
    heights = [bar.get_height() for bar in right.patches]
    assert heights == [4, 0, 2, 0, 0, 1]
    names = [text.get_text() for text in right.get_xticklabels()]
    assert names == ["1", "2", "3–5", "6–10", "11–20", "21–50"]
    pyplot.close("all")


def test_cut_offs_are_lines_where_documents_are(tmp_path: Path) -> None:
    from matplotlib import pyplot

    figure = statistics_plot._lengths(numbers([[1, 1]], {"train": [1, 5, 3]}), pyplot)
    (panel,) = figure.axes
    assert [line.get_xdata()[0] for line in panel.lines] == [50]
    assert [text.get_text() for text in panel.texts] == ["50: 25.0% cut"]
    figure.canvas.draw()
    box = panel.texts[0].get_bbox_patch().get_window_extent()
    (line,) = panel.lines
    assert box.x1 < line.get_window_extent().x0
    pyplot.close("all")


@pytest.mark.parametrize("most", [7, 10**6])
def test_numbers_above_bars_and_along_axes_stay_apart(most: int) -> None:
    from matplotlib import pyplot

    counts = [[1, 70], *([2 * 10**p, 123_456] for p in range(7) if 2 * 10**p < most), [most, 1]]
    figure = statistics_plot._labels(numbers(counts, {"train": [1]}), pyplot)
    left, right = figure.axes
    figure.canvas.draw()
    for panel, texts in ((right, right.texts), (left, left.get_xticklabels())):
        # Ticks beyond the ends of an axis are there, but not drawn.
        ends = panel.get_window_extent()
        boxes = [text.get_window_extent() for text in texts if text.get_text()]
        boxes = [box for box in boxes if ends.x0 <= (box.x0 + box.x1) / 2 <= ends.x1]
        boxes.sort(key=lambda box: box.x0)
        assert len(boxes) >= 3
        assert all(one.x1 <= other.x0 for one, other in itertools.pairwise(boxes))
    assert "orange" not in right.get_title()
    kinds = {text.get_text() for text in figure.legends[0].get_texts()}
    assert kinds == {"labels of at most 5 documents", "of more"}
    pyplot.close("all")


def test_few_labels_have_ticks_between_powers_of_ten() -> None:
    from matplotlib import pyplot

    figure = statistics_plot._labels(numbers([[1, 60], [9, 10]], {"train": [1]}), pyplot)
    figure.canvas.draw()
    shown = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert {"1", "2", "5", "10", "20", "50"} <= set(shown)
    pyplot.close("all")


@pytest.mark.parametrize("most", [1, 2, 3, 5, 6, 10, 50, 51, 99_999, 10**6])
def test_bins_hold_the_most_frequent_label(most: int) -> None:
    edges = statistics_plot._edges(most)
    assert edges == sorted(set(edges))
    assert edges[-2] <= most < edges[-1]
    assert edges[0] == 1


def test_without_matplotlib_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"need matplotlib.*pip install"):
        statistics_plot.draw(numbers([[1, 1]], {"train": [1]}), tmp_path)
