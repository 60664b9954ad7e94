"""Files whole or not at all, and errors that name the file of JSON."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from axml_jax import runs
from axml_jax.errors import InputError
from axml_jax.jsonio import read_json, whole_file, write_json


def test_json_and_back(tmp_path: Path) -> None:
    value = {"name": "é", "list": [1, 2.5, None, True]}
    write_json(tmp_path / "x.json", value)
    assert read_json(tmp_path / "x.json") == value
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert "é" in text


@pytest.mark.parametrize("bad", [object(), "half \ud800"])
def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path, bad: object) -> None:
    write_json(tmp_path / "x.json", 1)
    with pytest.raises((TypeError, UnicodeEncodeError)):
        write_json(tmp_path / "x.json", {"good": 2, "bad": bad})
    assert read_json(tmp_path / "x.json") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_full_disk_is_told_with_the_file_and_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(value: Any, file: Any, **_: Any) -> None:
        file.write(str(value)[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "x.json"
    write_json(path, 1)
    monkeypatch.setattr(json, "dump", half)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_json(path, {"good": 2})
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x.json", "1\n")]


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for content in ("old", "new"):
        with whole_file(path) as partial:
            Path(partial).write_text(content)
            assert path.exists() == (content == "new")


def test_a_file_that_fails_leaves_what_was_before(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("new")

    def write() -> None:
        with whole_file(path) as partial:
            Path(partial).write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "new")]


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff"])
def test_a_damaged_file_is_named_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"this is not whole JSON .*; do this$") as caught:
        read_json(path, "do this")
    assert caught.value.file == str(path)


def test_a_file_that_is_not_there_or_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file\.$"):
        read_json(tmp_path / "x.json")
    with pytest.raises(InputError, match=r"it cannot be read \(Is a directory\); do this$"):
        read_json(tmp_path, "do this")


def test_runs_offer_the_same() -> None:
    assert (runs.read_json, runs.write_json) == (read_json, write_json)
