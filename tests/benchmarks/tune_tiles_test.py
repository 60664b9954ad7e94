"""The tuner takes the fastest right tile, and the table keeps what other cards measured."""

from __future__ import annotations

import dataclasses
import functools
import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import axml_kernels
from axml_kernels import api, gpu_tiles, pallas_gpu, reference, target
from axml_kernels.gpu_tiles import AverageTile, GradientTile, Shape
from axml_kernels.workloads import WORKLOADS, Workload
from benchmarks import compiling, tile_verdicts, tune_candidates, tune_tiles

SHAPE = Shape(40, 500, 512, 3_956, 256, "bfloat16")
H200 = target.Target("gpu", "NVIDIA H200", (9, 0))
TINY = Workload(2, 8, 16, 20, (32,))


def tile(labels: int) -> AverageTile:
    return AverageTile(labels, 32, 64, 256, warps=8, stages=2)


def fake_subject(candidates: list[AverageTile], run: Any) -> tune_candidates.Subject:
    return tune_candidates.Subject("average", SHAPE, tile(32), candidates, run, (jnp.ones(3),))


def fake_times(monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]) -> list[float]:
    """Times by what a program gives: x + labels / 10000.  Gives the list of what was timed."""
    timed: list[float] = []

    def seconds_of(call: Any, repeats: int) -> float:
        labels = round((float(call()[0]) - 1) * 10_000)
        timed.append(labels)
        return seconds[labels]

    monkeypatch.setattr(tune_tiles, "seconds_of", seconds_of)
    return timed


def test_the_fastest_tile_that_computes_the_same_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(chosen: AverageTile, x: jax.Array) -> jax.Array:
        if chosen.labels == 16:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Shared memory limit exceeded")
        return x + chosen.labels / 10_000 + (1 if chosen.labels == 256 else 0)

    timed = fake_times(monkeypatch, {32: 3.0, 64: 2.0, 128: 1.0})
    subject = fake_subject([tile(labels) for labels in (256, 128, 16, 64)], run)
    row = tune_tiles.tune(subject, 1, time.monotonic() + 60)
    assert isinstance(row, dict)
    assert row["tile"]["labels"] == 128
    assert row["ratio_to_rule"] == pytest.approx(1 / 3, abs=1e-3)
    assert row["candidates"] == {"timed": 3, "failed": 1, "wrong": 1, "left": 0}
    assert timed == [32, 64, 128]
    assert tune_tiles.tune(subject, 1, time.monotonic() - 1) == "no time"
    broken = subject._replace(chosen=tile(16), candidates=[])
    told = tune_tiles.tune(broken, 1, time.monotonic() + 60)
    assert str(told).startswith("all 1 tiles failed: RESOURCE_EXHAUSTED: Shared memory")


def test_a_kernel_that_does_not_launch_ends_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def launched(labels: Any) -> Any:
        if labels == 64:
            raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS")
        return labels

    def run(chosen: AverageTile, x: jax.Array) -> jax.Array:
        shape = jax.ShapeDtypeStruct((), jnp.float32)
        checked = jax.pure_callback(launched, shape, jnp.float32(chosen.labels))
        return x + checked / 10_000

    fake_times(monkeypatch, {32: 3.0, 128: 1.0})
    row = tune_tiles.tune(fake_subject([tile(64), tile(128)], run), 1, time.monotonic() + 60)
    assert isinstance(row, dict)
    assert row["tile"]["labels"] == 128
    assert row["candidates"] == {"timed": 2, "failed": 1, "wrong": 0, "left": 0}


def test_time_bounds_the_groups_that_compile_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(tune_tiles, "AT_ONCE", 2)
    monkeypatch.setattr(tune_tiles.time, "monotonic", lambda: now[0])

    def seconds_of(call: Any, repeats: int) -> float:
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr(tune_tiles, "seconds_of", seconds_of)
    candidates = [tile(labels) for labels in (16, 64, 128, 256, 512)]
    subject = fake_subject(candidates, lambda chosen, x: x + chosen.labels / 10_000)
    row = tune_tiles.tune(subject, 1, 2.5)
    assert isinstance(row, dict)
    assert row["candidates"] == {"timed": 3, "failed": 0, "wrong": 0, "left": 3}


def test_programs_compile_beside_each_other_and_one_that_fails_ends_no_other() -> None:
    together = threading.Barrier(2, timeout=30)  # breaks unless two wait at once

    class Lowered:
        def __init__(self, name: str) -> None:
            self.name = name

        def compile(self) -> str:
            together.wait()
            if self.name == "bad":
                raise RuntimeError("it does not fit")
            return self.name

    def broken() -> Any:
        raise ValueError("no such shape")

    found = compiling.compiled_together([lambda: Lowered("good"), broken, lambda: Lowered("bad")])
    assert compiling.given(found[0]) == "good"
    with pytest.raises(ValueError, match="no such shape"):
        compiling.given(found[1])
    with pytest.raises(RuntimeError, match="it does not fit"):
        compiling.given(found[2])


def test_candidates_near_the_rule_come_first() -> None:
    far = AverageTile(128, 64, 64, 256, warps=8, stages=2)
    near = AverageTile(32, 32, 64, 256, warps=8, stages=3)
    middle = AverageTile(64, 32, 64, 256, warps=8, stages=2)
    subject = fake_subject([far, tile(32), middle, near], None)
    assert tune_candidates.nearest_first(subject) == [tile(32), near, middle, far]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_candidates_fit_the_card(dtype: str) -> None:
    limit = gpu_tiles.shared_memory(H200)
    for name in ("eurlex", "amazoncat-13k"):
        workload = WORKLOADS[name]
        shape = Shape(40, 500, workload.width, 4_096, workload.layers[0], dtype)
        averages = list(tune_candidates.average_candidates(shape))
        averages = tune_candidates.fitting(averages, shape, H200)
        gradients = list(tune_candidates.gradient_candidates(shape))
        gradients = tune_candidates.fitting(gradients, shape, H200)
        assert len(averages) > 5
        assert len(gradients) > 5
        assert all(t.shared_bytes(shape) <= limit for t in averages)
        assert all(t.shared_bytes(shape) <= limit for t in gradients)


def test_both_kernels_of_a_shape_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WORKLOADS, "tiny", TINY)
    with axml_kernels.interpreted():
        found = list(tune_candidates.subjects("tiny", "float32", target.current()))
        assert [subject.kernel for subject in found] == ["average", "gradient"]
        for subject in found:
            few = subject._replace(candidates=subject.candidates[:1])
            row = tune_tiles.tune(few, 1, time.monotonic() + 60)
            assert isinstance(row, dict)
            kind: Any = AverageTile if subject.kernel == "average" else GradientTile
            assert kind(**row["tile"]) in (subject.chosen, *few.candidates)
            assert row["candidates"]["wrong"] == row["candidates"]["failed"] == 0


def stand_in(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    """In place of the interpreted kernels, which take a minute to compile for a CPU."""

    def label_scores(*arguments: Any) -> jax.Array:
        return factor * reference.label_scores(*arguments)

    monkeypatch.setitem(WORKLOADS, "tiny", TINY)
    monkeypatch.setattr(pallas_gpu, "unavailable", lambda dtype: None)
    module = SimpleNamespace(label_scores=label_scores)
    monkeypatch.setitem(api.IMPLEMENTATIONS, "pallas", module)  # type: ignore[arg-type]


def test_pallas_is_compared_with_chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, 1.0)
    assert tile_verdicts.largest_difference("tiny", "float32") < 1e-5
    stand_in(monkeypatch, 1.1)
    wrong = tile_verdicts.largest_difference("tiny", "float32")
    assert tile_verdicts.TOLERANCES["float32"] < wrong < 1
    stand_in(monkeypatch, float("nan"))
    found = tile_verdicts.verdict("tiny", "float32", 1)
    assert found["pallas"] is False
    assert found["difference"] is None
    assert "over_chunked" not in found
    assert found["why"] == "pallas differs from chunked by inf"


def test_the_verdict_is_by_the_times_of_both_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, 1.0)
    measured = tile_verdicts.verdict("tiny", "float32", 1)
    assert measured["over_chunked"].keys() == {"forward", "gradient"}
    assert all(ratio > 0 for ratio in measured["over_chunked"].values())
    assert (measured["dtype"], measured["layers"]) == ("float32", 1)
    for forward, gradient, pallas in ((0.4, 0.9, True), (0.4, 1.1, False), (1.1, 0.4, False)):
        over = {"forward": forward, "gradient": gradient}
        monkeypatch.setattr(tile_verdicts, "times_over", lambda *_, over=over: over)
        found = tile_verdicts.verdict("tiny", "float32", 1)
        assert found["pallas"] is pallas
        assert found["over_chunked"] == over
        assert ("why" in found) is not pallas


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of tiles of the test's own, which the kernels read, too."""
    path = tmp_path / "tiles.json"
    path.write_text("{}")
    monkeypatch.setattr(tune_tiles, "TABLE", path)
    read = functools.cache(lambda: gpu_tiles.read(path.read_text()))
    monkeypatch.setattr(gpu_tiles, "table", read)
    return path


def row(num_labels: int, labels: int) -> dict[str, Any]:
    about = {"kernel": "average", "width": 512, "features": 256, "dtype": "bfloat16"}
    return {**about, "num_labels": num_labels, "tile": dataclasses.asdict(tile(labels))}


def test_the_table_keeps_other_cards_and_other_shapes(table: Path) -> None:
    table.write_text('{"NVIDIA L4": {"tiles": [], "verdicts": []}}')
    no = tile_verdicts.failed("eurlex", "bfloat16", "it does not launch")
    yes = {**no, "pallas": True}
    tune_tiles.write_table(table, "NVIDIA H200", {"tiles": [row(103, 32), row(3_956, 64)]})
    tune_tiles.write_table(table, "NVIDIA H200", {"verdicts": [no]})
    assert not gpu_tiles.is_best(H200, "bfloat16", 1)
    tune_tiles.write_table(table, "NVIDIA H200", {"tiles": [row(3_956, 128)], "verdicts": [yes]})
    assert gpu_tiles.is_best(H200, "bfloat16", 1)
    about = {"tiles": [row(103, 32), row(3_956, 128)], "verdicts": [yes]}
    empty: dict[str, Any] = {"tiles": [], "verdicts": []}
    assert json.loads(table.read_text()) == {"NVIDIA L4": empty, "NVIDIA H200": about}


def test_each_case_has_a_verdict_and_what_fails_ends_no_other(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict is of the tuned tiles; those of a case that fails leave the table."""
    tiles_then: dict[str, list[int]] = {}

    def subjects(name: str, dtype: str, device: Any) -> list[Any]:
        if name == "amazoncat-13k":
            raise RuntimeError("CUDA_ERROR_LAUNCH_FAILED")
        shape = dataclasses.replace(SHAPE, num_labels=WORKLOADS[name].num_labels)
        return [fake_subject([], None)._replace(shape=shape)]

    def tune(subject: Any, repeats: int, deadline: float) -> dict[str, Any]:
        return row(subject.shape.num_labels, 64)

    def verdict(name: str, dtype: str, repeats: int) -> dict[str, Any]:
        about = gpu_tiles.of_card(H200, "tiles")
        tiles_then[f"{name} {dtype}"] = [one["num_labels"] for one in about]
        wrong = tile_verdicts.failed(name, dtype, "differs")
        over = {"forward": 0.5, "gradient": 0.6}
        return wrong if name == "wiki10-31k" else {**wrong, "pallas": True, "over_chunked": over}

    monkeypatch.setattr(tune_tiles, "subjects", subjects)
    monkeypatch.setattr(tune_tiles, "tune", tune)
    monkeypatch.setattr(tile_verdicts, "largest_difference", lambda *_: 0.0)
    monkeypatch.setattr(tile_verdicts, "verdict", verdict)
    tuning = tune_tiles.Tuning(H200, 1, 1.0)
    tuning.run(tune_tiles.CASES)
    about = json.loads(table.read_text())["NVIDIA H200"]
    assert [one["num_labels"] for one in about["tiles"]] == [3_956]
    assert tuning.tiles == about["tiles"]
    assert tiles_then["wiki10-31k bfloat16"] == [3_956, 30_938]
    assert tiles_then["eurlex float32"] == [3_956]
    found = {(one["workload"], one["dtype"]): one for one in about["verdicts"]}
    assert found.keys() == {case[:2] for case in tune_tiles.CASES}
    failed = found["amazoncat-13k", "bfloat16"]
    assert (failed["pallas"], failed["layers"]) == (False, 2)
    assert "CUDA_ERROR_LAUNCH_FAILED" in failed["why"]
    assert not gpu_tiles.is_best(H200, "bfloat16", 1)  # wiki10-31k says no
    assert gpu_tiles.is_best(H200, "float32", 1)


def test_without_time_there_is_no_verdict(table: Path) -> None:
    tuning = tune_tiles.Tuning(H200, 1, 0.0)
    tuning.run(tune_tiles.CASES)
    assert json.loads(table.read_text()) == {}
    assert tuning.left_out[0] == "eurlex bfloat16 (no time)"
    assert len(tuning.left_out) == len(tune_tiles.CASES)


def test_each_kernel_has_its_part_of_what_comparing_left(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, deadlines = [0.0], []
    monkeypatch.setattr(tune_tiles.time, "monotonic", lambda: now[0])

    def compared(*_: Any) -> float:
        now[0] += 5
        return 0.0

    def tune(subject: Any, repeats: int, deadline: float) -> str:
        deadlines.append(deadline)
        now[0] = deadline
        return "no time"

    kernels = [fake_subject([], None), fake_subject([], None)._replace(kernel="gradient")]
    monkeypatch.setattr(tune_tiles, "subjects", lambda *_: kernels)
    monkeypatch.setattr(tune_tiles, "tune", tune)
    monkeypatch.setattr(tile_verdicts, "largest_difference", compared)
    monkeypatch.setattr(
        tile_verdicts, "verdict", lambda name, dtype, _: tile_verdicts.failed(name, dtype, "")
    )
    cases = [tune_tiles.Case("eurlex", "bfloat16"), tune_tiles.Case("rcv1", "bfloat16")]
    tune_tiles.Tuning(H200, 1, 2.0).run(cases)
    share = (120 - 5 - 2 * tune_tiles.VERDICT_SECONDS) / 2
    assert deadlines == [5 + share / 2, 5 + share]  # the second case has the same kernels: none
