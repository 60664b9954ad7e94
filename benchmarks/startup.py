"""How long does training take to begin, the first time and when its programs were kept?

    python benchmarks/startup.py
    python benchmarks/startup.py --config launch/configs/tiny.py --documents 400 --name startup_tiny

Starts `launch/train.py` as a user does: with an empty folder of compiled programs, then again with
what that start has left there, in turn.  Measured is the time from the start of the process until
it says that its first step is done, and, since that includes a step's own arithmetic, the same
without the time of a later step.  Documents are random words, 500 each, with every label among them
and as many words as EUR-Lex's size in the other benchmarks.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # it is run as a file

import numpy as np
from absl import flags

from axml_jax import flags as axml_flags
from axml_jax.data.corpus import Document
from axml_jax.data.store import write_store
from axml_jax.errors import ConfigError
from axml_jax.progress import progress
from benchmarks import report

DOCUMENTS = flags.DEFINE_integer("documents", 400, "training documents", lower_bound=2)
WORDS = flags.DEFINE_integer("words", 50_000, "words that documents are drawn from", lower_bound=2)
LABELS = flags.DEFINE_integer("labels", 3_956, "labels", lower_bound=2)
LENGTH = flags.DEFINE_integer("length", 500, "words of a document", lower_bound=1)
REPEATS = flags.DEFINE_integer("repeats", 3, "pairs of starts", lower_bound=1)
NAME = flags.DEFINE_string("name", "startup", "name of the file of results")
OUT = flags.DEFINE_string("out", None, "folder of the results; benchmarks/results by default")
axml_flags.define_config()

LOG_STEPS = 2
EXPECTED = 0.5  # of the first start's time


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
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
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


def main(argv: Sequence[str]) -> None:
    del argv
    config = axml_flags.read_config()
    settings = settings_of(sys.argv[1:])
    times: dict[str, list[float]] = {"first": [], "second": []}
    steps: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        documents = random_documents(DOCUMENTS.value, WORDS.value, LABELS.value, LENGTH.value)
        store = write_store(
            folder / "store", {"train": documents}, source="benchmark", vectors="none"
        )
        sizes = {
            "words": len(store.vocabulary),
            "labels": store.num_train_labels,
            "documents": DOCUMENTS.value,
        }
        for number in progress(range(REPEATS.value), "starts", REPEATS.value, unit="pairs"):
            for which, seconds in times.items():
                run = folder / f"run_{number}_{which}"
                seconds.append(start(settings, store.path, run, folder / f"compiled_{number}"))
                steps.append(seconds_per_step(run / "timings.jsonl", config.data.batch_size))
    step = statistics.median(steps)
    middle = {which: statistics.median(seconds) for which, seconds in times.items()}
    ratios = {
        "to_first_step_done": middle["second"] / middle["first"],
        "without_the_step_itself": (middle["second"] - step) / (middle["first"] - step),
    }
    results = {
        "config": config.to_dict(),
        "data": sizes,
        "seconds_to_first_step_done": times,
        "seconds_of_a_later_step": step,
        "second_of_first": ratios,
        "expected": EXPECTED,
    }
    path = report.write(NAME.value, results, None if OUT.value is None else Path(OUT.value))
    print(
        f"first step done after {middle['first']:.1f} s, at the second start after "
        f"{middle['second']:.1f} s; a step takes {step:.2f} s.  Without it, the second start takes "
        f"{ratios['without_the_step_itself']:.2f} of the first's time."
    )
    print(f"Written to {path.name}.")


if __name__ == "__main__":
    axml_flags.run(main)
