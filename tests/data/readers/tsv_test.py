"""Columns between tabs, with and without an id."""

from collections.abc import Callable
from pathlib import Path

import pytest

from axml_jax.data.corpus import Document
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.opening import open_documents
from axml_jax.data.readers.sniffing import sniff
from axml_jax.errors import InputError

Write = Callable[[str, str | bytes], Path]


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_with_an_id(write: Write, suffix: str) -> None:
    path = write(f"train.tsv{suffix}", 'd1\ta,b a\tSaid "so"\r\nd2\t\tZwei, Wörter\n')
    documents = open_documents(path)
    assert list(documents) == [
        Document('Said "so"', ("a", "b"), "d1"),
        Document("Zwei, Wörter", (), "d2"),
    ]
    assert documents.repeated_labels == 1


def test_without_an_id(write: Write) -> None:
    path = write("train.txt", "a b\tone\nc, d\ttwo\n")
    assert list(open_documents(path)) == [Document("one", ("a", "b")), Document("two", ("c", "d"))]


def test_labels_with_spaces_need_a_separator(write: Write) -> None:
    path = write("train.tsv", "big cat; small, dog\tone\n")
    (document,) = open_documents(path, options=Options(separator=";"))
    assert document.labels == ("big cat", "small, dog")


@pytest.mark.parametrize("header", ["ID\tLabels\ttext\n", ""])
def test_a_header_is_no_document(write: Write, header: str) -> None:
    path = write("train.tsv", f"{header}1\ta\tx\n2\tlabels\ttext\n")
    assert [document.id for document in open_documents(path)] == ["1", "2"]


@pytest.mark.parametrize(
    ("content", "document"),
    [
        ("text\tlabels\nx\ta b\n", Document("x", ("a", "b"))),
        ("label\tText\na b\tx\n", Document("x", ("a", "b"))),
        ("texts\tLabel\nx\ta b\n", Document("x", ("a", "b"))),
        ("uid\ttext\tlabels\n7\tx\ta b\n", Document("x", ("a", "b"), "7")),
        ("text\tlabel\tid\nx\ta b\t7\n", Document("x", ("a", "b"), "7")),
        ("text\ta sentence\n", Document("a sentence", ("text",))),
        ("a b\tx\n", Document("x", ("a", "b"))),
    ],
)
def test_a_header_tells_the_columns(write: Write, content: str, document: Document) -> None:
    path = write("train.tsv", content)
    assert list(open_documents(path)) == [document]


def test_the_order_of_the_columns_is_told(write: Write) -> None:
    named = sniff(write("a.tsv", "Text\tlabel\nx\ta\n")).reason
    assert named.endswith("its first line has 2 columns between tabs, 'text' and 'labels'")
    assert sniff(write("b.tsv", "a\tx\n")).reason.endswith("2 columns between tabs")


@pytest.mark.parametrize(
    "header",
    ["text\ttopics", "category\ttext", "text\ttext", "title\ttext\tlabels", "id\tmy text\ttext"],
)
def test_headers_of_other_columns_are_refused(write: Write, header: str) -> None:
    path = write("train.tsv", f"{header}\na{chr(9) * header.count(chr(9))}x\n")
    with pytest.raises(InputError, match="seems to name the columns") as caught:
        open_documents(path)
    assert (caught.value.file, caught.value.line) == (str(path), 1)


def test_every_line_that_is_sniffed_has_as_many_tabs(write: Write) -> None:
    path = write("train.tsv", "a\tx\n" * 18 + "a\tx\ty\na\tx\n")
    message = "expected labels<TAB>text, as line 1 has 2 columns, found 3 columns"
    with pytest.raises(InputError, match=message) as caught:
        sniff(path)
    assert caught.value.line == 19


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2\ta", "expected id<TAB>labels<TAB>text, as line 1 has 3 columns, found 2"),
        ("2\ta\tx\ty", "found 4 columns"),
        ("", "found 1 column;"),
        ("2\ta\t ", "an empty text"),
    ],
)
def test_damaged_rows(write: Write, row: str, message: str) -> None:
    path = write("train.tsv", f"1\ta\tx\n{row}\n3\ta\tx\n")
    with pytest.raises(InputError, match=message) as caught:
        list(open_documents(path))
    assert (caught.value.file, caught.value.line) == (str(path), 2)


def test_an_empty_file(write: Write) -> None:
    with pytest.raises(InputError, match="the file is empty"):
        list(open_documents(write("train.tsv", ""), "tsv"))
