"""What `make` says where Python does not fit: one clear line, and nothing is made."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def fake_python(path: Path, output: str) -> Path:
    path.write_text(f"#!/bin/sh\nprintf '%s' '{output}'\n")
    path.chmod(0o755)
    return path


def make(root: Path, folder: Path, python: Path | str, goal: str) -> tuple[int, list[str]]:
    for name in ("Makefile", "setup.cfg", "pyproject.toml"):
        shutil.copy(root / name, folder / name)
    before = sorted(folder.iterdir())
    done = subprocess.run(
        ["make", f"PYTHON={python}", goal],
        cwd=folder,
        # Not the settings of a `make test` that runs this test.
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert sorted(folder.iterdir()) == before
    return done.returncode, (done.stdout + done.stderr).splitlines()


@pytest.mark.parametrize("goal", ["test", "demo", "soak"])
@pytest.mark.parametrize("python", ["/bin/false", "/no/such/python"])
def test_a_python_that_does_not_run(root: Path, tmp_path: Path, python: str, goal: str) -> None:
    code, lines = make(root, tmp_path, python, goal)
    assert code != 0
    assert len(lines) == 1, lines
    assert f"'{python}' does not run; axml_jax needs Python 3.11, 3.12 or 3.13" in lines[0]
    assert f"make PYTHON=python3.12 {goal}" in lines[0]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("3.9.1 complete", r"is Python 3\.9\.1; axml_jax needs Python 3\.11, 3\.12 or 3\.13"),
        ("2.7.18 ", r"is Python 2\.7\.18; axml_jax needs"),
        ("3.14.0 complete", r"is Python 3\.14\.0; axml_jax needs"),
        ("3.12.4 ", r"\(Python 3\.12\.4\) lacks the module venv .* apt install python3\.12-venv"),
    ],
)
def test_a_python_that_does_not_fit(root: Path, tmp_path: Path, output: str, message: str) -> None:
    python = fake_python(tmp_path / "python", output)
    code, lines = make(root, tmp_path, python, "test")
    assert code != 0
    assert len(lines) == 1, lines
    assert re.search(message, lines[0])
    assert "make PYTHON=python3.12 test" in lines[0]
