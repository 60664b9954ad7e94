"""Which tile makes `chunked` label attention fastest on this CPU?

    python benchmarks/cpu_tiles.py

A tile is a group of documents times a block of labels.  Times the forward pass, the gradient of any
loss and the training loss with its gradient, over a grid of tiles, in turn with the tile that
axml_kernels/tiling.py chooses on this machine; its constants are to be read off the ratios.  What a
tile computes is compared with the chosen one's before its time counts.
"""

from __future__ import annotations

import functools
import itertools
import sys
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kernels"))  # it is run
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a file

import jax
import numpy as np
from absl import app, flags

from axml_jax import progress
from axml_jax.tables import show_table
from axml_kernels import chunked, target, tiling
from axml_kernels.tiling import Tile
from axml_kernels.workloads import WORKLOADS, Workload
from benchmarks import label_attention_rivals as rivals
from benchmarks import report, timing
from benchmarks.contenders import Entry, device_name, relative_error

FLAGS = flags.FLAGS
PRECISION = "float32"


def chosen_tile(workload: Workload) -> Tile:
    """The tile that `chunked` takes by itself on this machine."""
    cache = target.second_level_cache()
    return tiling.tile(workload.batch, workload.tokens, workload.num_labels, "cpu", cache)


def grid(workload: Workload, tokens: list[int], labels: list[int]) -> list[Tile]:
    """The chosen tile, then groups of about so many tokens times blocks of about so many labels."""
    groups = [min(workload.batch, max(1, round(n / workload.tokens))) for n in tokens]
    blocks = [tiling.block_size(workload.num_labels, n) for n in labels]
    return list(
        dict.fromkeys([chosen_tile(workload), *map(Tile._make, itertools.product(groups, blocks))])
    )


def made_ready(tile: Tile, case: rivals.Case) -> timing.Ready:
    """`chunked` with this tile, compiled, with a first time of each pass."""
    contender = rivals.JaxContender("chunked", PRECISION)
    placed = contender.place(case)
    with mock.patch.object(chunked, "choose_tile", return_value=tile):
        contender.prepare(placed)

    def call(name: str) -> None:
        contender.wait(contender.run(name, placed))

    seconds = {}
    for name in rivals.PASSES:
        call(name)
        seconds[name] = timing.seconds(functools.partial(call, name))
    return timing.Ready(contender, placed, seconds)


def largest_error(ready: timing.Ready, right: timing.Ready) -> float:
    """Of all results and gradients the worst, relative to those of another tile."""
    errors = []
    for name in rivals.PASSES:
        found, expected = (
            jax.tree.leaves(one.contender.run(name, one.placed)) for one in (ready, right)
        )
        errors += [
            relative_error(np.asarray(x), np.asarray(y))
            for x, y in zip(found, expected, strict=True)
        ]
    return max(errors)


def measure(workload: Workload, clock: timing.Clock, title: str) -> dict[str, Any]:
    """Times all tiles of one shape in turn.

    Returns:
      The chosen tile, and for each tile its group, block, error, and by pass the times and their
      ratios to those of the chosen one.
    """
    tiles = grid(workload, *([int(n) for n in given] for given in (FLAGS.tokens, FLAGS.labels)))
    case = rivals.make_case(workload, PRECISION, ragged=False)
    ready = {
        Entry(f"{tile.group} x {tile.block}", PRECISION): made_ready(tile, case)
        for tile in progress.progress(tiles, title, len(tiles), unit="tiles")
    }
    first = next(iter(ready))
    errors = {entry: largest_error(one, ready[first]) for entry, one in ready.items()}
    allowed = max(rivals.TOLERANCES[PRECISION])
    wrong = {str(entry): error for entry, error in errors.items() if error > allowed}
    if wrong:
        raise ValueError(f"Tiles should differ by at most {allowed}, but these do by more: {wrong}")
    times = timing.time_all(ready, rivals.PASSES, FLAGS.repeats, clock)
    for found in times.values():
        for name, one in found.items():
            base = times[first][name]
            one["median_ratio"] = one["median_s"] / base["median_s"]
            one["min_ratio"] = one["min_s"] / base["min_s"]
    rows = [
        {**tile._asdict(), "error": errors[entry], **times[entry]}
        for tile, entry in zip(tiles, ready, strict=True)
    ]
    return {"shape": workload._asdict(), "chosen": tiles[0]._asdict(), "tiles": rows}


def show(name: str, found: dict[str, Any]) -> None:
    """Ratios to the chosen tile, a row a tile."""
    shape = found["shape"]
    show_table(
        f"{name} on {device_name()}: time in multiples of the chosen tile's, medians",
        ["documents", "labels", "tokens", *rivals.PASSES],
        [
            (
                str(row["group"]),
                f"{row['block']:,}",
                f"{row['group'] * shape['tokens']:,}",
                *(f"{row[part]['median_ratio']:.2f}" for part in rivals.PASSES),
            )
            for row in found["tiles"]
        ],
        caption="The first one is chosen. Below 1 is faster.",
    )


def main(_: Any) -> None:
    if jax.default_backend() != "cpu":
        sys.exit("This is a question about CPUs: run it with JAX_PLATFORMS=cpu.")
    clock = timing.Clock(FLAGS.minutes)
    shapes = {}
    for name in FLAGS.workloads:
        shapes[name] = measure(WORKLOADS[name], clock, name)
        show(name, shapes[name])
    cache = target.second_level_cache()
    path = report.write(
        FLAGS.name, {"cache_bytes": cache, "shapes": shapes}, Path(FLAGS.out) if FLAGS.out else None
    )
    print(path.name)


if __name__ == "__main__":
    flags.DEFINE_list("workloads", ["eurlex-cpu", "pydocs-cpu"], "shapes, by name")
    flags.DEFINE_list("tokens", ["1", "600", "1200", "2400"], "tokens of a group; 1: one document")
    flags.DEFINE_list("labels", ["256", "512", "1024", "2048"], "labels of a block")
    flags.DEFINE_integer("repeats", 7, "timed rounds", lower_bound=1)
    flags.DEFINE_float("minutes", 8.0, "time to spend; there are fewer rounds where it is short")
    flags.DEFINE_string("name", "cpu_tiles", "name of the file of results")
    flags.DEFINE_string("out", None, "folder of the results; benchmarks/results by default")
    app.run(main)
