"""What a file is taken for, why, and what is said where it cannot be told."""

import contextlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from axml_jax.data.corpus import text_rows
from axml_jax.data.readers import sniffing
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.formats import FORMATS
from axml_jax.data.readers.opening import open_documents
from axml_jax.data.readers.sniffing import sniff
from axml_jax.errors import InputError

Write = Callable[[str, str | bytes], Path]


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
@pytest.mark.parametrize(
    ("name", "content", "format", "reason"),
    [
        (
            "train.jsonl",
            '{"text": "x", "labels": ["a"]}\n',
            "jsonl",
            "train.jsonl is taken for JSON lines with a text and labels by name [jsonl]: its first "
            "line is an object with 'text' and 'labels'",
        ),
        ("a.txt", '\n{"labels": [], "text": "x"}\n', "jsonl", "with 'text' and 'labels'"),
        ("trn.json", '{"title": "x", "target_ind": [1]}\n', "xc_json", "object with 'target_ind'"),
        ("trn.json", '{"title": "x", "target_ind": []}\n', "xc_json", "a list of numbers"),
        ("a.csv", 'text,"labels"\nx,y\n', "csv", "a header with 'text' and 'labels'"),
        ("a.txt", "id,labels,text\n1,x,y\n", "csv", "a header with 'text' and 'labels'"),
        ("a.tsv", "a b\tx\n", "tsv", "2 columns between tabs"),
        ("a.txt", "1\ta b\tx, y\n", "tsv_id", "3 columns between tabs"),
        ("a.txt", "a\t" + "long, " * 50_000 + "\n", "tsv", "2 columns between tabs"),
    ],
)
def test_files(
    write: Write, name: str, content: str, format: str, reason: str, suffix: str
) -> None:
    sniffed = sniff(write(name + suffix, content))
    assert sniffed.format == format
    assert reason.replace(name, name + suffix) in sniffed.reason
    assert f"[{format}]" in sniffed.reason


def test_named_fields_are_looked_for(write: Write) -> None:
    path = write("a.json", '{"head": "x", "topics": ["a"], "target_ind": [1]}\n')
    assert sniff(path).format == "xc_json"
    assert sniff(path, Options(("head",), "topics")).format == "jsonl"
    table = write("a.csv", "head,topics\nx,a\n")
    assert "'head' and 'topics'" in sniff(table, Options(("head",), "topics")).reason


@pytest.mark.parametrize(
    ("content", "format"),
    [
        ("a b\n\nc\n", "lines"),
        ("3 17 99\n4 5\n", "lines"),
        ("12:30 18:00\nnoon\n", "lines"),
        ("a:b\tc d\n", "lines"),
        ("12:30\n18:00\n", "lines"),
        ("3 4:x\n", "lines"),
        ("meeting 12:30\nISO 9001:2015\n", "lines"),
        ("", "lines"),
        ("3,17 0:0.1 5:0.2\n 2:1\n", "lines_bow"),
        ("2 6 18\n3,17 0:0.1 5:0.2\n1 2:1\n", "lines_bow"),
        ("2 18\n3:1.0 17:1.0\n\n", "lines_sparse"),
    ],
)
def test_files_of_labels(write: Write, content: str, format: str) -> None:
    texts = write("texts.txt", "x\ny\n")
    assert sniff(texts, labels=write("labels.txt.gz", content)).format == format


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("1,2 0:0.5\n3, 4 1:0.5\n", 2),
        ("3\t0:1.0\n", 1),
        ("3.0 0:1.0 # first\n", 1),
        ("-1 3:1\n", 1),
        ("2 6 18\n3,17 0:0.1\nnoon\n 2:1\n", 3),
        ("cat,dog 0:0.5 8:1.0\n", 1),
        ("3 0:0.5\n" * 19 + "3,4\t0:0.5\n", 20),
    ],
)
def test_rows_like_features_are_no_names_of_labels(write: Write, content: str, line: int) -> None:
    texts, labels = write("texts.txt", "x\n" * 20), write("sv.txt", content)
    wrong = repr(content.splitlines()[line - 1])
    with pytest.raises(InputError, match="--format lines") as caught:
        sniff(texts, labels=labels)
    assert (caught.value.file, caught.value.line) == (str(labels), line)
    assert f"but {wrong} is not whole numbers between commas" in caught.value.message
    (first, *_) = open_documents(texts, "lines", labels=write("one.txt", "1,2 0:0.5\n" * 20))
    assert first.labels == ("1,2", "0:0.5")


@pytest.mark.parametrize(
    ("content", "separator", "told"),
    [
        ("7\n1,2\n \n3,4,5\n", None, "as in '1,2', does not end a label"),
        ("7\n3, 4\n", None, "as in '3, 4', does not end a label"),
        ("7\n1,2\n", ",", ""),
        ("7\n8\n", None, ""),
        ("1,2\na\n", None, ""),
    ],
)
def test_numbers_between_commas_are_told(
    write: Write, content: str, separator: str | None, told: str
) -> None:
    labels = write("labels.txt", content)
    sniffed = sniff(write("texts.txt", "x\n"), Options(separator=separator), labels)
    assert sniffed.format == "lines"
    assert (told in sniffed.reason) if told else ("comma" not in sniffed.reason)


@pytest.mark.parametrize("beside", [False, True])
def test_few_lines_are_read_where_they_are_long(
    write: Write, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    path = write("long.txt", f"a\t{'word ' * 60_000}\n" * 19)  # 300 kB a line
    read: list[int] = []

    def counted(*arguments: Any) -> Generator[str | InputError, None, None]:
        for line in text_rows(*arguments):
            assert isinstance(line, str)
            read.append(len(line))
            yield line

    monkeypatch.setattr(sniffing, "text_rows", counted)
    assert sniff(path, labels=path if beside else None).format == ("lines" if beside else "tsv")
    assert len(read) == 4


def test_empty_lines_before_the_first_document(write: Write) -> None:
    path = write("train.jsonl", "\n" * 30 + '{"text": "x", "labels": 3}\n')
    with pytest.raises(InputError) as caught:
        sniff(path)
    assert caught.value.line == 31


def test_a_sparse_matrix(write: Write) -> None:
    sniffed = sniff(write("X.trn.txt", "x\n"), labels=write("Y.trn.npz", "anything"))
    assert sniffed.format == "lines_npz"
    assert sniffed.reason.startswith("X.trn.txt and Y.trn.npz are taken for a text a line")


def test_a_folder(write: Write, tmp_path: Path) -> None:
    write("dev/1.json", '{"celex_id": "1", "concepts": []}')
    assert sniff(tmp_path / "dev").format == "json_folder"
    assert "of its 1 JSON files the first has 'concepts'" in sniff(tmp_path / "dev").reason
    write("other/1.json", '{"text": "x"}')
    with pytest.raises(InputError, match="has no 'concepts', but 'text'"):
        sniff(tmp_path / "other")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "just some words\n", "begins with 'just some words'.*--train_labels"),
        ("a.txt", "a\tb\tc\td\te\n", "the first line has 4 tabs"),
        ("a.json", '[{"text": "x"}]\n', "a JSON array"),
        ("a.json", '{\n"text": "x"}\n', "no whole JSON"),
        ("a.json", '{"text": "x", "labels": "a"}\n', "it has 'text' and 'labels'"),
        ("a.json", '{"body": "x"}\n', "it has 'body'; name the fields"),
        ("a.json", "{}\n", "it has no field"),
        ("a.csv", "body,topics\n", "no column 'text'"),
        ("a.txt", "\n\n", "the file is empty"),
        ("a.txt", b"\x00\xff\xfe\x01", "not UTF-8"),
        ("a.txt.gz", b"", "the file is empty"),
    ],
)
def test_what_cannot_be_told(write: Write, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sniff(write(name, content))


def test_all_formats_are_listed_where_none_fits(write: Write) -> None:
    with pytest.raises(InputError) as caught:
        sniff(write("a.txt", "words\n"))
    for name, about in FORMATS.items():
        assert f"{name}: {about.title}" in caught.value.message


def test_noise_is_never_more_than_an_input_error(write: Write) -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        noise = random.choice(np.frombuffer(b'{}[]",:\t\n text labels\\0\xff', np.uint8), 40)
        path = write("noise", noise.tobytes())
        with contextlib.suppress(InputError):
            assert sniff(path).format in FORMATS
