"""Bootstrap intervals: the values in them, their coverage, determinism and refusals."""

import re
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from axml_jax import metrics
from axml_jax.analysis import bootstrap_intervals


def test_value_is_the_metric_itself() -> None:
    rng = np.random.default_rng(0)
    truth = sp.csr_matrix(rng.random((50, 8)) < 0.3)
    ids, _ = metrics.top_k_from_scores(rng.random((50, 8)), 5)
    inverse = metrics.inverse_propensities(rng.integers(0, 9, 8), 30)
    whole = metrics.evaluate(ids, truth, inverse_propensities=inverse)
    terms = metrics.per_document(ids, truth, inverse_propensities=inverse)
    intervals = bootstrap_intervals(terms, num_resamples=50)
    assert {name: interval.value for name, interval in intervals.items()} == pytest.approx(whole)
    assert all(low < value < high for value, low, high in intervals.values())


def test_agrees_with_the_normal_interval_where_that_holds() -> None:
    values = np.random.default_rng(1).normal(10.0, 3.0, 2000)
    half_width = 1.96 * values.std() / np.sqrt(len(values))
    value, low, high = bootstrap_intervals({"x": values}, num_resamples=2000)["x"]
    assert value == pytest.approx(values.mean())
    assert value - low == pytest.approx(half_width, rel=0.1)
    assert high - value == pytest.approx(half_width, rel=0.1)


def test_two_documents_by_hand() -> None:
    # A resample of (0, 1) has the mean 0, 0.5 or 1 with probability 1/4, 1/2, 1/4.
    interval = bootstrap_intervals({"x": np.array([0.0, 1.0])}, level=0.95)["x"]
    assert interval == (0.5, 0.0, 1.0)
    assert bootstrap_intervals({"x": np.array([0.0, 1.0])}, level=0.3)["x"] == (0.5, 0.5, 0.5)


def test_ratio_of_sums_draws_numerator_and_denominator_together() -> None:
    # Every document reaches half of its ideal, so every resample does.
    ideal = np.array([1.0, 2.0, 4.0, 8.0])
    terms = {"PSP@1": 50 * ideal, "PSP@1 ideal": ideal}
    assert bootstrap_intervals(terms) == {"PSP@1": (50.0, 50.0, 50.0)}


def test_resamples_that_could_reach_nothing_count_zero() -> None:
    terms = {"PSP@1": np.array([0.0, 100.0]), "PSP@1 ideal": np.array([0.0, 1.0])}
    assert bootstrap_intervals(terms)["PSP@1"] == (100.0, 0.0, 100.0)


def test_constant_terms_have_no_width() -> None:
    value, low, high = bootstrap_intervals({"x": np.full(30, 7.0)})["x"]
    assert value == low == high == 7.0


def test_the_seed_decides() -> None:
    terms = {"x": np.random.default_rng(2).random(100)}
    first = bootstrap_intervals(terms, num_resamples=100, seed=3)
    assert bootstrap_intervals(terms, num_resamples=100, seed=3) == first
    assert bootstrap_intervals(terms, num_resamples=100, seed=4) != first


def test_a_wider_level_contains_a_narrower_one() -> None:
    terms = {"x": np.random.default_rng(5).random(100)}
    wide = bootstrap_intervals(terms, level=0.99)["x"]
    narrow = bootstrap_intervals(terms, level=0.5)["x"]
    assert wide.low < narrow.low < narrow.high < wide.high


def test_paired_metrics_see_the_same_resamples() -> None:
    values = np.random.default_rng(6).random(100)
    intervals = bootstrap_intervals({"a": values, "b": values + 1.0})
    assert intervals["b"] == pytest.approx([bound + 1.0 for bound in intervals["a"]])


@pytest.mark.parametrize(
    ("terms", "options", "message"),
    [
        ({}, {}, "All terms should be of one length [N]"),
        ({"x": np.zeros(3), "y": np.zeros(4)}, {}, "their shapes are {'x': (3,), 'y': (4,)}"),
        ({"x": np.zeros((3, 1))}, {}, "their shapes are {'x': (3, 1)}"),
        ({"x": np.zeros(0)}, {}, "There are no documents to draw from"),
        ({"x": np.ones(2), "y": np.array([0, np.nan])}, {}, "The terms of y are not all finite"),
        ({"x": np.zeros(3)}, {"level": 1.0}, "level should lie between 0 and 1, but it is 1.0"),
        ({"x": np.zeros(3)}, {"num_resamples": 0}, "num_resamples should be at least 1"),
    ],
)
def test_refusals(terms: dict[str, np.ndarray], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        bootstrap_intervals(terms, **options)
