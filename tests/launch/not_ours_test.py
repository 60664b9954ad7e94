"""No script touches a folder that is not empty and that none of ours made."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from axml_jax.data.store import Store
from axml_jax.errors import InputError
from benchmarks.paper_steps import Step, claim, run_steps

Launch = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder with names that ours have too, and others."""
    folder = tmp_path / "theirs"
    for name in ("labels.png", "thesis.tex", ".hidden", "store/train/x", "tables.md"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"my {name}")
    return folder


def state(folder: Path) -> dict[str, tuple[str, int]]:
    """Content and time of change of all that is in a folder."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mtime_ns,
        )
        for path in [folder, *folder.rglob("*")]
    }


@pytest.mark.parametrize(
    ("script", "flags", "told"),
    [
        ("train", ("--run=theirs", "--config.data.batch_size=8"),
         "theirs: it exists, is not empty and is not a run folder"),
        ("prepare", ("--out=theirs", "--overwrite", "--dataset=pydocs"),
         "theirs: this is no store and is left alone"),
        ("inspect_data", ("--out=theirs",),
         "theirs: it holds other files, such as .hidden, and no statistics of before"),
        ("explain", ("--output=theirs", "--format=html", "--text=flags"),
         "--output is theirs, which is a folder"),
        ("predict", ("--output=theirs",), "--output is theirs, which is a folder"),
        ("evaluate", ("--save_predictions=theirs",),
         "--save_predictions is theirs, which is a folder"),
    ],
)  # fmt: skip
def test_a_folder_of_somebody_else_is_left_alone(
    tiny_store: Store,
    tiny_run: Path,
    theirs: Path,
    launch: Launch,
    script: str,
    flags: tuple[str, ...],
    told: str,
) -> None:
    before = state(theirs)
    data = [f"--store={tiny_store.path}"] if script in ("train", "inspect_data") else []
    run = [f"--run={tiny_run}"] if script in ("explain", "predict", "evaluate") else []
    done = launch(script, *flags, *data, *run)
    assert done.returncode == 1
    assert f"error: {told}" in done.stderr.decode()
    assert state(theirs) == before
    assert [path.name for path in theirs.parent.iterdir()] == ["theirs"]


def test_a_study_of_tables_replaces_no_folder_of_somebody_else(
    root: Path, tiny_store: Store, theirs: Path, launch_environment: dict[str, str]
) -> None:
    before = state(theirs)
    # It would make OUT/store/attention_xml/train anew.
    done = subprocess.run(
        [sys.executable, str(root / "benchmarks/paper_tables.py"), f"--data={tiny_store.path}",
         "--methods=attention_xml", f"--out={theirs}"],
        env=launch_environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "theirs: it exists, is not empty and holds no study" in done.stderr
    assert state(theirs) == before


def test_a_study_goes_on(tmp_path: Path) -> None:
    step = Step("data/step", lambda folder: {}, dict)
    for out in (tmp_path / "new", tmp_path / "empty"):
        if out.name == "empty":
            out.mkdir()
        claim(out)
        claim(out)  # killed before its first step
        run_steps(out, [step])
        claim(out)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="holds no study"):
        claim(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
