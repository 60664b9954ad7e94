"""Which files of a folder are found for which split."""

from collections.abc import Callable
from pathlib import Path

import pytest

from axml_jax.data.readers.layouts import find_splits
from axml_jax.data.readers.opening import open_splits
from axml_jax.errors import InputError

Write = Callable[[str, str | bytes], Path]


@pytest.mark.parametrize(
    ("names", "splits", "label_file"),
    [
        (
            "trn.json.gz tst.json.gz lbl.json.gz README.md",
            {"train": "trn.json.gz", "test": "tst.json.gz"},
            "lbl.json.gz",
        ),
        ("trn.json Yf.txt", {"train": "trn.json"}, "Yf.txt"),
        (
            "X.trn.txt X.tst.txt Y.trn.npz Y.tst.npz output-items.txt",
            {"train": "X.trn.txt Y.trn.npz", "test": "X.tst.txt Y.tst.npz"},
            "output-items.txt",
        ),
        (
            "train/1.json dev/2.json test/3.json dev.txt",
            {"train": "train", "valid": "dev", "test": "test"},
            "",
        ),
        (
            "train_texts.txt.xz train_labels.txt.xz train_ids.txt.xz dev_texts.txt dev_labels.txt",
            {
                "train": "train_texts.txt.xz train_labels.txt.xz train_ids.txt.xz",
                "valid": "dev_texts.txt dev_labels.txt",
            },
            "",
        ),
        (
            "train_raw_texts.txt train_labels.txt",
            {"train": "train_raw_texts.txt train_labels.txt"},
            "",
        ),
        (
            "train.jsonl valid.jsonl.gz test.jsonl.xz train.jsonl~",
            {"train": "train.jsonl", "valid": "valid.jsonl.gz", "test": "test.jsonl.xz"},
            "",
        ),
        ("train.csv val.csv", {"train": "train.csv", "valid": "val.csv"}, ""),
        ("train.tsv", {"train": "train.tsv"}, ""),
        (
            "train.jsonl validation.jsonl",
            {"train": "train.jsonl", "valid": "validation.jsonl"},
            "",
        ),
        ("train/1.json validation/2.json", {"train": "train", "valid": "validation"}, ""),
        (
            "train_texts.txt train_labels.txt validation_texts.txt validation_labels.txt",
            {
                "train": "train_texts.txt train_labels.txt",
                "valid": "validation_texts.txt validation_labels.txt",
            },
            "",
        ),
        ("trn.json validation.json", {"train": "trn.json", "valid": "validation.json"}, ""),
    ],
)
def test_layouts(
    write: Write, tmp_path: Path, names: str, splits: dict[str, str], label_file: str
) -> None:
    for name in names.split():
        write(name, "")
    layout = find_splits(tmp_path)
    found = {
        split: " ".join(path.name for path in files if path)
        for split, files in layout.splits.items()
    }
    assert found == splits
    assert layout.unread == ()
    assert (layout.label_file.name if layout.label_file else "") == label_file


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "the folder holds nothing.*Extreme Classification Repository"),
        (["valid.jsonl", "notes.txt"], "the folder holds notes.txt, valid.jsonl"),
        (["train.jsonl", "train.csv"], r"data twice: JSON lines .* and CSV"),
        (["train.jsonl", "train.jsonl.gz"], "train.jsonl and train.jsonl.gz could be the same"),
        (["train.tsv", "dev.tsv", "valid.tsv"], "dev.tsv and valid.tsv could be the same"),
        (["train_texts.txt", "test_labels.txt"], "there are no labels beside it"),
        (
            ["train.csv", "test.jsonl"],
            r"test.jsonl: this seems to be a split, but train.csv .* CSV",
        ),
        (["train.jsonl", "validation/1.json"], "validation: this seems to be a split"),
        (["train.jsonl", "test.jsonl", "test.csv"], "test.csv: this seems to be a split"),
        (["X.trn.txt", "Y.trn.npz", "Y.tst.npz"], "Y.tst.npz: this seems to be a split"),
        (["train/notes.txt"], "no training data in a known layout"),
    ],
)
def test_folders_that_cannot_be_told(
    write: Write, tmp_path: Path, names: list[str], message: str
) -> None:
    for name in names:
        write(name, "")
    with pytest.raises(InputError, match=message):
        find_splits(tmp_path)


def test_other_files_named_like_a_missing_split_are_told(write: Write, tmp_path: Path) -> None:
    for name in ("train.jsonl", "train.txt", "test.json.gz", "dev.parquet", "tests.txt"):
        write(name, '{"text": "x", "labels": []}')
    layout = find_splits(tmp_path)
    assert sorted(path.name for path in layout.unread) == ["dev.parquet", "test.json.gz"]
    assert (
        open_splits(layout)
        .notes[0]
        .startswith(
            "not read, though named like a split: dev.parquet, test.json.gz (--valid and --test"
        )
    )


def test_no_folder(write: Write, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        find_splits(tmp_path / "nowhere")
    with pytest.raises(InputError, match="cannot be read"):
        find_splits(write("file", ""))
