"""Real trainings by launch/train.py: started, watched from outside, compared.  Knows no test."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 600  # a process that has not come so far by then hangs
TEMPORARY = "orbax-checkpoint-tmp"

# The configuration `tiny` with a checkpoint at each step and a record of each, so that there is
# something to hit; 6 steps an epoch, a validation every third.
FLAGS = (
    f"--config={ROOT / 'launch' / 'configs' / 'tiny.py'}",
    "--config.data.batch_size=8",
    "--config.train.checkpoint_steps=1",
    "--config.train.log_steps=1",
    "--config.train.evaluations_per_epoch=2",
    "--config.train.average_steps=4",
    "--config.train.clip_norm=1",
)
STEPS_PER_EPOCH = 6


def make_store(path: Path, valid_times: int = 1) -> Path:
    """Docstrings of absl: 44 to train on, 18 to validate, these `valid_times` over."""
    from axml_jax.data.builders import pydocs
    from axml_jax.data.store import write_store

    splits, _ = pydocs.build(files=pydocs.installed_files(("absl",)))
    few = {"train": splits["train"][:44], "valid": list(splits["valid"]) * valid_times}
    write_store(path, few, source="docstrings of absl", vector_width=8)
    return path


def environment(compiled: Path) -> dict[str, str]:
    """A user's environment variables, with one CPU device; equal programs are compiled once."""
    kept = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    return {
        **kept,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "kernels"))),
        "JAX_COMPILATION_CACHE_DIR": str(compiled),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


@dataclasses.dataclass(frozen=True)
class Training:
    """One command, which may be started again and again.

    Attributes:
      store: Encoded documents.
      run: The run folder.
      epochs: Of `STEPS_PER_EPOCH` each.
      compiled: The folder of compiled programs.
    """

    store: Path
    run: Path
    epochs: int
    compiled: Path

    def start(self) -> subprocess.Popen[str]:
        """Starts the command; what it says is in the process's `stderr`."""
        script = str(ROOT / "launch" / "train.py")
        flags = (*FLAGS, f"--config.train.epochs={self.epochs}")
        return subprocess.Popen(
            [sys.executable, script, *flags, f"--store={self.store}", f"--run={self.run}"],
            env=environment(self.compiled),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self) -> str:
        """Runs the command to its end; returns what it said.

        Raises:
          RuntimeError: It failed.
        """
        process = self.start()
        _, told = process.communicate(timeout=SECONDS)
        if process.returncode:
            raise RuntimeError(f"ended with {process.returncode}: {told}")
        return told

    def half_written(self) -> set[tuple[str, int]]:
        """Name and inode of each checkpoint that is being written, or never was to its end."""
        found = set()
        for path in (self.run / "checkpoints").glob(f"*/*{TEMPORARY}*"):
            try:
                found.add((str(path.relative_to(self.run)), path.stat().st_ino))
            except FileNotFoundError:  # whole by now
                continue
        return found

    def written(self) -> int:
        """Bytes of timings.jsonl, which only grows: each step adds to it."""
        timings = self.run / "timings.jsonl"
        return timings.stat().st_size if timings.exists() else 0


def wait_until(done: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Polls until `done` or until the process has ended by itself."""
    begin = time.monotonic()
    while not done() and process.poll() is None:
        if time.monotonic() - begin > SECONDS:
            process.kill()
            raise TimeoutError("what was waited for did not come")
        time.sleep(0.001)


def sleep(seconds: float, process: subprocess.Popen[str]) -> None:
    """Sleeps, but no longer than the process lives."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=seconds)


def catch_saving(
    training: Training, process: subprocess.Popen[str], draw: np.random.Generator
) -> None:
    """Freezes the process while it writes a checkpoint, at a random moment of that."""
    while process.poll() is None:
        before = training.half_written()
        wait_until(lambda before=before: bool(training.half_written() - before), process)  # type: ignore[misc]
        sleep(draw.uniform(0, 0.03), process)
        process.send_signal(signal.SIGSTOP)
        if training.half_written() - before:
            return
        process.send_signal(signal.SIGCONT)  # it was faster: the next one


def contents(run: Path) -> dict[str, Any]:
    """All that a complete run has brought forth, bit for bit, but for timings."""
    found: dict[str, Any] = {
        name: (run / name).read_bytes()
        for name in ("metrics.jsonl", "result.json", "words.json", "labels.json")
    }
    # Somebody may edit the source meanwhile, which changes nothing that was loaded before.
    found["run"] = {**json.loads((run / "run.json").read_text()), "commit": None}
    found["names"] = sorted(path.name for path in run.iterdir())
    for kind in ("latest", "best"):
        steps = sorted(int(path.name) for path in (run / "checkpoints" / kind).iterdir())
        found[f"{kind} steps"] = steps
        counters = (
            run / "checkpoints" / kind / str(steps[-1]) / "counters" / "metadata"
        ).read_text()
        found[f"{kind} counters"] = {
            name: value for name, value in json.loads(counters).items() if "seconds" not in name
        }
        found[f"{kind} arrays"] = _arrays(run / "checkpoints" / kind / str(steps[-1]) / "arrays")
    return found


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """What is not the same, by name; arrays singly."""
    one, other = _flat(one), _flat(other)
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def recorded_steps(run: Path, name: str) -> list[int]:
    """The steps of which metrics.jsonl has `name`, in the order in which they stand there."""
    records = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [record["step"] for record in records if name in record]


def _arrays(folder: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Type, shape and bytes of each array of a checkpoint, read without the package's own code."""
    with ocp.PyTreeCheckpointer() as checkpointer:
        shapes = checkpointer.metadata(folder).item_metadata.tree
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), shapes)
        tree = checkpointer.restore(folder, ocp.args.PyTreeRestore(restore_args=as_numpy))
    return {
        jax.tree_util.keystr(path): (str(leaf.dtype), leaf.shape, np.asarray(leaf).tobytes())
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    flat = {}
    for name, value in found.items():
        inner = value if isinstance(value, dict) else {"": value}
        flat.update({f"{name} {key}".rstrip(): part for key, part in inner.items()})
    return flat
