"""What training carries from step to step."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

Params = Any


class TrainState(struct.PyTreeNode):
    """The whole state of training; everything else follows from it, the seed and the data.

    Attributes:
      step: int32 [], steps done.
      params: The model's parameters.
      opt_state: The optimizer's.
      average: The running mean of the parameters, as the optimizer keeps it; () if it keeps none.
    """

    step: jax.Array
    params: Params
    opt_state: Any
    average: Params


@dataclasses.dataclass
class Counters:
    """What the loop itself has to remember; saved with every checkpoint.

    Attributes:
      best, best_step, since_best: The best validation, and validations since then.
      loss_sum, loss_steps: Of the steps since the last record that moved anything.
      skipped_steps: Whose loss or gradient was not finite.
      metrics_bytes: Of metrics.jsonl.
      evaluation_seconds: What the last validation took.
      finished: Why training has ended; "" before.
      due: Whether a signal cut the validation after this step short.
    """

    best: float = -1.0
    best_step: int = 0
    since_best: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    skipped_steps: int = 0
    metrics_bytes: int = 0
    evaluation_seconds: float = 0.0
    finished: str = ""
    due: bool = False


def running_mean(average: Params, params: Params, step: jax.Array, window: int) -> Params:
    """average + (params - average) / min(step, window): a mean of about the last `window` steps.

    It is the plain mean during the first `window` steps and an exponential one after, so
    that the initial values never weigh more than any step.

    Args:
      average, params: Trees of the same arrays.
      step: int32 [], steps done, `params` included; 1 or more.
      window: Steps.

    Returns:
      The new average.
    """
    share = 1.0 / jnp.minimum(step, window).astype(jnp.float32)
    return jax.tree.map(lambda mean, new: mean + share * (new - mean), average, params)
