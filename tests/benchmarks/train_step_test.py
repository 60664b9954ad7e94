"""The benchmark of training steps compares equal models, refuses what is wrong, and reports."""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from axml_jax.train import word_rows
from benchmarks import train_step_check as check
from benchmarks import train_step_data as data
from benchmarks import train_step_extrapolate as extrapolate
from benchmarks import train_step_measure as measure
from benchmarks import train_step_parts as parts
from benchmarks import train_step_plot as plot
from benchmarks.contenders import Entry, is_fine
from benchmarks.timing import Clock
from benchmarks.train_step_ours import Ours

Run = Callable[..., subprocess.CompletedProcess[str]]
TINY = data.SHAPES["tiny"]
NEEDS_TORCH = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None,
    reason='needs PyTorch: pip install -e ".[bench]"',
)
TORCH = ("torch-padded", "torch-packed", "torch-padded-sparse", "torch-packed-sparse")


@functools.cache
def tiny_case(ragged: bool) -> measure.Case:
    return measure.Case(TINY, ragged=ragged, batches=3, buckets=2)


def errors_of(method: str, precision: str, ragged: bool) -> tuple[dict[str, float], list[str]]:
    """The errors, and those above the tolerance."""
    case = tiny_case(ragged)
    assert case.expected is not None
    contender = case.contender(Entry(method, precision), dropout=0.0)
    errors = check.errors_of(contender, case.params, case.expected)
    return errors, check.too_wrong(errors, precision, contender.sparse)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize(
    "method", ["axml", *(pytest.param(method, marks=NEEDS_TORCH) for method in TORCH)]
)
def test_contenders_agree(method: str, ragged: bool) -> None:
    errors, wrong = errors_of(method, "float32", ragged)
    assert errors["scores"] < 1e-5
    assert errors["best"] < 1e-5
    assert errors["loss"] < 1e-5
    assert errors["others"] == 0
    updates = [error for name, error in errors.items() if name.startswith("update")]
    assert len(updates) == 11
    assert max(updates) < 1e-3
    assert wrong == []


@pytest.mark.parametrize("method", ["axml", pytest.param("torch-padded", marks=NEEDS_TORCH)])
def test_bfloat16_is_within_its_tolerance_and_not_float32(method: str) -> None:
    errors, wrong = errors_of(method, "bfloat16", False)
    assert errors["scores"] > 1e-4
    assert wrong == []


@NEEDS_TORCH
def test_the_sparse_update_is_that_of_pytorch() -> None:
    import torch

    gradient = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32) * 1e-6
    table = torch.zeros(7, 5, requires_grad=True)
    rows = torch.tensor([[1, 4, 6]])
    values = torch.from_numpy(gradient)
    table.grad = torch.sparse_coo_tensor(rows, values, (7, 5), check_invariants=True)
    torch.optim.SparseAdam([table], lr=check.RATE).step()
    expected = table.detach().numpy()[[1, 4, 6]]
    np.testing.assert_allclose(check.first_sparse_update(gradient), expected, rtol=1e-4)


def refused(method: str, ragged: bool = False) -> list[str]:
    about, ready = measure.get_ready(Entry(method, "float32"), tiny_case(ragged), measure.PASSES)
    assert ready is None
    assert not is_fine(about)
    return about["wrong"].split(", ")


def test_cudnn_is_asked_for_where_it_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    if jax.default_backend() == "cpu":
        about, ready = measure.get_ready(
            Entry("axml-cudnn", "float32"), tiny_case(False), measure.PASSES
        )
        assert ready is None
        assert "needs an NVIDIA GPU" in about["not_implemented"]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    chosen = measure.default_entries([], ["bfloat16", "tf32"])
    assert [entry.precision for entry in chosen if entry.method == "axml-cudnn"] == ["tf32"]


@NEEDS_TORCH
def test_swapped_gates_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import train_step_torch

    monkeypatch.setattr(train_step_torch, "GATES", (0, 1, 2, 3))
    assert "scores" in refused("torch-padded")


@NEEDS_TORCH
def test_a_backward_direction_that_reads_padding_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from benchmarks import train_step_torch

    monkeypatch.setattr(train_step_torch, "_CLOSED", 0.0)
    assert "scores" in refused("torch-padded", ragged=True)


@NEEDS_TORCH
def test_a_step_without_an_update_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.train_step_torch import Theirs

    monkeypatch.setattr(Theirs, "update", lambda self: None)
    wrong = refused("torch-packed")
    assert "scores" not in wrong
    assert {"update encoder.bias", "update labels.queries", "update words.vectors"} <= set(wrong)


@pytest.mark.parametrize("how", ["half of the rows", "as by dense Adam"])
def test_a_word_table_that_is_not_updated_as_told_is_refused(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "half of the rows":
        scatter = word_rows.scatter

        def every_other(table: Any, words: Any, rows: Any) -> Any:
            return scatter(table, words[::2], rows[::2])

        monkeypatch.setattr(word_rows, "scatter", every_other)
    else:
        monkeypatch.setattr(word_rows, "EPSILON", 1e-8 * 0.001**0.5)
    assert refused("axml") == ["update words.vectors"]


def test_words_outside_the_batch_that_move_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    scatter = word_rows.scatter
    monkeypatch.setattr(word_rows, "scatter", lambda table, *rows: scatter(table + 1e-3, *rows))
    assert "others" in refused("axml")


def test_documents_are_of_the_shape_and_the_same_for_all() -> None:
    shape = TINY._replace(tokens=40, mean_words=20.0, num_words=5000)
    split = data.draw_documents(shape, 400, ragged=True)
    assert split.lengths.min() >= 1
    assert split.lengths.max() == 40
    assert 14 < split.lengths.mean() < 21  # cut at 40
    assert split.tokens.min() == 1
    assert split.tokens.max() < 5000
    # 1 / r: as many words of rank 1 to 70 as of rank 71 to 5000.
    assert 0.45 < (split.tokens <= 70).mean() < 0.55
    assert all(len(set(split.labels(i))) == len(split.labels(i)) >= 1 for i in range(400))
    ours = data.one_epoch(data.bucketed(split, shape, 4, 10))
    theirs = data.one_epoch(data.plain(split, shape))
    sums = [sum(int(batch.token_ids.sum()) for batch in batches) for batches in (ours, theirs)]
    assert sums[0] == sums[1] == int(split.tokens.sum())
    assert len({batch.token_ids.shape[1] for batch in ours}) <= 4
    assert all(batch.token_ids.shape[1] == batch.lengths.max() for batch in theirs)
    assert (data.draw_documents(shape, 3, ragged=False).lengths == 40).all()


@NEEDS_TORCH
def test_small_run_reports(run_benchmark: Run, tmp_path: Path) -> None:
    flags = [
        "--shapes=tiny",
        "--contenders=torch-padded,axml",
        "--repeats=1",
        "--matrix=16",
        "--copy_mb=1",
        "--sweep_shape=tiny",
        "--sweep_tokens=6,8",
        "--ragged",
        "--batches=2",
        "--override=tokens=8",
        "--name=trial",
        f"--out={tmp_path}",
    ]
    done = run_benchmark(
        "train_step",
        *flags,
        COLUMNS="200",  # tables are as wide as the terminal
        # The same programs three times: timed, in a process of their own, in the sweep.
        JAX_COMPILATION_CACHE_DIR=str(tmp_path / "compiled"),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "trial.json").read_text(encoding="utf-8"))
    assert found["documents"] == {"ragged": True, "batches": 2, "buckets": 6}
    case = found["cases"]["tiny"]
    assert case["documents"] == 8
    assert case["shape"]["tokens"] == 8
    ours, theirs = (case["contenders"][name] for name in ("axml float32", "torch-padded float32"))
    for one in (ours, theirs):
        assert one["errors"]["scores"] < 1e-5
        for part in measure.PASSES:
            assert len(one[part]["seconds"]) == 1
            assert one[part]["documents_per_s"] == pytest.approx(8 / one[part]["median_s"])
            rate = found["matrix_rate"]["float32"]["largest"]
            floor = case["operations"][part] / rate
            assert one[part]["share_of_floor"] == pytest.approx(floor / one[part]["median_s"])
            assert one["peak"][part]["peak_bytes"] >= 0
        # Weights, two moments of each (PyTorch holds constants, too).
        held = [one["peak"][part]["held_bytes"] for part in measure.PASSES]
        assert held[0] == pytest.approx(3 * held[1], rel=0.05)
    ratio = ours["training"]["time_over"]["torch-padded float32"]
    assert ratio == pytest.approx(ours["training"]["median_s"] / theirs["training"]["median_s"])
    encoder = case["parts"]["axml float32"]["encoder"]
    assert encoder.keys() == {"forward", "forward_backward"}
    other = case["parts"]["torch-padded float32"]["encoder"]["forward"]["median_s"]
    assert encoder["forward"]["time_over"] == pytest.approx(encoder["forward"]["median_s"] / other)
    for name in ("axml float32", "torch-padded float32"):
        for part, what in (("encoder", "operations"), ("head", "operations"),
                           ("embedding", "bytes"), ("update", "bytes")):  # fmt: skip
            from_matrix = found["matrix_rate"]["float32"]["largest"]
            rate = from_matrix if what == "operations" else found["memory_rate"]["largest"]
            for one in case["parts"][name][part].values():
                share = one[what] / rate / one["median_s"]
                assert one["share_of_floor"] == pytest.approx(share)
    assert case["parts"]["axml float32"]["update"].keys() == {"forward"}
    assert list(found["sweep"]["sizes"]) == ["tokens"]
    first, second = found["sweep"]["sizes"]["tokens"]
    assert first["value"] == 6
    assert second["value"] == second["shape"]["tokens"] == 8
    assert first["contenders"]["axml float32"]["training"]["documents_per_s"] > 0
    assert found["skipped"] == []
    assert found["extrapolated"] is None
    assert (found["plot"] is not None) == (tmp_path / "trial.png").exists()
    assert found["command"].startswith("train_step.py --shapes=tiny")
    assert "Where the time goes" in done.stdout


@NEEDS_TORCH
def test_the_encoder_is_timed_by_each_implementation(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [Entry(name, "float32") for name in ("torch-padded", "axml", "axml-scan")]
    monkeypatch.setattr(parts, "_entries", lambda precision: entries)
    found = parts.time_parts(tiny_case(False), ["float32"], 1, Clock(1))
    assert found["axml float32"].keys() == set(parts.PARTS)
    assert found["axml-scan float32"].keys() == {"encoder"}
    for kind, about in found["axml-scan float32"]["encoder"].items():
        other = found["torch-padded float32"]["encoder"][kind]["median_s"]
        assert about["time_over"] == pytest.approx(about["median_s"] / other)
    rows = list(parts.rows_of({"cases": {"tiny": {"parts": found}}}))
    assert [row[2] for row in rows if row[1] == "axml-scan float32"] == [
        "encoder, forward",
        "encoder, forward + backward",
    ]


def test_the_part_update_is_that_of_a_step() -> None:
    case = tiny_case(False)
    ours = Ours(TINY, "float32", case.params, 0.0)
    run = parts.update_call(ours, case)
    step, norms = run()
    assert int(step) == 1
    # Of the gradient that it is given, 1e-6 everywhere: the rows of the batch's words count alone.
    sizes = [np.size(leaf) for leaf in jax.tree.leaves(case.params)]
    table = case.params["words"]["vectors"]
    rows = min(len(table), case.batches_of("torch-padded")[0].token_ids.size + 1)
    count = sum(sizes) - table.size + rows * table.shape[1]
    assert float(norms["all"]) == pytest.approx(1e-6 * count**0.5, rel=1e-4)


def test_extrapolation_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = TINY._replace(tokens=8)  # a single padded length of training
    found = extrapolate.extrapolate("amazoncat", shape, "float32", 3)
    seconds = 1_186_239 / found["training_documents_per_s"]
    assert found["minutes_an_epoch"] == pytest.approx(seconds / 60)
    assert found["minutes_to_train"] == pytest.approx(10 * seconds / 60)
    tested = 306_782 / found["prediction_documents_per_s"] / 60
    assert found["minutes_to_test"] == pytest.approx(tested)
    (row,) = extrapolate.rows_of({"extrapolated": {"amazoncat": found}})
    assert len(row) == len(extrapolate.COLUMNS)


def test_what_did_not_run_has_no_place_in_table_and_plot(tmp_path: Path) -> None:
    ran: dict[str, Any] = {
        "errors": {},
        "training": {"median_s": 0.5},
        "peak": {"training": {"peak_bytes": 3_000_000, "held_bytes": 1_000_000}},
    }
    slower = {**ran, "training": {"median_s": 2.0}, "peak": {}}
    contenders = {
        "torch-padded float32": slower,
        "axml float32": ran,
        "torch-packed float32": {"errors": {}, "wrong": "scores"},
    }
    case = {"documents": 40, "operations": {"training": 10**9, "prediction": 10**8}}
    measure.compare(contenders, case, {"float32": 1e10})
    assert ran["training"]["time_over"] == {"torch-padded float32": 0.25}
    assert ran["training"]["share_of_floor"] == pytest.approx(0.2)
    rows = list(measure.rows_of({"cases": {"x": {"contenders": contenders}}}))
    assert rows[1][2:] == ["axml float32", "80.0", "0.25", "", "", "20%", "4"]
    assert rows[2][3:] == ["wrong", "", "", "", "", ""]
    points = [{"value": 100, "contenders": contenders}, {"value": 200, "contenders": {}}]
    assert plot.lines(points) == {
        "torch-padded float32": [(100, 2000.0)],
        "axml float32": [(100, 500.0)],
    }
    assert not plot.draw({"shape": {}, "sizes": {"tokens": []}}, "nothing", tmp_path / "x.png")


@pytest.mark.parametrize(
    ("flag", "complaint"),
    [
        ("--shapes=large", "--shapes: 'large' should be one of eurlex"),
        ("--override=batch=many", "'batch=many' should be SIZE=NUMBER"),
    ],
)
def test_unknown_names_are_refused(flag: str, complaint: str, run_benchmark: Run) -> None:
    done = run_benchmark("train_step", flag)
    assert done.returncode == 1
    assert complaint in done.stderr


@NEEDS_TORCH
def test_weights_survive_the_way_there_and_back() -> None:
    from benchmarks.train_step_torch import AttentionXML, Style, load_params, read_params

    params = tiny_case(False).params
    for ragged in (False, True):
        module = AttentionXML(TINY, Style(), 0.0, ragged)
        load_params(module, params)
        back = read_params(module)
        assert back.keys() == params.keys()
        for part, arrays in params.items():
            assert back[part].keys() == arrays.keys()
            for name, array in arrays.items():
                np.testing.assert_array_equal(back[part][name], array)
