"""Training killed by SIGKILL at any moment: the same command goes on, to the same bits.

The long form of this is `make soak`.
"""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from axml_jax.data.store import Store
from tests.soak.kills import kill
from tests.soak.stops import stop
from tests.soak.trainings import (
    STEPS_PER_EPOCH,
    Training,
    contents,
    differences,
    recorded_steps,
    wait_until,
)

EPOCHS = 2


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, tiny_store: Store, compilation_cache: Path
) -> Training:
    """An undisturbed run."""
    run = tmp_path_factory.mktemp("whole") / "run"
    training = Training(tiny_store.path, run, EPOCHS, compilation_cache)
    training.finish()
    return training


def again(whole: Training, run: Path) -> Training:
    return Training(whole.store, run, whole.epochs, whole.compiled)


def test_an_undisturbed_run_has_each_step_once(whole: Training) -> None:
    last = EPOCHS * STEPS_PER_EPOCH
    assert recorded_steps(whole.run, "loss") == list(range(1, last + 1))
    assert recorded_steps(whole.run, "validation") == list(range(3, last + 1, 3))


def test_killed_inside_a_checkpoint_and_elsewhere_the_same_bits(
    whole: Training, tmp_path: Path
) -> None:
    training, draw = again(whole, tmp_path / "run"), np.random.default_rng(0)
    assert kill(training, "checkpoint", draw, usual=1) == "inside"
    # Half a checkpoint lies there now; what comes must neither use it nor stumble over it.
    assert training.half_written()
    assert kill(training, "anywhen", draw, usual=4) in ("inside", "outside")
    assert kill(training, "checkpoint", draw, usual=1) == "inside"
    training.finish()
    assert differences(contents(whole.run), contents(training.run)) == []


def test_the_comparison_finds_a_bit_a_line_and_a_file(whole: Training, tmp_path: Path) -> None:
    expected, run = contents(whole.run), tmp_path / "run"
    shutil.copytree(whole.run, run)
    assert differences(expected, contents(run)) == []
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(expected["metrics.jsonl"].splitlines(keepends=True)[-1])
    (run / "left_over").touch()
    assert differences(expected, contents(run)) == ["metrics.jsonl", "names"]
    found = contents(whole.run)
    name = "['labels']['queries']"
    dtype, shape, data = found["best arrays"][name]
    found["best arrays"][name] = (dtype, shape, bytes([data[0] ^ 1]) + data[1:])
    assert differences(expected, found) == [f"best arrays {name}"]


def test_two_runs_in_one_folder_the_second_says_so_until_the_first_is_killed(
    whole: Training, tmp_path: Path
) -> None:
    training = again(whole, tmp_path / "run")
    first = training.start()
    wait_until((training.run / "run.json").exists, first)
    first.send_signal(signal.SIGSTOP)  # it holds the folder and does nothing more
    before = {path: path.read_bytes() for path in training.run.glob("*") if path.is_file()}
    second = training.start()
    _, told = second.communicate()
    first.kill()
    first.communicate()
    assert second.returncode == 1
    (line,) = told.splitlines()
    assert line.startswith(f"error: another process is training in {training.run}; wait for its")
    assert {path: path.read_bytes() for path in training.run.glob("*") if path.is_file()} == before
    # The lock has died with its process, which could not remove it.
    stopped = stop(training, signal.SIGTERM, "checkpoint", seed=1)
    assert stopped.wrong(signal.SIGTERM, "checkpoint", most=60) == []


def test_ctrl_c_before_the_first_step_is_one_line(whole: Training, tmp_path: Path) -> None:
    stopped = stop(again(whole, tmp_path / "run"), signal.SIGINT, "start", seed=0)
    assert stopped.wrong(signal.SIGINT, "start", most=60) == []
    assert stopped.step == 0
    assert len(stopped.told.splitlines()) == 1


def test_ctrl_c_while_it_imports_is_one_line(whole: Training, tmp_path: Path) -> None:
    stopped = stop(again(whole, tmp_path / "run"), signal.SIGINT, "imports", seed=0)
    assert stopped.wrong(signal.SIGINT, "imports", most=60) == []
    assert len(stopped.told.splitlines()) == 1


def test_ctrl_c_twice_ends_without_a_traceback(whole: Training, tmp_path: Path) -> None:
    stopped = stop(again(whole, tmp_path / "run"), signal.SIGINT, "twice", seed=0)
    assert stopped.wrong(signal.SIGINT, "twice", most=60) == []
    assert "rror" not in stopped.told
    assert "ignored" not in stopped.told
