"""How many documents a second does the input make on one core, and how much of it is padding?

    python benchmarks/input_pipeline.py
    python benchmarks/input_pipeline.py --store STORE --store ANOTHER

Rates are those of the best round; `times` has them all.

Three questions, on random documents of the lengths of the paper's data sets (Table 1's means,
log-normal), cut at 500 tokens, from mapped files:

* Documents a second on one core: the batches of training in plain random order and in buckets;
  beside them the bare copy of as many bytes, and PyTorch's plain way (a DataLoader that collates
  document by document: pad_sequence, labels as a dense 0/1 matrix).  Both make the same batches,
  which is checked first.  At least 50,000 a second are expected where every document is cut.
* The share of padding in what is computed: one length, lengths at even quantiles, and those that
  `axml_jax.data.buckets` chooses; on the training lengths of the stores given as well.
* Documents a second in front of a device that takes --step_ms for a batch, by default about what a
  batch takes to be made and put there: only then does it show how much of that time is hidden.
  Batches come in three ways, and `hidden` is the share of the input's time that two of them hide
  (benchmarks/simulated_device.py).
"""

from __future__ import annotations

import collections
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kernels"))  # it is run
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a file

import jax
import numpy as np
from absl import app, flags

from axml_jax.data.batches import Batch, TrainBatches, epoch_order
from axml_jax.data.buckets import bucket_lengths
from axml_jax.data.store import Split, open_store
from axml_jax.layout import ByDocuments
from benchmarks import paper_documents, report
from benchmarks.paper_documents import LONG
from benchmarks.simulated_device import compare_ways, simulated_step, ways

DOCUMENTS = flags.DEFINE_integer("documents", 12_000, "documents of a data set", lower_bound=8)
BATCH = flags.DEFINE_integer("batch_size", 40, "documents of a batch", lower_bound=1)
TOKENS = flags.DEFINE_integer("max_tokens", 500, "tokens kept of a document", lower_bound=1)
BUCKETS = flags.DEFINE_integer("length_buckets", 6, "padded lengths", lower_bound=1)
POOL = flags.DEFINE_integer("pool_batches", 50, "batches of a window", lower_bound=1)
STEP = flags.DEFINE_float(
    "step_ms", None, "time of a step on the device; by default that of a batch", lower_bound=0.0
)
STORES = flags.DEFINE_multi_string("store", [], "a store whose lengths are bucketed too")
REPEATS = flags.DEFINE_integer("repeats", 5, "timed rounds", lower_bound=1)
NAME = flags.DEFINE_string("name", "input_pipeline", "name of the file of results")
OUT = flags.DEFINE_string("out", None, "folder of the results; benchmarks/results by default")

EXPECTED = 50_000


def draw(data_set: str, folder: Path) -> Split:
    return paper_documents.draw_split(data_set, DOCUMENTS.value, TOKENS.value, folder)


def make_batches(split: Split, buckets: Sequence[int], pool_batches: int) -> TrainBatches:
    return TrainBatches(
        split,
        np.arange(len(split)),
        num_labels=split.num_labels,
        batch_size=BATCH.value,
        pool_batches=pool_batches,
        buckets=buckets,
        seed=0,
    )


def torch_loader(split: Split) -> Any:
    """The plain order's batches as PyTorch makes them from tensors in memory; None without it."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    documents = [
        (
            torch.from_numpy(np.array(split.document(i)[: TOKENS.value])),
            torch.from_numpy(split.labels(i).astype(np.int64)),
        )
        for i in range(len(split))
    ]

    def collate(chosen: list[tuple[Any, Any]]) -> tuple[Any, Any, Any]:
        tokens, labels = zip(*chosen, strict=True)
        targets = torch.zeros(len(chosen), split.num_labels)
        for row, ids in zip(targets, labels, strict=True):
            row[ids] = 1
        lengths = torch.tensor([len(row) for row in tokens])
        return torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True), lengths, targets

    lengths = np.minimum(split.lengths, TOKENS.value)
    order = epoch_order(lengths, BATCH.value, 1, 0, 0).tolist()
    batches = [order[i : i + BATCH.value] for i in range(0, len(order), BATCH.value)]
    return torch.utils.data.DataLoader(documents, batch_sampler=batches, collate_fn=collate)


def require_equal(train: TrainBatches, loader: Any, num_labels: int) -> None:
    """Raises RuntimeError where the two ways do not make the same first batches."""
    for _, mine, theirs in zip(range(3), train.from_step(0, 3), loader, strict=False):
        tokens, lengths, targets = (array.numpy() for array in theirs)
        rows = len(tokens)
        dense = np.zeros((rows, num_labels + 1), np.float32)
        np.put_along_axis(dense, mine.label_ids[:rows], 1, axis=1)
        padded = np.zeros_like(mine.token_ids[:rows])
        padded[:, : tokens.shape[1]] = tokens
        if not (
            np.array_equal(mine.token_ids[:rows], padded)
            and np.array_equal(mine.lengths[:rows], lengths)
            and np.array_equal(dense[:, :num_labels], targets)
        ):
            raise RuntimeError("PyTorch's batches are others: nothing was timed.")


def consume(batches: Iterable[Any]) -> None:
    collections.deque(batches, maxlen=0)


def measure_rates(split: Split) -> dict[str, Any]:
    """Documents a second of one epoch, each way."""
    plain = make_batches(split, bucket_lengths(split.lengths, TOKENS.value, 1), 1)
    bucketed = make_batches(
        split, bucket_lengths(split.lengths, TOKENS.value, BUCKETS.value), POOL.value
    )
    steps = plain.steps_per_epoch
    sizes = [batch.token_ids.size for batch in plain.from_step(0, steps)]
    source = np.asarray(split.tokens)
    begins = np.linspace(0, max(0, len(source) - max(sizes)), steps).astype(int).tolist()

    def copy() -> None:
        for begin, size in zip(begins, sizes, strict=True):
            source[begin : begin + size].copy()

    rivals: dict[str, Callable[[], None]] = {
        "plain_order": lambda: consume(plain.from_step(0, steps)),
        "buckets": lambda: consume(bucketed.from_step(0, steps)),
        "floor_copy": copy,
    }
    loader = torch_loader(split)
    if loader is not None:
        require_equal(plain, loader, split.num_labels)
        rivals["torch_collate"] = lambda: consume(loader)
    times = report.alternate(rivals, REPEATS.value)
    rates = {name: round(len(split) / about["min_s"]) for name, about in times.items()}
    return {"documents_per_second": rates, "times": times}


def even_quantiles(lengths: np.ndarray, max_tokens: int, count: int) -> tuple[int, ...]:
    """Padded lengths below which equal numbers of documents lie, rounded up to multiples of 8."""
    cut = np.minimum(lengths, max_tokens)
    edges = np.quantile(cut, np.arange(1, count + 1) / count, method="higher")
    return tuple(sorted({min(int(cut.max()), -(-int(edge) // 8) * 8) for edge in edges}))


def measure_padding(split: Split) -> dict[str, Any]:
    """Shares of padding: in plain order, and in pooled order by how lengths are chosen."""
    plain = make_batches(split, bucket_lengths(split.lengths, TOKENS.value, 1), 1).padding()
    by_count = {}
    for count in (2, 4, 6, 8):
        ways = {"even_quantiles": even_quantiles, "least_padding": bucket_lengths}
        by_count[str(count)] = {
            way: make_batches(split, choose(split.lengths, TOKENS.value, count), POOL.value)
            .padding()
            .share
            for way, choose in ways.items()
        }
    return {"without_buckets": plain.share, "with_buckets": by_count}


def measure_prefetch(split: Split) -> dict[str, Any]:
    """Documents a second in front of a device that is busy for a while with every batch."""
    train = make_batches(split, bucket_lengths(split.lengths, TOKENS.value, 1), 1)
    devices, layout, steps = jax.local_devices()[:1], ByDocuments(), train.steps_per_epoch

    def batches() -> Iterator[Batch]:
        return train.from_step(0, steps)

    def put(batch: Batch) -> Batch:
        return layout.dealt(batch, devices)

    def hand(batch: Batch) -> Batch:
        """As pmap takes it from the host."""
        return Batch(*(array[None] for array in batch))

    def epoch_of_input() -> None:
        consume(map(put, batches()))

    found = report.alternate({"input": epoch_of_input}, REPEATS.value)
    batch_s = found["input"]["min_s"] / steps
    step_s = batch_s if STEP.value is None else STEP.value / 1e3
    first = put(next(batches()))
    step = simulated_step(first, devices, step_s)
    alone = ways(lambda: itertools.repeat(first, steps), put, lambda batch: batch, step)
    rivals = {"device_alone": alone["between_steps"], **ways(batches, put, hand, step)}
    times = report.alternate(rivals, REPEATS.value)
    return {
        "batch_ms": 1e3 * batch_s,
        "step_ms": 1e3 * step_s,
        "times": times,
        **compare_ways(len(split), {name: about["min_s"] for name, about in times.items()}),
    }


def main(arguments: Sequence[str]) -> None:
    if len(arguments) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(arguments[1:])}")
    rates, padding = {}, {}
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else set()
    with tempfile.TemporaryDirectory() as name:
        if cores:
            os.sched_setaffinity(0, {min(cores)})
        for data_set in paper_documents.DATA_SETS:
            split = draw(data_set, Path(name))
            rates[data_set] = measure_rates(split)
            padding[data_set] = measure_padding(split)
        if cores:
            os.sched_setaffinity(0, cores)
        ahead = measure_prefetch(draw(LONG, Path(name)))
    for folder in STORES.value:
        store = open_store(folder)
        padding[f"{store.path.name}, its own lengths"] = measure_padding(store.splits["train"])
    settings = {
        "documents": DOCUMENTS.value,
        "batch_size": BATCH.value,
        "max_tokens": TOKENS.value,
        "length_buckets": BUCKETS.value,
        "pool_batches": POOL.value,
    }
    results = {
        "settings": settings,
        "one_core": bool(cores),
        "documents_per_second_expected": EXPECTED,
        "rates": rates,
        "padding": padding,
        "prefetch": ahead,
    }
    path = report.write(NAME.value, results, None if OUT.value is None else Path(OUT.value))
    for data_set, found in rates.items():
        shown = (f"{way} {rate:,}" for way, rate in found["documents_per_second"].items())
        print(f"{data_set:20} documents a second: {', '.join(shown)}")
    for data_set, found in padding.items():
        chosen = found["with_buckets"]["6"]
        print(
            f"{data_set:20} of 100 tokens padding: {100 * found['without_buckets']:.0f} without "
            f"buckets; with 6: {100 * chosen['even_quantiles']:.1f} at even quantiles, "
            f"{100 * chosen['least_padding']:.1f} as chosen"
        )
    shown = (f"{way} {rate:,}" for way, rate in ahead["documents_per_second"].items())
    print(
        f"in front of a device, {ahead['batch_ms']:.2f} ms a batch, {ahead['step_ms']:.2f} ms a "
        f"step, documents a second: {', '.join(shown)}"
    )
    over = (f"{ratio:.2f} of {way}" for way, ratio in ahead["prefetch_over"].items())
    print(f"prefetch: {', '.join(over)}.  Written to {path.name}.")
    if rates[LONG]["documents_per_second"]["plain_order"] < EXPECTED:
        sys.exit(f"Too slow: {EXPECTED:,} documents a second are expected.")


if __name__ == "__main__":
    app.run(main)
