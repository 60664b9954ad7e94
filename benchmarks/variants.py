"""Does a faster setting learn as well?

    python benchmarks/variants.py --config launch/configs/pydocs.py --store STORE --seeds 3 \\
        --vary "data.length_buckets=6 data.pool_batches=50" --vary "model.precision=bfloat16"

Trains a configuration as it is and in each variant (fields set otherwise), each with several seeds,
to the last epoch, and compares the validation scores: their curves, and the scores of the epoch
with the highest nDCG@5.  The test split is never read.  With --runs the trainings are kept, and a
second start of the same command continues where the first one stopped.
"""

from __future__ import annotations

import copy
import json
import re
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kernels"))  # it is run
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a file

from absl import flags

from axml_jax import flags as axml_flags
from axml_jax import runs
from axml_jax.config import Config, set_field
from axml_jax.data.store import Store, open_store
from axml_jax.errors import ConfigError
from axml_jax.progress import say
from benchmarks import report
from benchmarks.variants_curves import METRICS, best_point, compare, draw

STORE = flags.DEFINE_string("store", "", "the encoded data")
VARY = flags.DEFINE_multi_string(
    "vary", [], "a variant: fields and their values, such as 'data.length_buckets=6 seed=1'"
)
SEEDS = flags.DEFINE_integer("seeds", 3, "trainings of each variant", lower_bound=1)
RUNS = flags.DEFINE_string("runs", None, "folder that keeps the trainings; a temporary one else")
NAME = flags.DEFINE_string("name", "variants", "name of the files of results")
OUT = flags.DEFINE_string("out", None, "folder of the results; benchmarks/results by default")
axml_flags.require("store", "vary")
axml_flags.define_config()

AS_IT_IS = "as configured"


def varied(config: Config, variant: str, seed: int) -> Config:
    """The configuration with the variant's fields, this seed more, and without an early end."""
    changed = copy.deepcopy(config)
    for setting in variant.split() if variant != AS_IT_IS else ():
        name, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--vary has {setting!r}; it should be FIELD=VALUE.")
        set_field(changed, name, value)
    changed.seed = config.seed + seed
    changed.train.patience = 0
    return changed.validate()


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
    description = runs.read_description(folder)
    return {
        "seed": config.seed,
        "commit": description["commit"],  # of its beginning, where it was kept in --runs
        "curve": curve,
        "best": best_point(curve),
        # The median: compilation lies in the first intervals.
        "documents_per_second": statistics.median(speeds) if speeds else None,
        "padding": description["data"]["padding"],
    }


def read_records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def folder_name(variant: str, seed: int) -> str:
    """A folder for one training: a run folder continues only with the configuration it has."""
    return f"{re.sub(r'[^A-Za-z0-9_.=-]+', '_', variant)}_seed{seed}"


def main(argv: Sequence[str]) -> None:
    del argv
    config = axml_flags.read_config()
    variants = list(dict.fromkeys([AS_IT_IS, *VARY.value]))
    # All of them before the first training: a mistake is told at once.
    configs = [
        (variant, varied(config, variant, seed))
        for seed in range(SEEDS.value)
        for variant in variants
    ]
    store = open_store(STORE.value)
    trained: dict[str, list[dict[str, Any]]] = {variant: [] for variant in variants}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(RUNS.value or temporary)
        for variant, changed in configs:
            say(f"{variant}, seed {changed.seed}")
            run = folder / folder_name(variant, changed.seed)
            trained[variant].append(train_once(changed, store, run))
    commits = sorted({run["commit"] or "none" for found in trained.values() for run in found})
    if len(commits) > 1:
        say(f"kept trainings are of {len(commits)} commits, and what they differ by counts, too")
    compared = compare(trained)
    out = Path(OUT.value) if OUT.value else report.RESULTS
    results = {
        "config": config.to_dict(),
        "data": {
            "name": store.path.name,
            "fingerprint": store.fingerprint,
            "train_documents": len(store.splits["train"]),
        },
        "compared": compared,
        "commits": commits,
        "runs": trained,
    }
    path = report.write(NAME.value, results, out)
    draw(trained, f"{store.path.name}, {SEEDS.value} seeds", out / f"{NAME.value}.png")
    for variant, found in compared.items():
        scores = ", ".join(
            f"{metric} {found[metric]['mean']:.2f} ({found[metric]['mean_difference']:+.2f})"
            for metric in METRICS
        )
        padding = trained[variant][0]["padding"]["share"]
        print(f"{variant}: {scores}; {100 * padding:.0f} of 100 tokens padding")
    print(f"Written to {path.name}.")


if __name__ == "__main__":
    axml_flags.run(main)
