"""Where the scripts write: two at once, pipes, devices, limits, closed streams, odd names."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from axml_jax import runs
from axml_jax.data.store import Store

Launch = Callable[..., subprocess.CompletedProcess[bytes]]
Shell = Callable[..., subprocess.CompletedProcess[bytes]]

# Blocks of 512 bytes follow.  What coverage keeps would not fit, where it measures.
LIMITED = "unset COVERAGE_PROCESS_CONFIG; ulimit -f"


@pytest.fixture
def shell(root: Path, tmp_path: Path, launch_environment: dict[str, str]) -> Shell:
    """shell(SCRIPT, *arguments, how=...) runs launch/SCRIPT.py as "$@" of the shell's line."""

    def shell(
        script: str, *arguments: str, how: str, input: bytes = b"", **environment: str
    ) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, str(root / "launch" / f"{script}.py"), *arguments]
        return subprocess.run(
            ["sh", "-c", how, "sh", *command],
            cwd=tmp_path, env={**launch_environment, **environment}, input=input,
            capture_output=True, check=False,
        )  # fmt: skip

    return shell


def as_in_dev(link: Path) -> None:
    """What /dev/stdout is; the real one is no place for a test that might replace it."""
    if not os.path.exists("/proc/self/fd/1"):
        pytest.skip("only Linux has descriptors as files in /proc")
    link.symlink_to("/proc/self/fd/1")


def labels(lines: bytes) -> list[Any]:
    return [len(json.loads(line)["labels"]) for line in lines.splitlines()]


def test_two_that_predict_into_one_file_leave_a_whole_one(
    root: Path, tiny_run: Path, tmp_path: Path, launch_environment: dict[str, str]
) -> None:
    place = tmp_path / "answers"
    command = [sys.executable, str(root / "launch/predict.py"), f"--run={tiny_run}",
               f"--output={place}"]  # fmt: skip
    window = 3_000
    processes = []
    for top_k in (1, 3):
        process = subprocess.Popen(
            [*command, f"--top_k={top_k}"], env=launch_environment,
            stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        processes.append(process)
        assert process.stdin
        process.stdin.write(b"parses flags\n" * window)
        process.stdin.flush()
    deadline = time.monotonic() + 100
    while sum(path.stat().st_size > 0 for path in tmp_path.iterdir()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for process, top_k in zip(processes, (1, 3), strict=True):
        process.communicate(timeout=100)
        assert process.returncode == 0
        assert labels(place.read_bytes()) == [top_k] * window
    assert os.listdir(tmp_path) == [place.name]


@pytest.mark.parametrize("place", ["pipe", "stdout"])
def test_predictions_go_into_a_pipe(
    tiny_run: Path, tmp_path: Path, shell: Shell, place: str
) -> None:
    if place == "pipe":
        os.mkfifo(tmp_path / place)
        how = 'cat pipe & "$@"; wait'
    else:
        as_in_dev(tmp_path / place)
        how = '"$@" | cat'
    before = os.lstat(tmp_path / place)
    done = shell("predict", f"--run={tiny_run}", f"--output={place}", "--top_k=2", how=how,
                 input=b"parses\nflags\n")  # fmt: skip
    assert labels(done.stdout) == [2, 2], done.stderr
    assert os.listdir(tmp_path) == [place]
    assert os.path.samestat(os.lstat(tmp_path / place), before)


def test_a_page_and_a_picture_go_into_a_pipe(tiny_run: Path, tmp_path: Path, shell: Shell) -> None:
    pytest.importorskip("matplotlib")
    os.mkfifo(tmp_path / "pipe")
    for format, begins in (("html", b"<!doctype html>"), ("png", b"\x89PNG")):
        done = shell("explain", f"--run={tiny_run}", "--text=parses flags", "--output=pipe",
                     f"--format={format}", how='cat pipe & "$@"; wait')  # fmt: skip
        assert done.stdout[: len(begins)].lower() == begins.lower(), done.stderr
    assert (tmp_path / "pipe").is_fifo()


def test_thresholds_go_into_a_pipe(tiny_run: Path, tmp_path: Path, shell: Shell) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = shell("thresholds", f"--run={tiny_run}", "--output=pipe", how='cat pipe & "$@"; wait')
    assert json.loads(done.stdout)["documents"] == 18, done.stderr
    assert b"chosen on 18 documents" in done.stderr
    assert (tmp_path / "pipe").is_fifo()


def test_a_place_that_cannot_be_written_to_is_told_at_once(
    tiny_run: Path, tmp_path: Path, shell: Shell
) -> None:
    (tmp_path / "log").write_text("before\n")
    as_in_dev(tmp_path / "stdout")
    done = shell("predict", f"--run={tiny_run}", "--output=stdout", how='exec "$@" >>log',
                 input=b"one\n")  # fmt: skip
    told = b"error: --output is stdout, where standard output goes; name another file.\n"
    assert (done.returncode, done.stderr) == (1, told)
    assert (tmp_path / "log").read_text() == "before\n"


def test_predictions_beyond_a_limit_are_told_with_the_file(
    tiny_run: Path, tmp_path: Path, shell: Shell, full_device: Path
) -> None:
    texts = b"parses flags\n" * 3_000
    done = shell("predict", f"--run={tiny_run}", "--output=big", input=texts,
                 how=f'{LIMITED} 1; exec "$@"', JAX_ENABLE_COMPILATION_CACHE="0")  # fmt: skip
    assert done.returncode == 1
    assert (
        done.stderr.decode()
        .splitlines()[-1]
        .startswith(
            "error: big: it could not be written (File too large); make room, or allow larger files"
        )
    )
    assert os.listdir(tmp_path) == [full_device.name]
    done = shell("predict", f"--run={tiny_run}", input=texts, how=f'exec "$@" >{full_device}')
    assert done.returncode == 1
    assert (
        done.stderr.decode()
        .splitlines()[-1]
        .startswith(
            "error: standard output: it could not be written (No space left on device); make room"
        )
    )


def test_predicting_with_closed_streams(tiny_run: Path, tmp_path: Path, shell: Shell) -> None:
    done = shell("predict", f"--run={tiny_run}", how='exec "$@" <&-')
    told = b"error: standard input: it is closed; name a file with --input FILE.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", told)
    (tmp_path / "texts").write_text("parses flags\n")
    texts = "--input=texts", "--format=lines"
    done = shell("predict", f"--run={tiny_run}", *texts, how='exec "$@" >&-')
    assert (done.returncode, done.stderr) == (0, b"")
    done = shell("predict", f"--run={tiny_run}", "--input=texts", "--output=out",
                 how='exec "$@" <&- >&- 2>&-')  # fmt: skip
    assert done.returncode == 0
    assert labels((tmp_path / "out").read_bytes()) == [5]


def test_preparing_with_closed_output_and_for_ascii(tmp_path: Path, shell: Shell) -> None:
    line = json.dumps({"text": "parses flags", "labels": ["träume"]})
    (tmp_path / "träin.jsonl").write_text(f"{line}\n" * 4)
    files = ("--train=träin.jsonl", "--vectors=none")
    done = shell("prepare", *files, "--out=one", how='exec "$@" >&-')
    assert (done.returncode, (tmp_path / "one" / "store.json").is_file()) == (0, True), done.stderr
    done = shell("prepare", *files, "--out=two", how='exec "$@"', PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert rb"tr\xe4in.jsonl" in done.stdout


def train(store: Store | str, *more: str) -> tuple[str, ...]:
    path = store if isinstance(store, str) else store.path
    return ("train", f"--store={path}", "--config.data.batch_size=8", "--config.data.max_tokens=16",
            "--config.model.hidden=4", "--config.model.fully_connected=4", *more)  # fmt: skip


def test_a_reader_of_messages_that_leaves_ends_no_training(
    tiny_store: Store, tmp_path: Path, shell: Shell
) -> None:
    arguments = train(tiny_store, "--run=run", "--config.train.epochs=2")
    # The reader leaves with the first line; what is said later finds nobody.
    done = shell(*arguments, how='("$@"; echo $? >status) 2>&1 | head -1')
    assert done.stdout.count(b"\n") == 1
    assert (tmp_path / "status").read_text() == "0\n"
    assert runs.read_json(tmp_path / "run" / "result.json")["epoch"] == 2


def test_places_of_runs_that_cannot_be(tiny_store: Store, tmp_path: Path, launch: Launch) -> None:
    (tmp_path / "afile").touch()
    for place, told in (
        ("afile", "error: afile: it is a file, not a folder; name another --run.\n"),
        ("afile/x", "error: afile/x: the run's folder cannot be made (Not a directory); name "
                    "another --run.\n"),
    ):  # fmt: skip
        done = launch(*train(tiny_store, f"--run={place}"))
        assert (done.returncode, done.stderr.decode()) == (1, told)
    assert [(path.name, path.stat().st_size) for path in tmp_path.iterdir()] == [("afile", 0)]


def test_a_store_whose_name_is_no_text_is_told(
    tiny_store: Store, tmp_path: Path, launch: Launch
) -> None:
    name = os.fsdecode(b"bad\xff")
    shutil.copytree(tiny_store.path, tmp_path / name)
    done = launch(*train(name, "--run=run", "--config.train.epochs=1"))
    assert done.returncode == 1
    last = done.stderr.decode().splitlines()[-1]
    assert last.startswith("error: run/run.json: it would hold ")
    assert last.endswith("which is no text in UTF-8; where that is the name of a file or folder, "
                         "rename it.")  # fmt: skip


def test_a_diagram_that_fails_leaves_the_earlier_one(
    tiny_run: Path, tmp_path: Path, shell: Shell
) -> None:
    pytest.importorskip("matplotlib")
    shutil.copytree(tiny_run, tmp_path / "run")
    picture = tmp_path / "run" / "calibration_test.png"
    picture.write_bytes(b"earlier")
    # The JSON is below the limit, the picture is not.
    done = shell("calibration", "--run=run", how=f'{LIMITED} 20; exec "$@"',
                 JAX_ENABLE_COMPILATION_CACHE="0")  # fmt: skip
    assert done.returncode == 1
    last = done.stderr.decode().splitlines()[-1]
    assert last.startswith("error: run/calibration_test.png: it could not be written (File too l")
    assert picture.read_bytes() == b"earlier"
    assert not list((tmp_path / "run").glob(".*.partial"))
