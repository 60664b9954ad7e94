"""Sparse matrices that claim more than they hold, lead out of themselves or hold objects."""

import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from axml_jax.data import archives
from axml_jax.data.matrix_file import load_matrix
from axml_jax.errors import InputError

EYE = scipy.sparse.eye(3, format="csr", dtype=np.float32)


def write(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "dia"])
def test_every_format_is_read(tmp_path: Path, kind: str) -> None:
    for compressed in (True, False):
        scipy.sparse.save_npz(tmp_path / "m.npz", EYE.asformat(kind), compressed)
        found = load_matrix(tmp_path / "m.npz")
        assert found.format == kind
        np.testing.assert_array_equal(found.toarray(), np.eye(3))


def test_an_array_that_claims_more_than_there_is_takes_no_memory(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 27,)}
    )
    path = write(tmp_path / "m.npz", format=b"csr", shape=(3, 3), indices=[0], indptr=[0, 1, 1, 1])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("data.npy", header.getvalue())
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"'data.npy' claims 1,073,741,\d+ bytes, but has 128"):
            load_matrix(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "FREE_EXPANSION", 1 << 20)
    zeros = np.zeros(10 << 20, np.float64)
    np.savez_compressed(tmp_path / "m.npz", format=b"csr", shape=(3, 3), data=zeros)
    with pytest.raises(InputError, match="more than 100 times its size"):
        load_matrix(tmp_path / "m.npz")


def test_what_a_real_matrix_shrinks_to_is_far_from_a_bomb(tmp_path: Path) -> None:
    places = np.arange(300_000)
    ones = np.ones(len(places), np.float32)
    # Labels as regular as they come: the same three in turn for each document.
    matrix = scipy.sparse.csr_array((ones, (places // 3, places % 3)), (150_000, 4000))
    scipy.sparse.save_npz(tmp_path / "m.npz", matrix)
    with zipfile.ZipFile(tmp_path / "m.npz") as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
    assert 100 * (tmp_path / "m.npz").stat().st_size > unpacked > 2_000_000
    assert load_matrix(tmp_path / "m.npz").nnz == len(places)


def test_rows_that_no_entry_is_in_are_not_allocated(tmp_path: Path) -> None:
    arrays = {"data": np.ones(1), "row": np.zeros(1, np.int64), "col": np.zeros(1, np.int64)}
    path = write(tmp_path / "m.npz", format=b"coo", shape=(1 << 40, 3), **arrays)
    with pytest.raises(InputError, match="claims 1,099,511,627,776 rows, but has 1 entries"):
        load_matrix(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"data": np.array([print], object)}, "allow_pickle=False"),
        ({"indices": [0, 9, 2]}, "indices must be < 3"),
        ({"indices": [0, -1, 2]}, "indices must be >= 0"),
        ({"indptr": [0, 3, 1, 3]}, "must be a non-decreasing"),
        ({"indptr": [0, 1, 2, 9]}, "indices and data|Last value of index pointer"),
        ({"shape": (3, -3)}, "expected a sparse matrix"),
        ({"format": b"__class__"}, "expected a sparse matrix"),
        ({"format": np.array([{}], object)}, "allow_pickle=False"),
        ({"data": np.array(["a", "b", "c"])}, "expected a"),
    ],
)
def test_what_is_no_matrix(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    sound = {"format": b"csr", "shape": (3, 3), "data": EYE.data, "indices": EYE.indices,
             "indptr": EYE.indptr}  # fmt: skip
    path = write(tmp_path / "m.npz", **sound)
    load_matrix(path)
    with pytest.raises(InputError, match=message) as caught:
        load_matrix(write(path, **{**sound, **arrays}))
    assert caught.value.file == str(path)
