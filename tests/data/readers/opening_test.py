"""All formats through one door: the same documents, the same store, no worse than an InputError."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from axml_jax.data import summary
from axml_jax.data.corpus import Document
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.formats import FORMATS
from axml_jax.data.readers.layouts import Layout, SplitFiles
from axml_jax.data.readers.opening import open_documents, open_splits
from axml_jax.data.store import open_store, write_store
from axml_jax.data.text import tokenize
from axml_jax.errors import InputError
from tests.data.readers.in_formats import DOCUMENTS, in_format

Write = Callable[[str, str | bytes], Path]


@pytest.mark.parametrize("name", FORMATS)
def test_text_to_store_to_text_ids(tmp_path: Path, name: str) -> None:
    train = in_format(tmp_path / "train", name, DOCUMENTS)
    test = in_format(tmp_path / "test", name, DOCUMENTS[1:])
    opened = open_splits(Layout("", {"train": train, "test": test}, None))
    assert f"[{name}]" in opened.notes[0]
    ids = [] if name == "tsv" else ["d1", "d2", "d3"]
    assert [document.labels for document in opened.documents["train"]] == [
        document.labels for document in DOCUMENTS
    ]
    write_store(tmp_path / "store", opened.documents, source=opened.source, vectors="none")
    store = open_store(tmp_path / "store")
    assert store.description["source"] == f"{FORMATS[name].title}: documents, documents"
    assert store.label_names == ["0", "1", "2"]
    for split, documents in (("train", DOCUMENTS), ("test", DOCUMENTS[1:])):
        assert len(store.splits[split]) == len(documents)
        for i, document in enumerate(documents):
            words = [store.vocabulary.words[word] for word in store.splits[split].document(i)]
            assert words == tokenize(document.text)
            labels = [store.label_names[label] for label in store.splits[split].labels(i)]
            assert labels == sorted(document.labels)
        assert (store.splits[split].ids or []) == ids[len(ids) - len(documents) :]


@pytest.mark.parametrize("name", FORMATS)
def test_damage_is_an_input_error_or_other_documents(tmp_path: Path, name: str) -> None:
    files = in_format(tmp_path / "data", name, DOCUMENTS)
    victims = [path for path in files if path is not None]
    if files.path.is_dir():
        victims = sorted(files.path.iterdir())
    random = np.random.default_rng(0)
    faults = []
    for victim in victims:
        whole = victim.read_bytes()
        for _ in range(60):
            damaged = bytearray(whole)
            begin = random.integers(len(damaged))
            noise = random.choice(np.frombuffer(b'\x00\xff{}[]",:\t\n 9-\\', np.uint8), 3)
            damaged[begin : begin + random.integers(4)] = noise[: random.integers(4)].tobytes()
            victim.write_bytes(damaged[: random.integers(1, 2 * len(damaged))])
            try:
                list(open_documents(files.path, name, labels=files.labels, ids=files.ids))
            except InputError as error:
                faults.append(error.file)
        victim.write_bytes(whole)
    assert len(faults) > 10
    assert all(file and file.startswith(str(tmp_path)) for file in faults)
    assert len(list(open_documents(files.path, name, labels=files.labels))) == len(DOCUMENTS)


def test_repeated_labels_are_counted_and_told(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = write("train.tsv", "a a\tone\nb a b\ttwo\na\tthree\n")
    test = write("test.tsv", "a b\tone\n")
    splits = {"train": SplitFiles(train), "test": SplitFiles(test)}
    opened = open_splits(Layout("", splits, None))
    store = write_store(tmp_path / "store", opened.documents, source="", vectors="none")
    about = store.description["splits"]
    assert about["train"]["documents_with_repeated_labels"] == 2
    assert about["test"]["documents_with_repeated_labels"] == 0
    assert store.label_counts.tolist() == [3, 1]
    rows = {row[0].strip(): row[1:] for row in summary.table_rows(store)}
    assert rows["documents with a label twice"] == ("2", "0")
    # The same documents without a reader: from Python, a row may name a label twice as well.
    rows_of_python = [Document("one", ("a", "a")), Document("two", ("a",))]
    other = write_store(tmp_path / "other", {"train": rows_of_python}, source="", vectors="none")
    assert other.description["splits"]["train"]["documents_with_repeated_labels"] == 1


def test_the_label_file_is_read_once_and_told(write: Write) -> None:
    names = write("Yf.txt", "cat\ndog\ncat\n")
    train = write("trn.json", '{"title": "x", "content": "y", "target_ind": [2, 1]}\n')
    opened = open_splits(Layout("", {"train": SplitFiles(train)}, names))
    assert list(opened.documents["train"]) == [Document("x\ny", ("cat [2]", "dog"))]
    assert opened.notes[0] == (
        "Yf.txt names 3 labels, 1 of them once more: these got their number appended"
    )
    assert opened.notes[1].startswith("train: trn.json is taken for JSON lines with 'title'")


def test_a_format_that_was_chosen(write: Write) -> None:
    path = write("a.csv", "a b\ttext,labels\n")
    assert list(open_documents(path, "tsv")) == [Document("text,labels", ("a", "b"))]
    opened = open_splits(Layout("", {"train": SplitFiles(path)}, None), "tsv")
    assert opened.notes == ["train: a.csv is read as labels<TAB>text [tsv]"]
    with pytest.raises(ValueError, match="there is no format 'parquet'; expected one of jsonl"):
        open_documents(path, "parquet")


def test_what_does_not_go_together(write: Write) -> None:
    path = write("a.tsv", "a\tx\n")
    with pytest.raises(InputError, match="--text_column does not concern the format 'tsv'"):
        open_documents(path, options=Options(text_fields=("t",)))
    with pytest.raises(InputError, match="--separator does not concern the format 'json_folder'"):
        open_documents(path, "json_folder", Options(separator=","))
    with pytest.raises(InputError, match="the format 'lines' needs a file of labels"):
        open_documents(path, "lines")
    with pytest.raises(InputError, match="has labels and ids within the file"):
        open_documents(path, "tsv", labels=path)
