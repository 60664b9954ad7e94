"""The optimizer of a configuration: Adam, with a schedule and clipping where asked for."""

from __future__ import annotations

import optax

from axml_jax.config import TrainConfig


def learning_rate(config: TrainConfig, total_steps: int) -> optax.Schedule:
    """The rate at each step: a linear rise to the peak, then the chosen way down.

    Args:
      config: learning_rate, warmup_steps and decay are read.
      total_steps: Planned steps; a decay ends at 0 there.

    Returns:
      step -> rate.
    """
    peak = config.learning_rate
    rest = max(total_steps - config.warmup_steps, 1)
    if config.decay == "linear":
        after = optax.linear_schedule(peak, 0.0, rest)
    elif config.decay == "cosine":
        after = optax.cosine_decay_schedule(peak, rest)
    else:
        after = optax.constant_schedule(peak)
    if config.warmup_steps == 0:
        return after
    # The first step already moves: it uses peak / warmup_steps, not 0.
    rise = optax.linear_schedule(peak / config.warmup_steps, peak, max(config.warmup_steps - 1, 1))
    return optax.join_schedules([rise, after], [config.warmup_steps])


def make_optimizer(config: TrainConfig, total_steps: int) -> optax.GradientTransformation:
    """Adam with the configuration's schedule, clipped by global norm where asked for."""
    adam = optax.adam(learning_rate(config, total_steps))
    if config.clip_norm > 0:
        return optax.chain(optax.clip_by_global_norm(config.clip_norm), adam)
    return adam
