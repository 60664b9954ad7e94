"""Names out of data: none becomes a path, and none reaches a terminal as more than text."""

from pathlib import Path

import numpy as np
import pytest

from axml_jax import evaluation
from axml_jax.baselines.predictions import from_lists, write_predictions
from axml_jax.data import statistics, statistics_tables, summary
from axml_jax.data.builders.named import open_dataset
from axml_jax.data.corpus import Document
from axml_jax.data.store import Store, write_store
from axml_jax.data.titles import Titles
from axml_jax.errors import ConfigError, InputError
from axml_jax.progress import say

PATHS = ("../../x", "/etc/x", "C:\\x", "a\0b", "..", "~", "x" * 5000, "CON", "store.json")
CODES = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "over\rwritten",
    "\u202egnp.exe",
    "a\nb",
)
NAMES = PATHS + CODES


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    documents = [Document(f"the text {i}", (name,), name) for i, name in enumerate(NAMES)]
    titles = Titles("titles", {name: f"title of {name}" for name in NAMES}, None)
    return write_store(
        tmp_path_factory.mktemp("names") / "deep" / "store",
        {"train": documents, "test": documents},
        source=NAMES[-2],
        vectors="none",
        label_titles=titles,
    )


@pytest.fixture(autouse=True)
def _only_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_labels_and_ids_are_no_names_of_files(store: Store) -> None:
    assert store.label_names == sorted(NAMES)
    assert store.splits["test"].ids == list(NAMES)
    below = {str(path.relative_to(store.path.parent)) for path in store.path.parent.rglob("*")}
    arrays = [f"store/{split}/{name}.npy" for split in ("train", "test")
              for name in ("tokens", "offsets", "label_ids", "label_offsets")]  # fmt: skip
    lists = [f"store/{name}.json" for name in ("store", "words", "labels", "titles")]
    ids = ["store/train/ids.json", "store/test/ids.json"]
    assert below == {"store", "store/train", "store/test", *arrays, *lists, *ids}
    assert [path.name for path in store.path.parent.parent.iterdir()] == ["deep"]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", "..", ".", "", "a\0b", "x\n", "-x"])
def test_names_of_splits_are_names_of_folders_or_refused(tmp_path: Path, name: str) -> None:
    splits = {"train": [Document("a text", ("a",))], name: [Document("a text", ("a",))]}
    with pytest.raises((InputError, ValueError), match="split"):
        write_store(tmp_path / "here" / "store", splits, source="", vectors="none")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a\0b", "x" * 5000])
def test_names_of_splits_and_data_sets_that_are_not_known(store: Store, name: str) -> None:
    (store.path.parent / "f").write_text("")
    with pytest.raises(InputError, match="no split"):
        evaluation.evaluate_files([store.path.parent / "f"], store=store.path, split=name)
    (store.path.parent / "f").unlink()
    with pytest.raises(ConfigError, match="no data set"):
        open_dataset(name)


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    out, error = capsys.readouterr()
    odd = {c for c in out + error if c != "\n" and not c.isprintable()}
    assert odd == set()
    return out + error


def test_tables_and_lines_show_codes_instead_of_obeying(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    summary.show(store)
    statistics_tables.show(statistics.gather(store, CODES[0], [3]))
    assert r"\x1b[31mred" in shown(capsys)
    say(f"note: {CODES[0]} and {CODES[4]}")
    assert shown(capsys) == "note: \\x1b[31mred\\x1b[0m and \\u202egnp.exe\n"


def test_scores_and_examples_show_codes_instead_of_obeying(
    store: Store, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    labels = np.tile(np.arange(len(NAMES), dtype=np.int32), (len(NAMES), 1))
    predictions = from_lists(labels, np.zeros(labels.shape, np.float32), len(NAMES))
    # A name that a file system takes; the table's columns are names of files.
    file = tmp_path / f"{CODES[0]}.jsonl"
    write_predictions(file, predictions, store.label_names)
    evaluation.evaluate_files([file], store=store.path, ks=(1,))
    assert r"\x1b[31mred" in shown(capsys)
    evaluation._print_example(store, "test", len(PATHS), predictions)
    assert r"title of \x1b[31mred\x1b[0m (\x1b[31mred\x1b[0m)" in shown(capsys)


def test_predictions_with_such_names_are_read_again(store: Store, tmp_path: Path) -> None:
    labels = np.tile(np.arange(len(NAMES), dtype=np.int32), (len(NAMES), 1))
    predictions = from_lists(labels, np.zeros(labels.shape, np.float32), len(NAMES))
    write_predictions(tmp_path / "p.jsonl", predictions, store.label_names)
    assert [path.name for path in tmp_path.iterdir()] == ["p.jsonl"]
    record = evaluation.evaluate_files([tmp_path / "p.jsonl"], store=store.path, ks=(1,))
    assert record["documents"] == len(NAMES)
