"""Which tiles make the Pallas kernels fastest on this card?

    python benchmarks/tune_tiles.py --minutes 3

Times every candidate tile of both kinds of kernel at the paper's widths, the most important shape
first, and writes the fastest to kernels/axml_kernels/tuned_tiles.json under the card's name, from
where `axml_kernels` takes them; tiles of other cards stay.  A card in that table runs the Pallas
kernels by default: so nothing is written for a shape at which their results and gradients differ
from those of `chunked`.  What a candidate computes is compared with the rule's tile before its time
counts.  Needs an NVIDIA GPU.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]  # it is run as a file

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from absl import app, flags  # noqa: E402

from axml_jax import progress  # noqa: E402
from axml_jax.tables import show_table  # noqa: E402
from axml_kernels import gpu_tiles, label_scores, pallas_gpu, pallas_triton, target  # noqa: E402
from axml_kernels.gpu_tiles import AverageTile, GradientTile, Shape  # noqa: E402
from axml_kernels.tiles import Inputs  # noqa: E402
from axml_kernels.workloads import WORKLOADS, random_inputs  # noqa: E402
from benchmarks import report  # noqa: E402

TABLE = ROOT / "kernels" / "axml_kernels" / gpu_tiles.TABLE
# (workload, dtype), the most important first. Labels enough to fill a card many times over.
CASES = [
    ("eurlex", "bfloat16"),
    ("wikilshtc", "bfloat16"),
    ("eurlex", "float32"),
    ("rcv1", "bfloat16"),
    ("wikilshtc", "float32"),
]
MOST_LABELS = 4_096
ROUND_SECONDS = 0.005
# Relative, of whole arrays: which side of a ReLU a score falls on differs with rounding.
TOLERANCES = {"bfloat16": 0.1, "float32": 0.03}


class Subject(NamedTuple):
    """One kernel at one shape: its candidates, and how one of them is run."""

    kernel: str
    shape: Shape
    chosen: AverageTile | GradientTile
    candidates: list[Any]
    run: Callable[..., Any]  # (tile, *arguments)
    arguments: tuple[Any, ...]


def average_candidates(shape: Shape) -> Iterator[AverageTile]:
    """Tiles worth trying, before those that do not fit are left out."""
    features = gpu_tiles.power_of_two(shape.features)
    step, whole = 128 // shape.item, gpu_tiles.power_of_two(shape.width)
    for labels, tokens, depth, warps, stages, columns in itertools.product(
        (64, 128), (32, 64, 128), (step, whole), (8, 4, 16), (2, 3),
        sorted({min(features, 256), min(features, 512)}),
    ):  # fmt: skip
        accumulators = labels * (columns + tokens) // (32 * warps)
        if 16 <= accumulators <= 200:
            yield AverageTile(labels, tokens, depth, columns, warps, stages)


def gradient_candidates(shape: Shape) -> Iterator[GradientTile]:
    """Tiles worth trying, before those that do not fit are left out."""
    step = 128 // shape.item
    for labels, tokens, depth, warps, stages in itertools.product(
        (128, 64, 256), (128, 64), (step, step // 2), (8, 4, 16), (3, 4, 2)
    ):
        accumulators = 2 * labels * tokens // (32 * warps)
        if 32 <= accumulators <= 200:
            yield GradientTile(labels, tokens, depth, warps, stages)


def fitting(candidates: Iterable[Any], shape: Shape, device: target.Target) -> list[Any]:
    """The candidates that fit the card's shared memory, made no larger than the shape."""
    limit = gpu_tiles.shared_memory(device)
    fitted = {gpu_tiles.fitted(candidate, shape): None for candidate in candidates}
    return [tile for tile in fitted if tile.shared_bytes(shape) <= limit]


def subjects(name: str, dtype: str, device: target.Target) -> Iterator[Subject]:
    """The kernels that a workload's forward and backward pass run."""
    workload = WORKLOADS[name]
    workload = workload._replace(num_labels=min(workload.num_labels, MOST_LABELS))
    inputs = random_inputs(workload, dtype=dtype, full_lengths=True)
    plan, prepared = pallas_gpu.prepare(
        inputs.hidden, inputs.queries, inputs.lengths, inputs.head, None
    )
    values = pallas_gpu.projected(prepared, None)
    batch, tokens, width = prepared.hidden.shape
    shape = Shape(batch, tokens, width, workload.num_labels, values.shape[2], dtype)

    def average(tile: AverageTile, inputs: Inputs) -> Any:
        return pallas_gpu.forward(plan._replace(average=tile), True, inputs)[0]

    block = min(plan.backward_block, workload.num_labels)
    queries = inputs.queries[:block]
    e = jnp.ones((batch, block, values.shape[2]), values.dtype)
    row = jnp.ones((batch, block), jnp.float32)

    def gradient(tile: GradientTile, *arrays: Any) -> Any:
        hidden, queries, values, e, log_sum, drift, lengths = arrays
        return pallas_triton.score_gradients(
            hidden, queries, values, e, log_sum, drift, lengths, tile, None, device.interpret
        )[1]

    averages = fitting(average_candidates(shape), shape, device)
    yield Subject("average", shape, plan.average, averages, average, (prepared,))
    part = dataclasses.replace(shape, num_labels=block)
    gradients = fitting(gradient_candidates(part), part, device)
    arrays = (prepared.hidden, queries, values, e, row * 20, row, prepared.lengths)
    yield Subject("gradient", part, plan.gradient, gradients, gradient, arrays)


def seconds_of(call: Callable[[], Any], repeats: int) -> float:
    """The least mean of several rounds of calls, each long enough for the clock."""
    jax.block_until_ready(call())

    def round_of(calls: int) -> float:
        begin = time.perf_counter()
        for _ in range(calls):
            last = call()
        jax.block_until_ready(last)
        return (time.perf_counter() - begin) / calls

    calls = max(1, round(ROUND_SECONDS / max(round_of(3), 1e-6)))
    return min(round_of(calls) for _ in range(repeats))


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

    found, expected = (
        jax.tree.leaves(parts(implementation, hidden, queries, head))
        for implementation in ("pallas", "chunked")
    )
    differences = []
    for x, y in zip(found, expected, strict=True):
        exact = np.asarray(y, np.float64)
        norm = np.linalg.norm(exact)
        distance = np.linalg.norm(np.asarray(x, np.float64) - exact)
        differences.append(float(distance) / max(float(norm), 1e-30))
    return max(differences)


def tune(subject: Subject, repeats: int, deadline: float) -> dict[str, Any] | str:
    """The row of the fastest tile, or why there is none."""
    run = jax.jit(subject.run, static_argnums=0)
    expected: np.ndarray | None = None
    timed: dict[Any, float] = {}
    failed = wrong = 0
    rest = [tile for tile in subject.candidates if tile != subject.chosen]
    title = f"{subject.kernel} {subject.shape.width} {subject.shape.features} {subject.shape.dtype}"
    for tile in progress.progress([subject.chosen, *rest], title, unit="tiles"):
        if time.monotonic() > deadline:
            break
        call = functools.partial(run, tile, *subject.arguments)
        try:
            found = np.asarray(call(), np.float32)
        except (jax.errors.JaxRuntimeError, ValueError):  # more shared memory than there is
            failed += 1
            continue
        if expected is None:
            expected = found
        if not np.allclose(found, expected, rtol=0.05, atol=0.05 * np.abs(expected).max()):
            wrong += 1
            continue
        timed[tile] = seconds_of(call, repeats)
    if not timed:
        return f"all {failed} tiles failed" if failed else "no time"
    best = min(timed, key=timed.__getitem__)
    return {
        "kernel": subject.kernel,
        "width": subject.shape.width,
        "features": subject.shape.features,
        "dtype": subject.shape.dtype,
        "num_labels": subject.shape.num_labels,
        "tile": dataclasses.asdict(best),
        "microseconds": round(timed[best] * 1e6, 1),
        "ratio_to_rule": round(timed[best] / timed.get(subject.chosen, timed[best]), 3),
        "candidates": {"timed": len(timed), "failed": failed, "wrong": wrong},
    }


def write_table(path: Path, card: str, rows: list[dict[str, Any]]) -> None:
    """Replaces the card's rows for the same kernel, widths, dtype and labels; the others stay."""
    table = json.loads(path.read_text(encoding="utf-8"))

    def key(row: dict[str, Any]) -> tuple:
        return tuple(row[k] for k in ("kernel", "width", "features", "dtype", "num_labels"))

    merged = {key(row): row for row in (*table.get(card, []), *rows)}
    table[card] = [merged[k] for k in sorted(merged)]
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(path)


def main(_: Any) -> None:
    device = target.current()
    missing = pallas_gpu.unavailable(jnp.float32)
    if missing is not None:
        sys.exit(f"The Pallas kernels cannot run here: {missing}.")
    begin = time.monotonic()
    rows: list[dict[str, Any]] = []
    left_out: list[str] = []
    for number, (name, dtype) in enumerate(CASES):
        # Of the time left each case may take twice an even share: the first matter most.
        now = time.monotonic()
        left = begin + 60 * flags.FLAGS.minutes - now
        share = now + min(left, 2 * left / (len(CASES) - number))
        difference = largest_difference(name, dtype) if left > 0 else 0.0
        if difference > TOLERANCES[dtype]:
            left_out.append(f"{name} {dtype} (pallas differs from chunked by {difference:.1e})")
            continue
        for i, subject in enumerate(subjects(name, dtype, device)):
            until = share if i else now + (share - now) / 2
            row = tune(subject, flags.FLAGS.repeats, until) if left > 0 else "no time"
            if isinstance(row, str):
                left_out.append(f"{subject.kernel} {name} {dtype} ({row})")
            else:
                rows.append(row)
                write_table(TABLE, device.card, rows)
    show_table(
        f"Fastest tiles on {device.card}",
        ["kernel", "D", "G", "dtype", "labels", "tile", "microseconds", "ratio to the rule's"],
        [
            (
                row["kernel"],
                *(str(row[k]) for k in ("width", "features", "dtype", "num_labels")),
                " ".join(f"{k}={v}" for k, v in row["tile"].items()),
                f"{row['microseconds']:,.0f}",
                f"{row['ratio_to_rule']:.2f}",
            )
            for row in rows
        ],
        caption=f"left out: {', '.join(left_out)}" if left_out else "",
    )
    path = report.write(
        f"tiles_{report.slug(device.card)}",
        {"card": device.card, "tiles": rows, "left_out": left_out},
        Path(flags.FLAGS.out) if flags.FLAGS.out else None,
    )
    print(path.name, TABLE.name)


if __name__ == "__main__":
    flags.DEFINE_float("minutes", 3.0, "time to spend; what did not fit is named")
    flags.DEFINE_string("out", None, "folder of the report; benchmarks/results by default")
    flags.DEFINE_integer("repeats", 5, "timed rounds of each candidate", lower_bound=1)
    app.run(main)
