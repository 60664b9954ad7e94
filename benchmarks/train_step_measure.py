"""Gets contenders of the training step benchmark ready, and sets their times side by side.

A contender that is wrong is not timed; one that cannot run is named with the reason.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax

from axml_jax.data.batches import Batch
from benchmarks import train_step_check as check
from benchmarks.contenders import FAILURES, Entry, failure_of, import_torch
from benchmarks.timing import Ready, steady_seconds
from benchmarks.train_step_data import (
    Shape,
    bucketed,
    draw_documents,
    one_epoch,
    plain,
)
from benchmarks.train_step_floors import operations
from benchmarks.train_step_ours import RECURRENCES, Ours, initial_params

PASSES = ("training", "prediction")
OURS, CUDNN = "axml", "axml-cudnn"
PADDED, PACKED, COMPILED = "torch-padded", "torch-packed", "torch-compile"
# In order of importance: where time runs out, the last ones are left out.
METHODS = (
    PADDED, OURS, PACKED, COMPILED, CUDNN, "axml-scan", "torch-padded-sparse",
    "torch-packed-sparse",
)  # fmt: skip
# Whoever takes longer for a call has fewer rounds, but two.
SLOW_SECONDS, LEAST_ROUNDS = 10.0, 2
DROPOUT = 0.5


class Case:
    """One shape: documents, initial weights, and what is right.

    A call of a contender goes through all documents.  axml_jax has them in batches of like length,
    cut to few padded lengths, the others in random order, each batch padded to its longest.
    """

    def __init__(
        self, shape: Shape, *, ragged: bool, batches: int, buckets: int, checked: bool = True
    ) -> None:
        self.shape, self.ragged = shape, ragged
        split = draw_documents(shape, batches * shape.batch, ragged)
        self._ours = one_epoch(bucketed(split, shape, buckets, batches))
        self._theirs = one_epoch(plain(split, shape))
        self.documents = len(split)
        self.operations = operations(shape, self._theirs)
        self.params = initial_params(shape)
        self.expected = check.expect(shape, self.params, ragged) if checked else None

    def batches_of(self, method: str) -> list[Batch]:
        """All documents as a contender has them."""
        return self._ours if method in RECURRENCES else self._theirs

    def contender(self, entry: Entry, dropout: float = DROPOUT) -> check.Contender:
        """A contender with the initial weights; raises UnavailableError without its library."""
        if entry.method in RECURRENCES:
            recurrence = RECURRENCES[entry.method]
            return Ours(self.shape, entry.precision, self.params, dropout, recurrence=recurrence)
        import_torch()
        from benchmarks.train_step_torch import Theirs

        return Theirs(*entry, self.shape, self.params, dropout, self.ragged)

    def about(self) -> dict[str, Any]:
        """The shape and the documents, for the results."""
        padded = {
            name: sum(batch.token_ids.size for batch in batches)
            for name, batches in ((OURS, self._ours), ("others", self._theirs))
        }
        return {
            "shape": self.shape._asdict(),
            "documents": self.documents,
            "tokens": sum(int(batch.lengths.sum()) for batch in self._theirs),
            "tokens_with_padding": padded,
            "operations": self.operations,
        }


def get_ready(
    entry: Entry, case: Case, passes: Sequence[str]
) -> tuple[dict[str, Any], Ready | None]:
    """Checks a contender and times a first call of each pass.

    Args:
      entry: The contender.
      case: What it is to compute.
      passes: Which will be timed.

    Returns:
      What to write of it (errors; or what became of it), and the contender unless it
      must not be timed.
    """
    try:
        about: dict[str, Any] = {}
        if case.expected is not None:
            checked = case.contender(entry, 0.0)
            errors = check.errors_of(checked, case.params, case.expected)
            about["errors"] = {
                name: error if math.isfinite(error) else None for name, error in errors.items()
            }
            wrong = check.too_wrong(errors, entry.precision, checked.sparse)
            if wrong:
                return {**about, "wrong": ", ".join(wrong)}, None
            del checked
            gc.collect()  # the one that was checked, before the one that is timed is made
        contender, placed = case.contender(entry), case.batches_of(entry.method)
        seconds = {}
        for name in passes:

            def call(name: str = name) -> None:
                contender.wait(contender.run(name, placed))

            if entry.method in (*RECURRENCES, COMPILED):
                call()  # compiles
            seconds[name] = steady_seconds(call)
    except Exception as error:  # what became of it is a result like others
        return failure_of(error), None
    return about, Ready(contender, placed, seconds)


def compare(
    contenders: dict[str, dict[str, Any]], case: Mapping[str, Any], rates: Mapping[str, Any]
) -> None:
    """Adds to each contender documents a second, its share of the floor, ratios to PyTorch's.

    `time_over` and `peak_over` hold this contender's figure divided by that of each PyTorch of any
    precision: below 1 is faster, or smaller.

    Args:
      contenders: By name ("axml float32"), with passes as `time_all` gives them, and "peak".
      case: `Case.about()`.
      rates: Operations a second by precision.
    """
    bases = {name: about for name, about in contenders.items() if name.startswith("torch-")}
    for name, about in contenders.items():
        rate = rates[name.split()[-1]]
        for part in PASSES:
            median = about.get(part, {}).get("median_s")
            if not median:
                continue
            about[part]["documents_per_s"] = case["documents"] / median
            about[part]["share_of_floor"] = case["operations"][part] / rate / median
            about[part]["time_over"] = {
                base: median / other[part]["median_s"]
                for base, other in bases.items()
                if "median_s" in other.get(part, {})
            }
            peak = total_bytes(about, part)
            if peak is not None:
                others = {base: total_bytes(other, part) for base, other in bases.items()}
                about["peak"][part]["peak_over"] = {
                    base: peak / other for base, other in others.items() if other
                }


def total_bytes(about: Mapping[str, Any], part: str) -> int | None:
    """The peak of a pass with what the contender always holds; None if it was not measured."""
    peak = about.get("peak", {}).get(part, {})
    return peak["peak_bytes"] + peak["held_bytes"] if "peak_bytes" in peak else None


def rows_of(results: Mapping[str, Any]) -> Iterator[list[str]]:
    """The table: a line for each shape, pass and contender."""

    def figure(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    for case, about in results["cases"].items():
        for part in PASSES:
            for name, one in about["contenders"].items():
                times, total = one.get(part, {}), total_bytes(one, part)
                why = [key for key in FAILURES if key in one or key in times]
                precision = name.split()[-1]
                over = times.get("time_over", {})
                yield [
                    case,
                    part,
                    name,
                    why[0].replace("_", " ")
                    if why
                    else figure(times.get("documents_per_s"), ",.1f"),
                    *(
                        figure(over.get(f"{base} {precision}"), ".2f")
                        for base in (PADDED, PACKED, COMPILED)
                    ),
                    figure(times.get("share_of_floor"), ".0%"),
                    figure(total and total / 1e6, ",.0f"),
                ]


COLUMNS: Sequence[str] = (
    "shape", "pass", "contender", "documents/s", "time over padded", "over packed",
    "over compiled", "share of floor", "peak MB",
)  # fmt: skip


def default_entries(methods: Sequence[str], precisions: Sequence[str]) -> list[Entry]:
    """Contenders: of each precision the methods, or without any the device's own."""
    on_gpus = () if jax.default_backend() == "cpu" else (COMPILED, CUDNN)
    return [
        Entry(method, precision)
        for precision in precisions
        for method in methods or (PADDED, OURS, PACKED, *on_gpus)
        # cuDNN's LSTM serves float32 arrays alone.
        if methods or method != CUDNN or precision != "bfloat16"
    ]
