"""Labels as numbers: bag-of-words files, sparse matrices as text and as .npz."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from axml_jax.data.corpus import Document
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.label_file import read_label_file
from axml_jax.data.readers.opening import open_documents
from axml_jax.errors import InputError

Write = Callable[[str, str | bytes], Path]

LABELS = [("3", "17"), (), ("0",)]
BOW = "3,17 0:0.1 5:0.2\n 1:0.5\n0 2:1\n"
SPARSE = "3 18\n3:1.0 17:1.0\n\n0:1 4:0.0\n"


@pytest.fixture
def texts(write: Write) -> Path:
    return write("texts.txt", "one\ntwo\nthree\n")


def labels_of(texts: Path, labels: Path, **options: object) -> list[tuple[str, ...]]:
    read = open_documents(texts, labels=labels, options=Options(**options))  # type: ignore[arg-type]
    return [document.labels for document in read]


@pytest.mark.parametrize(
    "content",
    [BOW, f"3 6 18\n{BOW}", "3,17 0:0.1\n1:0.5\n0 2:1\n", "3,17 0:1\n\n0 2:1\n", SPARSE],
    ids=["bare", "header", "no space before features", "no features", "sparse matrix"],
)
def test_text(write: Write, texts: Path, content: str) -> None:
    assert labels_of(texts, write("labels.txt.gz", content)) == LABELS


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_npz(texts: Path, tmp_path: Path, kind: str) -> None:
    rows, columns, values = [0, 0, 2, 2], [3, 17, 0, 4], np.array([1, 1, 1, 0], np.float32)
    matrix = scipy.sparse.coo_matrix((values, (rows, columns)), shape=(3, 18)).asformat(kind)
    scipy.sparse.save_npz(tmp_path / "Y.trn.npz", matrix)
    assert labels_of(texts, tmp_path / "Y.trn.npz") == LABELS


def test_names_come_from_the_label_file(write: Write, texts: Path) -> None:
    names = read_label_file(write("Yf.txt", "".join(f"name {i}\n" for i in range(18))))
    labels = labels_of(texts, write("bow.txt", BOW), label_file=names)
    assert labels == [("name 3", "name 17"), (), ("name 0",)]
    few = read_label_file(write("few.txt", "a\nb\nc\nd\n"))
    with pytest.raises(InputError, match=r"label 17 is none of few\.txt") as caught:
        labels_of(texts, write("bow.txt", BOW), label_file=few)
    assert caught.value.line == 1


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        ("3 6 18\n1 0:1\n18 0:1\n0 0:1\n", "label 18 is not in 0..17", 3),
        ("4 6 18\n1 0:1\n2 0:1\n0 0:1\n", "the header promises 4 rows, but there are 3", 4),
        ("1 0:1\n1 0:1\na,b 0:1\n", "expected labels and features", 3),
        ("1 0:1\n1 0:1\n1 2 0:1\n", "expected labels and features", 3),
        ("1 0:1\n1 0:1\n-1 0:1\n", "expected labels and features", 3),
        ("1 0:1\n1 0:1\n" + "9" * 5000 + " 0:1\n", "expected labels and features", 3),
        ("1 0:1\n2 0:1\n", "labels.txt has 2 lines but texts.txt has 3", 3),
    ],
)
def test_damaged_bow(write: Write, texts: Path, content: str, message: str, line: int) -> None:
    labels = write("labels.txt", content)
    with pytest.raises(InputError, match=message) as caught:
        list(open_documents(texts, "lines_bow", labels=labels))
    assert (caught.value.file, caught.value.line) == (str(labels), line)


@pytest.mark.parametrize("entry", ["18:1", "a:1", "1:x", "1"])
def test_damaged_sparse_text(write: Write, texts: Path, entry: str) -> None:
    labels = write("labels.txt", f"3 18\n1:1\n{entry}\n2:1\n")
    with pytest.raises(InputError, match=r"expected labels with values|not in 0\.\.17") as caught:
        list(open_documents(texts, "lines_sparse", labels=labels))
    assert (caught.value.file, caught.value.line) == (str(labels), 3)


def test_damaged_npz(write: Write, texts: Path, tmp_path: Path) -> None:
    path = tmp_path / "Y.npz"
    scipy.sparse.save_npz(path, scipy.sparse.eye(3, format="csr"))
    whole = path.read_bytes()
    for damaged in (whole[:100], b"", b"PK\x03\x04 no zip"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="expected a sparse matrix"):
            labels_of(texts, path)
    np.savez(path, anything=np.arange(3))
    with pytest.raises(InputError, match="expected a sparse matrix"):
        labels_of(texts, path)
    # Indices that lead out of the matrix would be read past the end of an array.
    outside = {"indices": [0, 99, 2], "indptr": [0, 1, 2, 3], "data": [1.0, 1.0, 1.0]}
    for kind in (b"csr", b"csc"):
        np.savez(path, format=kind, shape=(3, 3), **outside)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="expected a sparse matrix"):
            labels_of(texts, path)


class Opens:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_nothing_is_unpickled(texts: Path, tmp_path: Path) -> None:
    bait = np.array([Opens(tmp_path / "opened")], dtype=object)
    np.savez(tmp_path / "Y.npz", format=b"csr", shape=(3, 3), data=bait, indices=bait, indptr=bait)
    with pytest.raises(InputError, match="expected a sparse matrix"):
        labels_of(texts, tmp_path / "Y.npz")
    assert not (tmp_path / "opened").exists()


def test_a_matrix_of_another_height(write: Write, texts: Path, tmp_path: Path) -> None:
    scipy.sparse.save_npz(tmp_path / "Y.npz", scipy.sparse.eye(2, format="csr"))
    with pytest.raises(InputError, match=r"Y\.npz has 2 lines but texts\.txt has 3"):
        labels_of(texts, tmp_path / "Y.npz")


def test_documents_come_with_their_texts(write: Write, texts: Path) -> None:
    documents = list(open_documents(texts, labels=write("labels.txt", BOW)))
    assert documents[2] == Document("three", ("0",))
