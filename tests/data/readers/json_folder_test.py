"""A folder with one JSON file a document, as EURLEX57K is published."""

import json
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any

import pytest

from axml_jax.data.corpus import Document
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.opening import open_documents
from axml_jax.errors import InputError

Write = Callable[[str, str | bytes], Path]

LAW: dict[str, Any] = {
    "celex_id": "32001R1234",
    "uri": "http://publications.europa.eu/resource/cellar/0",
    "type": "Regulation",
    "concepts": ["2356", "3568", "2356"],
    "title": "Regulation 1234",
    "header": "Regulation 1234\nTHE COMMISSION",
    "recitals": ", Having regard to",
    "main_body": ["Article 1", "Artikel über 2"],
    "attachments": "Done at Brussels",
}
TEXT = (
    "Regulation 1234\nTHE COMMISSION\n, Having regard to\nArticle 1\nArtikel über 2\n"
    "Done at Brussels"
)


def test_reading(write: Write, tmp_path: Path) -> None:
    write("train/32001R1234.json", json.dumps(LAW))
    write("train/31958Q1101.json", json.dumps({**LAW, "celex_id": "31958Q1101", "recitals": ""}))
    other = {**LAW, "celex_id": "32011D0001", "concepts": []}
    write("train/32011D0001.json.gz", json.dumps(other, indent=1))
    write("train/.32001R1234.json", "not one of them")
    write("train/README.txt", "neither")
    documents = open_documents(tmp_path / "train")
    assert isinstance(documents, Sized)
    assert len(documents) == 3
    first, second, third = documents
    assert first.id == "31958Q1101"  # in order of the names
    assert ", Having" not in first.text
    assert second == Document(TEXT, ("2356", "3568"), "32001R1234")
    assert third == Document(TEXT, (), "32011D0001")
    assert documents.repeated_labels == 2


def test_other_fields(write: Write, tmp_path: Path) -> None:
    write("docs/a.json", '{"t": "x", "l": ["a b"]}')
    documents = open_documents(tmp_path / "docs", options=Options(("t",), "l"))
    assert list(documents) == [Document("x", ("a b",))]


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        ('{\n"celex_id": "1",\n"title": }', "no whole JSON", 3),
        ("", "no whole JSON", 1),
        (json.dumps({**LAW, "main_body": None}), "'main_body' should be", None),
        (json.dumps({**LAW, "concepts": [2356]}), "'concepts' should be a list of strings", None),
        (json.dumps({"celex_id": "1", "concepts": []}), "no field 'header'", None),
        (json.dumps([LAW]), "expected a JSON object, found a list.*one document a", None),
        (b'{"celex_id": "\xff\xfe"}', "no readable JSON", None),
        ("[" * 9_000, "nested too deep", None),
        (json.dumps({**LAW, "recitals": "x" * 20_000}), "longer than 10,000 bytes", None),
    ],
)
def test_a_damaged_file(
    write: Write, tmp_path: Path, content: str | bytes, message: str, line: int | None
) -> None:
    write("train/a.json", json.dumps(LAW))
    damaged = write("train/b.json", content)
    with pytest.raises(InputError, match=message) as caught:
        list(open_documents(tmp_path / "train", options=Options(max_line=10_000)))
    assert (caught.value.file, caught.value.line) == (str(damaged), line)


def test_a_folder_without_documents(write: Write, tmp_path: Path) -> None:
    write("train/README.txt", "")
    for folder, message in (("train", "no file that ends in .json"), ("nowhere", "cannot be read")):
        with pytest.raises(InputError, match=message):
            open_documents(tmp_path / folder, "json_folder")
    cut = write("cut/a.json.gz", json.dumps(LAW))
    cut.write_bytes(cut.read_bytes()[:40])
    with pytest.raises(InputError, match="damaged or cut short"):
        list(open_documents(tmp_path / "cut", "json_folder"))
