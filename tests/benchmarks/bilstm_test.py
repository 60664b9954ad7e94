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

from axml_jax.models.bilstm import bilstm
from axml_jax.models.bilstm_parameters import BiLSTMParameters
from benchmarks.bilstm_rivals import keep, unrolled

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_small_run_reports(run_benchmark: Run, tmp_path: Path) -> None:
    flags = ["--shape=tiny", "--unroll=1", "--unroll=3", "--repeats=1", f"--out={tmp_path}"]
    done = run_benchmark("bilstm", *flags, "--name=trial")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "trial.json").read_text(encoding="utf-8"))["implementations"]
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


def test_the_faster_one_of_a_card_and_precision_is_kept(tmp_path: Path) -> None:
    table = tmp_path / "table.json"
    scan, cudnn = ({"gradient": {"median_s": seconds}} for seconds in (0.2, 0.1))
    both: dict[str, dict[str, Any]] = {}
    both |= {
        "axml-scan-unroll-1": scan,
        "axml-cudnn": cudnn,
        "torch": {"gradient": {"median_s": 0}},
    }
    assert keep(both, table, "a card", "tf32") == "cudnn"
    both["axml-cudnn"] = {"gradient": {"median_s": 0.3}}
    assert keep(both, table, "a card", "float32") == "scan"
    assert keep(both, table, "another", "tf32") == "scan"
    both["axml-cudnn"] = {"wrong": "states"}
    assert keep(both, table, "a card", "tf32") is None
    assert json.loads(table.read_text(encoding="utf-8")) == {
        "a card": {"float32": "scan", "tf32": "cudnn"},
        "another": {"tf32": "scan"},
    }
