"""What the text of a compiled program says: kernels of a loop, and what devices tell each other.

Reads text alone; knows nothing of JAX, devices or models.
"""

from __future__ import annotations

import re
from typing import Any

# What a line of a computation does without starting a kernel.
_FREE = {"parameter", "get-tuple-element", "tuple", "bitcast", "constant"}
_OPERATION = re.compile(r"^(?:ROOT )?%\S+ = (\(.*?\)|\S+) ([a-z][\w\-]*)\(")
_SHAPE = re.compile(r"\b([a-z]+\d+|pred)\[([\d,]*)\]")
_COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
# Begun and ended apart, these name operands and results together; an all-reduce does not.
_WITH_OPERANDS = ("all-gather", "reduce-scatter")


def loop_kernels(text: str) -> list[int]:
    """How many kernels one turn of each loop starts, by the schedule of a compiled program."""
    bodies = set(re.findall(r"\bbody=%?([\w.\-]+)", text))
    counts = []
    for computation in re.split(r"\n(?=%|ENTRY)", text):
        name = re.match(r"%(\S+) ", computation)
        if name is None or name.group(1) not in bodies:
            continue
        operations = [_OPERATION.match(line.strip()) for line in computation.splitlines()]
        counts.append(
            sum(found is not None and found.group(2) not in _FREE for found in operations)
        )
    return counts


def collectives(text: str) -> list[dict[str, Any]]:
    """What devices tell each other: the kind, shapes and bytes of each collective's result.

    Bytes are those of the result on one device: of an all-gather what it holds afterwards, of a
    reduce-scatter its share of the sum.
    """
    found = []
    for line in text.splitlines():
        operation = _OPERATION.match(line.strip())
        if operation is None:
            continue
        kind = operation.group(2).removesuffix("-start")
        if kind in _COLLECTIVES:
            shapes = _SHAPE.findall(operation.group(1))
            if operation.group(2).endswith("-start") and kind in _WITH_OPERANDS:
                shapes = shapes[len(shapes) // 2 :]  # operands come first
            found.append(
                {
                    "kind": kind,
                    "shapes": [f"{dtype}[{sizes}]" for dtype, sizes in shapes],
                    "bytes": sum(_bytes(dtype, sizes) for dtype, sizes in shapes),
                }
            )
    return found


def _bytes(dtype: str, sizes: str) -> int:
    bits = 8 if dtype == "pred" else int(re.sub(r"\D", "", dtype))
    count = 1
    for size in filter(None, sizes.split(",")):
        count *= int(size)
    return count * bits // 8
