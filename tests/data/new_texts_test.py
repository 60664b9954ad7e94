"""Texts to predict for: what a file is taken for, and what is read from it."""

import io
import itertools
import lzma
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from axml_jax.data.line_stream import stream_lines
from axml_jax.data.new_texts import NewText, open_new_texts
from axml_jax.data.readers import csv_records
from axml_jax.data.readers.csv_records import Bounds
from axml_jax.errors import InputError

CSV = ["id,text,labels", 'a,"one, and', 'a half",x', "", "b,two,y"]


@pytest.mark.parametrize(
    ("file", "lines", "format", "expected"),
    [
        ("new.txt", ["a, b", "", "c\td"], "lines", [(1, "", "a, b"), (2, "", ""), (3, "", "c\td")]),
        ("new.txt", [], "lines", []),
        ("new.txt", ["", " ", "a text"], "lines", [(1, "", ""), (2, "", " "), (3, "", "a text")]),
        ("-", ["", '{"text": "a b"}'], "jsonl", [(2, "", "a b")]),
        ("-", ["id;text", 'a;"one; ""two"""'], "csv", [(2, "a", 'one; "two"')]),
        ("new.csv", ["text\tid", "one, two\tb"], "csv", [(2, "b", "one, two")]),
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
    assert found.reason
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
        ("f.csv", ["a,b", "1,2"], {}, "^f.csv:1: the header has no column 'text'; it has 'a', 'b'"),
        ("f.csv", ["a;b", "1;2"], {}, r"it has 'a', 'b' \(it is read as names between semicolons"),
        ("f.csv", ["text,text"], {}, "the header has 2 columns 'text'"),
        ("f", ["{x} is a set"], {}, "^f:1: no whole JSON: .*; if this is no JSON, .*lines"),
        ("f.csv", ["text", "1,2"], {}, "^f.csv:2: the header has 1 columns, the row .* 2"),
        ("f.csv", ["text", '"1'], {}, "^f.csv:2: the row that begins here is no CSV"),
        ("f.tsv", ["a\tb", "c"], {}, "^f.tsv:2: expected labels<TAB>text, found 1 columns"),
        ("f", ["a text"], {"text_fields": ["body"]}, "concern JSON lines and CSV"),
        ("f.csv", ["text", "x"], {"id_field": "id"}, "no column 'id'"),
    ],
)  # fmt: skip
def test_what_does_not_go_together(
    file: str, lines: list[str], options: dict[str, object], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        list(open_new_texts(lines, file, **options).texts)  # type: ignore[arg-type]


def test_columns_of_the_text_tell_a_header() -> None:
    rows = ["key;body;topics", 'k;"b;1";x']
    found = open_new_texts(rows, "standard input", text_fields=("body",), id_field="key")
    assert (found.format, [new[:3] for new in found.texts]) == ("csv", [(2, "k", "b;1")])
    assert found.reason == (
        "its first line is a header with 'key', 'body', 'topics', between semicolons"
    )


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


def test_a_bad_first_line_is_an_error_and_the_next_ones_tell_what_they_are() -> None:
    content = b'\xff\n{"text": "a\n{"text": "b"}\n\n{"text": 1}\n'
    found = open_new_texts(stream_lines(io.BytesIO(content), "f"), "f", stops=False)
    assert found.format == "jsonl"
    assert found.reason == "its line 2, the first with text, begins with a brace"
    texts = kinds(list(found.texts))
    assert [line for line, _ in texts] == [1, 2, 3, 5]
    assert texts[0][1].startswith("not UTF-8: byte 0xff at byte 1 of the line; convert the file")
    assert texts[1][1].endswith("if this is no JSON, have each line read as a text with "
                                "--format lines")  # fmt: skip
    assert texts[2][1] == "b"
    assert texts[3][1] == "the field 'text' should be a string or a list of strings, but it is a " \
                          "number"  # fmt: skip


def test_many_empty_lines_keep_no_first_line_waiting() -> None:
    lines = iter([""] * 20 + ["{"])
    found = open_new_texts(lines, "f")
    assert (found.format, found.reason) == (
        "lines",
        "none of its first 20 lines has a text that can be read",
    )
    assert next(lines) == "{"  # nothing more was read
    assert open_new_texts([], "f").reason == "it is empty"


@pytest.mark.parametrize(
    ("file", "first", "bad"),
    [("f", "a", b"\xff"), ("f.csv", "text,id", b"\xff"), ("f", '{"text": ""}', b"{")],
)
def test_errors_that_wait_for_their_turn_hold_no_lines(file: str, first: str, bad: bytes) -> None:
    content = first.encode() + b"\n" + (bad * 100_000 + b"\n") * 50
    tracemalloc.start()
    lines = stream_lines(io.BytesIO(content), file)
    found = list(open_new_texts(lines, file, stops=False).texts)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(new.error is not None for new in found) == 50
    assert kept < 1_000_000
    assert peak < 3_000_000


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_told_in_each_line(encoding: str) -> None:
    content = "one\ntwo\nthree\n".encode(encoding)
    lines = stream_lines(io.BytesIO(content), "f")
    texts = list(open_new_texts(lines, "f", stops=False).texts)
    assert all(new.error and "iconv -f " in new.error.message for new in texts)
    assert {1, 2, 3} <= {new.line for new in texts}


def csv_texts(rows: list[str]) -> list[tuple[int, str]]:
    """What is answered, in a stream that goes on after bad rows."""
    return kinds(list(open_new_texts(["text,id", *rows], "f.csv", stops=False).texts))


@pytest.mark.parametrize("rows", [9, 2_000, 30_000])
def test_an_unclosed_quote_takes_no_rows_along(rows: int) -> None:
    good = [f"text {i},{i}" for i in range(rows)]
    found = csv_texts(["one,1", '"two,2', *good])
    assert [line for line, _ in found] == list(range(2, rows + 4))
    assert [text for _, text in found[:1] + found[2:]] == ["one", *(r.split(",")[0] for r in good)]
    assert found[1][1].startswith("the row that begins here is no CSV (")
    assert "is a quote not closed" in found[1][1]
    assert found[1][1].endswith("--format lines")


def test_an_unclosed_quote_is_read_past_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("axml_jax.data.new_texts._ROW", Bounds(1_000_000, lines=100))
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        yield from ["text,id", '"never closed,1']
        for i in itertools.count():
            taken += 1
            yield f"text {i},{i}"

    texts = iter(open_new_texts(lines(), "f.csv", stops=False).texts)
    assert next(texts).error
    assert taken == 100
    assert next(texts)[:3] == (3, "0", "text 0")
    assert taken == 100


def test_rows_that_each_leave_a_quote_open_are_not_read_to_the_end_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = 0
    take = csv_records.Lines.__next__

    def counted(lines: csv_records.Lines) -> str:
        nonlocal taken
        taken += 1
        return take(lines)

    monkeypatch.setattr(csv_records.Lines, "__next__", counted)
    rows = ['a","b'] * 5_000
    found = csv_texts(rows)
    assert len(found) == 5_000
    assert all(text.startswith("the row that begins here is no CSV") for _, text in found)
    assert taken < 5_000 * 250  # to the end it were 12 million


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # A quote too many and a cell over two lines: one row, whatever its rest looks like.
        (['"a"b,"multi', 'alpha",x', "two,2"], [(2, ""), (4, "two")]),
        (['"a"b,"multi', 'alpha"', "two,2"], [(2, ""), (4, "two")]),
        # The quote of the next row ends the one that was not closed.
        (['"one,1', '"two",2', "three,3"], [(2, ""), (3, "two"), (4, "three")]),
        (['"one,1', '"two, ""or"" three",2', "x,3"], [(2, ""), (3, 'two, "or" three'), (4, "x")]),
        (['"a" b,1', "two,2"], [(2, ""), (3, "two")]),
        (['"a" "b,1', "two,2", "three,3"], [(2, ""), (3, "two"), (4, "three")]),
        (['"one', 'more"x', "two,2"], [(2, ""), (4, "two")]),
    ],
)
def test_where_a_bad_row_ends(rows: list[str], expected: list[tuple[int, str]]) -> None:
    found = csv_texts(rows)
    assert [(line, "" if "no CSV" in text else text) for line, text in found] == expected


def test_an_unreadable_line_within_quotes_is_one_row() -> None:
    content = b'text,id\n"one\n\xff, ""two""\nthree",1\nfour,2\n'
    found = open_new_texts(stream_lines(io.BytesIO(content), "f.csv"), "f.csv", stops=False).texts
    (bad, good) = kinds(list(found))
    assert (bad[0], good) == (2, (5, "four"))
    assert bad[1].startswith("not UTF-8")


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
