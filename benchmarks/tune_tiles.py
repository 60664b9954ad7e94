"""Which tiles make the Pallas kernels fastest on this card, and are they its best choice?

    python benchmarks/tune_tiles.py --minutes 3

For each case, the most important first:

1. `pallas` is compared with `chunked`, results and gradients (benchmarks/tile_verdicts.py).
2. Candidate tiles of both kinds of kernel are timed, those nearest to the rule of thumb first:
   several compile at once, then one after the other is compared with the rule's tile and timed.
3. With the fastest tiles `pallas` is compared with `chunked` again and timed beside it.

Tiles and verdict go to kernels/axml_kernels/tuned_tiles.json under the card's name, from where
`axml_kernels` takes its tiles and, by dtype and number of layers, its default: `pallas` only where
every verdict says that it is right and faster.  A case whose kernels fail or differ has a verdict
against them and no tiles; one for which no time was left has none.  Rows of other cards and cases
stay.  Needs an NVIDIA GPU.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
import time
from collections.abc import Callable
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
from axml_kernels import gpu_tiles, pallas_gpu, target  # noqa: E402
from axml_kernels.gpu_tiles import Shape  # noqa: E402
from benchmarks import report, tile_verdicts  # noqa: E402
from benchmarks.compiling import AT_ONCE, compiled_together, given  # noqa: E402
from benchmarks.contenders import failure_of  # noqa: E402
from benchmarks.tune_candidates import Subject, nearest_first, subjects  # noqa: E402

TABLE = ROOT / "kernels" / "axml_kernels" / gpu_tiles.TABLE
ROUND_SECONDS = 0.005


class Case(NamedTuple):
    """What gets a verdict, and, if `tuned`, tiles of its own."""

    workload: str
    dtype: str
    tuned: bool = True


# The most important first.  The two kernels have other shapes at each; float32 (tf32) keeps the
# rule's tiles: three cases tuned well are worth more than five tuned badly.
CASES = [
    Case("eurlex", "bfloat16"),
    Case("wiki10-31k", "bfloat16"),
    Case("amazoncat-13k", "bfloat16"),
    Case("eurlex", "float32", tuned=False),
    Case("amazoncat-13k", "float32", tuned=False),
]
# What comparisons and timings of a case may take beside its candidates, compilation included.
VERDICT_SECONDS = 7.0


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


def tune(subject: Subject, repeats: int, deadline: float) -> dict[str, Any] | str:
    """The row of the fastest tile, or why there is none."""
    run = jax.jit(subject.run, static_argnums=0)
    expected: np.ndarray | None = None
    timed: dict[Any, float] = {}
    failures: list[str] = []
    wrong = 0
    title = f"{subject.kernel} {subject.shape.width} {subject.shape.features} {subject.shape.dtype}"

    tiles = nearest_first(subject)
    groups = [tiles[i : i + AT_ONCE] for i in range(0, len(tiles), AT_ONCE)]
    with progress.bar(title, len(tiles), "tiles") as advance:
        for group in groups:
            if time.monotonic() > deadline:
                break
            programs = compiled_together(
                [functools.partial(run.lower, tile, *subject.arguments) for tile in group]
            )
            for tile, program in zip(group, programs, strict=True):
                if time.monotonic() > deadline and timed:
                    break
                advance()
                try:
                    call = functools.partial(given(program), *subject.arguments)
                    found = np.asarray(call(), np.float32)
                    expected = found if expected is None else expected
                    near = np.allclose(
                        found, expected, rtol=0.05, atol=0.05 * np.abs(expected).max()
                    )
                    if near:
                        timed[tile] = seconds_of(call, repeats)
                    else:
                        wrong += 1
                except Exception as error:  # a kernel that is not launched ends no other
                    failures.append("; ".join(failure_of(error).values()))
    if not timed:
        return f"all {len(failures)} tiles failed: {failures[0]}" if failures else "no time"
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
        "candidates": {
            "timed": len(timed),
            "failed": len(failures),
            "wrong": wrong,
            "left": len(tiles) - len(timed) - len(failures) - wrong,
        },
    }


# Of a row of the table: what makes a new one replace an old one.
KEYS = {
    "tiles": ("kernel", "width", "features", "dtype", "num_labels"),
    "verdicts": ("dtype", "layers", "workload"),
}


def write_table(path: Path, card: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Replaces the card's rows of the same keys (see KEYS); all others stay.

    Args:
      path: Of the table.
      card: The card's name.
      rows: New rows of "tiles", of "verdicts".
    """
    table = json.loads(path.read_text(encoding="utf-8"))
    about = table.setdefault(card, {})
    for part, names in KEYS.items():
        known = {
            tuple(row[name] for name in names): row
            for row in (*about.get(part, []), *rows.get(part, []))
        }
        about[part] = [known[key] for key in sorted(known)]
    save(path, json.dumps(table, indent=1, sort_keys=True) + "\n")


def save(path: Path, text: str) -> None:
    """Replaces the table, and has `axml_kernels` read it anew."""
    gpu_tiles.read(text)
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    gpu_tiles.table.cache_clear()


class Tuning:
    """One run: the cases that are done, and what became of the others.

    Attributes:
      tiles: Rows of tiles.
      verdicts: Rows of verdicts.
      left_out: What is missing, and why.
    """

    def __init__(self, device: target.Target, repeats: int, minutes: float) -> None:
        self._device, self._repeats = device, repeats
        self._end = time.monotonic() + 60 * minutes
        self._seen: set[tuple[str, Shape]] = set()
        self.tiles: list[dict[str, Any]] = []
        self.verdicts: list[dict[str, Any]] = []
        self.left_out: list[str] = []

    def run(self, cases: list[Case]) -> None:
        """All cases; one that fails ends no other."""
        for number, case in enumerate(cases):
            if time.monotonic() >= self._end:
                self.left_out.append(f"{case.workload} {case.dtype} (no time)")
                continue
            before, known = TABLE.read_text(encoding="utf-8"), len(self.tiles)
            try:
                verdict = self._one(case, cases[number:])
            except Exception as error:  # what became of it is a result like others
                why = "; ".join(failure_of(error).values())
                verdict = tile_verdicts.failed(case.workload, case.dtype, why)
            if "over_chunked" not in verdict:  # its tiles are none to go by
                save(TABLE, before)
                del self.tiles[known:]
            self.verdicts.append(verdict)
            write_table(TABLE, self._device.card, {"verdicts": [verdict]})

    def _one(self, case: Case, rest: list[Case]) -> dict[str, Any]:
        """Tunes a case where it is to be tuned; gives its verdict."""
        name, dtype, tuned = case
        if tuned:
            difference = tile_verdicts.largest_difference(name, dtype)
            if not difference <= tile_verdicts.TOLERANCES[dtype]:
                why = f"pallas differs from chunked by {difference:.1e} before tuning"
                return tile_verdicts.failed(name, dtype, why)
            # Counted from here: comparing, which compiles, is no part of the candidates' time.
            now = time.monotonic()
            left = self._end - now - VERDICT_SECONDS * len(rest)
            self._candidates(case, now, left / sum(one.tuned for one in rest))
        return tile_verdicts.verdict(name, dtype, self._repeats)

    def _candidates(self, case: Case, begin: float, seconds: float) -> None:
        """Tunes the kernels of a case; one that fails ends no other."""
        name = f"{case.workload} {case.dtype}"
        found = [
            subject
            for subject in subjects(case.workload, case.dtype, self._device)
            if (subject.kernel, subject.shape) not in self._seen
        ]
        for number, subject in enumerate(found, 1):
            self._seen.add((subject.kernel, subject.shape))
            until = begin + seconds * number / len(found)
            row = tune(subject, self._repeats, until)
            if isinstance(row, str):
                self.left_out.append(f"{subject.kernel} {name} ({row})")
            else:
                self.tiles.append(row)
                write_table(TABLE, self._device.card, {"tiles": [row]})


def show(tuning: Tuning, card: str) -> None:
    """The tables of tiles and verdicts."""
    show_table(
        f"Fastest tiles on {card}",
        ["kernel", "D", "G", "dtype", "labels", "tile", "microseconds", "ratio to the rule's"],
        [
            (
                row["kernel"],
                *(str(row[k]) for k in ("width", "features", "dtype", "num_labels")),
                " ".join(f"{k}={v}" for k, v in row["tile"].items()),
                f"{row['microseconds']:,.0f}",
                f"{row['ratio_to_rule']:.2f}",
            )
            for row in tuning.tiles
        ],
        caption=f"left out: {', '.join(tuning.left_out)}" if tuning.left_out else "",
    )
    show_table(
        "pallas beside chunked",
        ["workload", "dtype", "layers", "default", *tile_verdicts.PASSES, "why not"],
        [
            (
                row["workload"],
                row["dtype"],
                str(row["layers"]),
                "pallas" if row["pallas"] else "chunked",
                *(f"{row.get('over_chunked', {}).get(k, '')}" for k in tile_verdicts.PASSES),
                row.get("why", ""),
            )
            for row in tuning.verdicts
        ],
    )


def main(_: Any) -> None:
    device = target.current()
    missing = pallas_gpu.unavailable(jnp.float32)
    if missing is not None:
        sys.exit(f"The Pallas kernels cannot run here: {missing}.")
    tuning = Tuning(device, flags.FLAGS.repeats, flags.FLAGS.minutes)
    tuning.run(CASES)
    show(tuning, device.card)
    out = Path(flags.FLAGS.out) if flags.FLAGS.out else None
    path = report.write(
        f"tiles_{report.slug(device.card)}",
        {
            "card": device.card,
            "tiles": tuning.tiles,
            "verdicts": tuning.verdicts,
            "left_out": tuning.left_out,
        },
        out,
    )
    if out is not None:
        (out / TABLE.name).write_bytes(TABLE.read_bytes())
    print(path.name, TABLE.name)


if __name__ == "__main__":
    flags.DEFINE_float("minutes", 3.0, "time to spend; what did not fit is named")
    flags.DEFINE_string("out", None, "folder of the report and a copy of the table")
    flags.DEFINE_integer("repeats", 5, "timed rounds of each candidate", lower_bound=1)
    app.run(main)
