"""Are the Pallas kernels right on this card, and faster than `chunked`?

What benchmarks/tune_tiles.py writes into the table of tiles as a verdict, by which `axml_kernels`
chooses its default.  Knows nothing of candidates.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from axml_kernels import label_cross_entropy, label_scores
from axml_kernels.workloads import WORKLOADS, random_inputs
from benchmarks import report
from benchmarks.compiling import compiled_together, given

RIVALS = ("chunked", "pallas")
PASSES = ("forward", "gradient")
ROUND_SECONDS = 0.02
# Relative, of whole arrays: which side of a ReLU a score falls on differs with rounding.
TOLERANCES = {"bfloat16": 0.1, "float32": 0.03}
TRUE_LABELS = 6


def verdict(name: str, dtype: str, repeats: int) -> dict[str, Any]:
    """Whether `pallas`, with the tiles that it has now, is right and faster at a workload.

    Args:
      name: Of the workload.
      dtype: Of its arrays; float32 products are tf32.
      repeats: Timed rounds.

    Returns:
      A row of the table: pallas (the verdict), dtype, layers, workload, difference (largest
      relative distance of a result or gradient to that of `chunked`), over_chunked (by pass, the
      median time as a multiple of that of `chunked`), why not, where it is not.
    """
    about = {"dtype": dtype, "layers": len(WORKLOADS[name].layers), "workload": name}
    difference = largest_difference(name, dtype)
    if not difference <= TOLERANCES[dtype]:
        why = f"pallas differs from chunked by {difference:.1e}"
        return {**about, "pallas": False, "why": why, "difference": _figure(difference)}
    over = {part: round(ratio, 3) for part, ratio in times_over(name, dtype, repeats).items()}
    row = {**about, "pallas": True, "difference": _figure(difference), "over_chunked": over}
    slower = [f"{part} {ratio:.2f}" for part, ratio in over.items() if ratio > 1]
    if slower:
        return {**row, "pallas": False, "why": f"slower than chunked: {', '.join(slower)}"}
    return row


def failed(name: str, dtype: str, why: str) -> dict[str, Any]:
    """The row of a workload at which the kernels do not run."""
    layers = len(WORKLOADS[name].layers)
    return {"dtype": dtype, "layers": layers, "workload": name, "pallas": False, "why": why}


def _figure(difference: float) -> float | None:
    return float(f"{difference:.2g}") if math.isfinite(difference) else None


def largest_difference(name: str, dtype: str) -> float:
    """How far `pallas` is from `chunked`, of all results and gradients the worst, relative."""
    workload = WORKLOADS[name]._replace(batch=4)
    workload = workload._replace(num_labels=min(workload.num_labels, 1_000))
    hidden, queries, lengths, head = random_inputs(workload, dtype=dtype)

    @functools.partial(jax.jit, static_argnums=0)
    def parts(implementation: str, *arrays: Any) -> Any:
        def loss(hidden: Any, queries: Any, head: Any) -> Any:
            found = label_scores(hidden, queries, lengths, head, implementation=implementation)
            return jnp.sin(found).sum(), found

        return jax.grad(loss, (0, 1, 2), has_aux=True)(*arrays)

    arrays = hidden, queries, head
    programs = compiled_together([functools.partial(parts.lower, name, *arrays) for name in RIVALS])
    expected, ours = (jax.tree.leaves(given(program)(*arrays)) for program in programs)
    differences = []
    for x, y in zip(ours, expected, strict=True):
        exact = np.asarray(y, np.float64)
        norm = np.linalg.norm(exact)
        distance = float(np.linalg.norm(np.asarray(x, np.float64) - exact))
        differences.append(distance / max(float(norm), 1e-30))
    # A maximum passes over what is no number.
    return max(differences) if np.isfinite(differences).all() else math.inf


def times_over(name: str, dtype: str, repeats: int) -> dict[str, float]:
    """The time of `pallas` as a multiple of that of `chunked`, medians, by pass.

    The gradient is that of `label_cross_entropy`, which training takes and which is where
    `chunked` is at its best.
    """
    workload = WORKLOADS[name]
    inputs = random_inputs(workload, dtype=dtype, full_lengths=True)
    shape = workload.batch, TRUE_LABELS
    label_ids = np.random.default_rng(2).integers(0, workload.num_labels, shape, np.int32)
    arguments = (*inputs, label_ids)

    def forward(implementation: str, *arrays: Any) -> Any:
        return label_scores(*arrays[:-1], implementation=implementation)

    def gradient(implementation: str, *arrays: Any) -> Any:
        cost = functools.partial(label_cross_entropy, implementation=implementation)
        return jax.grad(cost, (0, 1, 3))(*arrays)

    passes = dict(zip(PASSES, (forward, gradient), strict=True))

    keys = [(part, rival) for part in PASSES for rival in RIVALS]
    programs = compiled_together(
        [
            functools.partial(jax.jit(passes[part], static_argnums=0).lower, rival, *arguments)
            for part, rival in keys
        ]
    )
    runs = {
        key: functools.partial(given(program), *arguments)
        for key, program in zip(keys, programs, strict=True)
    }
    over = {}
    for part in PASSES:
        calls = calls_of(runs[part, "chunked"])
        rounds = {rival: functools.partial(several, runs[part, rival], calls) for rival in RIVALS}
        over[part] = report.alternate(rounds, repeats)["pallas"]["median_ratio"] or math.inf
    return over


def several(run: Callable[[], Any], calls: int) -> Any:
    """The last result of so many calls."""
    for _ in range(calls):
        last = run()
    return last


def calls_of(run: Callable[[], Any]) -> int:
    """As many calls as fill a round."""
    jax.block_until_ready(run())
    begin = time.perf_counter()
    jax.block_until_ready(run())
    return max(1, round(ROUND_SECONDS / max(time.perf_counter() - begin, 1e-6)))
