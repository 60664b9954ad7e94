"""The picture that shows attention, for papers: a document once per label, its words shaded.

Knows nothing of models.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from axml_jax.errors import ConfigError
from axml_jax.explain import Attention, Explanation
from axml_jax.explain_page import full_shade, outcome, percent
from axml_jax.tables import printable

_DPI = 150
_WIDTH = 8.0  # inches
_MARGIN = 0.15
_LINE = 0.235
_SIZE = 10.0  # points
_COLORS = ("#ffffff", "#ff8a3d")


class _Piece(NamedTuple):
    """What stands between two places where a line may end: text, and the share of its token."""

    text: str
    share: float | None


def require_matplotlib() -> None:
    """Raises ConfigError where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError(
            "the picture needs matplotlib, which is not installed: pip install 'matplotlib>=3.9', "
            "or axml_jax with its extra: pip install -e '.[plot]'; a page needs nothing"
        )


def draw_picture(
    explanation: Explanation,
    path: str | os.PathLike[str],
    most_words: int = 150,
    most_labels: int = 3,
) -> None:
    """Writes a PNG.

    Args:
      explanation: Of one document.
      path: The file.
      most_words: Words shown; a note says how many more there are.
      most_labels: Labels shown, the best ones.

    Raises:
      ConfigError: matplotlib is not installed.
    """
    require_matplotlib()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    # A dollar in a text is no mathematics.
    settings = {"text.parse_math": False, "font.size": _SIZE}
    with pyplot.rc_context(settings), warnings.catch_warnings():
        # A word in a script that the font lacks is drawn as boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure = pyplot.figure(figsize=(_WIDTH, 1), dpi=_DPI)
        labels = explanation.labels[:most_labels]
        panels = [
            _lines(_pieces(explanation, label, most_words), lambda text: _width(figure, text))
            for label in labels
        ]
        note = _note(explanation, most_words)
        # For each label a heading, a scale and room between it and the next one.
        lines = sum(len(panel) + 2.75 for panel in panels) + (1 if note else -0.65)
        height = lines * _LINE + 2 * _MARGIN
        figure.set_size_inches(_WIDTH, height)
        canvas = figure.add_axes((0, 0, 1, 1))
        canvas.axis("off")
        top = _MARGIN
        for label, panel in zip(labels, panels, strict=True):
            top = _panel(canvas, label, panel, top)
        if note:
            canvas.text(_MARGIN, top, note, va="top", fontsize=_SIZE - 1, style="italic")
        # After the scales, each of which would have the whole canvas.
        canvas.set(xlim=(0, _WIDTH), ylim=(height, 0))
        # Opened here: matplotlib would read and seek in it, which a pipe does not let it.
        with open(path, "wb") as file:
            figure.savefig(file, format="png", metadata={"Software": None})
        pyplot.close(figure)


def _pieces(about: Explanation, label: Attention, most_words: int) -> Iterator[_Piece]:
    end = 0
    shown = min(most_words, about.num_read)
    for token, share in itertools.islice(zip(about.tokens, label.weights, strict=False), shown):
        yield from _between(about.text[end : token.start])
        yield _Piece(about.text[token.start : token.end], float(share))
        end = token.end
    more = len(about.tokens) > shown
    yield from [_Piece(" …", None)] if more else _between(about.text[end:])


def _between(text: str) -> Iterator[_Piece]:
    """What is no word, every stretch of white space as one space, which may end a line."""
    for part in re.split(r"(\s+)", text):
        if part:
            yield _Piece(" " if part.isspace() else printable(part), None)


def _lines(
    pieces: Iterable[_Piece], width: Callable[[str], float]
) -> list[list[tuple[float, float, _Piece]]]:
    """Lines of (left, width, piece) in inches, which end at spaces where there are any."""
    room = _WIDTH - 2 * _MARGIN
    lines: list[list[tuple[float, float, _Piece]]] = [[]]
    left = 0.0
    for is_space, group in itertools.groupby(pieces, key=lambda piece: piece.text == " "):
        parts = [part for piece in group for part in _cut(piece, width, room)]
        widths = [width(part.text) for part in parts]
        starts_line = left + sum(widths) > room and sum(widths) <= room
        for part, needed in zip(parts, widths, strict=True):
            if lines[-1] and (starts_line or left + needed > room):
                lines.append([])
                left = 0.0
            starts_line = False
            if lines[-1] or not is_space:
                lines[-1].append((_MARGIN + left, needed, part))
                left += needed
    return lines


def _cut(piece: _Piece, width: Callable[[str], float], room: float) -> Iterator[_Piece]:
    """Parts of a piece, each of which has room on a line."""
    parts = math.ceil(1.2 * width(piece.text) / room) if width(piece.text) > room else 1
    long = math.ceil(len(piece.text) / parts)
    for first in range(0, len(piece.text), long):
        yield piece._replace(text=piece.text[first : first + long])


def _width(figure: Any, text: str) -> float:
    """Inches that a text takes, the spaces at its ends included."""
    renderer = figure.canvas.get_renderer()
    font = {"prop": _font(), "ismath": False}
    # A line's ink ends before its spaces; a bar at either end holds them.
    bars = renderer.get_text_width_height_descent("||", **font)[0]
    wide = renderer.get_text_width_height_descent(f"|{text}|", **font)[0]
    return float(wide - bars) / _DPI


def _font() -> Any:
    from matplotlib.font_manager import FontProperties

    return FontProperties(size=_SIZE)


def _panel(
    canvas: Any, label: Attention, lines: list[list[tuple[float, float, _Piece]]], top: float
) -> float:
    """Draws a label's heading, scale and words; returns where the next one begins."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    shades = LinearSegmentedColormap.from_list("attention", list(_COLORS))
    full = full_shade(label.weights)
    kind = outcome(label)
    said = "predicted" if label.is_true is None else kind.meaning.split(":")[0]
    after = f"   {percent(label.probability)}   {said}"
    heading = _fitted(canvas.figure, printable(label.shown), after)
    canvas.text(_MARGIN, top, heading, va="top", weight="bold")
    top += 1.1 * _LINE
    for line in lines:
        for at, wide, piece in line:
            if piece.share is not None:
                color = shades(min(piece.share / full, 1.0))
                box = Rectangle((at, top - 0.015), wide, 0.87 * _LINE, facecolor=color, lw=0)
                canvas.add_patch(box)
            if piece.text != " ":
                canvas.text(at, top + 0.73 * _LINE, piece.text, va="baseline")
        top += _LINE
    _scale(canvas, shades, f"{percent(full)} of the label’s attention", top)
    return top + 1.65 * _LINE


def _scale(canvas: Any, shades: Any, end: str, top: float) -> None:
    from matplotlib.patches import Rectangle

    say = {"va": "center", "fontsize": _SIZE - 2, "color": "0.3"}
    left, long, high = _MARGIN + 0.35, 1.2, 0.1
    middle = top + 0.5 * _LINE
    canvas.text(_MARGIN, middle, "0 %", **say)
    canvas.imshow(
        [[step / 255 for step in range(256)]],
        cmap=shades,
        extent=(left, left + long, middle + high / 2, middle - high / 2),
        aspect="auto",
    )
    frame = Rectangle((left, middle - high / 2), long, high, fill=False, lw=0.5, ec="0.4")
    canvas.add_patch(frame)
    canvas.text(left + long + 0.08, middle, end, **say)


def _fitted(figure: Any, name: str, after: str) -> str:
    """A heading no longer than a line: bold, whose letters are a quarter wider at most."""
    room = (_WIDTH - 2 * _MARGIN) / 1.25
    if _width(figure, name + after) <= room:
        return name + after
    while name and _width(figure, f"{name}…{after}") > room:
        name = name[:-1]
    return f"{name}…{after}"


def _note(about: Explanation, most_words: int) -> str:
    parts = []
    if about.num_read > most_words:
        parts.append(f"{about.num_read - most_words:,} more words that were read are not shown")
    if len(about.tokens) > about.num_read:
        unread = len(about.tokens) - about.num_read
        parts.append(f"{unread:,} words after the first {about.num_read:,} were not read")
    return "; ".join(parts)
