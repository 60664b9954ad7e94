"""launch/inspect_data.py as a user runs it: numbers on the terminal, a JSON, two pictures."""

import importlib.util
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from axml_jax.data.store import Store

Launch = Callable[..., subprocess.CompletedProcess[bytes]]

NO_MATPLOTLIB = "import sys\nsys.modules['matplotlib'] = None\n"


def test_numbers_and_pictures(
    tiny_store: Store, tiny_run: Path, tmp_path: Path, launch: Launch
) -> None:
    done = launch(
        "inspect_data", f"--store={tiny_store.path}", "--out=new/folder", "--max_tokens=30,40",
        f"--run={tiny_run}", "--name=docstrings",
    )  # fmt: skip
    has_plots = importlib.util.find_spec("matplotlib") is not None
    assert done.returncode == (0 if has_plots else 1), done.stderr.decode()
    shown = done.stdout.decode()
    for text in ("docstrings", "N_train", "documents cut at 16 words", "near-duplicate in train"):
        assert text in shown
    written = json.loads((tmp_path / "new/folder/statistics.json").read_text())
    assert written["store"]["fingerprint"] == tiny_store.fingerprint
    assert [cut["cut_off"] for cut in written["splits"]["test"]["cut"]] == [16, 30, 40]
    # The splits are made so that none has twins in another.
    assert [pair["documents"] for pair in written["near_duplicates"]] == [0, 0, 0]
    pictures = {path.name for path in (tmp_path / "new/folder").glob("*.png")}
    assert pictures == ({"lengths.png", "labels.png"} if has_plots else set())


def test_without_matplotlib_the_numbers_are_there(
    tiny_store: Store, tmp_path: Path, launch: Launch, launch_environment: dict[str, str]
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(NO_MATPLOTLIB)
    path = f"{tmp_path / 'site'}:{launch_environment['PYTHONPATH']}"
    ask = ("inspect_data", f"--data={tiny_store.path}")
    done = launch(*ask, PYTHONPATH=path)
    assert (done.returncode, done.stderr) == (0, b"")
    done = launch(*ask, "--out=out", PYTHONPATH=path)
    assert done.returncode == 1
    assert b"N_train" in done.stdout
    assert (tmp_path / "out/statistics.json").is_file()
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: the pictures need matplotlib")
    assert "pip install" in line


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("texts.txt", "found a file; texts and labels are prepared first, with launch/prepare.py"),
        ("nowhere", "found nothing"),
        (".", "found a folder without store.json"),
        ("RUN", "found a run"),
    ],
)
def test_only_stores_are_looked_at(
    tiny_run: Path, tmp_path: Path, launch: Launch, data: str, message: str
) -> None:
    (tmp_path / "texts.txt").write_text("a text\n")
    done = launch("inspect_data", f"--store={tiny_run if data == 'RUN' else data}")
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.decode().splitlines()
    assert "expected a prepared data set" in line
    assert message in line


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--out=taken/folder", "nothing can be written there"),
        ("--out=taken", "nothing can be written there"),
        ("--max_tokens=12,0", "--max_tokens takes whole numbers from 1 to 2147483647"),
        ("--max_tokens=many", "many came"),
        ("--run=taken", "not a run folder"),
    ],
)
def test_what_cannot_be_is_told_before_the_work(
    tiny_store: Store, tmp_path: Path, launch: Launch, flag: str, message: str
) -> None:
    (tmp_path / "taken").write_text("a file")
    done = launch("inspect_data", f"--store={tiny_store.path}", flag)
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.decode().splitlines()
    assert message in line
