"""How long does the evaluation of an extreme data set take, and in how much memory?

    python benchmarks/metrics.py

300,000 documents x 670,000 labels with 100 predictions each should take under a minute on one core
(`taskset -c 0` holds the process to one).  The data are drawn at random: about 5.5 true labels per
document, half of them somewhere in the document's list.  On a smaller size the same figures are
computed with SciPy's fancy indexing, the plain way; both must agree before anything is timed.
"""

from __future__ import annotations

import functools
import math
import os
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

# One core: a thread pool that NumPy may start must not help.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kernels"))  # it is run
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a file

import numpy as np  # noqa: E402
import scipy.sparse as sp  # noqa: E402
from absl import app, flags  # noqa: E402

from axml_jax import metrics  # noqa: E402
from axml_jax.analysis import bootstrap_intervals  # noqa: E402
from benchmarks import report  # noqa: E402

DOCUMENTS = flags.DEFINE_integer("documents", 300_000, "documents of the large case", lower_bound=3)
LABELS = flags.DEFINE_integer("labels", 670_000, "labels of both cases", lower_bound=200)
PREDICTIONS = flags.DEFINE_integer("predictions", 100, "predictions per document", lower_bound=5)
SMALL = flags.DEFINE_integer("small", 20_000, "documents of the comparison", lower_bound=3)
REPEATS = flags.DEFINE_integer("repeats", 5, "timed rounds of each measurement", lower_bound=1)
OUT = flags.DEFINE_string("out", None, "folder of the results; benchmarks/results by default")

ALL_KS = (1, 3, 5, 10, 50, 100)


def draw_case(
    documents: int, labels: int, predictions: int, seed: int
) -> tuple[np.ndarray, Any, np.ndarray]:
    """Draws predictions [N, K] without repeats, the truth [N, L] and inverse propensities [L]."""
    rng = np.random.default_rng(seed)
    # One label from each of K equal ranges of labels, then shuffled: distinct and out of order.
    span = labels // predictions
    ids = rng.integers(0, span, (documents, predictions), dtype=np.int32)
    ids += np.arange(predictions, dtype=np.int32) * span
    rng.permuted(ids, axis=1, out=ids)
    sizes = rng.poisson(5.5, documents)
    owners = np.repeat(np.arange(documents), sizes)
    # Half of the true labels stand somewhere in their document's list.
    listed = ids[owners, rng.integers(0, predictions, len(owners))]
    columns = np.where(
        rng.random(len(owners)) < 0.5, listed, rng.integers(0, labels, len(owners), dtype=np.int32)
    )
    truth = sp.csr_matrix(
        (np.ones(len(owners), np.float32), columns, np.concatenate([[0], np.cumsum(sizes)])),
        shape=(documents, labels),
    )
    counts = np.minimum(rng.zipf(1.6, labels), documents)
    return ids, truth, metrics.inverse_propensities(counts, documents, 0.6, 2.6)


def fancy_indexing(
    ids: np.ndarray, truth: Any, ks: tuple[int, ...], inverse: np.ndarray
) -> dict[str, float]:
    """The same figures by looking every prediction up in the sparse matrix, all at once."""
    truth = (truth > 0).astype(np.float64)
    rows = np.arange(len(ids))[:, None]
    longest = max(ks)
    top = ids[:, :longest]
    hits = np.asarray(truth[rows, top].todense())
    gains = hits * inverse[top]
    weighted = truth.multiply(inverse[None, :]).tocsr()
    ideal = np.zeros(top.shape)
    for row in range(len(ids)):
        best = np.sort(weighted.data[weighted.indptr[row] : weighted.indptr[row + 1]])[::-1]
        ideal[row, : min(len(best), longest)] = best[:longest]
    sizes = np.asarray(truth.sum(axis=1)).ravel().astype(int)
    discounts = 1 / np.log2(np.arange(longest) + 2)
    result = {}
    for k in ks:
        best = np.array([discounts[: min(k, size)].sum() or 1.0 for size in range(sizes.max() + 1)])
        reach = best[sizes]
        counted = hits[:, :k].sum(axis=1)
        result[f"P@{k}"] = 100 * (counted / k).mean()
        result[f"nDCG@{k}"] = 100 * ((hits * discounts)[:, :k].sum(axis=1) / reach).mean()
        result[f"R@{k}"] = 100 * (counted / np.maximum(sizes, 1)).mean()
        result[f"RP@{k}"] = 100 * (counted / np.clip(sizes, 1, k)).mean()
        result[f"PSP@{k}"] = 100 * gains[:, :k].sum() / ideal[:, :k].sum()
        found = ((gains * discounts)[:, :k].sum(axis=1) / reach).sum()
        possible = ((ideal * discounts)[:, :k].sum(axis=1) / reach).sum()
        result[f"PSnDCG@{k}"] = 100 * found / possible
    return result


def compare(seed: int) -> dict[str, Any]:
    """Both ways on the small case: equal first, then timed in turn."""
    ids, truth, inverse = draw_case(SMALL.value, LABELS.value, PREDICTIONS.value, seed)
    cases: dict[str, Any] = {}
    for ks in (metrics.DEFAULT_KS, usable_ks()):
        rivals = {
            "axml_jax": lambda ks=ks: metrics.evaluate(
                ids, truth, ks, inverse_propensities=inverse
            ),
            "fancy_indexing": lambda ks=ks: fancy_indexing(ids, truth, ks, inverse),
        }
        (ours, our_memory), (theirs, their_memory) = map(with_memory, rivals.values())
        difference = max(abs(ours[name] - theirs[name]) for name in theirs)
        if ours.keys() != theirs.keys() or not difference < 1e-9:
            raise RuntimeError(f"The two ways differ by {difference}: nothing was timed.")
        times: dict[str, Any] = dict(report.alternate(rivals, REPEATS.value))
        times["axml_jax"]["extra_memory_mb"] = our_memory
        times["fancy_indexing"]["extra_memory_mb"] = their_memory
        cases[name_of(ks)] = {"largest_difference": difference, **times}
    return cases


def measure(seed: int) -> dict[str, Any]:
    """The large case: seconds on one core, and memory beyond that of the data."""
    ids, truth, inverse = draw_case(DOCUMENTS.value, LABELS.value, PREDICTIONS.value, seed)
    cases: dict[str, Any] = {}
    for ks in (metrics.DEFAULT_KS, usable_ks()):
        run = functools.partial(metrics.evaluate, ids, truth, ks, inverse_propensities=inverse)
        figures, memory = with_memory(run)
        begin = time.process_time()
        run()
        cpu = time.process_time() - begin
        times = report.alternate({"x": run}, REPEATS.value, warm_up=0)["x"]
        cases[name_of(ks)] = {
            "cpu_s": cpu,  # of one call: what a busy machine does not lengthen much
            "extra_memory_mb": memory,
            "figures": figures,
            **{name: times[name] for name in ("seconds", "min_s", "median_s")},
        }
    terms = metrics.per_document(ids, truth, inverse_propensities=inverse)
    begin = time.perf_counter()
    bootstrap_intervals(terms, num_resamples=100)
    cases["bootstrap_of_100_resamples_s"] = time.perf_counter() - begin
    return cases


def usable_ks() -> tuple[int, ...]:
    return tuple(k for k in ALL_KS if k <= PREDICTIONS.value)


def name_of(ks: tuple[int, ...]) -> str:
    return "k=" + ",".join(map(str, ks))


def with_memory(run: Callable[[], dict[str, float]]) -> tuple[dict[str, float], float]:
    """Returns the result, and the MB allocated at the peak beyond what was there before.

    Counted by tracemalloc, which NumPy reports its arrays to: resident memory would leave out what
    is taken from pages that earlier work has used and not given back.
    """
    tracemalloc.start()
    result = run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result, round(peak / 2**20, 1)


def main(arguments: list[str]) -> None:
    if len(arguments) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(arguments[1:])}")
    large = measure(seed=0)
    small = compare(seed=1)
    shape = {"labels": LABELS.value, "predictions": PREDICTIONS.value}
    path = report.write(
        "metrics",
        {
            "large": {"documents": DOCUMENTS.value, **shape, **large},
            "comparison": {"documents": SMALL.value, **shape, **small},
            "seconds_allowed": 60,
        },
        None if OUT.value is None else Path(OUT.value),
    )
    slowest = max(case["min_s"] for case in large.values() if isinstance(case, dict))
    print(f"Slowest large case: {slowest:.2f} s of 60 s allowed.  Written to {path.name}.")
    if not math.isfinite(slowest) or slowest > 60:
        sys.exit("Too slow.")


if __name__ == "__main__":
    app.run(main)
