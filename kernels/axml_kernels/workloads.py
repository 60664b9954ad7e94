"""Named shapes that tests, benchmarks and the tuner share, and random inputs of such a shape."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from axml_kernels.head import Head


class Workload(NamedTuple):
    """A batch: documents B, tokens T, encoder width D, labels L, widths of the shared layers."""

    batch: int
    tokens: int
    width: int
    num_labels: int
    layers: tuple[int, ...]


WORKLOADS = {
    # The paper's batches.
    "rcv1": Workload(40, 500, 512, 103, (256,)),
    "eurlex": Workload(40, 500, 512, 3_956, (256,)),
    "wiki10-31k": Workload(40, 500, 512, 30_938, (256,)),
    "wikilshtc": Workload(40, 256, 1024, 36_504, (512, 256)),
    "amazoncat-13k": Workload(40, 500, 1024, 13_330, (512, 256)),
    # What two CPU cores can repeat a few times.
    "eurlex-cpu": Workload(8, 500, 512, 3_956, (256,)),
    "pydocs-cpu": Workload(40, 256, 256, 2_000, (256,)),
    "reuters-cpu": Workload(40, 256, 256, 90, (256,)),
    # What a test can compute in full: no block divides L or T, W1 first, W1 last, two layers.
    "one-layer": Workload(3, 7, 16, 37, (6,)),
    "wide-layer": Workload(3, 7, 8, 5, (40,)),
    "two-layers": Workload(3, 9, 16, 45, (8, 6)),
    "two-layers-few-labels": Workload(5, 6, 16, 3, (12, 4)),
    "one-label": Workload(3, 5, 4, 1, (3,)),
    # Where bfloat16's errors are no longer ruled by which side of a ReLU a score fell.
    "middle-one-layer": Workload(8, 60, 64, 200, (32,)),
    "middle-wide-layer": Workload(8, 60, 64, 20, (64,)),
    "middle-two-layers": Workload(8, 60, 64, 200, (32, 16)),
}


class Inputs(NamedTuple):
    """The arguments of `label_scores`."""

    hidden: Float[Array, "B T D"]
    queries: Float[Array, "L D"]
    lengths: Int[Array, " B"]
    head: Head


def random_inputs(
    workload: Workload, seed: int = 0, dtype: str = "float32", full_lengths: bool = False
) -> Inputs:
    """Inputs of a workload's shape: scores of about 1, an empty, a one-word and a full document.

    Args:
      workload: The shape.
      seed: Of the random numbers.
      dtype: Of everything but the lengths.
      full_lengths: Whether every document has T tokens instead.

    Returns:
      The arguments of `label_scores`.
    """
    rng = np.random.default_rng(seed)
    batch, tokens, width, num_labels, layers = workload

    def normal(*shape: int, scale: float = 1.0) -> Array:
        return jnp.asarray(rng.standard_normal(shape) * scale, dtype)

    lengths = rng.integers(1, tokens + 1, batch)
    lengths[: min(3, batch)] = (0, 1, tokens)[: min(3, batch)]
    if full_lengths:
        lengths[:] = tokens
    widths = (width, *layers)
    head = Head(
        tuple(normal(n, m, scale=n**-0.5) for n, m in zip(widths, layers, strict=False)),
        tuple(normal(m, scale=0.5) for m in layers),
        normal(layers[-1], scale=layers[-1] ** -0.5),
        normal(),
    )
    hidden, queries = normal(batch, tokens, width), normal(num_labels, width, scale=width**-0.5)
    return Inputs(hidden, queries, jnp.asarray(lengths, jnp.int32), head)
