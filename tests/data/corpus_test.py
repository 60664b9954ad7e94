"""Reading line-aligned files: what is read, and what is said about files that cannot be."""

import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest

from axml_jax.data.corpus import Document, read_line_aligned, read_lines, split_labels
from axml_jax.errors import InputError


def write(path: Path, text: str | bytes) -> Path:
    content = text.encode() if isinstance(text, str) else text
    if path.suffix == ".gz":
        content = gzip.compress(content)
    if path.suffix == ".xz":
        content = lzma.compress(content)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_reading(tmp_path: Path, suffix: str) -> None:
    texts = write(tmp_path / f"t.txt{suffix}", "One text\r\nzwei Wörter\nthree\u2028still\x0bthree")
    labels = write(tmp_path / f"l.txt{suffix}", "a b\n\nb a b\n")
    ids = write(tmp_path / f"i.txt{suffix}", "d1\nd2 \nd3\n")
    assert list(read_line_aligned(texts, labels, ids_path=ids)) == [
        Document("One text", ("a", "b"), "d1"),
        Document("zwei Wörter", (), "d2"),
        Document("three\u2028still\x0bthree", ("b", "a"), "d3"),
    ]


def test_files_may_be_of_different_compression_and_ids_and_labels_may_be_missing(
    tmp_path: Path,
) -> None:
    texts = write(tmp_path / "t.gz", "x\ny\n")
    labels = write(tmp_path / "l.xz", "a\nb\n")
    assert list(read_line_aligned(texts, labels)) == [Document("x", ("a",)), Document("y", ("b",))]
    assert list(read_line_aligned(texts, None)) == [Document("x"), Document("y")]


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    texts = write(tmp_path / "t.txt", b"\xef\xbb\xbfx\n\xef\xbb\xbfy\n")
    assert list(read_lines(texts)) == ["x", "\ufeffy"]


@pytest.mark.parametrize(
    ("line", "separator", "labels"),
    [
        ("b a  b\tc ", None, ("b", "a", "c")),
        ("", None, ()),
        ("big cat, dog,,big cat ,", ",", ("big cat", "dog")),
        ("a||b c", "||", ("a", "b c")),
        (" , ", ",", ()),
    ],
)
def test_labels_of_a_line(line: str, separator: str | None, labels: tuple[str, ...]) -> None:
    assert split_labels(line, separator) == labels


@pytest.mark.parametrize(("texts", "labels"), [(5, 3), (3, 5)])
def test_unequal_lengths_are_counted_to_the_end(tmp_path: Path, texts: int, labels: int) -> None:
    write(tmp_path / "t.txt", "x\n" * texts)
    write(tmp_path / "l.txt", "a\n" * labels)
    short, long = ("l.txt", "t.txt") if labels < texts else ("t.txt", "l.txt")
    message = (
        f"{short} has 3 lines but {long} has 5; they are read line by line: {short} ends "
        "before line 4."
    )
    with pytest.raises(InputError) as caught:
        list(read_line_aligned(tmp_path / "t.txt", tmp_path / "l.txt"))
    assert caught.value.message == message
    assert caught.value.file == str(tmp_path / short)
    assert caught.value.line == 4


def test_a_short_file_of_ids_is_told_too(tmp_path: Path) -> None:
    texts, labels = write(tmp_path / "t", "x\ny\n"), write(tmp_path / "l", "a\na\n")
    ids = write(tmp_path / "i", "1\n")
    with pytest.raises(InputError, match="i has 1 lines but t has 2"):
        list(read_line_aligned(texts, labels, ids_path=ids))


@pytest.mark.parametrize("empty", ["", "  \t"])
def test_an_empty_text_is_an_error_unless_asked_for(tmp_path: Path, empty: str) -> None:
    texts = write(tmp_path / "t", f"x\n{empty}\n")
    labels = write(tmp_path / "l", "a\na\n")
    with pytest.raises(InputError, match="--keep_empty") as caught:
        list(read_line_aligned(texts, labels))
    assert (caught.value.file, caught.value.line) == (str(texts), 2)
    kept = list(read_line_aligned(texts, labels, on_empty="keep"))
    assert kept[1] == Document(empty, ("a",))


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    texts = write(tmp_path / "t", b"fine\ncaf\xe9 noir\n")
    with pytest.raises(InputError, match="byte 0xe9 at byte 4 of the line") as caught:
        list(read_line_aligned(texts, None))
    assert (caught.value.file, caught.value.line) == (str(texts), 2)


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_a_file_cut_short(tmp_path: Path, suffix: str) -> None:
    random = np.random.default_rng(0)
    lines = "".join(f"{number} is a number\n" for number in random.integers(1 << 60, size=20_000))
    whole = write(tmp_path / f"whole{suffix}", lines).read_bytes()
    (tmp_path / f"cut{suffix}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged or cut short") as caught:
        for _ in read_lines(tmp_path / f"cut{suffix}"):
            pass
    assert caught.value.line is not None
    assert 1000 < caught.value.line < 20_000


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_a_file_that_is_not_compressed_at_all(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_text("plain text\n")
    with pytest.raises(InputError, match="damaged"):
        list(read_lines(path))


def test_missing_files_are_told_before_anything_is_read(tmp_path: Path) -> None:
    texts = write(tmp_path / "t", "x\n")
    with pytest.raises(InputError, match="there is no such file") as caught:
        read_line_aligned(texts, tmp_path / "nowhere")
    assert caught.value.file == str(tmp_path / "nowhere")
    with pytest.raises(InputError, match="cannot be read"):
        read_line_aligned(tmp_path, None)


def test_an_empty_file(tmp_path: Path) -> None:
    texts, labels = write(tmp_path / "t", ""), write(tmp_path / "l", "")
    with pytest.raises(InputError, match="the file is empty"):
        list(read_line_aligned(texts, labels))


def test_unusable_arguments(tmp_path: Path) -> None:
    texts = write(tmp_path / "t", "x\n")
    with pytest.raises(ValueError, match="separator"):
        read_line_aligned(texts, None, separator="")
    with pytest.raises(ValueError, match="on_empty"):
        read_line_aligned(texts, None, on_empty="skip")
