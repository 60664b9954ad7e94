"""Shares of the floor of a training step's parts: counted by hand, over rates of the same run."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from benchmarks import matrix_rate
from benchmarks import train_step_data as data
from benchmarks import train_step_floors as floors
from benchmarks import train_step_measure as measure
from benchmarks import train_step_parts as parts
from benchmarks.memory_rate import memory_rate

TINY = data.SHAPES["tiny"]


def tiny_case() -> measure.Case:
    return measure.Case(TINY, ragged=True, batches=3, buckets=2, checked=False)


def test_operations_by_hand() -> None:
    batches = tiny_case()._theirs
    tokens = sum(int(batch.lengths.sum()) for batch in batches)
    # Two directions of (E + H) x 4H; L (D + F) a token, L (F F2 + F2) a document; 2 an element.
    lstm = 2 * tokens * 2 * (8 + 6) * 24
    head = 2 * 11 * (tokens * (12 + 5) + 12 * (5 * 4 + 4))
    assert floors.operations_of_parts(TINY, batches) == {
        "encoder": {"forward": lstm, "forward_backward": 3 * lstm},
        "head": {"forward": head, "forward_backward": 3 * head},
    }
    assert floors.operations(TINY, batches) == {
        "training": 3 * lstm + 3 * head,
        "prediction": lstm + head,
    }


def test_bytes_by_hand() -> None:
    # Five tokens of documents, of three words; a document that only fills the batch has no weight.
    batch = data.one_epoch(data.plain(data.draw_documents(TINY, 4, False), TINY))[0]._replace(
        token_ids=np.array([[7, 7, 3, 0], [7, 9, 0, 0], [5, 0, 0, 0]], np.int32),
        lengths=np.array([3, 2, 1], np.int32),
        weights=np.array([1, 1, 0], np.float32),
    )
    found = floors.bytes_of_parts(TINY, batch, other_weights=100, itemsize=2)
    embedding = 8 * (3 * 4 + 5 * 2)
    assert found == {
        "embedding": {"forward": embedding, "forward_backward": 2 * embedding},
        "update": {"forward": 7 * 4 * (3 * 8 + 100)},
    }


def test_shares_of_the_parts() -> None:
    case = tiny_case()
    kinds = {"forward": {"median_s": 0.5}, "forward_backward": {"median_s": 2.0}}
    found: dict[str, Any] = {
        "torch-padded float32": {"unavailable": "PyTorch is missing"},
        "axml bfloat16": {part: {kind: dict(one) for kind, one in kinds.items()}
                          for part in parts.PARTS},
        "axml-scan bfloat16": {"encoder": {"forward": {"out_of_memory": "all"}}},
    }  # fmt: skip
    rates = {"float32": 1.0, "bfloat16": 1e6}
    parts.add_floors(found, case, rates, memory_rate=1e5)
    ours = found["axml bfloat16"]
    # Of the batch that is timed alone, not of all documents.
    batch = case.batches_of("torch-padded")[0]
    products = floors.operations_of_parts(TINY, [batch])
    for part in ("encoder", "head"):
        for kind, seconds in (("forward", 0.5), ("forward_backward", 2.0)):
            amount = products[part][kind]
            assert ours[part][kind]["operations"] == amount
            assert ours[part][kind]["share_of_floor"] == pytest.approx(amount / 1e6 / seconds)
    sizes = [np.size(leaf) for name in ("encoder", "labels")
             for leaf in jax.tree.leaves(case.params[name])]  # fmt: skip
    moved = floors.bytes_of_parts(TINY, batch, sum(sizes), itemsize=2)
    for part, kind, seconds in (
        ("embedding", "forward", 0.5),
        ("embedding", "forward_backward", 2.0),
        ("update", "forward", 0.5),
    ):
        amount = moved[part][kind]
        assert ours[part][kind]["bytes"] == amount
        assert ours[part][kind]["share_of_floor"] == pytest.approx(amount / 1e5 / seconds)
    assert ours["input"] == ours["dropout"] == kinds
    assert found["torch-padded float32"] == {"unavailable": "PyTorch is missing"}
    assert found["axml-scan bfloat16"] == {"encoder": {"forward": {"out_of_memory": "all"}}}
    (row,) = [row for row in parts.rows_of({"cases": {"tiny": {"parts": found}}})
              if row[2] == "update, forward"]  # fmt: skip
    share = ours["update"]["forward"]["share_of_floor"]
    assert dict(zip(parts.COLUMNS, row, strict=True))["share of floor"] == f"{share:.0%}"


def test_the_memory_rate_counts_what_is_read_and_what_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def clock(run: Any) -> float:
        run()
        calls.append(run)
        return 2.0

    monkeypatch.setattr(matrix_rate, "steady_seconds", clock)
    monkeypatch.setattr(matrix_rate, "seconds", clock)
    monkeypatch.setattr(matrix_rate, "calls_of", lambda seconds: 3)
    found = memory_rate(1)
    expected = 3 * 2 * 2**20 / 2.0
    assert found["jax"] == found["largest"] == expected
    assert found["torch"] in (expected, None)
    assert len(calls) in (6, 12)
