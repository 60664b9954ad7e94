"""Line-aligned files: what is read, and what is said about files that cannot be."""

from collections.abc import Callable
from pathlib import Path

import pytest

from axml_jax.data.corpus import Document
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.line_aligned import open_line_aligned
from axml_jax.errors import InputError

Write = Callable[[str, str | bytes], Path]


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_reading(write: Write, suffix: str) -> None:
    texts = write(f"t.txt{suffix}", "One text\r\nzwei Wörter\nthree\u2028still\x0bthree")
    labels = write(f"l.txt{suffix}", "a b\n\nb a b\n")
    ids = write(f"i.txt{suffix}", "d1\nd2 \nd3\n")
    documents = open_line_aligned(texts, labels, ids)
    expected = [
        Document("One text", ("a", "b"), "d1"),
        Document("zwei Wörter", (), "d2"),
        Document("three\u2028still\x0bthree", ("b", "a"), "d3"),
    ]
    for _ in range(2):  # each iteration reads the files anew
        assert list(documents) == expected
        assert documents.repeated_labels == 1


def test_files_may_be_of_different_compression_and_ids_and_labels_may_be_missing(
    write: Write,
) -> None:
    texts, labels = write("t.gz", "x\ny\n"), write("l.xz", "a\nb\n")
    assert list(open_line_aligned(texts, labels)) == [Document("x", ("a",)), Document("y", ("b",))]
    assert list(open_line_aligned(texts, None)) == [Document("x"), Document("y")]


@pytest.mark.parametrize(
    ("line", "separator", "labels"),
    [
        ("b a  b\tc,d ", None, ("b", "a", "c,d")),
        ("", None, ()),
        ("big cat, dog,,big cat ,", ",", ("big cat", "dog")),
        ("a||b c", "||", ("a", "b c")),
        (" , ", ",", ()),
    ],
)
def test_labels_of_a_line(
    write: Write, line: str, separator: str | None, labels: tuple[str, ...]
) -> None:
    paths = write("t", "x\n"), write("l", f"{line}\n")
    (document,) = open_line_aligned(*paths, options=Options(separator=separator))
    assert document.labels == labels


@pytest.mark.parametrize(("texts", "labels"), [(5, 3), (3, 5)])
def test_unequal_lengths_are_counted_to_the_end(write: Write, texts: int, labels: int) -> None:
    paths = write("t.txt", "x\n" * texts), write("l.txt", "a\n" * labels)
    short, long = ("l.txt", "t.txt") if labels < texts else ("t.txt", "l.txt")
    message = (
        f"{short} has 3 lines but {long} has 5; they are read line by line: {short} ends "
        "before line 4."
    )
    with pytest.raises(InputError) as caught:
        list(open_line_aligned(*paths))
    assert caught.value.message == message
    assert caught.value.file is not None
    assert Path(caught.value.file).name == short
    assert caught.value.line == 4


def test_a_short_file_of_ids_is_told_too(write: Write) -> None:
    texts, labels, ids = write("t", "x\ny\n"), write("l", "a\na\n"), write("i", "1\n")
    with pytest.raises(InputError, match="i has 1 lines but t has 2"):
        list(open_line_aligned(texts, labels, ids))


@pytest.mark.parametrize("empty", ["", "  \t"])
def test_an_empty_text_is_an_error_unless_asked_for(write: Write, empty: str) -> None:
    texts, labels = write("t", f"x\n{empty}\n"), write("l", "a\na\n")
    with pytest.raises(InputError, match="--keep_empty") as caught:
        list(open_line_aligned(texts, labels))
    assert (caught.value.file, caught.value.line) == (str(texts), 2)
    kept = list(open_line_aligned(texts, labels, options=Options(keep_empty=True)))
    assert kept[1] == Document(empty, ("a",))


def test_missing_files_are_told_before_anything_is_read(write: Write, tmp_path: Path) -> None:
    texts = write("t", "x\n")
    with pytest.raises(InputError, match="there is no such file") as caught:
        open_line_aligned(texts, tmp_path / "nowhere")
    assert caught.value.file == str(tmp_path / "nowhere")
    with pytest.raises(InputError, match="cannot be read"):
        open_line_aligned(tmp_path, None)


def test_an_empty_file(write: Write) -> None:
    with pytest.raises(InputError, match="the file is empty"):
        list(open_line_aligned(write("t", ""), write("l", "")))


def test_unusable_options() -> None:
    with pytest.raises(ValueError, match="separator"):
        Options(separator="")
    with pytest.raises(ValueError, match="max_line"):
        Options(max_line=0)
    with pytest.raises(ValueError, match="max_expansion"):
        Options(max_expansion=0)
