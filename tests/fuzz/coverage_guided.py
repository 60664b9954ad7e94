"""Lets atheris, a coverage-guided fuzzer, look for inputs that break the readers.

    python tests/fuzz/coverage_guided.py --seconds_per_target 60
    python tests/fuzz/coverage_guided.py --seconds_per_target 600 --target store --target csv

Each target of `tests/fuzz/targets.py` runs in a process of its own, which may have so much memory
and no more, and so long for one input.  An exception other than the clear errors, an input that
takes too long and a process that dies are crashes; the input of each is printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
MISSING = (
    "atheris, the coverage-guided fuzzer, is not installed, so no input was tried; "
    "get it with pip install -e '.[soak]' (on Linux on x86-64)"
)
_LONGEST = 4096  # bytes of an input
_SLOW_SECONDS = 10.0  # of the processor
_HUNG_SECONDS = 60
_MIB = 1 << 20
_MEMORY = 1 << 30  # beyond what the process has at its start
_REPORT = "report.json"


class Outcome(NamedTuple):
    """What came of one target.

    Attributes:
      target: Its name.
      inputs: Inputs tried.
      crashes: What went wrong, each with an input that brings it about.
      start_mib: Resident memory before the first input.
      peak_mib: The most resident memory.
    """

    target: str
    inputs: int
    crashes: list[str]
    start_mib: float
    peak_mib: float


def is_installed() -> bool:
    """Whether there is atheris."""
    return importlib.util.find_spec("atheris") is not None


def fuzz(target: str, seconds: float) -> Outcome:
    """Runs one target in a process of its own.

    Args:
      target: Its name.
      seconds: How long inputs are tried.
    """
    from tests.fuzz.targets import place

    with tempfile.TemporaryDirectory(prefix="fuzz.", dir=place()) as folder:
        path = Path(folder)
        command = [sys.executable, __file__, "--inside", folder, "--target", target]
        done = subprocess.run(
            [*command, "--seconds_per_target", str(seconds)],
            # A process that is ended leaves its files there.
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "kernels"))),
                "TMPDIR": folder,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        report = path / _REPORT
        found = json.loads(report.read_text()) if report.exists() else {}
        outcome = Outcome(
            target,
            found.get("inputs", 0),
            found.get("crashes", []),
            found.get("start_mib", 0.0),
            found.get("peak_mib", 0.0),
        )
        if done.returncode != 0:
            # libFuzzer writes the input of a process that dies or hangs.
            inputs = [repr(file.read_bytes()) for file in path.glob("died-*")]
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-12:]
            died = f"the process ended with {done.returncode} at {' and '.join(inputs) or '?'}"
            outcome.crashes.append("\n".join([died, *said]))
        return outcome


def _rss_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class _Watch:
    """Runs a target on inputs until the time is over; then writes the report and ends the process.

    Args:
      run: The target.
      folder: Where the report goes.
      seconds: How long.
    """

    def __init__(self, run: Any, folder: Path, seconds: float) -> None:
        self._run, self._folder = run, folder
        self._end = time.monotonic() + seconds
        self._crashes: dict[str, str] = {}
        self._start, self._inputs = _rss_mib(), 0

    def __call__(self, data: bytes) -> None:
        self._inputs += 1
        begin = time.process_time()
        try:
            self._run(data)
        except Exception as error:
            places = traceback.extract_tb(error.__traceback__)
            place = next((p for p in reversed(places) if "axml_jax" in p.filename), places[-1])
            kind = f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
            self._crashes.setdefault(kind, f"{kind}: {error!s:.200}\n  input {data!r}")
        seconds = time.process_time() - begin
        if seconds > _SLOW_SECONDS:
            self._crashes.setdefault("slow", f"{seconds:.1f} s\n  input {data!r}")
        if time.monotonic() > self._end:
            self._write()
            # No return from libFuzzer's loop but by the end of the process.
            os._exit(0)

    def _write(self) -> None:
        report = {
            "inputs": self._inputs,
            "crashes": list(self._crashes.values()),
            "start_mib": self._start,
            "peak_mib": _rss_mib(),
        }
        (self._folder / _REPORT).write_text(json.dumps(report), encoding="utf-8")


def _inside(folder: Path, name: str, seconds: float) -> None:
    """What the process of one target does."""
    import atheris

    with atheris.instrument_imports(include=["axml_jax"], enable_loader_override=False):
        from tests.fuzz import seeds
        from tests.fuzz import targets as module
    target = next(target for target in module.targets() if target.name == name)
    corpus = folder / "corpus"
    corpus.mkdir()
    for i, seed in enumerate(target.seeds):
        (corpus / str(i)).write_bytes(seed)
        target.run(seed)  # what is imported late is imported now
    module.tokenize("é")  # and what is made at the first call is made
    pieces = folder / "pieces"
    escaped = ("".join(f"\\x{byte:02x}" for byte in piece) for piece in seeds.PIECES)
    pieces.write_text("".join(f'"{piece}"\n' for piece in escaped), encoding="utf-8")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    options = [
        f"-max_len={_LONGEST}",
        f"-timeout={_HUNG_SECONDS}",
        f"-dict={pieces}",
        f"-artifact_prefix={folder}/died-",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], _Watch(target.run, folder, seconds))
    atheris.Fuzz()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the targets one after another and prints what came of them.

    Returns:
      0; 1 where something crashed, 2 where there is no atheris.
    """
    parser = argparse.ArgumentParser(description="Coverage-guided fuzzing of all that reads.")
    parser.add_argument("--seconds_per_target", type=float, default=60.0)
    parser.add_argument("--target", action="append", help="One of them; may be given again.")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if not is_installed():
        print(MISSING)
        return 2
    if given.inside:
        _inside(given.inside, given.target[0], given.seconds_per_target)
    sys.path.insert(0, str(ROOT))
    from tests.fuzz.targets import targets

    known = [target.name for target in targets()]
    if strange := set(given.target or ()) - set(known):
        parser.error(f"there is no target {strange.pop()!r}; there are {', '.join(known)}")
    outcomes = []
    for name in given.target or known:
        outcome = fuzz(name, given.seconds_per_target)
        outcomes.append(outcome)
        print(
            f"{name:14} {outcome.inputs:10,} inputs {len(outcome.crashes):3} crashes "
            f"{outcome.peak_mib:6.0f} MiB at most, {outcome.start_mib:.0f} at the start",
            flush=True,
        )
        for crash in outcome.crashes:
            print("  " + crash.replace("\n", "\n  "), flush=True)
    inputs = sum(outcome.inputs for outcome in outcomes)
    crashes = sum(len(outcome.crashes) for outcome in outcomes)
    peak = max((outcome.peak_mib for outcome in outcomes), default=0.0)
    print(f"inputs tried: {inputs:,}  crashes: {crashes}  peak memory: {peak:.0f} MiB")
    return int(crashes > 0)


if __name__ == "__main__":
    sys.exit(main())
