"""Times the contenders of the label attention benchmark on one shape, and against the floor.

A contender that is wrong is not timed; one that cannot run is named with the reason.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from axml_kernels.workloads import Workload
from benchmarks import label_attention_memory as memory
from benchmarks import label_attention_rivals as rivals
from benchmarks.contenders import FAILURES, Entry, failure_of
from benchmarks.timing import Ready, steady_seconds

BASELINE = Entry(rivals.BASELINE, "float32")


# --- The floor -----------------------------------------------------------------------------------


def operations(workload: Workload) -> dict[str, int]:
    """Additions and multiplications that no exact way spares, by pass; documents at full length.

    With W1 first: forward 2BL(T(D + F) + f2), f2 being what comes after layer one.  A gradient
    takes twice that, and a backward pass that makes the attention again from kept log-sum-exps as
    much once more; the gradient of a loss that no other score has a part in needs no second time.
    """
    batch, tokens, width, num_labels, layers = workload
    after = sum(n * m for n, m in zip(layers, (*layers[1:], 1), strict=True))
    forward = 2 * batch * num_labels * (tokens * (width + layers[0]) + after)
    return {"forward": forward, "forward_backward": 4 * forward, "training": 3 * forward}


# --- Contenders on a shape -----------------------------------------------------------------------


def get_ready(
    entry: Entry, workload: Workload, ragged: bool, passes: Sequence[str], most_bytes: float
) -> tuple[dict[str, Any], Ready | None]:
    """Compiles and checks a contender, and times a first call.

    Args:
      entry: The contender.
      workload: The shape.
      ragged: Whether the documents that are timed are of different lengths.
      passes: Which passes will be timed; no others are compiled and checked.
      most_bytes: Where a contender that keeps everything would need more, it is left out.

    Returns:
      What to write of it (errors, whether it repeats itself to the bit, temporary_bytes; or what
      became of it), and the contender unless it must not be timed.
    """
    least = rivals.materialised_bytes(workload, entry.precision)
    if entry.method in rivals.MATERIALISING and least > most_bytes:
        return {
            "left_out": f"it needs {least / 1e9:.1f} GB or more, the bound is "
            f"{most_bytes / 1e9:.1f} GB (--memory_gb)"
        }, None
    try:
        contender = rivals.contender(entry.method, entry.precision)
        dtype = "bfloat16" if entry.precision == "bfloat16" else "float32"
        checked, expected, timed = _cases(workload, dtype, ragged, tuple(passes))
        placed = contender.place(checked)
        contender.prepare(placed, passes)
        errors, repeats = rivals.errors_of(contender, placed, expected, passes)
        wrong = rivals.too_wrong(errors, entry.precision)
        finite = {name: error if math.isfinite(error) else None for name, error in errors.items()}
        about: dict[str, Any] = {"errors": finite, "repeats_bitwise": repeats}
        if wrong:
            return {**about, "wrong": ", ".join(wrong)}, None
        about["temporary_bytes"] = contender.temporary_bytes()
        placed = contender.place(timed)
        seconds = {
            name: steady_seconds(lambda: contender.wait(contender.run(name, placed)))  # noqa: B023
            for name in passes
        }
    except Exception as error:  # what became of it is a result like others
        return failure_of(error), None
    return about, Ready(contender, placed, seconds)


@functools.lru_cache(maxsize=2)  # contenders of a shape are made one after the other
def _cases(
    workload: Workload, dtype: str, ragged: bool, passes: tuple[str, ...]
) -> tuple[Any, list[Any], Any]:
    """The case to check with and its answer (`rivals.checked_case`), and the case to time."""
    case = rivals.make_case(workload, dtype, ragged=True)
    checked, expected = rivals.checked_case(case, passes)
    return checked, expected, case if ragged else rivals.make_case(workload, dtype, False)


# --- Comparisons ---------------------------------------------------------------------------------


def compare(
    contenders: dict[str, dict[str, Any]], floors: Mapping[str, Mapping[str, float]]
) -> None:
    """Adds to each contender of a shape its share of the floor and its ratios to PyTorch's.

    `time_over` and `peak_over` hold this contender's figure divided by that of each naive PyTorch:
    below 1 is faster, or smaller.

    Args:
      contenders: By name ("chunked float32"), with passes as `time_all` gives them, peak_bytes.
      floors: By name, then by pass: least seconds.
    """
    bases = {name: about for name, about in contenders.items() if name.startswith("torch-")}
    for name, about in contenders.items():
        for part in rivals.PASSES:
            median = about.get(part, {}).get("median_s")
            if not median:
                continue
            about[part]["share_of_floor"] = floors[name][part] / median
            about[part]["time_over"] = {
                base: median / other[part]["median_s"]
                for base, other in bases.items()
                if "median_s" in other.get(part, {})
            }
        peak = about.get("peak", {}).get("peak_bytes")
        if peak is not None:
            about["peak"]["peak_over"] = {
                base: peak / other["peak"]["peak_bytes"]
                for base, other in bases.items()
                if other.get("peak", {}).get("peak_bytes")
            }


def rows_of(results: Mapping[str, Any]) -> Iterator[list[str]]:
    """The table: a line for each workload, pass and contender."""

    def figure(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    for case, about in results["cases"].items():
        for part in rivals.PASSES:
            for name, one in about["contenders"].items():
                times, peak = one.get(part, {}), one.get("peak", {})
                median = times.get("median_s")
                why = [key for key in FAILURES if key in one or key in times]
                temporary = (one.get("temporary_bytes") or {}).get(part)
                yield [
                    case,
                    part.replace("_", " + "),
                    name,
                    why[0].replace("_", " ") if why else figure(median and 1e3 * median, ",.2f"),
                    figure(times.get("time_over", {}).get(str(BASELINE)), ".2f"),
                    figure(times.get("share_of_floor"), ".0%"),
                    figure(temporary and temporary / 1e6, ",.1f"),
                    figure(peak["peak_bytes"] / 1e6, ",.1f")
                    if part == memory.PASS and "peak_bytes" in peak
                    else "",
                ]
