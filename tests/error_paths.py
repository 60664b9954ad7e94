"""Fails on a `raise` of the installed packages that no test has reached.

    make error-paths

runs all tests under coverage (settings: setup.cfg), in their subprocesses too, and then this.  What
only another machine can reach, a GPU or several hosts, has a comment in the statement's first line
or in the one above, `# unreached here: why`; it is listed.
"""

from __future__ import annotations

import ast
import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (ROOT / "axml_jax", ROOT / "kernels" / "axml_kernels")
MARK = "# unreached here: "


class Raise(NamedTuple):
    """A raise statement.

    Attributes:
      first, last: Its lines.
      why: Why it need not be reached; "" where nothing is said.
    """

    first: int
    last: int
    why: str


def raises(source: str) -> Iterator[Raise]:
    """The raise statements of a Python file, in order."""
    lines = source.splitlines()
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Raise)]
    for node in sorted(found, key=lambda node: node.lineno):
        near = lines[max(0, node.lineno - 2) : node.lineno]
        why = [line.partition(MARK)[2].strip() for line in near if MARK in line]
        yield Raise(node.lineno, node.end_lineno or node.lineno, why[0] if why else "")


def unreached(
    files: Iterable[Path], reached: Callable[[Path], set[int]]
) -> tuple[list[str], list[str]]:
    """Raise statements that were not reached.

    Args:
      files: Python files.
      reached: The lines of a file that were run.

    Returns:
      Those that should be, as FILE:LINE, and those that are excused, as FILE:LINE: why.
    """
    missing, excused = [], []
    for file in sorted(files):
        lines = reached(file)
        for found in raises(file.read_text(encoding="utf-8")):
            place = f"{file.relative_to(ROOT) if file.is_relative_to(ROOT) else file}:{found.first}"
            if lines.isdisjoint(range(found.first, found.last + 1)):
                if found.why:
                    excused.append(f"{place}: {found.why}")
                else:
                    missing.append(place)
    return missing, excused


def reached_lines(data_file: Path) -> dict[str, set[int]]:
    """The lines of each file that some process has run.

    Args:
      data_file: What the names of the processes' files begin with.
    """
    import coverage

    lines: dict[str, set[int]] = {}
    for path in sorted(data_file.parent.glob(f"{data_file.name}.*")):
        with contextlib.closing(coverage.CoverageData(str(path))) as data:
            try:
                data.read()
            except coverage.CoverageException as error:  # of a process that was killed, perhaps
                print(f"left out: {error}")
                continue
            for file in data.measured_files():
                lines.setdefault(file, set()).update(data.lines(file) or ())
    return lines


def main(*names: str) -> int:
    """Prints what was not reached; 1 where something should have been.

    Args:
      names: Beginnings of the files looked at, such as axml_jax/data; by default all.
    """
    import coverage

    data_file = coverage.Coverage().get_option("run:data_file")
    lines = reached_lines(ROOT / str(data_file))
    wanted = tuple(str(ROOT / name) for name in names)
    files = [
        file
        for package in PACKAGES
        for file in package.rglob("*.py")
        if not names or str(file).startswith(wanted)
    ]
    if not lines:
        print("error paths: nothing was measured; run `make error-paths`.")
        return 1
    missing, excused = unreached(files, lambda file: lines.get(str(file), set()))
    statements = sum(len(list(raises(file.read_text(encoding="utf-8")))) for file in files)
    for line in excused:
        print(f"excused: {line}")
    for line in missing:
        print(f"no test reaches {line}")
    reached = statements - len(missing) - len(excused)
    print(f"error paths: {reached} of {statements} reached, {len(excused)} excused")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
