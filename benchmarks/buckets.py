"""Does training on documents of like length together learn as well as in plain random order?

    python benchmarks/buckets.py --config launch/configs/reuters.py --store STORE
    python benchmarks/buckets.py --config ... --store STORE --order=1,1 --order=6,50 --order=6,1000

Trains one configuration in several orders (padded lengths, batches sorted together), each with
several seeds, to the last epoch, and compares nDCG@5 on the validation documents after every
epoch.  The test split is never read.  With --runs the trainings are kept, and a second start of
the same command continues where the first one stopped.
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # it is run as a file

from absl import flags

from axml_jax import flags as axml_flags
from axml_jax import runs
from axml_jax.config import Config, set_field
from axml_jax.data.store import Store, open_store
from axml_jax.errors import ConfigError
from axml_jax.progress import say
from benchmarks import report
from benchmarks.buckets_curves import METRIC, compare, describe, draw

STORE = flags.DEFINE_string("store", "", "the encoded data")
ORDERS = flags.DEFINE_multi_string(
    "order", ["1,1", "6,50"], "padded lengths and batches sorted together, such as 6,50"
)
SEEDS = flags.DEFINE_integer("seeds", 3, "trainings of each order", lower_bound=1)
RUNS = flags.DEFINE_string("runs", None, "folder that keeps the trainings; a temporary one else")
NAME = flags.DEFINE_string("name", "buckets", "name of the files of results")
OUT = flags.DEFINE_string("out", None, "folder of the results; benchmarks/results by default")
axml_flags.require("store")
axml_flags.define_config()


def ordered_config(config: Config, order: str, seed: int) -> Config:
    """The configuration with this order and seed, and without an early end."""
    parts = order.split(",")
    if len(parts) != 2:
        raise ConfigError(f"--order is {order!r}; it should be two whole numbers, such as 6,50.")
    ordered = copy.deepcopy(config)
    set_field(ordered, "data.length_buckets", parts[0])
    set_field(ordered, "data.pool_batches", parts[1])
    ordered.seed = config.seed + seed
    ordered.train.patience = 0
    return ordered.validate()


def train_once(config: Config, store: Store, folder: Path) -> dict[str, Any]:
    """One training: its curve, its best validation, its speed and its padding."""
    from axml_jax.train.loop import train

    result = train(config, store, folder)
    if not result["valid_documents"]:
        raise ConfigError(
            "there is no validation document to compare by; give --config.data.valid_fraction."
        )
    curve = [
        {"epoch": record["epoch"], **record["validation"]}
        for record in read_records(folder / "metrics.jsonl")
        if "validation" in record
    ]
    speeds = [
        record["documents_per_second"]
        for record in read_records(folder / "timings.jsonl")
        if "documents_per_second" in record
    ]
    return {
        "seed": config.seed,
        "curve": curve,
        "best": max(point[METRIC] for point in curve),
        # The median: compilation lies in the first intervals.
        "documents_per_second": statistics.median(speeds) if speeds else None,
        "padding": runs.read_description(folder)["data"]["padding"],
    }


def read_records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def main(argv: Sequence[str]) -> None:
    del argv
    config = axml_flags.read_config()
    orders = list(dict.fromkeys(ORDERS.value))
    # All of them before the first training: a mistake is told at once.
    configs = [
        (order, ordered_config(config, order, seed))
        for seed in range(SEEDS.value)
        for order in orders
    ]
    store = open_store(STORE.value)
    trained: dict[str, list[dict[str, Any]]] = {order: [] for order in orders}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(RUNS.value or temporary)
        for order, ordered in configs:
            say(f"{describe(order)}, seed {ordered.seed}")
            run = folder / f"{order.replace(',', '_')}_seed{ordered.seed}"
            trained[order].append(train_once(ordered, store, run))
    compared = compare(trained)
    out = Path(OUT.value) if OUT.value else report.RESULTS
    results = {
        "config": config.to_dict(),
        "data": {
            "name": store.path.name,
            "fingerprint": store.fingerprint,
            "train_documents": len(store.splits["train"]),
        },
        "metric": METRIC,
        "compared": compared,
        "runs": trained,
    }
    path = report.write(NAME.value, results, out)
    draw(trained, f"{store.path.name}, {SEEDS.value} seeds", out / f"{NAME.value}.png")
    for order, found in compared.items():
        padding = trained[order][0]["padding"]["share"]
        print(
            f"{describe(order):40} best {METRIC} {found['mean_best']:.2f} "
            f"({found['mean_difference']:+.2f}), {100 * padding:.0f} of 100 tokens padding"
        )
    print(f"Written to {path.name}.")


if __name__ == "__main__":
    axml_flags.run(main)
