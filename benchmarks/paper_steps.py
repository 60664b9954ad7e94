"""Steps of a long study: each with a folder of its own, done once, and anew if it was interrupted.

Knows nothing about what the steps do.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from axml_jax.errors import ConfigError, InputError
from axml_jax.jsonio import read_json, write_json
from axml_jax.progress import say
from axml_jax.tables import show_table

DONE = "done.json"
_STUDY = "study.json"


@dataclasses.dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
      name: Its folder below the study's; unlike any other step's.
      work: Does it, within the folder; returns what later steps and tables want to know, as JSON.
      key: What its result follows from, as JSON; steps before it are done when it is asked.
      seconds: How long it will take, about; None where nobody knows yet.
      continues: Whether the work goes on from what an interrupted one left in the folder.
    """

    name: str
    work: Callable[[Path], dict[str, Any]]
    key: Callable[[], dict[str, Any]]
    seconds: float | None = None
    continues: bool = False


def claim(out: Path) -> None:
    """Makes the folder of a study, or takes the one that an earlier start of it made.

    Raises:
      InputError: Something else is there, which the steps would replace.
    """
    made = out / _STUDY
    if out.exists() and not made.is_file() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            "it exists, is not empty and holds no study; name another --out, which will be made.",
            file=out,
        )
    out.mkdir(parents=True, exist_ok=True)
    write_json(made, {"format": "axml_jax.study", "version": 1})


def is_done(out: Path, step: Step) -> bool:
    """Whether a step has its result."""
    return (out / step.name / DONE).is_file()


def result_of(out: Path, name: str) -> dict[str, Any]:
    """What a finished step returned."""
    return read_json(out / name / DONE)["result"]


def run_steps(out: Path, steps: Sequence[Step]) -> None:
    """Does what is not done, in order.

    Raises:
      ConfigError: A finished step followed from something else than is asked for now.
    """
    for number, step in enumerate(steps, start=1):
        folder = out / step.name
        key = json.loads(json.dumps(step.key()))  # as it will be read again
        if is_done(out, step):
            _refuse_other(folder, key)
            continue
        say(f"step {number} of {len(steps)}: {step.name}{_about(step)}")
        if not step.continues:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        begin = time.monotonic()
        result = step.work(folder)
        seconds = time.monotonic() - begin
        write_json(folder / DONE, {"key": key, "seconds": seconds, "result": result})


def show_plan(out: Path, steps: Sequence[Step]) -> float:
    """Prints the steps; returns the seconds that those left will take, as far as known."""
    rows, left, unknown = [], 0.0, 0
    for step in steps:
        if is_done(out, step):
            rows.append([step.name, "done"])
            continue
        rows.append([step.name, "?" if step.seconds is None else shown_time(step.seconds)])
        left += step.seconds or 0.0
        unknown += step.seconds is None
    more = f", and {unknown} of unknown length" if unknown else ""
    show_table("plan", ["step", "time"], rows, f"left: about {shown_time(left)}{more}")
    return left


def shown_time(seconds: float) -> str:
    """A length of time for people, not more exact than it is known."""
    if seconds < 60:
        return "under a minute"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{seconds / 3600:.1f} h"


def _about(step: Step) -> str:
    return "" if step.seconds is None else f" (about {shown_time(step.seconds)})"


def _refuse_other(folder: Path, key: dict[str, Any]) -> None:
    there, here = (dict(_leaves(tree)) for tree in (read_json(folder / DONE)["key"], key))
    differing = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    if differing:
        told = "; ".join(f"{n}: {there.get(n)!r} there, {here.get(n)!r} here" for n in differing)
        raise ConfigError(
            f"{folder} has the result of another study; name another --out, or remove the folder "
            f"and those of the steps after it. Differing: {told}"
        )


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
