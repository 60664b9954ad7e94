"""launch/predict.py over a long stream: bad texts, memory, readers that leave, and being ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.soak import long_stream

Launch = Callable[..., subprocess.CompletedProcess[bytes]]

# Several windows of what is read ahead (see axml_jax.predict).
DOCUMENTS = 12_000


def test_bad_texts_among_thousands_are_answered_in_constant_memory(
    tiny_run: Path, launch_environment: dict[str, str]
) -> None:
    done = long_stream.soak(tiny_run, DOCUMENTS, launch_environment)
    bad = DOCUMENTS // long_stream.BAD_EVERY
    assert (done.lines, done.bad, done.status) == (DOCUMENTS, bad, 3), done.told
    assert f"{bad:,} of {DOCUMENTS:,} texts cannot be read" in done.told
    assert "the first: standard input:100: no whole JSON" in done.told
    # The first third warms up: it compiles, and allocators take what they will hold on to.
    warm = done.memory[len(done.memory) // 3]
    assert max(done.memory) < warm + 8 * 2**20, done.memory


@pytest.mark.parametrize("place", ["standard input", "file"])
def test_what_a_bad_text_does_can_be_chosen(
    tiny_run: Path, tmp_path: Path, launch: Launch, place: str
) -> None:
    lines = b"one\n\xff\ntwo\n"
    (tmp_path / "texts").write_bytes(lines)
    if place == "file":
        other = launch("predict", f"--run={tiny_run}", "--input=texts", "--on_bad_row=answer",
                       "--output=out")  # fmt: skip
        answers = (tmp_path / "out").read_bytes()
        stopped = launch("predict", f"--run={tiny_run}", "--input=texts", "--output=stopped")
        assert not [path for path in tmp_path.iterdir() if "stopped" in path.name]
    else:
        other = launch("predict", f"--run={tiny_run}", input=lines)
        answers = other.stdout
        stopped = launch("predict", f"--run={tiny_run}", "--on_bad_row=stop", input=lines)
    records = [json.loads(line) for line in answers.decode().splitlines()]
    assert [sorted(record) for record in records] == [
        ["labels", "line"], ["error", "line"], ["labels", "line"]
    ]  # fmt: skip
    assert records[1]["error"].startswith("not UTF-8: ")
    assert other.returncode == 3
    assert stopped.returncode == 1
    name = "texts" if place == "file" else place
    assert stopped.stderr.decode().splitlines()[-1].startswith(f"error: {name}:2: not UTF-8: ")


def test_a_reader_that_leaves_in_the_middle_is_no_error(
    root: Path, tiny_run: Path, tmp_path: Path, launch_environment: dict[str, str]
) -> None:
    (tmp_path / "texts").write_bytes(b"parses flags\n" * 5_000)
    with subprocess.Popen(
        [sys.executable, str(root / "launch/predict.py"), f"--run={tiny_run}",
         f"--input={tmp_path / 'texts'}"],
        env=launch_environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stderr
        assert json.loads(process.stdout.readline())["line"] == 1
        process.stdout.close()
        told = process.stderr.read().decode()
    assert process.returncode == 141
    assert "Traceback" not in told
    assert "error" not in told.lower()


def left_by(place: Path) -> list[Path]:
    """Files that are not whole yet, or never will be."""
    return list(place.parent.glob(f".{place.name}.*.partial"))


def interrupted(command: list[str], place: Path, number: int, environment: dict[str, str]) -> str:
    """Starts predicting from a pipe that gives no more, and ends it while it waits."""
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stderr
        process.stdin.write(b"parses flags\n" * 3_000)  # a window and a half: some are written
        process.stdin.flush()
        deadline = time.monotonic() + 100
        while not any(path.stat().st_size for path in left_by(place)):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        told = process.stderr.read().decode()
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    return told


@pytest.mark.usefixtures("heard_signals")
def test_what_an_interrupted_one_leaves_is_not_taken_for_whole(
    root: Path, tiny_run: Path, tmp_path: Path, launch: Launch, launch_environment: dict[str, str]
) -> None:
    place = tmp_path / "answers.jsonl"
    command = [sys.executable, str(root / "launch/predict.py"), f"--run={tiny_run}",
               f"--output={place}"]  # fmt: skip
    place.write_text("an earlier one\n")
    for number, told in ((signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "Ctrl-C")):
        found = interrupted(command, place, number, launch_environment)
        assert found.splitlines()[-1] == f"stopped by {told}"
        assert "Traceback" not in found
        assert os.listdir(tmp_path) == [place.name]
    interrupted(command, place, signal.SIGKILL, launch_environment)
    assert place.read_text() == "an earlier one\n"
    # Nobody could remove this one; it is in nobody's way.
    (left,) = left_by(place)
    assert sorted(os.listdir(tmp_path)) == sorted([place.name, left.name])
    done = launch("predict", *command[2:], input=b"parses flags\n" * 3)
    assert done.returncode == 0, done.stderr.decode()
    assert len(place.read_text().splitlines()) == 3
    assert left_by(place) == [left]
