"""A training step compiled for H200s: kernels of a time step, memory, what cards tell others."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.h200 import needs_plugin, results_of

pytestmark = needs_plugin


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return results_of("h200_step", tmp_path_factory.mktemp("h200"))


def test_a_time_step_of_the_bilstm_starts_few_kernels(compiled: dict[str, Any]) -> None:
    assert len(compiled["recurrence"]) == 4
    for row in compiled["recurrence"]:
        # A product, a function and a store at least: fewer were not counted.
        assert 3 <= row["forward"] <= 4, row
        assert 6 <= row["with_gradient"] <= 12, row


def test_the_word_table_is_not_copied(compiled: dict[str, Any]) -> None:
    """However many words there are, the step sets aside the same; all rows need another table."""
    steps, width = compiled["word_table"]["steps"], compiled["word_table"]["word_width"]
    few, many = sorted(steps["touched rows"], key=int)
    table = int(many) * width * 4
    touched, all_rows = (
        steps[name][many]["temporary"] - steps[name][few]["temporary"]
        for name in ("touched rows", "all rows")
    )
    # Not zero: with larger arguments XLA puts other things in another order.
    assert touched < 0.1 * table
    assert all_rows > 0.7 * table


def test_cards_never_tell_each_other_a_word_table(compiled: dict[str, Any]) -> None:
    told = compiled["four_cards"]["collectives"]
    shape = compiled["four_cards"]["shape"]
    assert {"all-reduce", "all-gather"} <= {one["kind"] for one in told}
    sizes = [
        int(size) for one in told for text in one["shapes"] for size in re.findall(r"\d+", text)
    ]
    assert shape["num_words"] not in sizes
    # Rows of all words of a batch, queries, LSTM, layers: what has to be told, and little more.
    rows = (shape["batch"] * shape["tokens"] + 1) * shape["word_width"]
    units = shape["hidden"]
    lstm = 2 * 4 * units * (shape["word_width"] + units + 1)
    queries = shape["num_labels"] * 2 * units
    assert sum(one["bytes"] for one in told) < 1.05 * 4 * (rows + lstm + queries + 2**18)


def test_three_million_labels_fit_on_eight_cards(compiled: dict[str, Any]) -> None:
    split = compiled["split_labels"]
    # A card's eighth of queries, two moments and a gradient, 6.1 GB; the rest is words, states and
    # what the steps of the labels keep.
    assert split["per_card"]["total"] < 4 * split["queries_bytes"] / 8 + 5.5e9
    assert split["per_card"]["arguments"] > 3 * split["queries_bytes"] / 8
