"""Whether there is time for more is told from what documents and validations took, on any clock."""

import types

import pytest

from axml_jax.train import pace
from axml_jax.train.pace import Pace


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    clock = types.SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(pace, "time", clock)
    return clock


def test_seconds_of_a_document_are_those_of_its_interval(clock: types.SimpleNamespace) -> None:
    timed = Pace(990.0, None)
    clock.now += 4
    timed.count(3)
    timed.count(5)
    assert timed.end_interval() == 0.5
    clock.now += 2
    timed.start_interval()  # a validation lies before
    clock.now += 1
    timed.count(4)
    assert timed.end_interval() == 0.25
    assert timed.seconds() == 17


def test_without_a_time_to_end_it_never_is_up(clock: types.SimpleNamespace) -> None:
    timed = Pace(1000.0, None)
    clock.now += 1e9
    assert not timed.is_up(1e9, 10**9, 10**9)


def test_documents_until_the_end_and_the_validation_need_time(
    clock: types.SimpleNamespace,
) -> None:
    timed = Pace(1000.0, 2)  # to 1120
    timed.count(10)
    clock.now = 1010.0
    timed.end_interval()  # a second a document
    for now, up in ((1069.9, False), (1070.1, True)):
        clock.now = now
        assert timed.is_up(30.0, 0, 20) is up  # 20 s of documents, 30 s of validation
        # Before the first validation: 35 documents and 15 s to compile.
        assert timed.is_up(0.0, 35, 0) is up


def test_before_the_first_record_documents_are_not_free(clock: types.SimpleNamespace) -> None:
    timed = Pace(1000.0, 2)
    timed.count(4)
    clock.now = 1040.0  # ten seconds a document
    assert not timed.is_up(1.0, 0, 7)
    assert timed.is_up(1.0, 0, 8)


def test_the_fastest_interval_counts(clock: types.SimpleNamespace) -> None:
    timed = Pace(1000.0, 2)
    for seconds in (50.0, 10.0, 20.0):  # the first one compiles
        timed.count(10)
        clock.now += seconds
        timed.end_interval()
    clock.now = 1100.0
    assert not timed.is_up(9.9, 0, 10)
    assert timed.is_up(10.1, 0, 10)
