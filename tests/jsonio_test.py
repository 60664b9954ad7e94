"""Files whole or not at all, and errors that name the file of JSON."""

import errno
import json
import math
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
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
    with pytest.raises((TypeError, InputError)):
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
    message = r"x\.json: it could not be written \(No space left on device\); make room"
    with pytest.raises(OSError, match=message):
        write_json(path, {"good": 2})
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


def test_two_that_write_one_file_at_once_each_write_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with whole_file(path) as one:
        with whole_file(path) as other:
            assert one != other
            Path(one).write_text("first " * 9)
            Path(other).write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first " * 9
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_files_of_somebody_else_beside_it_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "x.partial").write_text("mine")
    (tmp_path / "led to").write_text("mine, too")
    (tmp_path / "y.partial").symlink_to("led to")
    for name in ("x", "y"):
        with whole_file(tmp_path / name) as partial:
            Path(partial).write_text("new")
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    mine = {"x.partial": "mine", "led to": "mine, too", "y.partial": "mine, too"}
    assert found == {**mine, "x": "new", "y": "new"}


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "link"
    link.symlink_to("elsewhere/x")
    for content in ("new", "newer"):  # first a link that leads to nothing yet
        with whole_file(link) as partial:
            assert Path(partial).parent == tmp_path / "elsewhere"
            Path(partial).write_text(content)
        assert link.is_symlink()
        assert (tmp_path / "elsewhere" / "x").read_text() == content


def test_a_file_has_the_permissions_of_an_ordinary_one(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_json(tmp_path / "new", 1)
        (tmp_path / "old").touch()
        (tmp_path / "old").chmod(0o604)
        with whole_file(tmp_path / "old") as partial:
            assert os.stat(partial).st_mode & 0o777 == 0o600
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o604


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    write_json(tmp_path / ("é" * 125), 1)
    assert read_json(tmp_path / ("é" * 125)) == 1


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_text)
        write_json(pipe, ["to the reader"])
        assert json.loads(read.result(timeout=60)) == ["to the reader"]
    assert [(path.name, path.is_fifo()) for path in tmp_path.iterdir()] == [("pipe", True)]


def test_a_device_is_written_to_and_stays_one(tmp_path: Path, full_device: Path) -> None:
    nowhere = full_device.with_name("nowhere")
    os.mknod(nowhere, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    write_json(nowhere, 1)
    with pytest.raises(OSError, match=rf"^{full_device}: it could not be written \(No space left"):
        write_json(full_device, 1)
    assert nowhere.is_char_device()
    assert full_device.is_char_device()
    assert len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize("number", [math.nan, math.inf, np.float64("nan")])
def test_what_is_no_number_is_no_json(tmp_path: Path, number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x", {"a": [number]})
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"would hold .*stores/bad.*rename it") as caught:
        write_json(tmp_path / "x", {"path": os.fsdecode(b"stores/bad\xff")})
    assert caught.value.file == str(tmp_path / "x")


def test_a_full_disk_is_told_with_the_file(tmp_path: Path) -> None:
    def fill(error: OSError) -> None:
        with whole_file(tmp_path / "x"):
            raise error

    with pytest.raises(OSError, match=r"x: it could not be written \(File too large\); make room"):
        fill(OSError(errno.EFBIG, os.strerror(errno.EFBIG)))
    for other in (OSError(errno.ENOSPC, "full", "another file"), BrokenPipeError(errno.EPIPE, "")):
        with pytest.raises(OSError) as caught:  # noqa: PT011 - it is the very one
            fill(other)
        assert caught.value is other


def test_a_folder_that_is_not_there_is_told_without_our_own_names(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, whole_file(tmp_path / "gone" / "x"):
        pass
    assert caught.value.filename == str(tmp_path / "gone" / "x")
