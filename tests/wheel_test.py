"""The wheel is whole: built, installed elsewhere, it trains, loads and predicts."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

# What is optional is hidden: fitting and predicting do without.
SCRIPT = """
import json, sys
for optional in ("tensorboardX", "matplotlib", "tensorflow_datasets", "omikuji", "sklearn"):
    sys.modules[optional] = None
import axml_jax, axml_kernels
from axml_jax.config import Config
from axml_jax.explain import explain
from axml_jax.explain_page import write_page

if __name__ == "__main__":
    config = Config()
    config.data.max_tokens = 8
    config.data.batch_size = 4
    config.data.valid_fraction = 0.0
    config.model.hidden = 4
    config.model.fully_connected = (4,)
    config.model.dropout = 0.0
    config.model.word_vectors = "random"
    config.model.word_width = 8
    config.train.epochs = 20
    config.train.learning_rate = 0.05
    texts = ["red green blue", "one two three", "green red", "three one"] * 4
    labels = [["colour"], ["number"], ["colour"], ["number"]] * 4
    axml_jax.fit(texts, labels, config=config, run_folder="run")
    model = axml_jax.load("run")
    rows = model.predict(["blue red", "two three"], top_k=2)
    page = "".join(write_page(explain(model, ["blue red"]), "colours"))
    print(json.dumps({
        "places": [axml_jax.__file__, axml_kernels.__file__],
        "version": axml_jax.__version__,
        "labels": [[found.label for found in row] for row in rows],
        "page": [page[:15], "red</span>" in page],
    }))
"""


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    # From a copy: setuptools would leave its build folder in the checkout, and take from there
    # what an earlier build left.
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("axml_jax", "kernels", "launch", "benchmarks", "tests"):
        shutil.copytree(root / name, source / name, ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, source / name)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    run(build, source, dict(os.environ))
    (built,) = out.glob("*.whl")
    return built


def test_wheel_holds_the_two_packages_and_nothing_else(wheel: Path, root: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    packaged = {name for name in names if ".dist-info/" not in name}
    expected = {
        path.relative_to(top).as_posix()
        for top, package in ((root, "axml_jax"), (root / "kernels", "axml_kernels"))
        for path in (top / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packaged == expected
    assert any(name.endswith("LICENSE") for name in names - packaged)


def test_installed_elsewhere_it_trains_loads_and_predicts(
    wheel: Path, tmp_path: Path, user_environment: dict[str, str]
) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "use.py").write_text(SCRIPT, encoding="utf-8")
    del user_environment["PYTHONPATH"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    run([*pip, "--target", str(site), str(wheel)], tmp_path, user_environment)

    user_environment["PYTHONPATH"] = str(site)
    shown = run([sys.executable, "use.py"], elsewhere, user_environment)

    result = json.loads(shown.splitlines()[-1])
    assert [Path(place).is_relative_to(site) for place in result["places"]] == [True, True]
    assert f"-{result['version']}-" in wheel.name
    assert result["labels"] == [["colour", "number"], ["number", "colour"]]
    assert result["page"] == ["<!doctype html>", True]
