"""The paper's figures as they were typed: they agree with one another, and with a few by hand."""

import numpy as np
import pytest
from scipy.stats import rankdata, wilcoxon

from axml_jax.analysis import compare_pairs
from axml_jax.data.table_one import PAPER
from benchmarks import paper_published as published

DATA_SETS = ["RCV1", "EUR-Lex", "Wiki10-31K", "WikiLSHTC", "AmazonCat-13K"]


def test_a_few_by_hand() -> None:
    assert published.of_table(2, "EUR-Lex")["P@1"]["AttentionXML"] == {"value": 82.87, "rank": 1}
    assert published.of_table(2, "Wiki10-31K")["P@5"]["XML-CNN"] == {"value": 56.11, "rank": 7}
    assert published.of_table(3, "WikiLSHTC")["nDCG@3"]["AnnexML"] == {"value": 57.64, "rank": 3}
    assert published.of_table(4, "AmazonCat-13K")["Top4"] == 73
    assert published.of_table(5, "RCV1")["nDCG@5"]["Consensus"] == 93.58
    rare = published.of_table(6, "EUR-Lex")[2]
    assert (rare["lowest"], rare["below"], rare["labels"], rare["share"]) == (5, 17, 657, 27.18)
    assert (rare["AUC"]["AttentionXML"], rare["AUPR"]["Parabel"]) == (74.51, 55.50)
    assert published.of_table(7, "AmazonCat-13K") == {"train": 2938.54, "test": 41.75}
    assert published.of_table(7, "RCV1") is None


def test_table_1_is_the_one_that_counts_are_compared_with() -> None:
    for name, row in PAPER.items():
        assert {"name": name, **published.of_table(1, name)} == row._asdict()


@pytest.mark.parametrize("number", [2, 3])
def test_values_ranks_and_p_values_belong_together(number: int) -> None:
    figures = published.figures()[f"table_{number}"]
    assert list(figures["data_sets"]) == DATA_SETS
    rows = [row for metrics in figures["data_sets"].values() for row in metrics.values()]
    assert all(tuple(row) == published.METHODS for row in rows)
    values = np.array([[cell["value"] for cell in row.values()] for row in rows])
    ranks = np.array([[cell["rank"] for cell in row.values()] for row in rows])
    assert values.shape == (15, 8)
    np.testing.assert_array_equal(ranks, rankdata(-values, axis=1, method="min"))
    told = list(figures["average_ranks"].values())
    np.testing.assert_allclose(ranks.mean(axis=0), told, atol=0.0051)
    for published_p, column in zip(figures["p_values"].values(), values[:, :-1].T, strict=True):
        differences = np.round(values[:, -1] - column, 9)
        # The paper looked them up as if no two differences were equal.
        found = wilcoxon(differences, method="exact").pvalue
        assert found == pytest.approx(published_p, rel=0.005)
        if len(np.unique(np.abs(differences))) == len(differences):
            assert compare_pairs(values[:, -1], column).p_value == pytest.approx(found)


def test_table_5_repeats_tables_2_and_3() -> None:
    for data_set in DATA_SETS:
        for metric, row in published.of_table(5, data_set).items():
            there = published.of_table(3 if metric.startswith("n") else 2, data_set)[metric]
            for method in ("Parabel", "AttentionXML"):
                assert row[method] == there[method]["value"]


def test_names_of_ours_and_of_the_paper() -> None:
    found = [published.data_set_of(name) for name in ("eurlex4k", "eur-lex", "pydocs", "mine")]
    assert found == ["EUR-Lex", "EUR-Lex", None, None]
    assert published.method_of("annexml") == "AnnexML"
    assert published.method_of("xml_rnn") == "XML-RNN"
    assert published.method_of("ours_2") == "ours_2"
