"""The metrics: worked by hand, against the formulas in plain loops, and their conventions."""

import math
import re
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from axml_jax import metrics
from axml_jax.errors import InputError

LOG2, LOG3, LOG4 = math.log(2), math.log(3), math.log(4)  # the base must not matter


def truth_of(rows: list[list[int]], num_labels: int) -> Any:
    matrix = sp.lil_matrix((len(rows), num_labels))
    for row, labels in enumerate(rows):
        for label in labels:
            matrix[row, label] = 1
    return matrix.tocsr()


# Six labels.  Document 0: hits at ranks 1 and 3 of 3 true labels.  Document 1: one true label, a
# list of one, a miss.  Document 2 has no true label.  Document 3: two true, found at rank 2.
IDS = np.array([[4, 1, 0], [2, -1, -1], [0, 1, 2], [5, 3, 1]])
TRUTH = truth_of([[0, 4, 5], [1], [], [2, 3]], 6)
INVERSE = np.array([1.0, 2.0, 4.0, 3.0, 1.5, 8.0])


def test_by_hand() -> None:
    result = metrics.evaluate(IDS, TRUTH, (1, 3))
    assert result == pytest.approx(
        {
            "P@1": 100 * 1 / 4,
            "P@3": 100 * (2 / 3 + 0 + 0 + 1 / 3) / 4,
            "nDCG@1": 100 * 1 / 4,
            "nDCG@3": 100
            * (
                (1 / LOG2 + 1 / LOG4) / (1 / LOG2 + 1 / LOG3 + 1 / LOG4)
                + (1 / LOG3) / (1 / LOG2 + 1 / LOG3)
            )
            / 4,
            "R@1": 100 * (1 / 3) / 4,
            "R@3": 100 * (2 / 3 + 1 / 2) / 4,
            "RP@1": 100 * 1 / 4,
            "RP@3": 100 * (2 / 3 + 1 / 2) / 4,
        }
    )


def test_propensity_scored_by_hand() -> None:
    result = metrics.evaluate(IDS, TRUTH, (1, 3), inverse_propensities=INVERSE)
    # Ideal lists: labels 5, 4, 0 (8, 1.5, 1); label 1 (2); none; labels 2, 3 (4, 3).
    assert result["PSP@1"] == pytest.approx(100 * 1.5 / (8 + 2 + 4))
    assert result["PSP@3"] == pytest.approx(100 * (1.5 + 1 + 3) / (10.5 + 2 + 7))
    assert result["PSnDCG@1"] == pytest.approx(100 * 1.5 / (8 + 2 + 4))
    i3, i2 = 1 / LOG2 + 1 / LOG3 + 1 / LOG4, 1 / LOG2 + 1 / LOG3
    found = (1.5 / LOG2 + 1 / LOG4) / i3 + (3 / LOG3) / i2
    best = (8 / LOG2 + 1.5 / LOG3 + 1 / LOG4) / i3 + 2 + (4 / LOG2 + 3 / LOG3) / i2
    assert result["PSnDCG@3"] == pytest.approx(100 * found / best)


def test_from_scores_with_ties_duplicates_short_lists_and_empty_documents_by_hand() -> None:
    # Document 0: 1 and 4 tie for rank 1, 0 and 3 for rank 3; true are 4 (stored twice) and 3.
    # Document 1: one label predicted, two true.  Document 2: nothing predicted, one true.
    # Document 3: two predicted, nothing true.  Document 4: neither.
    scores = sp.csr_matrix(
        (
            np.array([2.0, 0.5, 2.0, 0.5, 1.0, 0.0, -3.0]),
            np.array([4, 3, 1, 0, 2, 0, 5]),
            np.array([0, 4, 5, 5, 7, 7]),
        ),
        shape=(5, 6),
    )
    truth = sp.csr_matrix(
        (np.ones(6), np.array([4, 4, 3, 2, 0, 5]), np.array([0, 3, 5, 6, 6, 6])), shape=(5, 6)
    )
    ids, _ = metrics.top_k_from_sparse(scores, 4)
    np.testing.assert_array_equal(
        ids, [[1, 4, 0, 3], [2, -1, -1, -1], [-1] * 4, [0, 5, -1, -1], [-1] * 4]
    )
    log5 = math.log(5)
    ideal_2 = 1 / LOG2 + 1 / LOG3
    # Inverse propensities of the hits: 4 -> 1.5, 3 -> 3, 2 -> 4; ideal lists 3, 4; 2, 0; 5; -; -.
    expected = {
        "P@1": 100 * (0 + 1) / 5,
        "P@4": 100 * (2 / 4 + 1 / 4) / 5,
        "nDCG@1": 100 * (0 + 1) / 5,
        "nDCG@4": 100 * ((1 / LOG3 + 1 / log5) / ideal_2 + (1 / LOG2) / ideal_2) / 5,
        "R@1": 100 * (0 + 1 / 2) / 5,
        "R@4": 100 * (1 + 1 / 2) / 5,
        "RP@1": 100 * (0 + 1) / 5,
        "RP@4": 100 * (1 + 1 / 2) / 5,
        "PSP@1": 100 * (0 + 4) / (3 + 4 + 8),
        "PSP@4": 100 * (1.5 + 3 + 4) / (4.5 + 5 + 8),
        "PSnDCG@1": 100 * (0 + 4) / (3 + 4 + 8),
        "PSnDCG@4": 100
        * ((1.5 / LOG3 + 3 / log5) / ideal_2 + (4 / LOG2) / ideal_2)
        / ((3 / LOG2 + 1.5 / LOG3) / ideal_2 + (4 / LOG2 + 1 / LOG3) / ideal_2 + 8),
    }
    found = metrics.evaluate(ids, truth, (1, 4), inverse_propensities=INVERSE)
    assert found == pytest.approx(expected, rel=1e-12)


def slow_metrics(
    ids: np.ndarray, truth: Any, ks: tuple[int, ...], inverse: np.ndarray
) -> dict[str, float]:
    """The formulas at the head of the module, one document and one rank at a time."""
    result: dict[str, float] = {}
    dense = truth.toarray() != 0
    for k in ks:
        sums = dict.fromkeys(["P", "nDCG", "R", "RP", "psp", "psp_best", "psn", "psn_best"], 0.0)
        for row in range(len(ids)):
            true = [label for label in range(dense.shape[1]) if dense[row, label]]
            ideal = sum(1 / math.log(j + 1) for j in range(1, min(k, len(true)) + 1)) or 1.0
            hits = 0
            for j, label in enumerate(ids[row][:k], start=1):
                if label in true:
                    hits += 1
                    sums["nDCG"] += 1 / math.log(j + 1) / ideal
                    sums["psp"] += inverse[label] / k
                    sums["psn"] += inverse[label] / math.log(j + 1) / ideal
            sums["P"] += hits / k
            sums["R"] += hits / (len(true) or 1)
            sums["RP"] += hits / (min(k, len(true)) or 1)
            gains = sorted((inverse[label] for label in true), reverse=True)[:k]
            for j, gain in enumerate(gains, start=1):
                sums["psp_best"] += gain / k
                sums["psn_best"] += gain / math.log(j + 1) / ideal
        for name in ("P", "nDCG", "R", "RP"):
            result[f"{name}@{k}"] = 100 * sums[name] / len(ids)
        result[f"PSP@{k}"] = 100 * sums["psp"] / sums["psp_best"]
        result[f"PSnDCG@{k}"] = 100 * sums["psn"] / sums["psn_best"]
    return result


def random_case(
    seed: int, num_documents: int = 40, num_labels: int = 12, width: int = 7
) -> tuple[np.ndarray, Any, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = sp.csr_matrix(rng.random((num_documents, num_labels)) < rng.random((num_documents, 1)))
    scores = rng.integers(0, 5, (num_documents, num_labels)).astype(np.float32)  # many ties
    ids, _ = metrics.top_k_from_scores(scores, width)
    for row, length in enumerate(rng.integers(0, width + 1, num_documents)):
        ids[row, length:] = -1
    counts = rng.integers(0, 30, num_labels)  # some labels were never seen in training
    return ids, truth, metrics.inverse_propensities(counts, 100)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ks", [(1, 3, 5), (2, 7, 9, 20)])
def test_agrees_with_the_formulas_in_loops(seed: int, ks: tuple[int, ...]) -> None:
    ids, truth, inverse = random_case(seed)
    result = metrics.evaluate(ids, truth, ks, inverse_propensities=inverse)
    assert result == pytest.approx(slow_metrics(ids, truth, ks, inverse), rel=1e-12)


@pytest.mark.parametrize("entries", [1, 30, 64])
def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch, entries: int) -> None:
    ids, truth, inverse = random_case(7)
    whole = metrics.evaluate(ids, truth, inverse_propensities=inverse)
    monkeypatch.setattr("axml_jax.top_k._BLOCK_ENTRIES", entries)
    result = metrics.evaluate(ids, truth, inverse_propensities=inverse)
    assert result == pytest.approx(whole, rel=1e-12)


def test_accumulator_equals_one_call() -> None:
    ids, truth, inverse = random_case(8)
    accumulator = metrics.MetricAccumulator(12, inverse_propensities=inverse)
    for rows in (slice(0, 3), slice(3, 3), slice(3, 40)):
        accumulator.update(ids[rows], truth[rows])
    whole = metrics.evaluate(ids, truth, inverse_propensities=inverse)
    assert accumulator.num_documents == 40
    assert accumulator.result() == pytest.approx(whole, rel=1e-12)
    assert list(accumulator.result()) == list(whole)


def test_failed_update_adds_nothing_and_counts_rows_from_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("axml_jax.top_k._BLOCK_ENTRIES", 1)
    accumulator = metrics.MetricAccumulator(6, (1,))
    accumulator.update(IDS, TRUTH)
    before = accumulator.result()
    with pytest.raises(InputError, match="Row 6 of the predictions"):
        accumulator.update(np.array([[4], [1], [9]]), TRUTH[:3])
    assert accumulator.num_documents == 4
    assert accumulator.result() == before


def test_per_document_aggregates_to_the_metrics() -> None:
    ids, truth, inverse = random_case(9)
    terms = metrics.per_document(ids, truth, inverse_propensities=inverse)
    whole = metrics.evaluate(ids, truth, inverse_propensities=inverse)
    assert all(values.shape == (40,) for values in terms.values())
    assert metrics.aggregate(terms) == pytest.approx(whole, rel=1e-12)
    assert terms["P@3"].mean() == pytest.approx(whole["P@3"])
    ratio = terms["PSnDCG@5"].sum() / terms["PSnDCG@5 ideal"].sum()
    assert ratio == pytest.approx(whole["PSnDCG@5"])


def test_per_document_values_by_hand() -> None:
    terms = metrics.per_document(IDS, TRUTH, (3,), inverse_propensities=INVERSE)
    np.testing.assert_allclose(terms["P@3"], [200 / 3, 0, 0, 100 / 3])
    np.testing.assert_allclose(terms["R@3"], [200 / 3, 0, 0, 50])
    np.testing.assert_allclose(terms["PSP@3"], [250 / 3, 0, 0, 100])
    np.testing.assert_allclose(terms["PSP@3 ideal"], [3.5, 2 / 3, 0, 7 / 3])


def test_perfect_lists_score_100_but_for_short_truth_in_precision() -> None:
    truth = truth_of([[0, 1, 2], [3]], 4)
    ids = np.array([[2, 0, 1], [3, 0, 1]])
    result = metrics.evaluate(ids, truth, (1, 3), inverse_propensities=np.ones(4))
    assert result["P@3"] == pytest.approx(100 * (1 + 1 / 3) / 2)
    others = {name: value for name, value in result.items() if name not in ("P@3", "R@1")}
    assert others == pytest.approx(dict.fromkeys(others, 100.0), rel=1e-14)


def test_precision_divides_by_k_where_fewer_labels_exist_or_were_predicted() -> None:
    truth = truth_of([[0, 1]], 2)
    assert metrics.evaluate(np.array([[0, 1]]), truth, (5,))["P@5"] == pytest.approx(40)
    assert metrics.evaluate(np.array([[1, -1]]), truth, (5,))["P@5"] == pytest.approx(20)
    assert metrics.evaluate(np.empty((1, 0), int), truth, (5,))["P@5"] == 0


def test_documents_without_labels_stay_in_the_mean() -> None:
    one = metrics.evaluate(np.array([[0]]), truth_of([[0]], 2), (1,))
    two = metrics.evaluate(np.array([[0], [0]]), truth_of([[0], []], 2), (1,))
    assert {name: value / 2 for name, value in one.items()} == two


def test_no_true_label_at_all_is_zero_everywhere() -> None:
    result = metrics.evaluate(IDS, sp.csr_matrix((4, 6)), inverse_propensities=INVERSE)
    assert set(result.values()) == {0.0}


def test_truth_is_made_binary_and_left_alone() -> None:
    # Row 0: label 1 twice, label 2 as an explicit zero, label 3 as 1 - 1; row 1: label 0 as 7.
    data = np.array([1.0, 0.0, 1.0, 1.0, -1.0, 7.0])
    columns = np.array([1, 2, 1, 3, 3, 0])
    offsets = np.array([0, 5, 6])
    truth = sp.csr_matrix((data, columns, offsets), shape=(2, 4))
    ids = np.array([[2, 1, 3], [0, 1, 2]])
    expected = metrics.evaluate(ids, truth_of([[1], [0]], 4))
    assert metrics.evaluate(ids, truth) == expected
    assert truth.nnz == 6
    np.testing.assert_array_equal(truth.indices, [1, 2, 1, 3, 3, 0])
    assert metrics.evaluate(ids, sp.csr_array(truth)) == expected


def test_many_repeats_of_a_label_in_a_narrow_truth_stay_true() -> None:
    truth = sp.csr_matrix((np.ones(256, np.int8), np.zeros(256, int), [0, 256]), shape=(1, 2))
    assert metrics.evaluate(np.array([[0]]), truth, (1,))["R@1"] == 100


@pytest.mark.parametrize("kind", [sp.coo_matrix, sp.csc_matrix, sp.csr_array, sp.coo_array])
def test_any_sparse_kind_is_truth(kind: Any) -> None:
    assert metrics.evaluate(IDS, kind(TRUTH)) == metrics.evaluate(IDS, TRUTH)


def test_labels_never_seen_in_training_stay_in_the_truth() -> None:
    counts = np.array([5, 0])  # label 1 is only in the truth
    inverse = metrics.inverse_propensities(counts, 10)
    result = metrics.evaluate(
        np.array([[0, -1]]), truth_of([[0, 1]], 2), (2,), inverse_propensities=inverse
    )
    assert result["R@2"] == 50
    assert result["PSP@2"] == pytest.approx(100 * inverse[0] / inverse.sum())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([3, 1, 3], "Row 1 of the predictions holds label 3 twice"),
        ([3, 6, 1], "Row 1 of the predictions holds label 6, but labels are numbered 0 to 5"),
        ([3, -2, -1], "Row 1 of the predictions holds label -2, but"),
        ([3, -1, 1], "Row 1 of the predictions goes on after a -1"),
    ],
)
def test_bad_lists_name_their_row(row: list[int], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        # The last two ranks lie beyond k: an error there is an error all the same.
        metrics.evaluate(np.array([[0, 1, 2], row]), TRUTH[:2], (1,))


@pytest.mark.parametrize("entries", [1, 1 << 20])
def test_nan_in_the_truth_names_its_row(monkeypatch: pytest.MonkeyPatch, entries: int) -> None:
    monkeypatch.setattr("axml_jax.top_k._BLOCK_ENTRIES", entries)
    truth = sp.csr_matrix(np.array([[0.0, 1.0], [np.nan, 1.0]]))
    with pytest.raises(InputError, match="Row 1 of the truth holds a NaN"):
        metrics.evaluate(np.array([[0], [0]]), truth)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_ids": IDS.astype(float)}, "label_ids should be integers [N, K]"),
        ({"label_ids": IDS[0]}, "label_ids should be integers [N, K]"),
        ({"label_ids": IDS[:3]}, "The truth should be [3, 6], one row for each row"),
        (
            {"truth": TRUTH.toarray()},
            "The truth should be a SciPy sparse matrix, but it is ndarray",
        ),
        ({"ks": ()}, "k should be whole numbers of at least 1, but it is ()"),
        ({"ks": (1, 0)}, "k should be whole numbers of at least 1, but it is (1, 0)"),
        ({"ks": (2.5,)}, "k should be whole numbers of at least 1"),
        ({"ks": (True,)}, "k should be whole numbers of at least 1"),
        ({"inverse_propensities": np.ones(5)}, "inverse_propensities should be [6]"),
        ({"inverse_propensities": np.zeros(6)}, "should be finite and above zero"),
        ({"label_ids": IDS[:0], "truth": TRUTH[:0]}, "There are no documents to evaluate"),
    ],
)
def test_arguments_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    arguments = {"label_ids": IDS, "truth": TRUTH} | changes
    with pytest.raises(ValueError, match=re.escape(message)):
        metrics.evaluate(**arguments)


def test_per_document_of_no_documents_is_empty() -> None:
    terms = metrics.per_document(IDS[:0], TRUTH[:0], (1,))
    assert list(terms) == ["P@1", "nDCG@1", "R@1", "RP@1"]
    assert all(values.shape == (0,) for values in terms.values())


def test_inverse_propensities_by_hand() -> None:
    c = (math.log(1000) - 1) * 2.5**0.55
    np.testing.assert_allclose(
        metrics.inverse_propensities(np.array([0, 10, 1000]), 1000),
        [1 + c / 1.5**0.55, 1 + c / 11.5**0.55, 1 + c / 1001.5**0.55],
        rtol=1e-14,
    )
    # At n = 1 the two powers cancel: 1 / p = log N, whatever A and B.
    for a, b in metrics.PROPENSITY_CONSTANTS.values():
        assert metrics.inverse_propensities(np.array([1]), 1000, a, b)[0] == pytest.approx(
            math.log(1000)
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1], 2), "at least 3 training documents, but there are 2"),
        (([-1], 10), "label_counts should lie in 0..10"),
        (([11], 10), "label_counts should lie in 0..10"),
        (([1], 10, 0.5, 0.0), "A is 0.5 and B is 0.0"),
        (([[1]], 10), "label_counts should be [L]"),
    ],
)
def test_propensities_refuse(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        metrics.inverse_propensities(*arguments)


@pytest.mark.parametrize(
    ("data_set", "family"),
    [
        ("", "default"),
        ("EUR-Lex", "default"),
        ("Wiki10-31K", "default"),
        ("AmazonCat-13K", "default"),
        ("WikiLSHTC-325K", "wikipedia"),
        ("wikipedia_500k", "wikipedia"),
        ("Amazon-670K", "amazon"),
        ("amazon3m", "amazon"),
    ],
)
def test_propensity_constants(data_set: str, family: str) -> None:
    assert metrics.propensity_constants(data_set) == metrics.PROPENSITY_CONSTANTS[family]


def test_most_frequent_labels() -> None:
    counts = np.array([2, 5, 0, 5, 1])
    ids = metrics.most_frequent_labels(counts, 3)
    np.testing.assert_array_equal(ids, [1, 3, 0])
    np.testing.assert_array_equal(metrics.most_frequent_labels(counts, 6), [1, 3, 0, 4, -1, -1])
    truth = truth_of([[1], [3]], 5)
    assert metrics.evaluate(np.broadcast_to(ids, (2, 3)), truth, (1,))["P@1"] == 50
