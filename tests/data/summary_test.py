"""The table of what a store holds."""

from pathlib import Path

import pytest

from axml_jax.data import summary
from axml_jax.data.corpus import Document
from axml_jax.data.store import write_store
from axml_jax.data.titles import read_titles

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


def test_words_are_those_of_the_texts_and_labels_are_shown(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", {"train": TRAIN}, source="", vectors="none")
    words, labels, *_ = summary.notes(store)
    assert words == "8 words, without vectors"  # the, cat, sat, dog, ran, a, rare, word
    assert labels == "labels such as 'a', 'b', 'c'"
    assert summary.doubts(store) == []


def test_swapped_texts_and_labels_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["wheat rose in chicago today", "gold fell", "oil was steady after opec met in vienna"]
    names = ["wheat", "gold", "oil"]
    for number, rows in enumerate((zip(names, texts, strict=True), zip(texts, names, strict=True))):
        train = [Document(text, tuple(labels.split())) for text, labels in rows]
        store = write_store(tmp_path / str(number), {"train": train}, source="", vectors="none")
        summary.show(store)
        shown = " ".join(capsys.readouterr().out.split())
        told = "WARNING: are texts and labels swapped? 14 labels for 3 documents, 5.0 labels and "
        assert (told + "1.0 words a document" in shown) == (number == 0)


@pytest.mark.parametrize("separator", [";", "|", ","])
def test_separators_within_names_are_told(tmp_path: Path, separator: str) -> None:
    # "grain" too: one name of many may hold anything, many of them are a wrong separator.
    names = [f"grain{separator}wheat", f"oil{separator}\x1b[2Jgas", "gold", "silver"]
    train = [Document("five words of some news", (name,)) for name in names]
    store = write_store(tmp_path / "a", {"train": train}, source="", vectors="none")
    (told,) = summary.doubts(store)
    assert told.startswith(f"2 of 4 labels' names hold '{separator}', such as 'grain{separator}w")
    assert told.endswith(f"--separator '{separator}'")
    store = write_store(tmp_path / "b", {"train": train[1:]}, source="", vectors="none")
    assert summary.doubts(store) == []


def test_titles_of_the_base_are_counted_apart(tmp_path: Path) -> None:
    (tmp_path / "first.json").write_text('{"a": "one", "b": "two"}')
    (tmp_path / "more.json").write_text('{"d": "four"}')
    write_store(
        tmp_path / "base", {"train": TRAIN}, source="", vectors="none",
        label_titles=read_titles(tmp_path / "first.json"),
    )  # fmt: skip
    again = {"train": [*TRAIN, Document("the dog", ("d", "e"))]}
    base = tmp_path / "base"
    store = write_store(
        tmp_path / "s",
        again,
        source="",
        base=base,
        label_titles=read_titles(tmp_path / "more.json"),
    )
    told = "titles for 3 of 5 labels: 1 from more.json, 2 from base"
    assert told in summary.notes(store)
    store = write_store(tmp_path / "t", again, source="", base=base)
    assert "titles from base for 2 of 5 labels" in summary.notes(store)


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
