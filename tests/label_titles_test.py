"""Titles of labels on their way from a file through store and run to whoever reads predictions."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import axml_jax
from axml_jax.config import Config
from axml_jax.data.corpus import Document
from axml_jax.data.store import Store, write_store
from axml_jax.data.titles import read_titles
from axml_jax.errors import InputError
from axml_jax.evaluation import evaluate_run
from axml_jax.train.loop import train

pytestmark = pytest.mark.usefixtures("compilation_cache")

TEXT = "Parses flags from the command line."


@pytest.fixture(scope="module")
def titled(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_store: Store,
    new_tiny_config: Callable[[], Config],
) -> tuple[Store, Path]:
    """The tiny store's documents with titles, the first label's excepted, and a run on them."""
    folder = tmp_path_factory.mktemp("titled")
    names = tiny_store.label_names
    titles = {name: f"\x1b[2Jthe {name}" for name in names[1:]}
    (folder / "titles.json").write_text(json.dumps(titles))
    splits = {
        split: [
            Document(
                " ".join(tiny_store.vocabulary.words[token] for token in documents.document(i)),
                tuple(names[label] for label in documents.labels(i)),
            )
            for i in range(len(documents))
        ]
        for split, documents in tiny_store.splits.items()
    }
    store = write_store(
        folder / "store",
        splits,
        source="",
        vector_width=8,
        label_titles=read_titles(folder / "titles.json"),
    )
    config = new_tiny_config()
    config.train.epochs = 1
    train(config, store, folder / "run")
    return store, folder / "run"


def test_predictions_have_the_titles_of_their_labels(titled: tuple[Store, Path]) -> None:
    store, run = titled
    model = axml_jax.load(run)
    assert model.label_titles == store.label_titles[: store.num_train_labels]
    row = model.predict([TEXT], top_k=8)[0]
    without = store.label_names[0]
    assert {one.label: one.title for one in row} == {
        name: None if name == without else f"\x1b[2Jthe {name}" for name in model.label_names
    }


def test_the_script_writes_titles_where_there_are_any(
    titled: tuple[Store, Path],
    tiny_run: Path,
    tmp_path: Path,
    root: Path,
    user_environment: dict[str, str],
) -> None:
    store, run = titled

    def predict(folder: Path) -> tuple[bytes, list[dict[str, object]]]:
        command = [sys.executable, str(root / "launch/predict.py"), f"--run={folder}", "--top_k=8"]
        done = subprocess.run(
            command, input=TEXT.encode(), capture_output=True, env=user_environment, check=True
        )
        return done.stdout, json.loads(done.stdout)["labels"]

    raw, labels = predict(run)
    assert b"\x1b" not in raw
    for one in labels:
        name = one["label"]
        if name == store.label_names[0]:
            assert set(one) == {"label", "probability", "logit"}
        else:
            assert one["title"] == f"\x1b[2Jthe {name}"
    assert not any("title" in one for one in predict(tiny_run)[1])


def test_examples_are_shown_with_titles(
    titled: tuple[Store, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    store, run = titled
    evaluate_run(run, examples=3)
    shown = capsys.readouterr().out
    lines = [line for line in shown.splitlines() if line.startswith(("  true", "  predicted"))]
    assert len(lines) == 6
    assert any(rf"\x1b[2Jthe {name} ({name})" in shown for name in store.label_names[1:])
    assert "\x1b[2J" not in shown


def test_a_run_from_before_there_were_titles(tiny_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    labels = json.loads((run / "labels.json").read_text())
    labels.pop("titles", None)
    (run / "labels.json").write_text(json.dumps(labels))
    description = json.loads((run / "run.json").read_text())
    del description["sums"]  # there were none either
    (run / "run.json").write_text(json.dumps(description))
    assert {one.title for one in axml_jax.load(run).predict([TEXT])[0]} == {None}


@pytest.mark.parametrize("titles", [["one"], [3] * 8, "12345678", {"a": "b"}])
def test_damaged_titles_of_a_run(tiny_run: Path, tmp_path: Path, titles: object) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    labels = json.loads((run / "labels.json").read_text())
    (run / "labels.json").write_text(json.dumps({**labels, "titles": titles}))
    with pytest.raises(InputError, match="'titles' should be a list of 8") as caught:
        axml_jax.load(run)
    assert caught.value.file == str(run / "labels.json")
