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

import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kernels"))  # it is run
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a file

from absl import flags

from axml_jax import flags as axml_flags
from axml_jax.data.store import write_store
from axml_jax.progress import progress
from benchmarks import report
from benchmarks.startup_process import random_documents, seconds_per_step, settings_of, start

DOCUMENTS = flags.DEFINE_integer("documents", 240, "training documents", lower_bound=2)
WORDS = flags.DEFINE_integer("words", 50_000, "words that documents are drawn from", lower_bound=2)
LABELS = flags.DEFINE_integer("labels", 3_956, "labels", lower_bound=2)
LENGTH = flags.DEFINE_integer("length", 500, "words of a document", lower_bound=1)
REPEATS = flags.DEFINE_integer("repeats", 3, "pairs of starts", lower_bound=1)
NAME = flags.DEFINE_string("name", "startup", "name of the file of results")
OUT = flags.DEFINE_string("out", None, "folder of the results; benchmarks/results by default")
axml_flags.define_config()

EXPECTED = 0.5  # of the first start's time


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
