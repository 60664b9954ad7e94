"""Calibration error and the reliability diagram."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from axml_jax.analysis import plot_reliability, reliability
from axml_jax.errors import ConfigError

# Row 0 lists labels 0 (0.9) and 2 (0.2), row 1 label 1 (1.0), row 2 label 0 (0.0, stored).
PROBABILITIES = sp.csr_matrix(
    (np.array([0.9, 0.2, 1.0, 0.0]), [0, 2, 1, 0], [0, 2, 3, 4]), shape=(3, 3)
)
TRUTH = sp.csr_matrix(np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]]))


def test_by_hand() -> None:
    result = reliability(PROBABILITIES, TRUTH, num_bins=2)
    np.testing.assert_array_equal(result.edges, [0.0, 0.5, 1.0])
    np.testing.assert_array_equal(result.counts, [2, 2])
    np.testing.assert_allclose(result.predicted, [0.1, 0.95])
    np.testing.assert_allclose(result.observed, [0.0, 0.5])
    assert result.error == pytest.approx(0.5 * 0.1 + 0.5 * 0.45)


def test_a_bin_holds_its_lower_end_and_empty_bins_count_nothing() -> None:
    edge = sp.csr_matrix(np.array([[0.25, 0.5, 1.0]]))
    result = reliability(edge, sp.csr_matrix(np.ones((1, 3))), num_bins=4)
    np.testing.assert_array_equal(result.counts, [0, 1, 1, 1])
    assert np.isnan(result.predicted[0])
    assert result.error == pytest.approx((0.75 + 0.5 + 0) / 3)


def test_what_comes_true_as_often_as_said_has_no_error() -> None:
    generator = np.random.default_rng(0)
    said = generator.random((200, 100))
    error = reliability(sp.csr_matrix(said), sp.csr_matrix(generator.random(said.shape) < said))
    assert error.error < 0.02
    wrong = reliability(sp.csr_matrix(said), sp.csr_matrix(generator.random(said.shape) < said**3))
    assert wrong.error == pytest.approx(1 / 2 - 1 / 4, abs=0.02)


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="of the extra plot")
    plot_reliability(reliability(PROBABILITIES, TRUTH), tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"needs matplotlib.*pip install -e '\.\[plot\]'"):
        plot_reliability(reliability(PROBABILITIES, TRUTH), tmp_path / "reliability.png")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((PROBABILITIES, TRUTH[:2]), r"both should be \[N, L\]"),
        ((PROBABILITIES, TRUTH, 0), "num_bins should be at least 1"),
        ((sp.csr_matrix((3, 3)), TRUTH), "no prediction"),
        ((2 * PROBABILITIES, TRUTH), "between 0 and 1"),
    ],
)
def test_refusals(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reliability(*arguments)
