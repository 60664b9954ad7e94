"""The table of what a store holds."""

from pathlib import Path

import pytest

from axml_jax.data import summary
from axml_jax.data.corpus import Document
from axml_jax.data.store import write_store

TRAIN = [
    Document("The cat sat; the dog ran.", ("b", "a"), "one"),
    Document("A dog, a dog!", ("c",), "two"),
    Document("...", ("a", "a"), "three"),
    Document("the rare word", (), "four"),
]
TEST = [Document("the unseen dog", ("z", "a", "d")), Document("unseen", ("c",))]


def test_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    splits = {"train": TRAIN, "test": TEST}
    store = write_store(tmp_path / "store", splits, source="", max_tokens=4, vector_width=4)
    rows = {row[0].strip(): row[1:] for row in summary.table_rows(store)}
    assert rows[""] == ("train", "test")
    assert rows["documents"] == ("4", "2")
    assert rows["different labels"] == ("3", "4")
    assert rows["of them not in train"] == ("0", "2")
    assert rows["labels per document"] == ("1.00", "2.00")
    assert rows["documents without labels"] == ("1", "0")
    assert rows["words per document"] == ("3", "2")
    assert rows["unknown words"] == ("0.0%", "50.0%")
    assert rows["documents cut"] == ("25.0%", "0.0%")
    assert rows["documents without words"] == ("1", "0")
    summary.show(store)
    shown = capsys.readouterr().out
    assert "labels per document" in shown
    assert store.fingerprint[:16] in shown
    assert "width 4" in shown


def test_a_name_cannot_command_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    glove = tmp_path / "\x1b[2Jvectors.txt"
    glove.write_text("the 1 2\ndog 3 4\n")
    store = write_store(tmp_path / "store", {"train": TRAIN}, source="", vectors=glove)
    summary.show(store)
    shown = capsys.readouterr().out
    assert r"\x1b[2Jvectors.txt" in shown
    assert all(character.isprintable() or character == "\n" for character in shown)
