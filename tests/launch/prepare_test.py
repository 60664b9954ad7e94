"""The script that prepares data, as a user runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

from axml_jax.data.store import open_store


def prepare(
    root: Path, environment: dict[str, str], *flags: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "launch" / "prepare.py"), *flags]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture
def own_files(tmp_path: Path) -> list[str]:
    (tmp_path / "t.txt").write_text("the cat sat on the mat\na dog ran\nthe dog sat\n")
    (tmp_path / "l.txt").write_text("cat animal;pets\npets\n\n")
    (tmp_path / "i.txt").write_text("one\ntwo\nthree\n")
    (tmp_path / "vt.txt").write_text("a cat\n")
    (tmp_path / "vl.txt").write_text("new;pets\n")
    names = {
        "train_texts": "t.txt",
        "train_labels": "l.txt",
        "train_ids": "i.txt",
        "test_texts": "vt.txt",
        "test_labels": "vl.txt",
    }
    return [f"--{flag}={tmp_path / name}" for flag, name in names.items()]


def test_own_files(
    root: Path, user_environment: dict[str, str], own_files: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "made" / "store"
    flags = [*own_files, f"--out={out}", "--separator=;", "--vector_width=5", "--max_tokens=4"]
    done = prepare(root, user_environment, *flags)
    assert done.returncode == 0, done.stderr
    store = open_store(out)
    assert store.label_names == ["cat animal", "pets", "new"]
    assert sorted(store.splits) == ["test", "train"]
    assert store.splits["train"].ids == ["one", "two", "three"]
    assert store.splits["train"].lengths.tolist() == [4, 3, 3]
    assert store.vectors is not None
    assert store.vectors.shape[1] == 5
    assert "documents" in done.stdout
    assert store.fingerprint[:16] in done.stdout

    again = prepare(root, user_environment, *flags)
    assert again.returncode == 1
    assert "--overwrite" in again.stderr
    assert again.stderr.startswith("error: ")
    assert "Traceback" not in again.stderr
    replaced = prepare(root, user_environment, *flags, "--overwrite", "--vectors=none")
    assert replaced.returncode == 0, replaced.stderr
    assert open_store(out).vectors is None


def test_titles_of_labels(
    root: Path, user_environment: dict[str, str], own_files: list[str], tmp_path: Path
) -> None:
    titles = tmp_path / "titles.tsv"
    titles.write_text("pets\tAnimals at home\nnew\tNews\n")
    flags = [*own_files, f"--out={tmp_path / 'store'}", "--separator=;", "--vectors=none"]
    done = prepare(root, user_environment, *flags, f"--label_titles={titles}")
    assert done.returncode == 0, done.stderr
    assert open_store(tmp_path / "store").label_titles == [None, "Animals at home", "News"]
    assert "titles from titles.tsv for 2 of 3 labels" in done.stdout

    titles.write_text("pets\tAnimals at home\nnew News\n")
    done = prepare(root, user_environment, *flags, f"--label_titles={titles}", "--overwrite")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {titles}:2: expected a label, a tab and its title")
    assert open_store(tmp_path / "store").label_titles[1] == "Animals at home"


def test_bad_input_is_one_line(
    root: Path, user_environment: dict[str, str], own_files: list[str], tmp_path: Path
) -> None:
    (tmp_path / "l.txt").write_text("a\n")
    done = prepare(root, user_environment, *own_files, f"--out={tmp_path / 'store'}")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'l.txt'}:2: l.txt has 1 lines but t.txt has 3")
    assert not (tmp_path / "store").exists()


def test_unknown_flags_are_refused_with_the_nearest(
    root: Path, user_environment: dict[str, str]
) -> None:
    done = prepare(root, user_environment, "--out=x", "--train_text=y")
    assert done.returncode != 0
    assert "train_texts" in done.stderr


def test_help_explains_the_files(root: Path, user_environment: dict[str, str]) -> None:
    done = prepare(root, user_environment, "--help")
    for text in ("--train_texts", "one text a line", "--dataset pydocs", "ppmi"):
        assert text in done.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Name either --dataset pydocs or your own"),
        (["--dataset=pydocs", "--train_texts=a", "--train_labels=b"], "Name either"),
        (["--train_texts=a"], "--train_texts and --train_labels go together"),
        (["--dataset=pydocs", "--test_labels=b"], "--test_texts and --test_labels go together"),
        (["--train_texts=a", "--train_labels=b"], "a: cannot be read: there is no such file"),
    ],
)
def test_flags_that_do_not_go_together(
    root: Path,
    user_environment: dict[str, str],
    tmp_path: Path,
    flags: list[str],
    message: str,
) -> None:
    done = prepare(root, user_environment, f"--out={tmp_path / 'store'}", *flags)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line


PYDOCS_OF_ABSL = """
import runpy, sys
from axml_jax.data.builders import pydocs
build = pydocs.build
pydocs.build = lambda: build(files=pydocs.installed_files(("absl",)))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_pydocs(root: Path, user_environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-c", PYDOCS_OF_ABSL, str(root / "launch" / "prepare.py")]
    command += ["--dataset=pydocs", f"--out={tmp_path / 'store'}", "--vector_width=8"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=user_environment, check=False
    )
    assert done.returncode == 0, done.stderr
    store = open_store(tmp_path / "store")
    assert sorted(store.splits) == ["test", "train", "valid"]
    assert store.description["source"].startswith("pydocs: docstrings of")
    assert "fingerprint" in store.description["source"]
