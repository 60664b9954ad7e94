"""The memory that one contender of the training step benchmark really takes, in its own process.

    python benchmarks/train_step_memory.py '{"method": "axml", "precision": "float32", "ragged":
        false, "batches": 1, "buckets": 6, "shape": [8, 100, 5000, 300, 64, 500, [64], 100, 3]}'

Gives a line of JSON for prediction, then one for training: `peak_bytes`, the most memory that a
call takes beside what is there before (see benchmarks/peak_memory.py), after one call that is not
counted; and `held_bytes`, weights and the optimizer's state, which are there before.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kernels"))  # it is run
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a file

# Both before JAX is imported, here and in the benchmark: contenders share the card.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from benchmarks import peak_memory
from benchmarks.contenders import Entry, failure_of
from benchmarks.train_step_data import Shape
from benchmarks.train_step_measure import Case
from benchmarks.train_step_ours import RECURRENCES

# The one that needs less first: on a GPU JAX's mark only rises.
ORDER = ("prediction", "training")


def peaks(
    entry: Entry,
    shape: Shape,
    documents: Mapping[str, Any],
    timeout_s: float,
    more_environment: Mapping[str, str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Measures in a fresh process.

    Args:
      entry: The contender.
      shape: The shape.
      documents: ragged, batches and buckets, as `Case` takes them.
      timeout_s: Seconds after which the process is ended.
      more_environment: Variables of its environment beside this process's.

    Returns:
      By pass peak_bytes, held_bytes and, on a GPU, at_most; or what became of it.
    """
    wish = {**entry._asdict(), **documents, "shape": shape}
    found = peak_memory.in_process(__file__, wish, len(ORDER), timeout_s, more_environment)
    return dict(zip(ORDER, found, strict=True))


def main(wish: dict[str, Any]) -> None:
    entry = Entry(wish.pop("method"), wish.pop("precision"))
    numbers = wish.pop("shape")
    shape = Shape._make(tuple(n) if isinstance(n, list) else n for n in numbers)
    missing = list(ORDER)
    try:
        case = Case(shape, checked=False, **wish)
        contender, placed = case.contender(entry), case.batches_of(entry.method)
        gauge = peak_memory.gauge(entry.method not in RECURRENCES)
        for name in ORDER:
            contender.wait(contender.run(name, placed))
            gc.collect()
            gauge.begin()
            contender.wait(contender.run(name, placed))
            found = {**gauge.end(), "held_bytes": contender.held_bytes(name)}
            print(json.dumps(found), flush=True)
            missing.remove(name)
    except Exception as error:  # it is what there is to report
        for _ in missing:
            print(json.dumps(failure_of(error)), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
