"""The memory that one contender of the label attention benchmark really takes, in its own process.

    python benchmarks/label_attention_memory.py '{"method": "chunked", "precision": "float32",
        "ragged": false, "workloads": [[8, 500, 512, 3956, [256]]]}'

A workload is its numbers (B, T, D, L, layers); each gives one line of JSON: what benchmarks/
peak_memory.py measures while the training loss's gradient is computed once, when the inputs are
there, everything is compiled and a small shape of the same widths has run.  The gradients that are
returned, `returned_bytes`, are part of the figure; the inputs are not.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kernels"))  # it is run
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a file

# Both before JAX is imported, here and in the benchmark: contenders share the card.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import jax

from axml_kernels.workloads import Workload
from benchmarks import label_attention_rivals as rivals
from benchmarks import peak_memory
from benchmarks.contenders import failure_of

PASS = "training"


def peaks(
    method: str,
    precision: str,
    workloads: Iterable[Workload],
    ragged: bool,
    timeout_s: float,
    more_environment: dict[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Measures in a fresh process.

    Args:
      method: Name of the contender.
      precision: Name of its precision.
      workloads: Shapes; on a GPU in growing order, for its mark only rises.
      ragged: Whether documents are of different lengths.
      timeout_s: Seconds after which the process is ended.
      more_environment: Variables of its environment beside this process's.

    Returns:
      For each workload peak_bytes, returned_bytes and, on a GPU, at_most; or what became of it
      (see `contenders.failure_of`).
    """
    workloads = list(workloads)
    wish = {"method": method, "precision": precision, "ragged": ragged, "workloads": workloads}
    return peak_memory.in_process(__file__, wish, len(workloads), timeout_s, more_environment)


def measure(method: str, precision: str, workload: Workload, ragged: bool) -> dict[str, Any]:
    """Runs a contender's gradient once in this process; see the head of this file."""
    contender = rivals.contender(method, precision)
    if method != "torch-compile":  # its first run, in `prepare`, has the shape itself
        small = workload._replace(
            batch=min(workload.batch, 2),
            tokens=min(workload.tokens, 16),
            num_labels=min(workload.num_labels, 64),
        )
        placed = contender.place(rivals.make_case(small, precision, ragged))
        contender.prepare(placed, [PASS])
        contender.wait(contender.run(PASS, placed))
    placed = contender.place(rivals.make_case(workload, precision, ragged))
    contender.prepare(placed, [PASS])
    gc.collect()
    gauge = peak_memory.gauge(method.startswith("torch-"))
    gauge.begin()
    result = contender.run(PASS, placed)
    contender.wait(result)
    found = gauge.end()
    return {**found, "returned_bytes": sum(leaf.nbytes for leaf in jax.tree.leaves(result))}


def main(wish: dict[str, Any]) -> None:
    for numbers in wish["workloads"]:
        workload = Workload._make((*numbers[:4], tuple(numbers[4])))
        try:
            found = measure(wish["method"], wish["precision"], workload, wish["ragged"])
        except Exception as error:  # it is what there is to report
            found = failure_of(error)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
