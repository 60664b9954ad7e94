"""launch/evaluate.py as a user runs it."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from axml_jax.data.store import Store

Launch = Callable[..., subprocess.CompletedProcess[bytes]]


def test_a_table_examples_and_a_record(tiny_run: Path, tmp_path: Path, launch: Launch) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    done = launch("evaluate", "--run=run", "--k=1,5", "--baseline", "--examples=2")
    assert done.returncode == 0, done.stderr.decode()
    shown = done.stdout.decode()
    record = json.loads((tmp_path / "run" / "evaluation_test.json").read_text())
    assert list(record["scores"]) == ["model", "most frequent labels"]
    assert "test: 20 documents, 15 labels" in shown
    for scores in record["scores"].values():
        assert "P@3" not in scores
        assert f"{scores['P@5']['value']:.2f} [{scores['P@5']['low']:.2f}, " in shown
    assert shown.count("(* is true)") == 2


@pytest.mark.parametrize("k", ["0", "1,x", "", "1.5"])
def test_a_cut_off_that_is_none_is_one_line(k: str, launch: Launch) -> None:
    done = launch("evaluate", "--run=run", f"--k={k}")
    assert done.returncode == 1
    assert done.stderr.decode() == (
        f"error: --k takes whole numbers of at least 1, such as 1,3,5; {k} came.\n"
    )


def test_a_folder_that_is_no_run_is_one_line(launch: Launch) -> None:
    done = launch("evaluate", "--run=nowhere")
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: nowhere: this is not a run folder")


def test_predictions_are_saved_and_scored_without_a_run(
    tiny_run: Path, tiny_store: Store, tmp_path: Path, launch: Launch
) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    done = launch("evaluate", "--run=run", "--save_predictions=ours.jsonl", "--top_k=8")
    assert done.returncode == 0, done.stderr.decode()
    ask = (f"--store={tiny_store.path}", "--predictions=ours.jsonl", "--format=json_lines")
    done = launch("evaluate", *ask)
    assert done.returncode == 0, done.stderr.decode()
    assert "ours.jsonl: json_lines (as asked for)" in done.stderr.decode()
    model = json.loads((tmp_path / "run" / "evaluation_test.json").read_text())["scores"]["model"]
    record = json.loads((tmp_path / "ours.jsonl.evaluation_test.json").read_text())
    assert record["scores"]["ours.jsonl"] == model


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--run is required, or both --store and --predictions; see --help."),
        (["--store=s"], "--run is required, or both --store and --predictions; see --help."),
        (["--run=r", "--top_k=9"], "--top_k is for --save_predictions, which is not there."),
        (
            ["--store=s", "--predictions=p", "--baseline"],
            "--baseline, --examples and --save_predictions need a --run.",
        ),
    ],
)
def test_what_belongs_together(arguments: list[str], told: str, launch: Launch) -> None:
    done = launch("evaluate", *arguments)
    assert (done.returncode, done.stderr.decode()) == (1, f"error: {told}\n")
