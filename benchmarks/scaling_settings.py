"""How a batch can be dealt to devices, and whether what comes out is what one device gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

# Sums over documents and labels come in another order; Adam's first steps are as large where a
# gradient is tiny as where it is not, and turn with its sign.
TOLERANCES = {
    "float32": {"loss": 1e-5, "weights": 1e-2},
    "tf32": {"loss": 1e-3, "weights": 0.1},
    "bfloat16": {"loss": 1e-2, "weights": 0.3},
}


class Setting(NamedTuple):
    """How a batch is dealt.

    Attributes:
      devices: How many there are.
      label_parts: Over how many of them the labels are split.
      batch: Documents of a batch, over all devices.
    """

    devices: int
    label_parts: int
    batch: int

    def __str__(self) -> str:
        text = f"{self.devices} device{'s' * (self.devices > 1)}"
        return text + f", labels in {self.label_parts} parts" * (self.label_parts > 1)


def settings(counts: Sequence[int], parts: Sequence[int], batch: int, weak: bool) -> list[Setting]:
    """Those that can be: one device first, batches that divide, label parts that divide.

    Args:
      counts: Numbers of devices.
      parts: Numbers of parts of the labels.
      batch: Documents of a batch, for each device where `weak`, else over all.
      weak: Whether the batch grows with the devices.
    """
    found = [Setting(1, 1, batch)]
    for label_parts in parts:
        for devices in counts:
            whole = batch * devices if weak else batch
            if devices % label_parts == 0 and whole % devices == 0:
                found.append(Setting(devices, label_parts, whole))
    return list(dict.fromkeys(found))


def errors(
    found: tuple[float, list[np.ndarray]],
    expected: tuple[float, list[np.ndarray]],
    started: list[np.ndarray],
) -> dict[str, float]:
    """How far the loss, and the way that the weights went, are from one device's; relative."""

    def square(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
        return sum(float(np.square(a - b, dtype=np.float64).sum()) for a, b in pairs)

    apart = square(zip(found[1], expected[1], strict=True))
    whole = square(zip(started, expected[1], strict=True))
    return {
        "loss": abs(found[0] - expected[0]) / abs(expected[0]),
        "weights": (apart / whole) ** 0.5,
    }
