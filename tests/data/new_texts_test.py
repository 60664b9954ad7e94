"""Texts to predict for: what a file is taken for, and what is read from it."""

import io
import lzma
from pathlib import Path

import pytest

from axml_jax.data.line_stream import stream_lines
from axml_jax.data.new_texts import NewText, open_new_texts
from axml_jax.errors import InputError

CSV = ["id,text,labels", 'a,"one, and', 'a half",x', "", "b,two,y"]


@pytest.mark.parametrize(
    ("file", "lines", "format", "expected"),
    [
        ("new.txt", ["a, b", "", "c\td"], "lines", [(1, "", "a, b"), (2, "", ""), (3, "", "c\td")]),
        ("new.txt", [], "lines", []),
        ("new.txt", ["{x} is a set", '{"text": 1}'], "lines", [(1, "", "{x} is a set"),
                                                            (2, "", '{"text": 1}')]),
        ("-", ['{"text": "a b"}', "", '{"text": "", "id": 7}'], "jsonl", [(1, "", "a b"),
                                                                       (3, "7", "")]),
        ("standard input", CSV, "csv", [(2, "a", "one, and\na half"), (5, "b", "two")]),
        ("new.csv.gz", ["text", "one"], "csv", [(2, "", "one")]),
        ("new.tsv", ["labels\ttext", "a b\tone"], "tsv", [(2, "", "one")]),
        ("new.tsv", ["k\ta b\tone"], "tsv_id", [(1, "k", "one")]),
    ],
)  # fmt: skip
def test_the_first_line_or_the_name_tells(
    file: str, lines: list[str], format: str, expected: list[tuple[int, str, str]]
) -> None:
    found = open_new_texts(lines, file)
    assert (found.format, [new[:3] for new in found.texts]) == (format, expected)
    assert bool(found.reason) == (format != "lines")
    plain = open_new_texts(lines, file, "lines")
    assert [new.text for new in plain.texts] == lines
    assert plain.reason == ""


def test_fields_by_name() -> None:
    lines = ['{"title": "t", "body": "b", "key": 3}']
    found = open_new_texts(lines, "f", text_fields=("title", "body"), id_field="key")
    assert [new[:3] for new in found.texts] == [(1, "3", "t\nb")]
    rows = ["key,body,title", "k,b,t"]
    found = open_new_texts(rows, "f.csv", text_fields=("title", "body"), id_field="key")
    assert [new[:3] for new in found.texts] == [(2, "k", "t\nb")]


@pytest.mark.parametrize(
    ("file", "lines", "options", "told"),
    [
        ("f", ['{"body": "x"}'], {}, r"^f: the first line is a JSON object without 'text', but "
                                     r"with 'body'; .*--text_column.*--format lines"),
        ("f", ['{"text": "x"}', "[]"], {}, "^f:2: expected a JSON object"),
        ("f", ['{"text": "x"}', '{"text": 3}'], {}, "^f:2: the field 'text' should be"),
        ("f.csv", ["a,b", "1,2"], {}, "^f.csv:1: the header has 0 columns 'text'; it has 'a', 'b'"),
        ("f.csv", ["text", "1,2"], {}, "^f.csv:2: the header has 1 columns, the row .* 2"),
        ("f.csv", ["text", '"1'], {}, "^f.csv:2: the row that begins here is no CSV"),
        ("f.tsv", ["a\tb", "c"], {}, "^f.tsv:2: expected labels<TAB>text, found 1 columns"),
        ("f", ["a text"], {"text_fields": ["body"]}, "concern JSON lines and CSV"),
        ("f.csv", ["text", "x"], {"id_field": "id"}, "0 columns 'id'"),
    ],
)  # fmt: skip
def test_what_does_not_go_together(
    file: str, lines: list[str], options: dict[str, object], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        list(open_new_texts(lines, file, **options).texts)  # type: ignore[arg-type]


def kinds(texts: list[NewText]) -> list[tuple[int, str]]:
    """The line of each, and its text or its error."""
    return [(new.line, str(new.error.message) if new.error else new.text) for new in texts]


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("f", b"one\n\xff\n" + b"x" * 40 + b"\ntwo", [
            (1, "one"), (2, "not UTF-8"), (3, "the line is longer than 32 bytes"), (4, "two")]),
        ("f", b'{"text": "a"}\n{\n\xff\n\n{"a": 1}\n{"text": "b"}\n', [
            (1, "a"), (2, "no whole JSON"), (3, "not UTF-8"), (5, "the object has no field"),
            (6, "b")]),
        ("f.csv", b'text,id\none,1\n\xff\n"a" b,2\ntwo\n\n"th\nree",3\n', [
            (2, "one"), (3, "not UTF-8"), (4, "the row that begins here is no CSV"),
            (5, "the header has 2 columns, the row that begins here 1"), (7, "th\nree")]),
        ("f.tsv", b"labels\ttext\na\tone\n\xff\ntwo\nb\tthree\n", [
            (2, "one"), (3, "not UTF-8"), (4, "expected labels<TAB>text, found 1 columns"),
            (5, "three")]),
    ],
)  # fmt: skip
def test_a_bad_text_is_an_error_in_its_place(
    file: str, content: bytes, expected: list[tuple[int, str]]
) -> None:
    lines = stream_lines(io.BytesIO(content), file, max_line=32)
    found = kinds(list(open_new_texts(lines, file, stops=False).texts))
    assert len(found) == len(expected)
    for (line, text), (wanted_line, wanted) in zip(found, expected, strict=True):
        assert line == wanted_line
        assert text.startswith(wanted)


def test_a_stream_that_is_cut_short_ends_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "texts.xz"
    path.write_bytes(lzma.compress(b"".join(b"%d\n" % i for i in range(100_000)))[:-100])
    with lzma.open(path) as stream, pytest.raises(InputError, match="damaged or cut short") as told:
        list(open_new_texts(stream_lines(stream, "texts.xz"), "texts.xz", stops=False).texts)
    assert told.value.line is not None
    assert told.value.line > 1


def test_a_header_that_is_none_ends_the_reading() -> None:
    lines = stream_lines(io.BytesIO(b"\xff\n"), "f.csv")
    with pytest.raises(InputError, match="not UTF-8"):
        open_new_texts(lines, "f.csv", stops=False)
