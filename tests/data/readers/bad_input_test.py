"""Every reader against every kind of bad input: one clear error, or a counted skip."""

import gzip
import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from axml_jax.data import statistics, statistics_tables, summary
from axml_jax.data.corpus import Document
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.label_file import read_label_file
from axml_jax.data.readers.opening import open_documents
from axml_jax.data.store import write_store
from axml_jax.errors import InputError
from tests.data.readers.bad_cases import (
    ALIGNED,
    PARTS,
    TEXT_PARTS,
    Case,
    damage_row,
    new_case,
    prepare,
    refused,
)

MAX_LINE = 2_000

Write = Callable[[str, str | bytes], Path]


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
@pytest.mark.parametrize("fault", ["missing", "empty", "a directory", "a pipe", "UTF-16"])
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
    elif fault == "a pipe":  # nobody writes: whoever opens it waits for ever
        os.mkfifo(case.victim)
    elif fault == "UTF-16":
        case.victim.write_bytes(content.decode("utf-8", "replace").encode("utf-16"))
    error = refused(tmp_path, case, "auto" if skip else name, Options(skip_bad_rows=skip))
    if fault == "a pipe" and (name != "json_folder" or skip):  # that one wants a folder
        assert "can be read only once; write what it gives to a file first" in str(error)
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


@pytest.mark.parametrize(
    ("rows", "bad", "good"),
    [
        # Whatever its rest looks like, a row that quotes in the wrong places is one.
        ('"a"b,"multi\nalpha",x\n', ["a.csv:3"], []),
        ('"a"b,"multi\nalpha"\n', ["a.csv:3"], []),
        ('"a,x\n"b",y\n', ["a.csv:3"], ["b"]),
        ('"a" b,x\nc,y\n', ["a.csv:3"], ["c"]),
    ],
)
def test_a_quote_too_many_spoils_one_row(
    write: Write, rows: str, bad: list[str], good: list[str]
) -> None:
    path = write("a.csv", f"text,labels\nfirst,x\n{rows}last,y\n")
    documents = open_documents(path, options=Options(skip_bad_rows=True))
    assert [document.text for document in documents] == ["first", *good, "last"]
    assert documents.skipped["no CSV"].first == bad
    with pytest.raises(InputError, match="the row that begins here is no CSV") as caught:
        list(open_documents(path))
    assert caught.value.line == 3


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
