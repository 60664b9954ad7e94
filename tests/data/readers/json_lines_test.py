"""JSON lines: labels by name, and by number as the Extreme Classification Repository has them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from axml_jax.data.corpus import Document
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.label_file import read_label_file
from axml_jax.data.readers.opening import open_documents
from axml_jax.errors import InputError

Write = Callable[[str, str | bytes], Path]

NAMED = [
    {"id": 7, "text": "The cat\nsat", "labels": ["big cat", "mat", "big cat"]},
    {"text": "Ein Hündchen \u2028 lief", "labels": [], "other": {"a": None}},
]
NUMBERED = [
    {
        "uid": "B01",
        "title": "A tie",
        "content": "Red.",
        "target_ind": [2, 0],
        "target_rel": [1, 1],
    },
    {"uid": "B02", "title": "A hat", "content": "", "target_ind": [1], "target_rel": [1.0]},
]
LABELS = [{"uid": f"L{i}", "title": title} for i, title in enumerate(("shirt", "hat", "shirt"))]


def lines(records: list[Any]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_labels_by_name(write: Write, suffix: str) -> None:
    documents = open_documents(write(f"train.jsonl{suffix}", lines(NAMED) + "\n"))
    assert list(documents) == [
        Document("The cat\nsat", ("big cat", "mat"), "7"),
        Document("Ein Hündchen \u2028 lief", (), ""),
    ]
    assert documents.repeated_labels == 1


def test_fields_of_other_names(write: Write) -> None:
    record: dict[str, Any] = {"head": "H", "body": ["B1", "B2"], "topics": ["t"], "key": "k"}
    options = Options(text_fields=("head", "body"), labels_field="topics", id_field="key")
    documents = list(open_documents(write("a.json", lines([record])), options=options))
    assert documents == [Document("H\nB1\nB2", ("t",), "k")]
    del record["key"]  # which was asked for by name
    with pytest.raises(InputError, match="no field 'key'"):
        list(open_documents(write("a.json", lines([record])), options=options))


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_labels_by_number(write: Write, suffix: str) -> None:
    names = read_label_file(write(f"lbl.json{suffix}", lines(LABELS)))
    path = write(f"trn.json{suffix}", lines(NUMBERED))
    documents = open_documents(path, options=Options(label_file=names))
    assert list(documents) == [
        Document("A tie\nRed.", ("L2", "L0"), "B01"),
        Document("A hat", ("L1",), "B02"),
    ]
    assert documents.titles == {"L0": "shirt", "L1": "hat", "L2": "shirt"}
    titles_only = open_documents(path, options=Options(text_fields=("title",)))
    assert [document.text for document in titles_only] == ["A tie", "A hat"]
    assert [document.labels for document in open_documents(path)] == [("2", "0"), ("1",)]


@pytest.mark.parametrize("number", [3, -1])
def test_a_label_that_the_label_file_lacks(write: Write, number: int) -> None:
    names = read_label_file(write("lbl.json", lines(LABELS)))
    path = write("trn.json", lines([*NUMBERED, {**NUMBERED[0], "target_ind": [0, number]}]))
    with pytest.raises(
        InputError, match=rf"label {number} is none of lbl\.json.* 0 to 2"
    ) as caught:
        list(open_documents(path, options=Options(label_file=names)))
    assert (caught.value.file, caught.value.line) == (str(path), 3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "x", "labels": ["a"]', "no whole JSON: .* column 30"),
        ('["x", ["a"]]', "expected a JSON object, found a list"),
        ('{"text": "x"}', "no field 'labels'; its fields: 'text'"),
        ('{"labels": ["a"]}', "no field 'text'"),
        ('{"text": 1, "labels": []}', "'text' should be a string .* but it is a number"),
        ('{"text": "x", "labels": "a b"}', "'labels' should be a list of strings.*a string"),
        ('{"text": "x", "labels": ["a", 3]}', "list of a number and a string"),
        ('{"text": "x", "labels": null}', "but it is null"),
        ('{"text": "x", "labels": [], "id": true}', "'id' should be a string or a whole number"),
        ('{"text": "x", "labels": ["\\ud83d"]}', "text that UTF-8 can hold"),
        ('{"text": "", "labels": []}', "--keep_empty"),
        ('{"text": "x", "labels": ' + "[" * 100_000 + "}", "nested too deep"),
        ('{"text": "x", "labels": [], "n": ' + "1" * 5000 + "}", "no readable JSON"),
    ],
)
def test_damaged_lines(write: Write, line: str, message: str) -> None:
    path = write("train.jsonl", lines(NAMED) + line + "\n")
    with pytest.raises(InputError, match=message) as caught:
        list(open_documents(path))
    assert (caught.value.file, caught.value.line) == (str(path), 3)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"title": "x", "content": "y", "target_ind": ["0"]}, "a list of whole numbers"),
        ({"title": "x", "content": "y", "target_ind": [0.5]}, "a list of whole numbers"),
        ({"title": "x", "content": "y", "target_ind": [True]}, "a list of whole numbers"),
        ({"title": "x", "target_ind": [0]}, "no field 'content'"),
        ({"title": "x", "content": "y"}, "no field 'target_ind'"),
    ],
)
def test_damaged_numbers(write: Write, record: dict[str, Any], message: str) -> None:
    path = write("trn.json", lines([*NUMBERED, record]))
    with pytest.raises(InputError, match=message) as caught:
        list(open_documents(path))
    assert caught.value.line == 3


def test_an_empty_file_and_one_that_is_missing(write: Write, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the file is empty"):
        list(open_documents(write("e.jsonl", ""), "jsonl"))
    with pytest.raises(InputError, match="there is no such file"):
        open_documents(tmp_path / "nowhere.jsonl", "jsonl")


@pytest.mark.parametrize("suffix", [".txt", ".json", ".json.gz"])
@pytest.mark.parametrize("content", ['["a b", "c ","a b"]', '[\n"a b",\n"c",\n "a b"\n]\n'])
def test_a_label_file_may_be_a_json_list(write: Write, content: str, suffix: str) -> None:
    names = read_label_file(write(f"labels{suffix}", content))
    assert names.names == ("a b", "c", "a b [2]")
    assert (names.titles, names.repeated) == ({}, 1)


def test_names_in_brackets_are_no_json(write: Write) -> None:
    assert read_label_file(write("l.txt", "[Music]\n[1]\n")).names == ("[Music]", "[1]")
    with pytest.raises(InputError, match="no whole JSON"):
        read_label_file(write("l.json", "[Music]\n[1]\n"))


def test_null_is_no_id(write: Write) -> None:
    path = write("train.jsonl", '{"text": "x", "labels": [], "id": null}\n')
    assert list(open_documents(path)) == [Document("x")]
    with pytest.raises(InputError, match="'id' should be a string or a whole number"):
        list(open_documents(path, options=Options(id_field="id")))


def test_numbers_after_an_empty_list(write: Write) -> None:
    rows = [{"text": "x", "topics": []}, {"text": "y", "topics": [3]}]
    path = write("train.jsonl", lines(rows))
    with pytest.raises(InputError) as caught:
        list(open_documents(path, options=Options(labels_field="topics")))
    assert caught.value.line == 2
    assert "--format xc_json --text_column text --labels_column topics" in caught.value.message
    numbered = open_documents(path, "xc_json", Options(("text",), "topics"))
    assert list(numbered) == [Document("x"), Document("y", ("3",))]


def test_label_files(write: Write) -> None:
    plain = read_label_file(write("Yf.txt.xz", "a b \r\nc\na b\n"))
    assert plain.names == ("a b", "c", "a b [2]")
    assert (plain.titles, plain.repeated) == ({}, 1)
    titled = read_label_file(write("lbl.json.gz", lines([{"title": "x"}, {"title": "y"}])))
    assert titled.names == ("x", "y")
    for content, message, line in (
        ("a\n\nb\n", "an empty line", 2),
        ("", "the file is empty", None),
        (lines([{"uid": "1", "title": "x"}, {"uid": "1", "title": "y"}]), "stands here again", 2),
        (lines([{"title": "x"}, {"name": "y"}]), "no field 'title'", 2),
        (lines([{"title": "x"}, {"uid": None, "title": ""}]), "an empty line", 2),
        ('["a",\n"b"', "no whole JSON", 2),
        ('[\n"a", 3]', "a JSON list of strings, .* found a list of a number and a string", None),
        ('[\n"a", ["b"]]', "a JSON list of strings", None),
        ('["a", " "]', "an empty entry 1 of the list", None),
        ('["b [2]", "b", "b"]', "stands here again", None),
        ('["a"]\n["b"]\n', "no whole JSON", 2),
        ("b [2]\nb\nb\n", "stands here again", 3),
    ):
        with pytest.raises(InputError, match=message) as caught:
            read_label_file(write("bad", content))
        assert caught.value.line == line
