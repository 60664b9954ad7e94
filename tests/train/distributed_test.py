"""Two processes of two devices each, started as on two hosts: one run, as of a single device."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from axml_jax import runs
from axml_jax.config import Config
from axml_jax.data.store import Store
from axml_jax.train.loop import train

Train = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.usefixtures("compilation_cache")

SECONDS = 120  # a process that has not ended by then hangs

# launch/train.py, but for what happens before a step and a count of the tokens that are read.
WORKER = """
import itertools, os, runpy, signal, sys, time
import numpy as np
from axml_jax.data.batches import TrainBatches
from axml_jax.train import joining, loop

script, reads, dead_after, act, at = sys.argv[1:6]
joining._DEAD_AFTER_SECONDS = int(dead_after)

class Reads:
    def __init__(self, tokens):
        self.tokens, self.counts = tokens, np.zeros(len(tokens), int)
    def __getitem__(self, key):
        np.add.at(self.counts, np.arange(len(self.tokens))[key], 1)
        return self.tokens[key]

from_step = TrainBatches.from_step
def counted(self, step, end):
    if reads:
        self._tokens = Reads(self._tokens)
    for batch in from_step(self, step, end):
        if reads:
            np.save(reads, self._tokens.counts[self._offsets[:-1]])
        yield batch
TrainBatches.from_step = counted

steps = loop._Session._steps
def acting(self, step_fn, state, constants, step, *others):
    numbers = itertools.count(step + 1)
    def act_and_step(*arguments):
        if next(numbers) == int(at):
            exec(act)
        return step_fn(*arguments)
    return steps(self, act_and_step, state, constants, step, *others)
loop._Session._steps = acting
sys.argv = [script, *sys.argv[6:]]
runpy.run_path(script, run_name="__main__")
"""


class Ended(NamedTuple):
    code: int | None
    told: str


@pytest.fixture
def flags(config: Config, tiny_store: Store) -> list[str]:
    """The command line of `config`, without --run."""
    values = config.to_dict()
    given = [f"--store={tiny_store.path}"]
    for part in ("data", "model", "train"):
        for name, value in values[part].items():
            text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            given.append(f"--config.{part}.{name}={text}")
    return given


@pytest.fixture
def launch_two(
    root: Path,
    tmp_path: Path,
    user_environment: dict[str, str],
    compilation_cache: Path,
    flags: list[str],
) -> Callable[..., list[Ended]]:
    """launch_two(*arguments, of_second=(), ...) has two processes train.

    Each has a folder of its own, PROCESS_ID below `tmp_path`, in which --run=run lies.  The second
    does `act` before step `at`.  With `slurm` they find each other as under srun.
    One that is silent for `dead_after` seconds is dead.
    """

    environment = {
        **user_environment,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "JAX_COMPILATION_CACHE_DIR": str(compilation_cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }

    def launch_two(
        *arguments: str,
        of_second: tuple[str, ...] = (),
        act: str = "",
        at: int = 0,
        reads: bool = False,
        slurm: bool = False,
        dead_after: int = 30,
    ) -> list[Ended]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with contextlib.ExitStack() as stack:
            processes = []
            for number in (0, 1):
                folder = tmp_path / str(number)
                folder.mkdir(exist_ok=True)
                script = str(root / "launch" / "train.py")
                worker = [WORKER, script, "reads.npy" if reads else "", str(dead_after)]
                mine = (act, str(at), *flags) if number else ("", "0", *flags)
                place = [
                    f"--coordinator=127.0.0.1:{port}",
                    "--num_processes=2",
                    f"--process_id={number}",
                ]
                around = environment
                if slurm:
                    place = ["--distributed"]
                    around = {**environment, **step_of_slurm(number, port)}
                process = subprocess.Popen(
                    [sys.executable, "-c", *worker, *mine, "--run=run", *arguments, *place,
                     "--join_seconds=60", *(of_second if number else ())],
                    cwd=folder,
                    env=around,
                    stdout=subprocess.DEVNULL,
                    stderr=stack.enter_context(open(tmp_path / f"{number}.txt", "wb")),
                )  # fmt: skip
                processes.append(stack.enter_context(process))
                stack.callback(process.kill)
            end = time.monotonic() + SECONDS
            while any(p.poll() is None for p in processes) and time.monotonic() < end:
                time.sleep(0.05)
            codes = [process.poll() for process in processes]
        told = [(tmp_path / f"{number}.txt").read_text() for number in (0, 1)]
        assert None not in codes, f"still running after {SECONDS} s: {told}"
        return [Ended(code, text) for code, text in zip(codes, told, strict=True)]

    return launch_two


def step_of_slurm(number: int, port: int) -> dict[str, str]:
    """What srun tells the two processes of a step on one host."""
    return {
        "SLURM_JOB_ID": "1",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
        "SLURM_PROCID": str(number),
        "SLURM_LOCALID": str(number),
        "JAX_COORDINATOR_PORT": str(port),
    }


def records(folder: Path, name: str) -> dict[int, Any]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return {r["step"]: r[name] for r in map(json.loads, lines) if name in r}


def assert_same_curve(one: Path, other: Path, until: int = 18) -> None:
    """Losses and validations by step are the same up to the order of summation."""
    expected, found = records(one, "loss"), records(other, "loss")
    expected = {step: loss for step, loss in expected.items() if step <= until}
    assert list(found) == list(expected)
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=2e-5)
    scores = records(other, "validation")
    for step, values in records(one, "validation").items():
        if step <= until:
            assert scores[step] == pytest.approx(values), step


def without_noise(told: str) -> list[str]:
    """What is said on standard error, but for what JAX's libraries say there."""
    return [line for line in told.splitlines() if "[Gloo]" not in line]


def test_two_processes_train_as_one_device_and_as_four(
    launch_two: Callable[..., list[Ended]],
    whole: Path,
    config: Config,
    tiny_store: Store,
    tmp_path: Path,
) -> None:
    first, second = launch_two(reads=True)
    assert (first.code, second.code) == (0, 0), first.told + second.told
    run = tmp_path / "0" / "run"
    assert_same_curve(whole, run)
    train(config, tiny_store, tmp_path / "four", devices=jax.local_devices())
    assert_same_curve(tmp_path / "four", run)
    assert runs.read_json(run / "result.json")["step"] == 18
    assert runs.read_description(run)["device"] == "4 x cpu"
    # One speaks and writes, the other does neither.
    assert "training ends at step 18: all epochs are done" in first.told
    assert without_noise(second.told) == []
    assert [path.name for path in (tmp_path / "1").iterdir()] == ["reads.npy"]
    # In each of the three epochs each document is read by one of them.
    reads = [np.load(tmp_path / str(number) / "reads.npy") for number in (0, 1)]
    np.testing.assert_array_equal(reads[0] + reads[1], np.full(44, 3))
    # The last batch, of half the size, is the first process's.
    assert (reads[0].sum(), reads[1].sum()) == (3 * 24, 3 * 20)


def test_a_signal_to_one_stops_both_and_one_device_continues(
    launch_two: Callable[..., list[Ended]],
    whole: Path,
    config: Config,
    tiny_store: Store,
    tmp_path: Path,
    train_on_one: Train,
) -> None:
    first, second = launch_two(act="import signal; signal.raise_signal(signal.SIGTERM)", at=3)
    assert (first.code, second.code) == (143, 143), first.told + second.told
    # Noticed after step 3, and eight steps that were on their way.
    assert "stopped by SIGTERM at step 11, saved in run" in first.told
    # The other was signalled, and says no more than that.
    assert without_noise(second.told) == ["", "SIGTERM: saving once this step is done"]
    run = tmp_path / "0" / "run"
    assert not (run / "result.json").exists()
    assert train_on_one(config, tiny_store, run)["step"] == 18
    assert_same_curve(whole, run)


def test_two_processes_continue_the_run_of_one_until_its_time_is_up(
    launch_two: Callable[..., list[Ended]],
    whole: Path,
    config: Config,
    tiny_store: Store,
    tmp_path: Path,
    train_on_one: Train,
    before_step: Callable[[Callable[[int], None]], None],
) -> None:
    before_step(lambda step: signal.raise_signal(signal.SIGTERM) if step == 4 else None)
    run = tmp_path / "0" / "run"
    run.parent.mkdir()
    with pytest.raises(SystemExit):
        train_on_one(config, tiny_store, run)
    # As under Slurm.  The clock of the second process is of no account.
    first, second = launch_two("--max_minutes=0", of_second=("--max_minutes=1000",), slurm=True)
    assert (first.code, second.code) == (0, 0), first.told + second.told
    assert "continuing run at step 4 of 18" in first.told
    result = runs.read_json(run / "result.json")
    assert (result["step"], "--max_minutes is used up" in result["ended"]) == (6, True)
    assert list(records(run, "validation")) == [3, 6]
    assert_same_curve(whole, run, until=6)


def test_one_that_fails_takes_the_other_with_it(launch_two: Callable[..., list[Ended]]) -> None:
    first, second = launch_two(act="raise OSError('the disk is gone')", at=3, dead_after=5)
    assert (first.code != 0, second.code) == (True, 1), first.told + second.told
    assert without_noise(second.told) == ["error: the disk is gone"]
    # Which of the two it is depends on who notices: what was to be received, or the heartbeat.
    signs = ("another one has ended: see its messages", "indicates that another task died")
    assert any(sign in first.told for sign in signs), first.told


def test_processes_with_different_commands_are_told_so(
    launch_two: Callable[..., list[Ended]], tmp_path: Path
) -> None:
    first, second = launch_two(of_second=("--config.data.batch_size=12",))
    expected = (
        "error: process 1 has another configuration than process 0; start all processes with the "
        "same command and the same files."
    )
    for ended in (first, second):
        assert (ended.code, without_noise(ended.told)) == (1, [expected])
    assert not (tmp_path / "0" / "run").exists()


def test_what_ends_the_first_ends_the_second(
    launch_two: Callable[..., list[Ended]], tmp_path: Path
) -> None:
    foreign = tmp_path / "0" / "run"
    foreign.mkdir(parents=True)
    (foreign / "letter.txt").write_text("dear")
    first, second = launch_two(slurm=True)
    assert (first.code, second.code) == (1, 1)
    assert "error: run: it exists, is not empty and is not a run folder" in first.told
    (line,) = without_noise(second.told)
    assert line == "error: process 0 has ended; its own message says why."


@pytest.fixture
def launch_alone(
    root: Path, tmp_path: Path, user_environment: dict[str, str], tiny_store: Store
) -> Callable[..., list[str]]:
    """launch_alone(*arguments, **environment) has one train, which must fail; what it told."""

    def launch_alone(*arguments: str, **environment: str) -> list[str]:
        script = str(root / "launch" / "train.py")
        done = subprocess.run(
            [sys.executable, script, f"--store={tiny_store.path}", "--run=run", *arguments],
            cwd=tmp_path,
            env={**user_environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == 1
        return done.stderr.splitlines()

    return launch_alone


def test_one_that_waits_in_vain_says_for_what(
    launch_alone: Callable[..., list[str]], tmp_path: Path
) -> None:
    (line,) = launch_alone(
        "--coordinator=127.0.0.1:9", "--num_processes=2", "--process_id=1", "--join_seconds=1"
    )
    assert line.startswith("error: after 1 s not all processes have met at 127.0.0.1:9. See that ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (
            {},
            "JAX finds neither a step of Slurm (srun) nor Open MPI nor Kubernetes here; give --",
        ),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "this is Open MPI, which since its version 5 no longer "),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "this is Kubernetes, which JAX asks by a packa"),
    ],
    ids=["nothing", "Open MPI 5", "Kubernetes"],
)
def test_no_cluster_to_be_found_is_told(
    launch_alone: Callable[..., list[str]], environment: dict[str, str], told: str
) -> None:
    (line,) = launch_alone("--distributed", **environment)
    assert line.startswith(f"error: --distributed: {told}")
