"""The benchmark of the recurrent layer checks and times every implementation."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from axml_jax.models import bilstm_choice
from axml_jax.models.bilstm import bilstm
from axml_jax.models.bilstm_parameters import BiLSTMParameters
from axml_kernels import compiling_for
from benchmarks.bilstm_rivals import keep, unrolled

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_small_run_reports(run_benchmark: Run, tmp_path: Path) -> None:
    flags = ["--shape=tiny", "--unroll=1", "--unroll=3", "--repeats=1", f"--out={tmp_path}"]
    done = run_benchmark("bilstm", *flags)
    assert done.returncode == 0, done.stderr
    (written,) = tmp_path.glob("bilstm_tiny_*.json")
    found = json.loads(written.read_text(encoding="utf-8"))["implementations"]
    names = {"axml-scan-unroll-1", "axml-scan-unroll-3", "flax", "torch"}
    assert found.keys() == names
    for name in names - ({"torch"} if importlib.util.find_spec("torch") is None else set()):
        about = found[name]
        assert max(about["errors"].values()) < 1e-6, name
        for part in ("forward", "gradient"):
            assert about[part]["time_over"][name] == 1
            ratio = about[part]["median_s"] / found["flax"][part]["median_s"]
            assert about[part]["time_over"]["flax"] == pytest.approx(ratio)


def test_the_scan_is_unrolled_there_and_back() -> None:
    given = jnp.ones((2, 8, 3)), BiLSTMParameters(*map(jnp.ones, ((2, 3, 8), (2, 2, 8), (2, 8))))
    lengths = jnp.full((2,), 8)

    def program() -> str:
        step = jax.grad(lambda x, p: bilstm(x, lengths, p).sum())
        return str(jax.make_jaxpr(step)(*given))

    with unrolled(4):
        assert program().count("unroll=4") == 2
    assert program().count("unroll=1") == 2


# Seconds of the scan are 0.2 in both passes.
@pytest.mark.parametrize(
    ("forward", "gradient", "winner"),
    [(0.1, 0.1, "cudnn"), (0.1, 0.3, "scan"), (0.3, 0.1, "scan"), (0.3, 0.3, "scan")],
)
def test_cudnn_is_kept_where_it_wins_both_passes(
    forward: float, gradient: float, winner: str, tmp_path: Path
) -> None:
    found = {"axml-scan-unroll-1": timed(0.2, 0.2), "axml-cudnn": timed(forward, gradient)}
    found["torch"] = timed(0, 0)
    assert keep(found, tmp_path / "table.json", "a card", "tf32", 256) == winner


def test_each_card_precision_and_width_has_its_own(tmp_path: Path) -> None:
    table = tmp_path / "table.json"
    scan = {"axml-scan-unroll-1": timed(0.2, 0.2)}
    wins, loses = (scan | {"axml-cudnn": timed(s, s)} for s in (0.1, 0.3))
    assert keep(wins, table, "a card", "tf32", 256) == "cudnn"
    assert keep(loses, table, "a card", "tf32", 512) == "scan"
    assert keep(loses, table, "a card", "float32", 256) == "scan"
    assert keep(loses, table, "another", "tf32", 256) == "scan"
    # Where a pass is missing, there is nothing to compare.
    for about in ({"wrong": "states"}, {"forward": {"median_s": 0.1}, "gradient": {"failed": ""}}):
        assert keep(scan | {"axml-cudnn": about}, table, "a card", "tf32", 512) is None
    assert json.loads(table.read_text(encoding="utf-8")) == {
        "a card": {"float32": {"256": "scan"}, "tf32": {"256": "cudnn", "512": "scan"}},
        "another": {"tf32": {"256": "scan"}},
    }


def test_what_is_kept_is_what_axml_jax_chooses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = tmp_path / "table.json"
    for hidden, seconds in ((256, 0.1), (512, 0.3)):
        found = {"axml-scan-unroll-1": timed(0.2, 0.2), "axml-cudnn": timed(seconds, seconds)}
        keep(found, table, "NVIDIA H200", "tf32", hidden)
    monkeypatch.setattr(bilstm_choice, "table", lambda: json.loads(table.read_text()))
    with compiling_for("NVIDIA H200"):
        chosen = [bilstm_choice.fastest(hidden, jnp.float32, None) for hidden in (256, 384, 512)]
        assert chosen == ["cudnn", None, "scan"]
        assert bilstm_choice.fastest(256, jnp.float32, "highest") is None


def timed(forward: float, gradient: float) -> dict[str, Any]:
    """An implementation as `measure` tells of it."""
    return {"forward": {"median_s": forward}, "gradient": {"median_s": gradient}}
