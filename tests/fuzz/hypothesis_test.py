"""Whatever bytes come, a reader reads them or refuses them with a clear error."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axml_jax.errors import InputError
from tests.fuzz.inputs import inputs_of
from tests.fuzz.targets import Target, targets

_SECONDS = 5.0  # of the processor
_BYTES = 64 << 20
_TARGETS = targets()


def check(target: Target, data: bytes) -> None:
    """Runs a target on an input of few KiB within bounds of time and memory."""
    begin = time.process_time()
    tracemalloc.start()
    try:
        target.run(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < _BYTES, f"{peak:,} bytes for an input of {len(data)}"
    assert time.process_time() - begin < _SECONDS


@pytest.mark.parametrize("target", _TARGETS, ids=lambda target: target.name)
def test_any_input_is_read_or_refused(target: Target) -> None:
    # Derandomized: the same inputs each time. New ones are for coverage_guided.py.
    @settings(
        max_examples=40,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs_of(target))
    def any_input(data: bytes) -> None:
        check(target, data)

    any_input()


@pytest.mark.parametrize("target", _TARGETS, ids=lambda target: target.name)
def test_seeds_are_read(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed that is refused would lead no fuzzer into the reader."""
    refused: list[Exception] = []
    monkeypatch.setattr("tests.fuzz.targets.note_refusal", refused.append)
    for seed in target.seeds:
        check(target, seed)
    assert refused == []


def test_other_errors_too_much_memory_and_time_are_noticed() -> None:
    def refuse(data: bytes) -> None:
        int(data)

    with pytest.raises(ValueError, match="invalid literal"):
        check(Target("", refuse, ()), b"x")

    def take(data: bytes) -> None:
        bytearray(_BYTES)

    with pytest.raises(AssertionError, match="bytes for an input of 1"):
        check(Target("", take, ()), b"x")


def test_inputs_are_seeds_with_faults_and_noise() -> None:
    target = Target("", lambda data: None, (b"a seed of some length",))
    found: set[str] = set()

    @settings(max_examples=100, database=None, derandomize=True, deadline=None)
    @given(st.data())
    def look(data: st.DataObject) -> None:
        content = data.draw(inputs_of(target))
        found.add("whole" if content == target.seeds[0] else "near" if b"seed" in content else "")

    look()
    assert found == {"whole", "near", ""}


def test_an_input_error_is_a_value_error() -> None:
    assert issubclass(InputError, ValueError)
