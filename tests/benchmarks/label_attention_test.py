"""The benchmark of label attention runs and reports, refuses what is wrong, names what fails."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from axml_kernels.workloads import WORKLOADS, Workload
from benchmarks import contenders, gpu, timing
from benchmarks import label_attention_measure as measure
from benchmarks import label_attention_memory as memory
from benchmarks import label_attention_plan as plan
from benchmarks import label_attention_plot as plot
from benchmarks import label_attention_rivals as rivals

TINY = WORKLOADS["two-layers"]
NEEDS_TORCH = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None,
    reason='needs PyTorch: pip install -e ".[bench]"',
)
TORCH = [pytest.param("torch-eager", marks=NEEDS_TORCH)]
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def benchmark(
    run_benchmark: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> Run:
    """Runs the benchmark on sizes that take no time; gives what it wrote, "printed" beside it."""

    def run(*flags: str) -> dict[str, Any]:
        some = ["--repeats=1", "--matrix=16", "--name=trial", f"--out={tmp_path / 'out'}"]
        # Tables are as wide as the terminal.
        done = run_benchmark("label_attention", *some, *flags, COLUMNS="200")
        assert done.returncode == 0, done.stderr
        text = (tmp_path / "out" / "trial.json").read_text(encoding="utf-8")
        return {**json.loads(text), "printed": done.stdout}

    return run


def test_small_run_reports(benchmark: Run, tmp_path: Path) -> None:
    found = benchmark("--workloads=one-layer", "--contenders=chunked,pallas", "--sweep_labels=20")
    case = found["cases"]["one-layer"]
    chunked = case["contenders"]["chunked float32"]
    assert chunked["repeats_bitwise"] is True
    assert max(chunked["errors"].values()) < 1e-5
    assert chunked["temporary_bytes"].keys() == set(rivals.PASSES)
    assert chunked["peak"]["returned_bytes"] > 4 * 37 * 16  # at least the queries' gradient
    for part in rivals.PASSES:
        rate = found["matrix_rate"]["operations_per_s"]["float32"]["largest"]
        floor = case["operations"][part] / rate
        assert chunked[part]["share_of_floor"] == pytest.approx(floor / chunked[part]["median_s"])
        assert len(chunked[part]["seconds"]) == 1
    assert [point["num_labels"] for point in found["sweep"]["points"]] == [20]
    assert {"chunked float32", "pallas float32"} == found["sweep"]["points"][0]["contenders"].keys()
    assert found["skipped"] == []
    assert [task["task"] for task in found["tasks"]] == [
        "one-layer: time",
        "sweep: all",
        "one-layer: memory",
    ]
    assert all(task["took_s"] > 0 for task in found["tasks"])
    assert found["command"].startswith("label_attention.py --repeats=1")
    assert found["plot"] in ("trial.png", None)
    assert (found["plot"] is not None) == (tmp_path / "out" / "trial.png").exists()
    assert "one-layer" in found["printed"]


@NEEDS_TORCH
def test_ratios_to_pytorch(benchmark: Run) -> None:
    found = benchmark(
        "--workloads=one-layer", "--contenders=reference,torch-eager", "--sweep_labels=", "--ragged"
    )
    case = found["cases"]["one-layer"]["contenders"]
    ours, theirs = case["reference float32"], case["torch-eager float32"]
    for part in rivals.PASSES:
        ratio = ours[part]["time_over"]["torch-eager float32"]
        assert ratio == pytest.approx(ours[part]["median_s"] / theirs[part]["median_s"])
    assert theirs["temporary_bytes"] is None
    assert (found["sweep"], found["plot"], found["lengths"]) == (None, None, "ragged")


def test_without_time_everything_is_skipped_by_name(benchmark: Run) -> None:
    found = benchmark("--minutes=0", "--contenders=chunked", "--sweep_labels=8")
    assert found["cases"] == {}
    assert found["skipped"][:3] == ["eurlex-cpu: time", "pydocs-cpu: time", "sweep: all"]
    assert "skipped for want of time: sweep: all" in found["printed"]


@pytest.mark.parametrize("workload", ["two-layers", "wide-layer"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["chunked", "reference", "jax-naive", *TORCH])
def test_contenders_agree(method: str, precision: str, workload: str) -> None:
    case = rivals.make_case(WORKLOADS[workload], precision, ragged=True)
    lengths = case.inputs.lengths.tolist()
    assert {0, 1, WORKLOADS[workload].tokens} <= set(lengths)
    checked, expected = rivals.checked_case(case)
    contender = rivals.contender(method, precision)
    placed = contender.place(checked)
    contender.prepare(placed)
    errors, repeats = rivals.errors_of(contender, placed, expected)
    assert list(errors)[:3] == ["scores", "hidden", "queries"]
    assert len(errors) == 1 + 2 * (4 + 2 * len(WORKLOADS[workload].layers))
    assert rivals.too_wrong(errors, precision) == []
    assert repeats


@pytest.mark.parametrize("method", ["chunked", "jax-naive", *TORCH])
def test_what_padding_holds_is_set_aside(method: str) -> None:
    case = rivals.make_case(TINY, "float32", ragged=True)
    hidden = case.inputs.hidden.copy()
    padding = np.arange(TINY.tokens)[None, :] >= case.inputs.lengths[:, None]
    hidden[padding] = 1e4
    contender = rivals.contender(method, "float32")
    results = []
    for changed in (case, case._replace(inputs=case.inputs._replace(hidden=hidden))):
        placed = contender.place(changed)
        contender.prepare(placed)
        results.append(
            [x for name in rivals.PASSES for x in contender.arrays(contender.run(name, placed))]
        )
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_gradients_of_the_crop_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "CHECKED_DOCUMENTS", 2)
    monkeypatch.setattr(rivals, "CHECKED_LABELS", 7)
    checked, expected = rivals.checked_case(rivals.make_case(TINY, "float32", ragged=True))
    assert expected[0].shape == (2, 7)
    assert expected[2].shape == (TINY.num_labels, TINY.width)
    for gradients in (expected[1:], expected[1 + len(expected) // 2 :]):
        assert gradients[2].any()
        assert not gradients[1][7:].any()
    assert not checked.weights[2:].any()
    contender = rivals.contender("chunked", "float32")
    placed = contender.place(checked)
    contender.prepare(placed)
    assert rivals.too_wrong(rivals.errors_of(contender, placed, expected)[0], "float32") == []


def test_only_the_passes_that_are_timed_are_compiled_and_checked() -> None:
    entry = contenders.Entry("chunked", "float32")
    about, ready = measure.get_ready(entry, TINY, False, ["training"], 1e9)
    assert ready is not None
    assert about["temporary_bytes"].keys() == ready.seconds.keys() == {"training"}
    assert len(about["errors"]) == 4 + 2 * len(TINY.layers)
    assert all(name.startswith("training ") for name in about["errors"])


def test_the_plan_for_a_gpu_fits_into_its_part_of_the_command() -> None:
    """Every shape is in it, the sweep before the third: estimates, until somebody has run it."""
    planned, seconds = plan.whole_plan("gpu")
    given = 60 * gpu.MINUTES * gpu.PARTS["label_attention"].share - gpu.RESERVE_SECONDS
    assert seconds <= given
    timed = [task.workloads[0] for task in planned if task.kind == "time"]
    assert timed == ["eurlex", "wiki10-31k", "amazoncat-13k", "wikilshtc", "rcv1"]
    kinds = [task.kind for task in planned]
    assert kinds.index("sweep") == 2
    assert max(plan.DEFAULTS["gpu"].sweep_labels) == 1_000_000
    dear = plan.DEFAULTS["gpu"]._replace(repeats=500)
    entries = dear.entries, dear.few, dear.sweep_entries
    more = plan.tasks(dear, dear.workloads, *entries, dear.sweep_labels)
    assert sum(task.seconds for task in more) > given  # the estimates count rounds


def test_on_a_gpu_the_ratios_that_count_come_first() -> None:
    about = plan.DEFAULTS["gpu"]
    first = [str(entry) for entry in about.entries[:3]]
    assert first == ["torch-eager bfloat16", "chunked bfloat16", "pallas bfloat16"]
    for entries in (about.entries, about.few):
        names = {str(entry) for entry in entries}
        assert {*first, "torch-compile bfloat16", "torch-eager float32"} <= names
        assert "reference" not in {entry.method for entry in entries}


def test_what_is_timed_is_there_when_the_next_pass_is_ended() -> None:
    class Ended:
        def run(self, name: str, placed: Any) -> None:
            if name == "training":
                raise SystemExit(143)

        wait = print

    entry = contenders.Entry("chunked", "float32")
    ready = {entry: timing.Ready(Ended(), None, dict.fromkeys(rivals.PASSES, 0.2))}
    found: dict[contenders.Entry, dict[str, Any]] = {entry: {"errors": {}}}
    with pytest.raises(SystemExit):
        timing.time_all(ready, rivals.PASSES, 2, timing.Clock(1), found=found)
    assert found[entry].keys() == {"errors", "forward", "forward_backward"}


def test_a_third_of_a_shape_s_time_is_kept_for_timing(root: Path, tmp_path: Path) -> None:
    """With a clock that jumps by a minute while each contender is made."""
    script = """
import sys
from absl import flags
from benchmarks import label_attention as bench, timing
flags.FLAGS(["x", "--minutes=5.7", "--matrix=16"])
now = [0.0]
timing.time.monotonic = lambda: now[0]
def get_ready(entry, *arguments):
    now[0] += 60
    return {"errors": {}}, timing.Ready(type("R", (), {"run": print, "wait": print})(), None, {})
bench.get_ready = get_ready
given = []
bench.time_all = lambda ready, *more, **named: given.append((list(ready), more[2].left()))
b = bench.Benchmark("")
found = {}
b.time_shape(None, b.entries, [], found, "shape", b.part)
assert len(given[0][0]) == 4, given
assert round(given[0][1]) == 102, given
print([key for key in found if "skipped" in found[key]])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "['jax-naive float32', 'torch-compile float32']"


def test_what_is_wrong_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(hidden: Any, queries: Any, lengths: Any, head: Any, precision: str) -> Any:
        return rivals.label_scores(hidden, queries, lengths * 0 + hidden.shape[1], head)

    monkeypatch.setattr(rivals, "naive_jax", wrong)
    about, ready = measure.get_ready(
        contenders.Entry("jax-naive", "float32"), TINY, False, rivals.PASSES, 1e9
    )
    assert ready is None
    assert "scores" in about["wrong"]
    assert not contenders.is_fine(about)


def test_what_needs_too_much_memory_is_left_out() -> None:
    workload = Workload(4, 128, 128, 64_000, (64,))
    assert rivals.materialised_bytes(workload, "float32") == 16 * 64_000 * (128 + 128 + 64 + 128)
    about, ready = measure.get_ready(
        contenders.Entry("reference", "float32"), workload, False, rivals.PASSES, 1e8
    )
    assert ready is None
    assert about["left_out"].startswith("it needs 0.5 GB or more, the bound is 0.1 GB")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NotImplementedError("no kernel"), "not_implemented"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying"), "out_of_memory"),
        (MemoryError(), "out_of_memory"),
        (contenders.UnavailableError("PyTorch is missing"), "unavailable"),
        (ValueError("in /opt/some/folder/file.py:\n  no C++ compiler"), "failed"),
    ],
)
def test_failures_are_told_apart(error: Exception, kind: str) -> None:
    failure = contenders.failure_of(error)
    assert list(failure) == [kind]
    assert "/opt" not in failure[kind]
    assert "\n" not in failure[kind]
    assert failure[kind]


def test_memory_exhausted_while_timing_ends_one_contender_alone() -> None:
    class Exhausted:
        def run(self, name: str, placed: Any) -> None:
            raise MemoryError

        wait = print

    fine = measure.get_ready(
        contenders.Entry("chunked", "float32"), TINY, False, rivals.PASSES[:1], 1e9
    )[1]
    assert fine is not None
    bad = fine._replace(contender=Exhausted())  # type: ignore[arg-type]
    entries = contenders.Entry("chunked", "float32"), contenders.Entry("reference", "float32")
    times = timing.time_all(
        dict(zip(entries, (fine, bad), strict=True)), rivals.PASSES[:1], 2, timing.Clock(1)
    )
    assert len(times[entries[0]]["forward"]["seconds"]) == 2
    assert times[entries[1]]["forward"] == {"out_of_memory": "MemoryError"}


def test_operations_by_hand() -> None:
    # 2 B L (T (D + F) + F F2 + F2); four times that with any gradient, three with the loss's.
    forward = 2 * 3 * 45 * (9 * (16 + 8) + 8 * 6 + 6)
    assert measure.operations(TINY) == {
        "forward": forward,
        "forward_backward": 4 * forward,
        "training": 3 * forward,
    }


def test_a_large_allocation_is_seen(user_environment: dict[str, str]) -> None:
    # Weights of 4 x 64 x 4000 numbers and averages of 4 x 4000 x 32 exist at once: 6 MB.
    workload = Workload(4, 64, 32, 4000, (8,))
    (full,) = memory.peaks("reference", "float32", [workload], False, 300, user_environment)
    assert full["peak_bytes"] > 6e6
    (none,) = memory.peaks("pallas", "float32", [workload], False, 0.01, user_environment)
    assert none == {"skipped": "no time was left"}


def test_lines_of_the_plot_leave_out_what_did_not_run(tmp_path: Path) -> None:
    ran = {"training": {"median_s": 0.002}, "peak": {"peak_bytes": 3_000_000}}
    sweep = {
        "workload": {"batch": 4, "tokens": 128, "width": 64, "layers": [8]},
        "points": [
            {"num_labels": 10, "contenders": {"a": ran, "b": {"failed": "why"}}},
            {"num_labels": 20, "contenders": {"a": {**ran, "peak": {"skipped": "x"}}}},
        ],
    }
    times, peaks = plot.lines(sweep)
    assert times == {"a": [(10, 2.0), (20, 2.0)]}
    assert peaks == {"a": [(10, 3.0)]}
    assert not plot.draw({**sweep, "points": []}, "nothing", tmp_path / "x.png")
    pytest.importorskip("matplotlib", reason='needs matplotlib: pip install -e ".[bench]"')
    path = tmp_path / "new" / "trial.png"
    assert plot.draw(sweep, "a device", path)
    assert path.read_bytes().startswith(b"\x89PNG")
