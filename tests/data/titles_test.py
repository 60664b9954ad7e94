"""Titles of labels: each format read, what is damaged refused, and kept by a store."""

import gzip
import json
import lzma
import shutil
from pathlib import Path

import pytest

from axml_jax.data import summary
from axml_jax.data.corpus import Document
from axml_jax.data.store import Store, open_store, write_store
from axml_jax.data.titles import read_titles, shown_label
from axml_jax.errors import InputError

NAMES = ["2", "0", "1"]
TITLES = ["see: oil, pollution", "Århus", None]
AS_LIST = '["Århus", " ", "see: oil, pollution"]'
FORMATS = {
    "object.json": '{\n"0": "Århus",\n"2": "see: oil, pollution", "9": "unused"\n}',
    "one_line.json": '{"0": "Århus", "2": "see: oil, pollution"}\n',
    "object_by_another_name": '{"0": "Århus", "2": "see: oil, pollution"}',
    "list.json": AS_LIST,
    "spread.json": AS_LIST.replace('", ', '",\n'),
    "pairs.tsv": "0\tÅrhus\n\n2\tsee: oil, pollution \n0\tÅrhus\r\n",
    "lines.txt": "Århus\n\nsee: oil, pollution\n",
    "records.json": '{"uid": "A", "title": "Århus"}\n{"uid": "B", "title": ""}\n'
    '{"uid": "C", "title": "see: oil, pollution", "content": "x"}\n',
    "no_uid.jsonl": '{"title": "Århus"}\n{"title": ""}\n{"title": "see: oil, pollution"}\n',
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_every_format_gives_the_same_titles(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / (name + suffix)
    content = FORMATS[name].encode()
    if suffix:
        content = gzip.compress(content) if suffix == ".gz" else lzma.compress(content)
    path.write_bytes(content)
    assert read_titles(path).of_labels(NAMES) == TITLES


@pytest.mark.parametrize("names", [["C", "A", "B"], ["C", "A", "1"]])
def test_uids_count_where_labels_are_no_places(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "lbl.json").write_text(FORMATS["records.json"])
    assert read_titles(tmp_path / "lbl.json").of_labels(names) == TITLES


def test_numbers_that_are_all_uids_are_uids(tmp_path: Path) -> None:
    path = tmp_path / "lbl.json"
    records = [{"uid": uid, "title": f"title {uid}"} for uid in ("1", "2", "0")]
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    assert read_titles(path).of_labels(["0", "2"]) == ["title 0", "title 2"]
    path.write_text("".join(f"{json.dumps(record)}\n" for record in [*records[:2], records[0]]))
    assert read_titles(path).of_labels(["0", "2"]) == ["title 1", "title 1"]


def test_a_single_record_and_an_object_with_such_labels(tmp_path: Path) -> None:
    path = tmp_path / "lbl.json"
    path.write_text('{"uid": "A", "title": "first"}\n')
    assert read_titles(path).of_labels(["0"]) == ["first"]
    path.write_text('{"title": "the word title"}\n')
    assert read_titles(path).of_labels(["title", "0"]) == ["the word title", None]


@pytest.mark.parametrize(
    ("name", "content", "line", "message"),
    [
        ("t.json", "", None, "the file is empty"),
        ("t.json", '{"a": "b",\n "c": }', 2, "no whole JSON"),
        ("t.json", "[" * 100_000, None, "JSON"),
        ("t.json", f'{{"a": {"9" * 6000}}}', None, "no readable JSON"),
        ("t.json", "3", None, "expected a JSON object of label and title, or a list"),
        ("t.json", '{"a": 3}', None, "text as title of the label 'a', 3 came"),
        ("t.json", '["x", null]', None, "text as title of the label '1', None came"),
        ("t.json", '["\\ud800"]', None, "no text that UTF-8 can hold"),
        ("t.tsv", "a\tA\nb B\n", 2, "expected a label, a tab and its title"),
        ("t.tsv", "a\tA\na\tB\n", 2, "the label 'a' has another title, 'A', further above"),
        ("t.txt", b"a\n\xff\n", 2, "not UTF-8"),
        ("t.jsonl", '{"title": "a"}\n{"titel": "b"}\n', 2, "a JSON object with a 'title'"),
        ("t.jsonl", '{"title": "a"}\n{"title": "b"\n', 2, "no JSON object"),
        ("t.jsonl", '{"title": "a"}\n{"title": 3}\n', 2, "expected a text as title, 3 came"),
        ("t.json.gz", "no gzip", None, "not compressed so: rename it"),
    ],
)
def test_damaged_files(
    tmp_path: Path, name: str, content: str | bytes, line: int | None, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        read_titles(path)
    assert (caught.value.file, caught.value.line) == (str(path), line)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        read_titles(tmp_path / "none.json")


@pytest.mark.parametrize("name", ["3", "-1", "01", "x", "²", "1" * 5000])
def test_places_need_labels_that_are_places(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.txt").write_text("a\nb\nc\n")
    with pytest.raises(InputError, match=r"by place, for labels 0 to 2, but the data have"):
        read_titles(tmp_path / "t.txt").of_labels(["0", name])


def test_titles_of_other_labels_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"a": "A"}')
    with pytest.raises(InputError, match="none of the 2 labels of the data, such as 'b'"):
        read_titles(tmp_path / "t.json").of_labels(["b", "c"])


def test_shown_label() -> None:
    assert shown_label("2771", "oil pollution") == "oil pollution (2771)"
    assert shown_label("sport", "sport") == shown_label("sport", None) == "sport"


def write(path: Path, titles: str | None) -> Store:
    documents = [Document("a cat", ("0", "2")), Document("a dog", ("1",))]
    given = None
    if titles is not None:
        (path.parent / "titles.json").write_text(titles)
        given = read_titles(path.parent / "titles.json")
    return write_store(path, {"train": documents}, source="", vectors="none", label_titles=given)


def test_a_store_keeps_titles_and_its_fingerprint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = write(tmp_path / "bare", None)
    store = write(tmp_path / "store", AS_LIST)
    assert bare.label_titles == [None, None, None]
    assert store.label_names == ["0", "1", "2"]
    assert store.label_titles == ["Århus", None, "see: oil, pollution"]
    assert store.fingerprint == bare.fingerprint
    store.verify()
    summary.show(store)
    assert "titles from titles.json for 2 of 3 labels" in capsys.readouterr().out


def test_a_store_from_before_there_were_titles(tmp_path: Path) -> None:
    path = write(tmp_path / "store", None).path
    description = json.loads((path / "store.json").read_text())
    assert description.pop("titles", "missing") is None
    (path / "store.json").write_text(json.dumps(description))
    old = open_store(path)
    old.verify()
    assert old.label_titles == [None, None, None]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('["a"]', "a JSON list of 3 titles"),
        ('["a", "b", 3]', "a JSON list of 3 titles"),
        ('{"a": "b"}', "a JSON list of 3 titles"),
        ("[", "not whole JSON"),
    ],
)
def test_a_stores_damaged_titles(tmp_path: Path, content: str, message: str) -> None:
    path = write(tmp_path / "store", AS_LIST).path
    description = json.loads((path / "store.json").read_text())
    (path / "titles.json").write_text(content)
    description["files"]["titles.json"] = len(content)
    (path / "store.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match=message) as caught:
        open_store(path)
    assert caught.value.file == str(path / "titles.json")


def test_changed_titles_are_found_by_verify(tmp_path: Path) -> None:
    path = write(tmp_path / "store", AS_LIST).path
    written = (path / "titles.json").read_text()
    (path / "titles.json").write_text(written.replace("oil", "OIL"))
    with pytest.raises(InputError, match="the titles were changed"):
        open_store(path).verify()


@pytest.mark.parametrize("value", ["3", {}, {"file": "x", "labels_found": -1}, []])
def test_a_damaged_description_of_titles(tmp_path: Path, value: object) -> None:
    path = write(tmp_path / "store", AS_LIST).path
    description = json.loads((path / "store.json").read_text())
    (path / "store.json").write_text(json.dumps({**description, "titles": value}))
    with pytest.raises(InputError, match="description of the store is damaged"):
        open_store(path)
    shutil.rmtree(path)
