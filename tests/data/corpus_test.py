"""The lines of files: what is read, and what is said about files that cannot be."""

import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest

from axml_jax.data.corpus import read_byte_lines, read_lines
from axml_jax.errors import InputError


def write(path: Path, text: str | bytes) -> Path:
    content = text.encode() if isinstance(text, str) else text
    if path.suffix == ".gz":
        content = gzip.compress(content)
    if path.suffix == ".xz":
        content = lzma.compress(content)
    path.write_bytes(content)
    return path


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    texts = write(tmp_path / "t.txt", b"\xef\xbb\xbfx\n\xef\xbb\xbfy\n")
    assert list(read_lines(texts)) == ["x", "\ufeffy"]


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    texts = write(tmp_path / "t", b"fine\ncaf\xe9 noir\n")
    with pytest.raises(InputError, match="byte 0xe9 at byte 4 of the line") as caught:
        list(read_lines(texts))
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
    for content in (b"plain text\n", b"x"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"ends in {suffix}, but it is not .*: rename it"):
            list(read_lines(path))
    begin = write(tmp_path / f"whole{suffix}", b"text").read_bytes()[:1]
    path.write_bytes(begin)
    with pytest.raises(InputError, match="damaged or cut short"):
        list(read_lines(path))


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_a_line_too_long_is_not_read_to_its_end(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"t{suffix}", b"short\n" + b"x" * 1_000_000)
    lines = read_lines(path, max_line=1000)
    assert next(lines) == "short"
    with pytest.raises(InputError, match="longer than 1,000 bytes") as caught:
        next(lines)
    assert (caught.value.file, caught.value.line) == (str(path), 2)
    with pytest.raises(InputError, match="longer than 1,000 bytes") as caught:
        list(read_byte_lines(path, max_line=1000))
    assert (caught.value.file, caught.value.line) == (str(path), 2)
    whole = write(tmp_path / f"fits{suffix}", b"x" * 999 + b"\n" + b"y" * 1000)
    assert [len(line) for line in read_lines(whole, max_line=1000)] == [999, 1000]


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file") as caught:
        next(read_lines(tmp_path / "nowhere"))
    assert caught.value.file == str(tmp_path / "nowhere")
    with pytest.raises(InputError, match="cannot be read"):
        next(read_lines(tmp_path))
