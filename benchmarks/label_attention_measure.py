"""Times the contenders of the label attention benchmark on one shape, and against the floor.

A contender that is wrong is not timed; one that cannot run is named with the reason.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from axml_kernels.workloads import Workload
from benchmarks import label_attention_rivals as rivals
from benchmarks import report

PASSES = ("forward", "forward_backward")
# A timed round has as many calls as fill this many seconds: the clock's steps, and on a GPU the
# way to it and back, are then no part of the figure.
ROUND_SECONDS = 0.2
MOST_CALLS = 1000
# What can become of a contender, as keys of its results.
FAILURES = (
    "not_implemented", "out_of_memory", "left_out", "unavailable", "failed", "wrong", "skipped",
)  # fmt: skip


class Entry(NamedTuple):
    """A contender: how it computes, and in which precision."""

    method: str
    precision: str

    def __str__(self) -> str:
        return f"{self.method} {self.precision}"


BASELINE = Entry(rivals.BASELINE, "float32")


class Clock:
    """The time that a benchmark may take."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes

    def left(self) -> float:
        """Seconds, never below zero."""
        return max(0.0, self._end - time.monotonic())


# --- The floor -----------------------------------------------------------------------------------


def operations(workload: Workload) -> dict[str, int]:
    """Additions and multiplications that no exact way spares, by pass; documents at full length.

    With W1 first, and a backward pass that makes the attention again from kept log-sum-exps:
    forward 2BL(T(D + F) + f2), backward 2BL(3T(D + F) + 3 f2); f2 is what comes after layer one.
    """
    batch, tokens, width, num_labels, layers = workload
    after = sum(n * m for n, m in zip(layers, (*layers[1:], 1), strict=True))
    forward = 2 * batch * num_labels * (tokens * (width + layers[0]) + after)
    return {"forward": forward, "forward_backward": 4 * forward}


def matrix_rates(precisions: Sequence[str], size: int) -> dict[str, dict[str, float | None]]:
    """Operations per second of a product of two square matrices, the best of five rounds.

    Args:
      precisions: Names of precisions.
      size: Rows of the matrices.

    Returns:
      By precision: those of jax, of torch (None without it) and the largest.
    """
    found: dict[str, dict[str, float | None]] = {}
    for precision in precisions:
        by_library: dict[str, float | None] = {}
        for library, make in (("jax", _jax_product), ("torch", _torch_product)):
            try:
                product = make(precision, size)
                product()
                calls = _calls(_steady_seconds(product))
                times = [_seconds(lambda: product(calls)) for _ in range(5)]  # noqa: B023
                by_library[library] = 2 * size**3 * calls / min(times)
            except rivals.UnavailableError:
                by_library[library] = None
        largest = max(rate for rate in by_library.values() if rate)
        found[precision] = {**by_library, "largest": largest}
    return found


def _jax_product(precision: str, size: int) -> Callable[..., None]:
    dtype, allowed = rivals.PRECISIONS[precision]
    multiply = jax.jit(functools.partial(jnp.matmul, precision=allowed))
    x = jax.random.normal(jax.random.key(0), (size, size), jnp.float32).astype(dtype)

    def run(calls: int = 1) -> None:
        for _ in range(calls):
            last = multiply(x, x)  # the one before is let go: together they would fill the card
        jax.block_until_ready(last)

    return run


def _torch_product(precision: str, size: int) -> Callable[..., None]:
    torch, device = rivals.import_torch(), rivals.torch_device()
    dtype = getattr(torch, rivals.PRECISIONS[precision][0])
    x = torch.randn(size, size, device=device).to(dtype)
    y = torch.empty_like(x)

    def run(calls: int = 1) -> None:
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        for _ in range(calls):
            torch.matmul(x, x, out=y)
        if device == "cuda":
            torch.cuda.synchronize()

    return run


# --- Contenders on a shape -----------------------------------------------------------------------


class Ready(NamedTuple):
    """A contender that was compiled and found right, with the seconds of one call of each pass."""

    contender: rivals.Contender
    placed: Any
    seconds: dict[str, float]


def get_ready(
    entry: Entry, workload: Workload, ragged: bool, passes: Sequence[str], most_bytes: float
) -> tuple[dict[str, Any], Ready | None]:
    """Compiles and checks a contender, and times a first call.

    Args:
      entry: The contender.
      workload: The shape.
      ragged: Whether the documents that are timed are of different lengths.
      passes: Which passes will be timed.
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
        checked, expected, timed = _cases(workload, entry.precision, ragged)
        placed = contender.place(checked)
        contender.prepare(placed)
        errors, repeats = rivals.errors_of(contender, placed, expected)
        wrong = rivals.too_wrong(errors, entry.precision)
        finite = {name: error if math.isfinite(error) else None for name, error in errors.items()}
        about: dict[str, Any] = {"errors": finite, "repeats_bitwise": repeats}
        if wrong:
            return {**about, "wrong": ", ".join(wrong)}, None
        about["temporary_bytes"] = contender.temporary_bytes()
        placed = contender.place(timed)
        seconds = {
            name: _steady_seconds(lambda: contender.wait(contender.run(name, placed)))  # noqa: B023
            for name in passes
        }
    except Exception as error:  # what became of it is a result like others
        return rivals.failure_of(error), None
    return about, Ready(contender, placed, seconds)


@functools.lru_cache(maxsize=3)  # contenders of a shape are made one after the other
def _cases(workload: Workload, precision: str, ragged: bool) -> tuple[Any, list[Any], Any]:
    """The case to check with and its answer (`rivals.checked_case`), and the case to time."""
    case = rivals.make_case(workload, precision, ragged=True)
    checked, expected = rivals.checked_case(case)
    return checked, expected, case if ragged else rivals.make_case(workload, precision, False)


def time_all(
    ready: Mapping[Entry, Ready], passes: Sequence[str], repeats: int, clock: Clock
) -> dict[Entry, dict[str, Any]]:
    """Times contenders in turn; fewer rounds where time runs short, yet at least one.

    Returns:
      By contender and pass: seconds of one call in each round, min_s, median_s, calls_per_round;
      or what became of it.
    """
    found: dict[Entry, dict[str, Any]] = {entry: {} for entry in ready}
    for done, name in enumerate(passes):
        calls = {entry: _calls(one.seconds[name]) for entry, one in ready.items()}
        round_s = sum(calls[entry] * one.seconds[name] for entry, one in ready.items())
        share = clock.left() / (len(passes) - done)
        rounds = max(1, min(repeats, int(share / max(round_s, 1e-9)) - 1))
        guarded = {str(entry): _Guarded(one, name, calls[entry]) for entry, one in ready.items()}
        times = report.alternate(guarded, rounds) if guarded else {}
        for entry in ready:
            run = guarded[str(entry)]
            if run.failure is not None:
                found[entry][name] = run.failure
                continue
            seconds = [total / run.calls for total in times[str(entry)]["seconds"]]
            found[entry][name] = {
                "seconds": seconds,
                "min_s": times[str(entry)]["min_s"] / run.calls,
                "median_s": times[str(entry)]["median_s"] / run.calls,
                "calls_per_round": run.calls,
            }
    return found


class _Guarded:
    """A round of calls; what exhausts memory only now ends this contender, not the benchmark."""

    def __init__(self, ready: Ready, name: str, calls: int) -> None:
        self._ready, self._name, self.calls = ready, name, calls
        self.failure: dict[str, str] | None = None

    def __call__(self) -> None:
        if self.failure is not None:
            return
        contender, placed, _ = self._ready
        try:
            for _ in range(self.calls):
                result = contender.run(self._name, placed)
                if jax.default_backend() == "cpu":  # or JAX would begin the next one beside it
                    contender.wait(result)
            contender.wait(result)
        except Exception as error:  # what became of it is a result like others
            self.failure = rivals.failure_of(error)


def _seconds(run: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def _steady_seconds(run: Callable[[], Any]) -> float:
    """Of one call, the mean of as many as fill half a round."""
    begin, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - begin < ROUND_SECONDS / 2:
        run()
        calls += 1
    return (time.perf_counter() - begin) / calls


def _calls(seconds: float) -> int:
    """As many calls of this length as fill a round."""
    return max(1, min(MOST_CALLS, round(ROUND_SECONDS / max(seconds, 1e-9))))


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
        for part in PASSES:
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


def is_fine(about: dict[str, Any]) -> bool:
    """Whether a contender has been found right and nothing has befallen it."""
    return "errors" in about and not any(failure in about for failure in FAILURES)


def rows_of(results: Mapping[str, Any]) -> Iterator[list[str]]:
    """The table: a line for each workload, pass and contender."""

    def figure(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    for case, about in results["cases"].items():
        for part in PASSES:
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
                    if part == PASSES[1] and "peak_bytes" in peak
                    else "",
                ]
