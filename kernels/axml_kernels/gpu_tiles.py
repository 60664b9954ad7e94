"""Tile sizes of the Pallas kernels: measured where there are any, else by shape and card.

Knows nothing of arrays.
"""

import dataclasses
import functools
import json
import math
from importlib import resources
from typing import Any

from axml_kernels.target import Target

# Written by benchmarks/tune_tiles.py: for each card that it ran on the fastest tiles found, and
# whether the kernels won against `chunked` with them.
TABLE = "tuned_tiles.json"
# Shared memory that a block may use, in bytes, by compute capability (CUDA programming guide).
SHARED_MEMORY = {(8, 0): 163, (8, 6): 99, (8, 7): 163, (8, 9): 99, (9, 0): 227, (10, 0): 227}
SMALLEST_SHARED_MEMORY = 99
# Programs that fill a large card once.
PROGRAMS = 132
# The matrix units' smallest operand, and a word of bits.
SMALLEST_BLOCK = 16
SMALLEST_FEATURES = 32
# What XLA may hold of one block of labels besides the accumulators: some of the score gradients'
# two tiles [B, T, C], some of the averages' [B, C, G].
SCORE_BYTES = 56_000_000
AVERAGE_BYTES = 32_000_000
LABEL_MULTIPLE = 128


@dataclasses.dataclass(frozen=True)
class AverageTile:
    """Of the kernels that average: a program's labels, and what it reads of its document at a time.

    Attributes:
      labels: Labels of a program.
      tokens: Tokens of a step.
      depth: Columns of hidden per product; all of them keep the queries in shared memory.
      features: Columns of the values averaged in one pass over the tokens.
      warps: Groups of 32 threads of a program.
      stages: Steps whose loads are under way at once.
    """

    labels: int
    tokens: int
    depth: int
    features: int
    warps: int
    stages: int

    def shared_bytes(self, shape: "Shape") -> int:
        """Shared memory that the program compiled for an H200 needs."""
        if self.depth >= shape.width:
            streamed = self.tokens * (self.depth + self.features) * self.stages
            return shape.item * (self.labels * self.depth + streamed)
        streamed = (self.labels + self.tokens) * self.depth * self.stages
        return shape.item * (streamed + self.tokens * self.features)


@dataclasses.dataclass(frozen=True)
class GradientTile:
    """Of the kernel of score gradients: a program's tokens and labels.

    Attributes:
      labels: Labels of a program.
      tokens: Tokens of a program.
      depth: Columns of hidden, and of the values, per product.
      warps: Groups of 32 threads of a program.
      stages: Steps whose loads are under way at once.
    """

    labels: int
    tokens: int
    depth: int
    warps: int
    stages: int

    def shared_bytes(self, shape: "Shape") -> int:
        """Shared memory that the compiled program needs at most."""
        return shape.item * (self.labels + self.tokens) * self.depth * self.stages


# True float32 keeps both operands of a product in registers: what does not spill on an H200.
FULL_AVERAGE = AverageTile(64, 32, 16, 256, warps=8, stages=2)
FULL_GRADIENT = GradientTile(128, 64, 16, warps=8, stages=2)


@dataclasses.dataclass(frozen=True)
class Shape:
    """What a tile is chosen by.

    Attributes:
      batch: B.
      tokens: T.
      width: D.
      num_labels: L.
      features: G, the width of what is averaged.
      dtype: Of hidden and queries, by name.
      full: Whether float32 products are true float32, on the card's plain arithmetic units.
    """

    batch: int
    tokens: int
    width: int
    num_labels: int
    features: int
    dtype: str
    full: bool = False

    @property
    def item(self) -> int:
        """Bytes of a number."""
        return 4 if self.dtype == "float32" else 2


def average_tile(shape: Shape, target: Target) -> AverageTile:
    """The tile of `averages` and `fused_scores`: the measured one, else the rule's."""
    if (found := tuned("average", shape, target)) is not None:
        return spread(fitted(AverageTile(**found), shape), shape)
    return average_rule(shape, target)


def average_rule(shape: Shape, target: Target) -> AverageTile:
    """What should do well by the shape and the card's shared memory."""
    features = max(SMALLEST_FEATURES, power_of_two(shape.features))
    if shape.full:
        return spread(fitted(FULL_AVERAGE, shape), shape)
    features = min(512, features)
    # The averages, and float32 operands too, fill the registers: more labels would spill.
    labels = 128 // (1 if features <= 256 else 2) // (1 if shape.item == 2 else 2)
    whole = power_of_two(shape.width)
    depth = 64 if shape.item == 2 else 32
    candidates = [
        AverageTile(labels, 32, whole, features, warps=8, stages=2),
        AverageTile(labels, 64, depth, features, warps=8, stages=3),
        AverageTile(64, 32, depth, features, warps=8, stages=2),
        AverageTile(32, 32, depth, features, warps=4, stages=1),
    ]
    if shape.item == 4:
        candidates = candidates[1:]  # no card has room for float32 queries and what streams past
    limit = shared_memory(target)
    for candidate in candidates:
        tile = fitted(candidate, shape)
        if tile.shared_bytes(shape) <= limit:
            break
    return spread(tile, shape)


def gradient_tile(shape: Shape, target: Target) -> GradientTile:
    """The tile of `score_gradients`: the measured one, else the rule's."""
    if (found := tuned("gradient", shape, target)) is not None:
        return fitted(GradientTile(**found), shape)
    return gradient_rule(shape, target)


def gradient_rule(shape: Shape, target: Target) -> GradientTile:
    """What should do well by the shape and the card's shared memory."""
    if shape.full:
        return fitted(FULL_GRADIENT, shape)
    depth = 64 if shape.item == 2 else 32
    stages = 3 if shared_memory(target) >= 150_000 else 2
    return fitted(GradientTile(128, 128, depth, warps=8, stages=stages), shape)


def fitted(tile: Any, shape: Shape) -> Any:
    """No block larger than it takes to cover its axis."""
    covers = {
        "labels": power_of_two(shape.num_labels),
        "tokens": power_of_two(shape.tokens),
        "depth": power_of_two(shape.width),
        "features": max(SMALLEST_FEATURES, power_of_two(shape.features)),
    }
    if isinstance(tile, GradientTile):
        covers["depth"] = max(covers["depth"], power_of_two(shape.features))
    names = {field.name for field in dataclasses.fields(tile)} & covers.keys()
    return dataclasses.replace(tile, **{n: min(getattr(tile, n), covers[n]) for n in names})


def spread(tile: AverageTile, shape: Shape) -> AverageTile:
    """Fewer labels a program where there would be too few programs to fill the card."""
    labels = tile.labels
    while labels > SMALLEST_BLOCK and shape.batch * -(-shape.num_labels // labels) < PROGRAMS:
        labels //= 2
    return dataclasses.replace(tile, labels=labels)


def gradient_block(shape: Shape) -> int:
    """Labels whose score gradients exist at a time."""
    scores = SCORE_BYTES // (2 * shape.item * shape.batch * shape.tokens)
    return block_size(shape.num_labels, min(scores, average_block(shape)))


def average_block(shape: Shape) -> int:
    """Labels whose averages exist at a time."""
    most = AVERAGE_BYTES // (4 * shape.batch * shape.features)
    return block_size(shape.num_labels, most)


def block_size(num_labels: int, most: int) -> int:
    """The size of nearly equal blocks, each a multiple of LABEL_MULTIPLE unless there is one."""
    most = max(LABEL_MULTIPLE, most // LABEL_MULTIPLE * LABEL_MULTIPLE)
    if num_labels <= most:
        return num_labels
    blocks = -(-num_labels // most)
    return -(-num_labels // (blocks * LABEL_MULTIPLE)) * LABEL_MULTIPLE


def power_of_two(size: int) -> int:
    """The smallest power of two that covers `size` and feeds the matrix units."""
    return max(SMALLEST_BLOCK, 1 << (size - 1).bit_length())


def shared_memory(target: Target) -> int:
    """Bytes of shared memory that a block may use on the target."""
    assert target.capability is not None
    return 1024 * SHARED_MEMORY.get(target.capability, SMALLEST_SHARED_MEMORY)


def tuned(kernel: str, shape: Shape, target: Target) -> dict[str, int] | None:
    """The tile measured on this card for the same widths and dtype, at the nearest label count.

    True float32 is never tuned: who asks for it does not ask for speed.
    """
    rows = [
        row
        for row in of_card(target, "tiles")
        if (row["kernel"], row["width"], row["features"], row["dtype"])
        == (kernel, shape.width, shape.features, shape.dtype)
    ]
    if shape.full or not rows:
        return None
    nearest = min(rows, key=lambda row: abs(math.log(row["num_labels"] / shape.num_labels)))
    return dict(nearest["tile"])


def is_best(target: Target, dtype: str, layers: int) -> bool:
    """Whether the kernels won against `chunked`, measured on this card, with this dtype and head.

    They did if every verdict says so: each is of a shape at which both were compared and timed.
    Without one the answer is no: what nobody has run is no default.

    Args:
      target: The device.
      dtype: Of hidden and queries, by name; float32 is measured with products in tf32.
      layers: Fully connected layers of the head.

    Returns:
      Whether `pallas` should be the default.
    """
    verdicts = [
        row["pallas"]
        for row in of_card(target, "verdicts")
        if (row["dtype"], row["layers"]) == (dtype, layers)
    ]
    return bool(verdicts) and all(verdicts)


def of_card(target: Target, part: str) -> list[dict[str, Any]]:
    """The rows of the table's "tiles" or "verdicts" for a card."""
    return table().get(target.card, {}).get(part, [])


@functools.cache
def table() -> dict[str, dict[str, list[dict[str, Any]]]]:
    """What was measured, by card."""
    text = resources.files("axml_kernels").joinpath(TABLE).read_text(encoding="utf-8")
    return read(text)


def read(text: str) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The table from its JSON.

    Raises:
      ValueError: A row is not what its reader takes.
    """
    kinds = {"average": AverageTile, "gradient": GradientTile}
    found = json.loads(text)
    for card, parts in found.items():
        try:
            for row in parts["tiles"]:
                kinds[row["kernel"]](**row["tile"])
                math.log(row["num_labels"])
                _ = row["width"], row["features"], row["dtype"]
            for row in parts["verdicts"]:
                if not isinstance(row["pallas"], bool) or row["layers"] not in (1, 2):
                    raise TypeError(f"pallas or layers of {row}")
                _ = row["dtype"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"{TABLE}: a row of {card!r} does not fit: {error!r}.") from error
    return found
