"""Times added up from a run's records."""

import json
from pathlib import Path

import pytest

from axml_jax.analysis import Times, training_seconds


def test_by_hand() -> None:
    # 10 documents in batches of 4: three steps an epoch, the last of two documents.
    timings = [
        {"step": 1, "seconds_to_first_step": 50.0},
        {"step": 2, "documents_per_second": 2.0},  # 8 documents: 4 s
        {"step": 3, "validation_seconds": 7.0},
        {"step": 4, "documents_per_second": 1.0},  # 2 + 4 documents: 6 s
        {"step": 6, "validation_seconds": 5.0},  # and until here 4 + 2 as fast: 6 s
    ]
    assert training_seconds(timings, 10, 4) == pytest.approx(4 + 7 + 6 + 6 + 5)
    # What is done again replaces what was lost.
    again = [*timings, {"step": 4, "documents_per_second": 3.0}]
    assert training_seconds(again, 10, 4) == pytest.approx(4 + 7 + 2 + 2 + 5)


def test_the_records_of_a_run(tiny_run: Path) -> None:
    timings = [json.loads(line) for line in (tiny_run / "timings.jsonl").read_text().splitlines()]
    validations = [record.get("validation_seconds", 0.0) for record in timings]
    rates = [
        record["documents_per_second"] for record in timings if "documents_per_second" in record
    ]
    found = training_seconds(timings, 44, 8)
    # Three epochs; no faster than at the best rate, no slower than at the worst.
    assert 3 * 44 / max(rates) <= found - sum(validations) <= 3 * 44 / min(rates)


def test_a_run_without_steps() -> None:
    with pytest.raises(ValueError, match="no step of training"):
        training_seconds([{"step": 1, "validation_seconds": 1.0}], 10, 4)


def test_milliseconds_a_document() -> None:
    assert Times(1.0, 2.0, 100, 6000, "1 x cpu").test_milliseconds == 20.0
