"""The consensus of eq. (9) and the mean of logits: by hand, against exact arithmetic."""

import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from axml_jax.baselines.predictions import Predictions, from_lists
from axml_jax.ensemble import consensus, mean_logits
from axml_jax.errors import InputError


def lists(rows: list[dict[int, float]], kind: str = "logit", num_labels: int = 6) -> Predictions:
    """Ranked lists of {label: score}; equal scores in the order given."""
    width = max(map(len, rows), default=0)
    ids, scores = np.full((len(rows), width), -1, np.int32), np.zeros((len(rows), width))
    for row, labels in enumerate(rows):
        ranked = sorted(labels.items(), key=lambda item: -item[1])
        ids[row, : len(ranked)] = [label for label, _ in ranked]
        scores[row, : len(ranked)] = [score for _, score in ranked]
    return from_lists(ids, scores, num_labels, kind)


def as_rows(predictions: Predictions) -> list[list[int]]:
    return [
        predictions.label_ids[begin:end].tolist()
        for begin, end in zip(predictions.offsets[:-1], predictions.offsets[1:], strict=True)
    ]


def test_by_hand_with_labels_that_one_source_lacks() -> None:
    first = lists([{0: 0.6, 1: 0.5}, {}, {2: 0.3}], "probability")
    second = lists([{1: 0.4, 3: 0.65}, {4: 0.1}, {}], "probability")
    joined = consensus([first, second])
    assert as_rows(joined) == [[1, 3, 0], [4], [2]]
    assert joined.kind == "logit"
    np.testing.assert_allclose(
        joined.probabilities(), [1 - 0.5 * 0.6, 0.65, 0.6, 0.1, 0.3], rtol=1e-12
    )
    # Whoever comes first, and in whatever way the same is said.
    logits = lists([{1: math.log(4 / 6), 3: math.log(65 / 35)}, {4: math.log(1 / 9)}, {}])
    for pair in ([second, first], [first, logits]):
        np.testing.assert_array_equal(consensus(pair).label_ids, joined.label_ids)
        np.testing.assert_allclose(consensus(pair).scores, joined.scores, rtol=1e-12)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_agrees_with_exact_fractions(count: int) -> None:
    generator = np.random.default_rng(count)
    sources, left = [], [[Fraction(1)] * 6 for _ in range(8)]
    for _ in range(count):
        rows: list[dict[int, float]] = []
        for row in range(8):
            chosen = generator.choice(6, generator.integers(0, 7), replace=False).tolist()
            rows.append({label: float(generator.random()) for label in chosen})
            for label, probability in rows[-1].items():
                left[row][label] *= 1 - Fraction(probability)
        sources.append(lists(rows, "probability"))
    joined = consensus(sources, top_k=4)
    for row, ids in enumerate(as_rows(joined)):
        listed = [label for label in range(6) if left[row][label] < 1]
        assert ids == sorted(listed, key=lambda label: left[row][label])[:4]
        for entry, label in enumerate(ids, start=int(joined.offsets[row])):
            odds = (1 - left[row][label]) / left[row][label]
            assert joined.scores[entry] == pytest.approx(math.log(odds), rel=1e-9, abs=1e-12)


def test_labels_whose_probabilities_round_to_one_are_told_apart() -> None:
    first = lists([{0: 60.0, 1: 60.5, 2: 59.0, 3: -3.0}])
    second = lists([{0: 41.0, 1: 40.4, 2: 42.5, 4: 101.0}])
    assert (expit(first.scores[:3]) == 1).all()
    joined = consensus([first, second])
    # Where both are nearly certain, 1 - P multiplies: the logits add up.
    assert as_rows(joined) == [[2, 0, 4, 1, 3]]
    np.testing.assert_allclose(joined.scores[:4], [101.5, 101.0, 101.0, 100.9], rtol=1e-12)


def test_probabilities_of_one_and_zero_keep_their_order() -> None:
    almost = float(np.nextafter(1.0, 0.0))
    source = lists([{3: 1.0, 0: almost, 2: 1e-300, 1: 0.0}], "probability")
    silent = lists([{}], "probability")
    joined = consensus([source, silent])
    assert as_rows(joined) == [[3, 0, 2, 1]]
    assert np.isfinite(joined.scores).all()
    assert (np.diff(joined.scores) < 0).all()
    # Of two that are certain the other source decides.
    certain = lists([{0: 1.0, 5: 1.0}], "probability")
    assert as_rows(consensus([certain, lists([{5: 2.0, 0: 1.0}])])) == [[5, 0]]


def test_equal_ones_stay_as_the_first_source_ranks_them() -> None:
    first = lists([{4: 1.0, 2: 1.0, 5: 1.0}], "probability")
    assert as_rows(consensus([first, lists([{}])])) == [[4, 2, 5]]
    second = lists([{1: 0.0, 0: 0.0}])
    assert as_rows(consensus([lists([{}]), second])) == [[1, 0]]
    both = [lists([{3: 1.0}]), lists([{0: 1.0}])]
    assert as_rows(consensus(both)) == [[3, 0]]
    assert as_rows(consensus(both[::-1])) == [[0, 3]]


def test_mean_of_logits_by_hand() -> None:
    first = lists([{0: 4.0, 1: 2.0, 2: -1.0}, {0: 1.0}, {}, {}])
    second = lists([{1: 3.0, 3: 2.5}, {}, {}, {5: -7.0}])
    joined = mean_logits([first, second])
    # 0: (4 + 2.5) / 2, 1: 2.5, 2: (-1 + 2.5) / 2, 3: (-1 + 2.5) / 2 and in the first list missing.
    assert as_rows(joined) == [[0, 1, 2, 3], [0], [], [5]]
    np.testing.assert_allclose(joined.scores, [3.25, 2.5, 0.75, 0.75, 1.0, -7.0])
    assert as_rows(mean_logits([first, second], top_k=1)) == [[0], [0], [], [5]]


def test_the_mean_of_whole_lists_is_the_mean() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(3, 7, 6))
    sources = [lists([dict(enumerate(row)) for row in part]) for part in logits.tolist()]
    joined = mean_logits(sources)
    np.testing.assert_allclose(joined.matrix().toarray(), logits.mean(axis=0))
    np.testing.assert_array_equal(joined.top_k(1)[:, 0], logits.mean(axis=0).argmax(axis=1))


@pytest.mark.parametrize(
    ("join", "sources", "error", "message"),
    [
        (consensus, [lists([{}])], ValueError, "two sources or more; 1 came"),
        (consensus, [lists([{}]), lists([{}, {}])], ValueError, "[(1, 6), (2, 6)]"),
        (consensus, [lists([{}]), lists([{}], num_labels=7)], ValueError, "[(1, 6), (1, 7)]"),
        (
            consensus,
            [lists([{}]), lists([{1: 8.0, 2: -3.0}], "score")],
            InputError,
            "found scores from -3 to 8 of which only the order is known",
        ),
        (
            mean_logits,
            [lists([{}]), lists([{}], "probability")],
            InputError,
            "needs logits; found the kind 'probability'",
        ),
    ],
)
def test_refusals(
    join: Callable[..., Any], sources: list[Predictions], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        join(sources)
