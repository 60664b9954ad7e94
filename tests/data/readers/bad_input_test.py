"""Every reader against every kind of bad input: one clear error, or a counted skip."""

import gzip
import json
import lzma
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse

from axml_jax.data import corpus, statistics, statistics_tables, summary
from axml_jax.data.corpus import Document
from axml_jax.data.readers import label_rows
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.formats import FORMATS
from axml_jax.data.readers.label_file import read_label_file
from axml_jax.data.readers.layouts import Layout, SplitFiles
from axml_jax.data.readers.opening import open_documents, open_splits
from axml_jax.data.store import Store, write_store
from axml_jax.errors import InputError
from tests.data.readers.in_formats import DOCUMENTS, in_format

Write = Callable[[str, str | bytes], Path]

ALIGNED = [name for name in FORMATS if name.startswith("lines")]
# Every file of every format: the line of its second document, from 0.
PARTS = {
    **{(name, "path"): int(name == "csv") + 1 for name in FORMATS},
    **{(name, "labels"): int(name in ("lines_bow", "lines_sparse")) + 1 for name in ALIGNED},
    **{(name, "ids"): 1 for name in ALIGNED},
}
TEXT_PARTS = [part for part in PARTS if part != ("lines_npz", "labels")]
MAX_LINE = 2_000
BOMB = 200_000


class Case(NamedTuple):
    """Documents in a format, of which one file is bad."""

    name: str
    files: SplitFiles
    victim: Path

    def renamed(self, path: Path) -> "Case":
        """The same with the victim under another name."""
        if self.name == "json_folder":
            return self._replace(victim=path)
        changed = {part: path for part, old in self.files._asdict().items() if old == self.victim}
        return self._replace(files=self.files._replace(**changed), victim=path)


def new_case(folder: Path, name: str, part: str) -> Case:
    files = in_format(folder / "data", name, DOCUMENTS)
    victim = files.path / "00001.json" if name == "json_folder" else getattr(files, part)
    return Case(name, files, victim)


def damage_row(case: Case, part: str, damage: Callable[[bytes], bytes]) -> int | None:
    """Damages what tells about the second document; its line, or None for all of a file."""
    if case.name == "json_folder":
        case.victim.write_bytes(damage(case.victim.read_bytes()))
        return None
    row = PARTS[case.name, part]
    lines = case.victim.read_bytes().splitlines(keepends=True)
    lines[row] = damage(lines[row].rstrip(b"\n")) + b"\n"
    case.victim.write_bytes(b"".join(lines))
    return row + 1


def prepare(
    folder: Path, case: Case, format: str = "auto", options: Options | None = None
) -> Store:
    """As launch/prepare.py does."""
    opened = open_splits(Layout("", {"train": case.files}, None), format, options)
    return write_store(folder / "store", opened.documents, source="", vectors="none")


def refused(folder: Path, case: Case, format: str, options: Options | None = None) -> InputError:
    """The error; nothing is left of the store."""
    with pytest.raises(InputError) as caught:
        prepare(folder, case, format, options)
    assert sorted(path.name for path in folder.iterdir()) == ["data"]
    assert caught.value.file
    assert str(caught.value).startswith(caught.value.file)
    return caught.value


def check_skipped(
    folder: Path, case: Case, format: str, options: Options, error: InputError
) -> None:
    """The second document is passed over, counted, and told wherever the store is shown."""
    reason, place = error.reason, case.victim.name + (f":{error.line}" if error.line else "")
    assert reason
    store = prepare(folder, case, format, options)
    assert store.description["splits"]["train"]["skipped"] == {
        reason: {"rows": 1, "first": [place]}
    }
    train = store.splits["train"]
    found = [store.label_names[label] for i in range(len(train)) for label in train.labels(i)]
    assert (len(train), found) == (2, ["0", "1"])
    assert "hündchen" not in store.vocabulary.words
    rows = {row[0]: row[1:] for row in summary.table_rows(store)}
    assert rows["rows passed over"] == ("1",)
    (note,) = summary.skipped_notes(store.description["splits"])
    assert note == f"train: passed over 1 for {reason}: {place}"


@pytest.mark.parametrize("fault", ["not UTF-8", "a NUL byte", "a line too long"])
@pytest.mark.parametrize(("name", "part"), TEXT_PARTS)
def test_a_line_that_cannot_be_read(tmp_path: Path, name: str, part: str, fault: str) -> None:
    case = new_case(tmp_path, name, part)
    damages: dict[str, Callable[[bytes], bytes]] = {
        "not UTF-8": lambda line: line[:2] + b"\xff" + line[2:],
        "a NUL byte": lambda line: line[:2] + b"\0" + line[2:],
        "a line too long": lambda line: line + b" " * MAX_LINE,
    }
    line = damage_row(case, part, damages[fault])
    if name == "json_folder":
        fault = "a file too long" if "long" in fault else "no JSON object"
    error = refused(tmp_path, case, name, Options(max_line=MAX_LINE))
    assert (error.file, error.reason) == (str(case.victim), fault)
    assert line is None or error.line == line
    options = Options(max_line=MAX_LINE, skip_bad_rows=True)
    check_skipped(tmp_path, case, "auto", options, error)


OTHER = {
    "jsonl": {
        "no JSON object": b'{"text": "x", "labels": [',
        "no field 'labels'": b'{"text": "x"}',
        "a field of another kind": b'{"text": {"x": 1}, "labels": []}',
        "an empty text": b'{"text": " ", "labels": []}',
        "an id that stands twice": b'{"text": "x", "labels": [], "id": "d1"}',
        "a label or an id that is no line of text": b'{"text": "x", "labels": ["a\\nb"]}',
    },
    "xc_json": {
        "no JSON object": b"[" * 100_000,
        "a field of another kind": b'{"title": "x", "content": "", "target_ind": [1.5]}',
        "an id that stands twice": b'{"title": "x", "content": "", "target_ind": [], "uid": "d1"}',
    },
    "csv": {
        "another number of columns": b"2,x,d2,one more",
        "no CSV": b'2,"x"y,d2',
        "an empty text": b"2,,d2",
        "an id that stands twice": b"2,x,d1",
    },
    "tsv": {"another number of columns": b"2\tx\ty", "an empty text": b"2\t"},
    "tsv_id": {"another number of columns": b"2", "an id that stands twice": b"d1\t2\tx"},
    "json_folder": {
        "no JSON object": b'{"a":' * 100_000,
        "no field 'concepts'": b"{}",
        "an id that stands twice": (
            b'{"concepts": [], "header": "x", "recitals": "", "main_body": [], "attachments": "",'
            b' "celex_id": "d1"}'
        ),
    },
    "lines": {"an empty text": b" "},
    "lines_bow": {"no row of labels": b"1;2 0:1", "a label that the header lacks": b"3 0:1"},
    "lines_sparse": {
        "no row of labels": b"1:nan",
        "a label that the header lacks": b"9999999999:1",
    },
}


@pytest.mark.parametrize(
    ("name", "reason"), [(name, reason) for name, faults in OTHER.items() for reason in faults]
)
def test_a_row_that_is_no_document(tmp_path: Path, name: str, reason: str) -> None:
    part = "labels" if name in ("lines_bow", "lines_sparse") else "path"
    case = new_case(tmp_path, name, part)
    line = damage_row(case, part, lambda _: OTHER[name][reason])
    error = refused(tmp_path, case, name)
    assert (error.file, error.reason) == (str(case.victim), reason)
    assert line is None or error.line == line
    check_skipped(tmp_path, case, "auto", Options(skip_bad_rows=True), error)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize(("name", "part"), PARTS)
@pytest.mark.parametrize("fault", ["missing", "empty", "a directory", "UTF-16"])
def test_a_file_that_is_none(tmp_path: Path, name: str, part: str, fault: str, skip: bool) -> None:
    case = new_case(tmp_path, name, part)
    if name == "json_folder":  # in its place
        case = case._replace(victim=case.files.path)
        case.victim.rename(tmp_path / "data/moved")
    content = case.victim.read_bytes() if case.victim.is_file() else b'{"concepts": []}'
    case.victim.unlink(missing_ok=True)
    if fault == "empty":
        case.victim.write_bytes(b"")
    elif fault == "a directory":
        case.victim.mkdir()
    elif fault == "UTF-16":
        case.victim.write_bytes(content.decode("utf-8", "replace").encode("utf-16"))
    error = refused(tmp_path, case, "auto" if skip else name, Options(skip_bad_rows=skip))
    # Where rows are passed over, the files may be of unequal length before that is seen.
    if not (fault == "UTF-16" and skip and name in ALIGNED):
        assert error.file == str(case.victim)


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
@pytest.mark.parametrize(("name", "part"), TEXT_PARTS)
def test_compression_cut_short(tmp_path: Path, name: str, part: str, suffix: str) -> None:
    case = new_case(tmp_path, name, part)
    compress = gzip.compress if suffix == ".gz" else lzma.compress
    content = compress(case.victim.read_bytes())
    old, case = case.victim, case.renamed(case.victim.with_name(case.victim.name + suffix))
    old.unlink()
    case.victim.write_bytes(content)
    assert len(prepare(tmp_path, case, name).splits["train"]) == 3
    (tmp_path / "store").rename(tmp_path / "data/store")
    case.victim.write_bytes(content[: len(content) // 2])
    error = refused(tmp_path, case, name)
    assert error.file == str(case.victim)
    assert "damaged or cut short" in str(error)
    options = Options(skip_bad_rows=True)
    if name == "json_folder":
        check_skipped(tmp_path, case, name, options, error)
    else:  # nobody knows how many documents are lost
        assert "damaged or cut short" in str(refused(tmp_path, case, name, options))


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
    monkeypatch.setattr(label_rows, "FREE_EXPANSION", 100_000)
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
    assert "raise the limit (max_expansion" in str(error)
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


@pytest.mark.parametrize(("name", "part"), TEXT_PARTS)
def test_a_byte_order_mark_and_carriage_returns_are_no_text(
    tmp_path: Path, name: str, part: str
) -> None:
    case = new_case(tmp_path, name, part)
    expected = prepare(tmp_path, case)
    content = case.victim.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    case.victim.write_bytes(b"\xef\xbb\xbf" + content)
    (tmp_path / "store").rename(tmp_path / "expected")
    found = prepare(tmp_path, case)
    assert found.fingerprint == expected.fingerprint


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("name", ALIGNED)
@pytest.mark.parametrize("short", ["path", "ids"])
def test_files_of_unequal_length_are_never_passed_over(
    tmp_path: Path, name: str, short: str, skip: bool
) -> None:
    case = new_case(tmp_path, name, short)
    case.victim.write_bytes(b"".join(case.victim.read_bytes().splitlines(keepends=True)[:-1]))
    error = refused(tmp_path, case, name, Options(skip_bad_rows=skip))
    assert (error.file, error.line) == (str(case.victim), 3)
    assert f"{case.victim.name} has 2 lines but" in str(error)


@pytest.mark.parametrize("name", ["jsonl", "csv", "tsv", "lines"])
def test_no_row_that_can_be_used(tmp_path: Path, name: str) -> None:
    case = new_case(tmp_path, name, "path")
    lines = case.victim.read_bytes().splitlines(keepends=True)
    lines[PARTS[name, "path"] - 1 :] = [b"\xff\n"] * 3
    case.victim.write_bytes(b"".join(lines))
    error = refused(tmp_path, case, name, Options(skip_bad_rows=True))
    assert "none of the 3 rows can be used; the first: not UTF-8" in str(error)
    assert (error.file, error.line) == (str(case.victim), PARTS[name, "path"])


def test_a_quote_that_is_never_closed_takes_no_rows_along(write: Write) -> None:
    path = write("a.csv", 'text,labels\nx,a\n"y,b\nz,c\n')
    for options in (Options(), Options(skip_bad_rows=True)):
        with pytest.raises(InputError, match="is a quote not closed") as caught:
            list(open_documents(path, "csv", options))
        assert (caught.value.file, caught.value.line) == (str(path), 3)


def test_a_bad_line_within_quotes_is_one_row(write: Write) -> None:
    path = write("a.csv", b'text,labels\n"one\n\xff, ""two""\nthree",a\nfour,b\n')
    documents = open_documents(path, options=Options(skip_bad_rows=True))
    assert list(documents) == [Document("four", ("b",))]
    assert documents.skipped["not UTF-8"].first == ["a.csv:3"]


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


def test_names_of_labels_with_spaces_are_kept_and_with_line_breaks_refused(
    write: Write, tmp_path: Path
) -> None:
    path = write("a.jsonl", json.dumps({"text": "x", "labels": ["big  cat", "a\tb"]}))
    store = write_store(tmp_path / "s", {"train": open_documents(path)}, source="", vectors="none")
    assert store.label_names == ["a\tb", "big  cat"]
    for label in ("a\nb", "a\rb", "a\0b"):
        write("a.jsonl", json.dumps({"text": "x", "labels": [label]}))
        with pytest.raises(InputError, match="a line of text that UTF-8 can hold"):
            list(open_documents(path))
    names = write("lbl.json", '{"title": "a"}\n{"title": "b\\nc"}\n')
    with pytest.raises(InputError, match="the name of a label should be one line") as caught:
        read_label_file(names)
    assert caught.value.line == 2


def test_repeated_ids_may_be_kept(write: Write) -> None:
    path = write("a.tsv", "d1\ta\tx\nd1\ta\ty\n")
    assert len(list(open_documents(path, options=Options(keep_repeated_ids=True)))) == 2
    assert len(list(open_documents(path, options=Options(skip_bad_rows=True)))) == 1
    # No id is none that stands twice.
    path = write("b.tsv", "\ta\tx\n\ta\ty\n")
    assert len(list(open_documents(path, "tsv_id"))) == 2


@pytest.mark.parametrize("number", [2**31, 2**32 + 1, 2**63, 10**30])
def test_numbers_beyond_32_bits_stay_what_they_are(write: Write, number: int) -> None:
    path = write("a.json", json.dumps({"title": "x", "content": "", "target_ind": [number]}))
    assert [document.labels for document in open_documents(path)] == [(str(number),)]
    names = read_label_file(write("names", "a\nb\n"))
    with pytest.raises(InputError, match=f"label {number} is none of names") as caught:
        list(open_documents(path, options=Options(label_file=names)))
    assert caught.value.line == 1


@pytest.mark.parametrize("number", [2**31, 2**32 + 1, 10**18])
def test_numbers_beyond_32_bits_in_a_bag_of_words(write: Write, number: int) -> None:
    texts, bow = write("t", "x\n"), write("bow", f"{number} 0:1\n")
    names = read_label_file(write("names", "a\nb\n"))
    expected = "expected labels and features" if number >= 10**18 else "label .* is none of names"
    with pytest.raises(InputError, match=expected) as caught:
        list(open_documents(texts, "lines_bow", Options(label_file=names), bow))
    assert (caught.value.file, caught.value.line) == (str(bow), 1)
    if number < 10**18:
        assert [document.labels for document in open_documents(texts, labels=bow)] == [
            (str(number),)
        ]


def test_features_out_of_order_change_no_labels(write: Write) -> None:
    texts = write("t", "x\ny\n")
    bow = write("bow", "3,1 9:1 2:0.5 2:1\n2 4294967296:1 0:1\n")
    assert [d.labels for d in open_documents(texts, labels=bow)] == [("3", "1"), ("2",)]


@pytest.mark.parametrize(
    ("name", "content"),
    [("csv", "text,labels\n"), ("tsv", "text\tlabels\n"), ("jsonl", "\n\n")],
)
@pytest.mark.parametrize("skip", [False, True])
def test_a_file_without_documents(write: Write, name: str, content: str, skip: bool) -> None:
    path = write("a", content)
    with pytest.raises(InputError, match="the file holds no document") as caught:
        list(open_documents(path, name, Options(skip_bad_rows=skip)))
    assert caught.value.file == str(path)


def test_a_file_of_other_rows_is_doubted(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write("a.tsv", "a\tx\n" + "no column\n" * 7)
    splits = {"train": open_documents(path, "tsv", Options(skip_bad_rows=True))}
    store = write_store(tmp_path / "store", splits, source="", vectors="none")
    about = store.description["splits"]["train"]["skipped"]["another number of columns"]
    assert about == {"rows": 7, "first": [f"a.tsv:{line}" for line in range(2, 7)]}
    (doubt,) = summary.doubts(store)
    assert doubt.startswith("more rows of train were passed over than read: 7 beside 1 documents")
    (note,) = summary.skipped_notes(store.description["splits"])
    assert note.endswith("a.tsv:6, ...")
    found = statistics.gather(store, "a store")
    assert found["splits"]["train"]["skipped"] == {"another number of columns": about}
    statistics_tables.show(found)
    assert note in capsys.readouterr().out
