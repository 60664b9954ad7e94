"""CSV with named columns."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from axml_jax.data.corpus import Document
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.opening import open_documents
from axml_jax.errors import InputError

Write = Callable[[str, str | bytes], Path]

ROWS = 'id,text,labels\n1,"The ""cat"",\nsat",a b a\n\n2,Zwei Wörter,\n'


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_reading(write: Write, suffix: str, mark: bytes) -> None:
    documents = open_documents(write(f"train.csv{suffix}", mark + ROWS.encode()))
    assert list(documents) == [
        Document('The "cat",\nsat', ("a", "b"), "1"),
        Document("Zwei Wörter", (), "2"),
    ]
    assert documents.repeated_labels == 1


def test_columns_of_other_names(write: Write) -> None:
    path = write("train.csv", "title,body,topics,key\nT,B,big cat;dog,k\n")
    options = Options(("title", "body"), "topics", "key", separator=";")
    assert list(open_documents(path, options=options)) == [
        Document("T\nB", ("big cat", "dog"), "k")
    ]
    assert list(open_documents(path, options=Options(("body",), "topics"))) == [
        Document("B", ("big", "cat;dog"))
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_what_stands_between_cells(tmp_path: Path, delimiter: str, quoting: Literal[0, 1]) -> None:
    path = tmp_path / "train.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=quoting)
        writer.writerows([["text", "labels"], ['a, b; c\td "e"\nf', "x,y"]])
    expected = [Document('a, b; c\td "e"\nf', ("x", "y"))]
    assert list(open_documents(path)) == list(open_documents(path, "csv")) == expected


def test_a_header_that_is_no_csv(write: Write) -> None:
    path = write("train.csv", '\n"te"xt,labels\nx,a\n')
    with pytest.raises(InputError, match=r"row that begins here is no CSV .*a quote") as caught:
        open_documents(path, "csv")
    assert (caught.value.file, caught.value.line) == (str(path), 2)


def test_a_header_of_other_columns_between_semicolons(write: Write) -> None:
    path = write("train.csv", "body;labels\nx;a\n")
    for format in ("auto", "csv"):
        with pytest.raises(InputError, match=r"no column 'text'.*'body'(,| and) 'labels'"):
            open_documents(path, format)
    with pytest.raises(InputError, match="read as names between semicolons"):
        open_documents(path)


def test_a_long_cell(write: Write) -> None:
    path = write("train.csv", 'text,labels\n"' + "word \n" * 100_000 + '",a\n')
    (document,) = open_documents(path)
    assert document.text == "word \n" * 100_000
    assert csv.field_size_limit() >= Options().max_line
    longer = write("longer.csv", f"text,labels\n{'x' * 200},a\n")
    with pytest.raises(InputError, match="longer than 100 bytes"):
        list(open_documents(longer, options=Options(max_line=100)))


@pytest.mark.parametrize(
    ("rows", "message", "line"),
    [
        ('2,"a\nb",c\n3,x\n', "the header has 3 columns, the row that begins here 2", 6),
        ("2,x,a,b\n", "the row that begins here 4", 4),
        ('2,x,a\n3,"not closed,b\n4,x,c\n', "is a quote not closed", 5),
        ('2,"a" b,c\n', "is no CSV", 4),
        ("2,,c\n", "an empty text", 4),
    ],
)
def test_damaged_rows(write: Write, rows: str, message: str, line: int) -> None:
    path = write("train.csv", f'id,text,labels\n1,"x\ny",a\n{rows}')
    with pytest.raises(InputError, match=message) as caught:
        list(open_documents(path))
    assert (caught.value.file, caught.value.line) == (str(path), line)


def test_damaged_headers(write: Write) -> None:
    with pytest.raises(InputError, match=r"no column 'text', but 'a' and 'b'.*--text_column"):
        open_documents(write("train.csv", "a,b\n1,2\n"))
    with pytest.raises(InputError, match="the header has 2 columns 'text'"):
        open_documents(write("train.csv", "text,text,labels\n1,2,3\n"))
    with pytest.raises(InputError, match="the header has no column 'key'"):
        open_documents(write("train.csv", ROWS), options=Options(id_field="key"))
    with pytest.raises(InputError, match="the file is empty"):
        open_documents(write("train.csv", ""), "csv")
