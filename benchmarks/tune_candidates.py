"""The kernels that are tuned, and the tiles worth trying for each.  Knows nothing of time."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp

from axml_kernels import gpu_tiles, pallas_gpu, pallas_triton, target
from axml_kernels.gpu_tiles import AverageTile, GradientTile, Shape
from axml_kernels.tiles import Inputs
from axml_kernels.workloads import WORKLOADS, random_inputs


class Subject(NamedTuple):
    """One kernel at one shape: its candidates, and how one of them is run."""

    kernel: str
    shape: Shape
    chosen: AverageTile | GradientTile
    candidates: list[Any]
    run: Callable[..., Any]  # (tile, *arguments)
    arguments: tuple[Any, ...]


def average_candidates(shape: Shape) -> Iterator[AverageTile]:
    """Tiles worth trying, before those that do not fit are left out."""
    features = gpu_tiles.power_of_two(shape.features)
    step, whole = 128 // shape.item, gpu_tiles.power_of_two(shape.width)
    for labels, tokens, depth, warps, stages, columns in itertools.product(
        (64, 128), (32, 64, 128), (step, whole), (8, 4, 16), (2, 3),
        sorted({min(features, 256), min(features, 512)}),
    ):  # fmt: skip
        accumulators = labels * (columns + tokens) // (32 * warps)
        if 16 <= accumulators <= 200:
            yield AverageTile(labels, tokens, depth, columns, warps, stages)


def gradient_candidates(shape: Shape) -> Iterator[GradientTile]:
    """Tiles worth trying, before those that do not fit are left out."""
    step = 128 // shape.item
    for labels, tokens, depth, warps, stages in itertools.product(
        (128, 64, 256), (128, 64), (step, step // 2), (8, 4, 16), (3, 4, 2)
    ):
        accumulators = 2 * labels * tokens // (32 * warps)
        if 32 <= accumulators <= 200:
            yield GradientTile(labels, tokens, depth, warps, stages)


def fitting(candidates: Iterable[Any], shape: Shape, device: target.Target) -> list[Any]:
    """The candidates that fit the card's shared memory, made no larger than the shape."""
    limit = gpu_tiles.shared_memory(device)
    fitted = {gpu_tiles.fitted(candidate, shape): None for candidate in candidates}
    return [tile for tile in fitted if tile.shared_bytes(shape) <= limit]


def subjects(name: str, dtype: str, device: target.Target) -> Iterator[Subject]:
    """The kernels that a workload's forward and backward pass run."""
    workload = WORKLOADS[name]
    inputs = random_inputs(workload, dtype=dtype, full_lengths=True)
    plan, prepared = pallas_gpu.prepare(
        inputs.hidden, inputs.queries, inputs.lengths, inputs.head, None
    )
    values = pallas_gpu.projected(prepared, None)
    batch, tokens, width = prepared.hidden.shape
    shape = Shape(batch, tokens, width, workload.num_labels, values.shape[2], dtype)

    def average(tile: AverageTile, inputs: Inputs) -> Any:
        return pallas_gpu.forward(plan._replace(average=tile), True, inputs)[0]

    block = min(plan.backward_block, workload.num_labels)
    queries = inputs.queries[:block]
    e = jnp.ones((batch, block, values.shape[2]), values.dtype)
    row = jnp.ones((batch, block), jnp.float32)

    def gradient(tile: GradientTile, *arrays: Any) -> Any:
        hidden, queries, values, e, log_sum, drift, lengths = arrays
        return pallas_triton.score_gradients(
            hidden, queries, values, e, log_sum, drift, lengths, tile, None, device.interpret
        )[1]

    averages = fitting(average_candidates(shape), shape, device)
    rule: Any = gpu_tiles.average_rule(shape, device)
    yield Subject("average", shape, rule, averages, average, (prepared,))
    part = dataclasses.replace(shape, num_labels=block)
    gradients = fitting(gradient_candidates(part), part, device)
    rule = gpu_tiles.gradient_rule(part, device)
    arrays = (prepared.hidden, queries, values, e, row * 20, row, prepared.lengths)
    yield Subject("gradient", part, rule, gradients, gradient, arrays)


def nearest_first(subject: Subject) -> list[Any]:
    """The rule's tile, then the candidates by how often some size of it is doubled or halved."""

    def steps(tile: Any) -> float:
        sizes = zip(dataclasses.astuple(tile), dataclasses.astuple(subject.chosen), strict=True)
        return sum(abs(math.log2(one / other)) for one, other in sizes)

    rest = [tile for tile in subject.candidates if tile != subject.chosen]
    return [subject.chosen, *sorted(rest, key=steps)]
