"""Every reader against what would fill memory or disk: long lines, many lines, zip bombs."""

import gzip
import io
import lzma
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from axml_jax.data import archives, corpus
from axml_jax.data.corpus import Document
from axml_jax.data.line_stream import stream_lines
from axml_jax.data.new_texts import open_new_texts
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.label_file import read_label_file
from axml_jax.data.readers.opening import open_documents
from axml_jax.data.text import Vocabulary
from axml_jax.errors import InputError
from tests.data.readers.bad_cases import (
    ALIGNED,
    TEXT_PARTS,
    new_case,
    refused,
)

BOMB = 200_000

Write = Callable[[str, str | bytes], Path]


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize(
    ("name", "part"), [part for part in TEXT_PARTS if part[0] != "json_folder"]
)
def test_a_zip_bomb(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    part: str,
    skip: bool,
    suffix: str,
) -> None:
    monkeypatch.setattr(corpus, "FREE_EXPANSION", 10_000)
    case = new_case(tmp_path, name, part)
    compress = gzip.compress if suffix == ".gz" else lzma.compress
    lines = case.victim.read_bytes().splitlines()
    rows = BOMB // (len(lines[-1]) + 1)
    old, case = case.victim, case.renamed(case.victim.with_name(case.victim.name + suffix))
    old.unlink()
    case.victim.write_bytes(compress(b"\n".join(lines + lines[-1:] * rows)))
    for other in {"path", "labels", "ids"} - {part} if name in ALIGNED else ():
        path = getattr(case.files, other)
        if path.suffix != ".npz":  # the other files go on as long
            path.write_bytes(path.read_bytes() + b"\n" * rows)
    options = Options(keep_empty=True, keep_repeated_ids=True, skip_bad_rows=skip)
    error = refused(tmp_path, case, name, options)
    assert error.file == str(case.victim)
    assert "raise the limit (max_expansion, or --max_expansion" in str(error)
    assert error.line
    assert error.line < rows


def test_a_folder_of_zip_bombs(tmp_path: Path) -> None:
    case = new_case(tmp_path, "json_folder", "path")
    case = case.renamed(case.victim.with_name("00001.json.gz"))
    (case.files.path / "00001.json").unlink()
    case.victim.write_bytes(gzip.compress(b" " * 10_000_000))
    tracemalloc.start()
    error = refused(tmp_path, case, "auto", Options(max_line=100_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "longer than 100,000 bytes" in str(error)
    assert peak < 5_000_000


@pytest.mark.parametrize("kind", ["deflated", "empty rows"])
def test_a_matrix_that_is_a_zip_bomb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(archives, "FREE_EXPANSION", 100_000)
    case = new_case(tmp_path, "lines_npz", "labels")
    if kind == "deflated":
        scipy.sparse.save_npz(case.victim, scipy.sparse.csr_array((1_000_000, 3), dtype=np.int8))
    else:
        shape = (1 << 40, 3)
        matrix = scipy.sparse.coo_array((np.ones(1), (np.zeros(1, int), np.zeros(1, int))), shape)
        scipy.sparse.save_npz(case.victim, matrix)
    tracemalloc.start()
    error = refused(tmp_path, case, "auto")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.file == str(case.victim)
    told = {"deflated": "raise the limit (max_expansion", "empty rows": "claims 1,099,511,627,776"}
    assert told[kind] in str(error)
    assert peak < 5_000_000


def test_a_limit_of_expansion_can_be_raised(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "FREE_EXPANSION", 1_000)
    path = write("a.tsv.gz", "a\tx\n" * 100_000)
    with pytest.raises(InputError, match="more than 100 times its size"):
        list(open_documents(path))
    assert len(list(open_documents(path, options=Options(max_expansion=2_000)))) == 100_000
    names = write("names.gz", "".join(f"{'x' * 3000}{i}\n" for i in range(100)))
    with pytest.raises(InputError, match="more than 100 times its size"):
        read_label_file(names)
    assert len(read_label_file(names, max_expansion=1000).names) == 100


@pytest.mark.parametrize("begin", ["", "text,labels\n"])
def test_a_row_that_never_ends_is_not_held_in_memory(write: Write, begin: str) -> None:
    path = write("a.csv", begin + '"x\n",' * 50_000)
    for options in (Options(max_line=10_000), Options(max_line=10_000, skip_bad_rows=True)):
        with pytest.raises(InputError, match="the row that goes on here is longer") as caught:
            list(open_documents(path, "csv", options))
        assert caught.value.line
        assert caught.value.line < 5_000


@pytest.mark.parametrize("name", ["tsv", "jsonl", "csv", "lines"])
def test_many_empty_lines_take_no_memory(write: Write, name: str) -> None:
    empty = 30_000
    begin = {"tsv": "", "jsonl": "", "csv": "text,labels\n", "lines": ""}[name]
    last = {"tsv": "a\tx", "jsonl": '{"text": "x", "labels": ["a"]}', "csv": "x,a", "lines": "x"}
    path = write("a", begin + "\n" * empty + last[name])
    labels = write("labels", "\n" * empty + "a") if name == "lines" else None
    documents = open_documents(path, name, Options(skip_bad_rows=True), labels)
    tracemalloc.start()
    assert list(documents) == [Document("x", ("a",))]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150_000  # a list of them would take 240,000
    counted = sum(reason.rows for reason in documents.skipped.values())
    assert counted == (0 if name in ("jsonl", "csv") else empty)
    if name in ("tsv", "lines"):
        with pytest.raises(InputError) as caught:
            list(open_documents(path, name, labels=labels))
        assert caught.value.line == 1


def test_the_longest_line_of_json_takes_bounded_memory(write: Write) -> None:
    begin, end = '{"text": "x", "labels": ["a"], "z": [', "{}]}\n"
    objects = (corpus.MAX_LINE - len(begin) - len(end)) // 3
    path = write("a.jsonl.gz", begin + "{}," * objects + end)
    assert os.path.getsize(path) < 20_000
    script = """
import resource, sys
from axml_jax.data.readers.opening import open_documents
begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert len(list(open_documents(sys.argv[1]))) == 1
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begin)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 512 << 10  # KiB


def test_the_longest_text_to_predict_for_takes_bounded_memory() -> None:
    words = Vocabulary(["<pad>", "<unk>", "a"])
    stream = io.BytesIO(b"a " * (corpus.MAX_LINE // 2 - 1) + b"\n")
    tracemalloc.start()
    for new in open_new_texts(stream_lines(stream, "f"), "f").texts:
        assert words.encode(new.text, max_tokens=3).tolist() == [2, 2, 2]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * corpus.MAX_LINE


@pytest.mark.parametrize("name", ["tsv", "jsonl", "csv", "lines"])
def test_a_line_of_100_mb_takes_no_more_than_the_limit(write: Write, name: str) -> None:
    header = {"csv": b"text,labels\n"}.get(name, b"")
    path = write("a", header)
    os.truncate(path, 100_000_000)  # NULs, which take no room on the disk
    last = {"tsv": "a\tx", "jsonl": '{"text": "x", "labels": ["a"]}', "csv": "x,a", "lines": "x"}
    with path.open("a") as file:
        file.write(f"\n{last[name]}\n")
    labels = write("labels", "b\na\n") if name == "lines" else None
    line = 1 + len(header.splitlines())
    for skip in (False, True):
        options = Options(max_line=1 << 20, skip_bad_rows=skip)
        tracemalloc.start()
        if skip:
            documents = open_documents(path, name, options, labels)
            assert list(documents) == [Document("x", ("a",))]
            assert documents.skipped["a line too long"].first == [f"a:{line}"]
        else:
            with pytest.raises(InputError, match="longer than 1,048,576 bytes") as caught:
                list(open_documents(path, name, options, labels))
            assert caught.value.line == line
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 6 << 20
