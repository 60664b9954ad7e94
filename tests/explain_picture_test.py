"""The picture of attention: what is drawn where, and what is said of what is left out."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from axml_jax.errors import ConfigError
from axml_jax.explain_picture import _lines, _note, _Piece, _pieces, draw_picture
from tests.explained import explained

LABELS = [("sport", 0.75, True, True), ("money", 0.25, True, False), ("law", 0.01, False, True)]
TEXT = "Keeper saves $penalty$, club <b>saves</b> money"


def read(path: Path) -> np.ndarray:
    """Pixels [height, width, 3], 0 to 1."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    assert path.read_bytes().startswith(b"\x89PNG")
    return np.asarray(pyplot.imread(path))[:, :, :3]


def drawn(
    path: Path, text: str, labels: Sequence[tuple[str, float, bool, bool | None]]
) -> np.ndarray:
    pytest.importorskip("matplotlib")
    draw_picture(explained(text, labels), path)
    return read(path)


def hot(pixels: np.ndarray) -> np.ndarray:
    """Rows and columns [N, 2] of what has nearly the full colour."""
    return np.argwhere(np.abs(pixels - np.array([1.0, 0.54, 0.24])).max(axis=2) < 0.12)


def test_the_word_of_the_greatest_weight_has_the_full_colour(tmp_path: Path) -> None:
    first = hot(drawn(tmp_path / "1.png", TEXT, LABELS[:1]))
    # The second label attends to the second word.
    both = hot(drawn(tmp_path / "2.png", TEXT, LABELS[:2]))
    # Rows of the words: below a heading, above a scale.
    words = first[first[:, 0] < 95]
    seconds = both[(both[:, 0] > 150) & (both[:, 0] < 225)]
    assert len(words) > 500
    assert len(seconds) > 500
    assert words[:, 1].max() < seconds[:, 1].min()


def test_the_same_document_gives_the_same_picture_and_a_label_more_makes_it_higher(
    tmp_path: Path,
) -> None:
    one = drawn(tmp_path / "1.png", TEXT, LABELS[:1])
    assert np.array_equal(one, drawn(tmp_path / "2.png", TEXT, LABELS[:1]))
    three = drawn(tmp_path / "3.png", TEXT, LABELS)
    assert one.shape[1] == three.shape[1] == 1200
    assert len(three) > 2 * len(one)


def test_names_too_long_and_letters_that_no_font_has_are_no_error(tmp_path: Path) -> None:
    odd = "中文 \U00016ea0 \x1b[2J \u202e" + "long" * 100 + " end " + "-" * 400
    pixels = drawn(tmp_path / "odd.png", odd, [("a very long name " * 20, 0.5, True, None)])
    # Nothing reaches the right edge.
    assert (pixels[:, -10:] == 1.0).all()


def test_lines_end_at_spaces_and_hold_what_they_can() -> None:
    def width(text: str) -> float:
        return 0.5 * len(text)  # 15 characters a line

    def lines(*texts: str) -> list[str]:
        pieces = [_Piece(text, None) for text in texts]
        return ["".join(piece.text for _, _, piece in line) for line in _lines(pieces, width)]

    assert lines("seven77", " ", "seven77", " ", "six666") == ["seven77 seven77", "six666"]
    # Word and comma stay together.
    assert lines("seven77", " ", "sevens7", ",", " ", "a") == ["seven77 ", "sevens7, a"]
    assert lines("a" * 40) == ["a" * 10] * 4
    placed = _lines([_Piece("ab", 0.5), _Piece(" ", None), _Piece("c", 0.1)], width)
    lefts = [left - placed[0][0][0] for left, _, _ in placed[0]]
    assert lefts == pytest.approx([0.0, 1.0, 1.5])


def test_what_is_left_out_is_said() -> None:
    about = explained(" ".join(f"w{i}" for i in range(1300)), LABELS, max_tokens=200)
    assert _note(about, 150) == (
        "50 more words that were read are not shown; 1,100 words after the first 200 were not read"
    )
    shown = [piece for piece in _pieces(about, about.labels[0], 150) if piece.share is not None]
    assert [piece.text for piece in shown] == [f"w{i}" for i in range(150)]
    assert _note(explained(TEXT, LABELS), 150) == ""
    whole = "".join(piece.text for piece in _pieces(explained(TEXT, LABELS), about.labels[0], 150))
    assert whole == TEXT


def test_without_matplotlib_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"needs matplotlib.*\[plot\]"):
        draw_picture(explained(TEXT, LABELS), tmp_path / "picture.png")
    assert list(tmp_path.iterdir()) == []
