"""Starts training as a user does, and times it.  Knows nothing of what is compared."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from axml_jax.data.corpus import Document
from axml_jax.errors import ConfigError
from benchmarks import report

LOG_STEPS = 2


def random_documents(count: int, words: int, labels: int, length: int) -> Iterator[Document]:
    """Documents of evenly drawn words; labels are dealt out in turn, so that none is left out."""
    random = np.random.default_rng(0)
    for i in range(count):
        ids = random.integers(0, words, length)
        names = tuple(str(label) for label in range(i, labels, count)) or (str(i % labels),)
        yield Document(" ".join(f"w{i}" for i in ids.tolist()), names)


def start(settings: Sequence[str], store: Path, run: Path, compiled: Path) -> float:
    """Trains for an epoch in a new process; seconds until it says that its first step is done."""
    command = [
        *(sys.executable, str(report.ROOT / "launch/train.py"), f"--store={store}", f"--run={run}"),
        *(f"--compilation_cache={compiled}", *settings),
        *("--config.train.epochs=1", "--config.data.valid_fraction=0"),
        *("--config.model.word_vectors=random", f"--config.train.log_steps={LOG_STEPS}"),
    ]
    # The checkout's packages, where none are installed.
    paths = [str(report.ROOT), str(report.ROOT / "kernels"), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    seconds, said = None, []
    begin = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if seconds is None and "first step done" in line:
                seconds = time.perf_counter() - begin
    if process.returncode or seconds is None:
        raise ConfigError(f"training ended with {process.returncode}: {''.join(said[-5:])}")
    return seconds


def seconds_per_step(timings: Path, batch_size: int) -> float:
    """The median time of the later steps of a training.

    Args:
      timings: Its timings.jsonl.
      batch_size: Documents of a step.
    """
    records = [json.loads(line) for line in timings.read_text(encoding="utf-8").splitlines()]
    speeds = [r["documents_per_second"] for r in records if "documents_per_second" in r]
    later = speeds[1:]  # compilation lies in the first interval
    if not later:
        raise ConfigError("too few steps to time one; give more --documents.")
    return batch_size / statistics.median(later)


def settings_of(arguments: Sequence[str]) -> list[str]:
    """Those of a command line's arguments that set the configuration."""
    chosen = []
    for argument, following in itertools.pairwise([*arguments, ""]):
        name, equals, _ = argument.lstrip("-").partition("=")
        if argument.startswith("-") and (name == "config" or name.startswith("config.")):
            chosen += [argument] if equals else [argument, following]
    return chosen
