"""The optimizer of a configuration: Adam, with a schedule, clipping and averaging where asked for.

What a step differentiates with respect to, and what becomes of the gradient: `Dense` moves every
parameter, `LazyWords` only those rows of the word table that a batch touches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax

from axml_jax.config import Config, TrainConfig
from axml_jax.layout import tree_norm
from axml_jax.models.text_model import TextModel
from axml_jax.train import word_rows
from axml_jax.train.state import Params, TrainState, running_mean

Axes = str | tuple[str, ...]


class Reading(NamedTuple):
    """What one step runs.

    Attributes:
      model: The module.
      params: Its parameters, by which the loss is differentiated.
      token_ids: int32 [B, T], numbered as `model` has its words.
      words: int32 [U], the rows of the word table that `params` holds; None if it is whole.
    """

    model: TextModel
    params: Params
    token_ids: jax.Array
    words: jax.Array | None


class Optimizer(Protocol):
    """How gradients move parameters, and which weights are evaluated."""

    def start(self, params: Params) -> TrainState:
        """The state before the first step."""

    def read(self, model: TextModel, params: Params, token_ids: jax.Array, axes: Axes) -> Reading:
        """What a step runs on a device's share of a batch that is split over the mapped axes."""

    def update(
        self,
        state: TrainState,
        reading: Reading,
        gradient: Params,
        finite: jax.Array | bool = True,
    ) -> TrainState:
        """The state after the step.

        Args:
          state: Before it.
          reading: What was run.
          gradient: By `reading.params`, the whole batch's.
          finite: bool [], whether loss and gradient are; if not, the parameters and what the
            optimizer keeps of gradients stay, and only the step is counted.
        """

    def weights(self, state: TrainState) -> Params:
        """The parameters to evaluate and to keep: their running mean where there is one."""


class Dense:
    """One optax transformation for all parameters.

    Args:
      transformation: Of gradients to updates.
      average_steps: Window of the running mean of weights; 0 keeps none.
    """

    def __init__(
        self, transformation: optax.GradientTransformation, average_steps: int = 0
    ) -> None:
        self._transformation = transformation
        self._average_steps = average_steps

    def start(self, params: Params) -> TrainState:
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            opt_state=self._transformation.init(params),
            # A copy, since the step donates both.
            average=jax.tree.map(jnp.copy, params) if self._average_steps else (),
        )

    def read(self, model: TextModel, params: Params, token_ids: jax.Array, axes: Axes) -> Reading:
        del axes
        return Reading(model, params, token_ids, None)

    def update(
        self,
        state: TrainState,
        reading: Reading,
        gradient: Params,
        finite: jax.Array | bool = True,
    ) -> TrainState:
        del reading
        updates, opt_state = self._transformation.update(gradient, state.opt_state, state.params)
        step, average = state.step + 1, state.average
        params, opt_state = jax.tree.map(
            lambda new, old: jnp.where(finite, new, old),
            (optax.apply_updates(state.params, updates), opt_state),
            (state.params, state.opt_state),
        )
        if self._average_steps:
            average = running_mean(average, params, step, self._average_steps)
        return TrainState(step=step, params=params, opt_state=opt_state, average=average)

    def weights(self, state: TrainState) -> Params:
        return state.average if self._average_steps else state.params


class LazyWords:
    """`Dense` for all but the word table, and Adam for its touched rows; see `word_rows`.

    Args:
      clip: Of the whole gradient, before anything else; without state.
      transformation: Of the other parameters' gradients to updates.
      rate: Learning rate of the word rows, by steps that moved anything.
      average_steps: Window of the running mean of weights; 0 keeps none.
    """

    def __init__(
        self,
        clip: optax.GradientTransformation,
        transformation: optax.GradientTransformation,
        rate: optax.Schedule,
        average_steps: int = 0,
    ) -> None:
        self._clip = clip
        self._dense = Dense(transformation, average_steps)
        self._rate = rate
        self._average_steps = average_steps

    def start(self, params: Params) -> TrainState:
        rest, table = word_rows.split(params)
        state = self._dense.start(rest)
        means = word_rows.no_means(table) if self._average_steps else ()
        return _with_words(state, table, word_rows.no_moments(table), means)

    def read(self, model: TextModel, params: Params, token_ids: jax.Array, axes: Axes) -> Reading:
        rest, table = word_rows.split(params)
        words, places = word_rows.touched(token_ids, model.num_words, axes)
        rows = word_rows.gather(table, words)
        return Reading(
            model.clone(num_words=len(words)), word_rows.joined(rest, rows), places, words
        )

    def update(
        self,
        state: TrainState,
        reading: Reading,
        gradient: Params,
        finite: jax.Array | bool = True,
    ) -> TrainState:
        assert reading.words is not None
        gradient, _ = self._clip.update(gradient, self._clip.init(gradient))
        rest_gradient, row_gradient = word_rows.split(gradient)
        rest, table, moments, means = _without_words(state)
        new = self._dense.update(rest, reading, rest_gradient, finite)
        before = word_rows.split(reading.params)[1]
        # Fillers are never written: a choice between new and old tables would copy them.
        words = jnp.where(finite, reading.words, len(table))
        count = moments.count
        table, moments, after = word_rows.adam(
            table, moments, words, before, row_gradient, self._rate(count)
        )
        moments = moments.replace(count=jnp.where(finite, moments.count, count))
        if self._average_steps:
            means = word_rows.running_means(
                means, words, before, after, new.step, self._average_steps
            )
        return _with_words(new, table, moments, means)

    def weights(self, state: TrainState) -> Params:
        if not self._average_steps:
            return state.params
        rest, table, _, means = _without_words(state)
        settle = jax.jit(word_rows.settled_means, static_argnums=3)
        table = settle(means, table, state.step, self._average_steps)
        return word_rows.joined(rest.average, table)


def _with_words(state: TrainState, table: jax.Array, moments: Any, means: Any) -> TrainState:
    """A state of the other parameters with what belongs to the word table."""
    return state.replace(
        params=word_rows.joined(state.params, table),
        opt_state={"rest": state.opt_state, "words": moments},
        average={"rest": state.average, "words": means},
    )


def _without_words(state: TrainState) -> tuple[TrainState, jax.Array, Any, Any]:
    """The inverse of `_with_words`."""
    rest, table = word_rows.split(state.params)
    opt_state, average = state.opt_state, state.average
    inner = state.replace(params=rest, opt_state=opt_state["rest"], average=average["rest"])
    return inner, table, opt_state["words"], average["words"]


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


def clip_by_norm(most: float, norm: Callable[[Params], jax.Array]) -> optax.GradientTransformation:
    """Scales gradients to at most this norm, as `optax.clip_by_global_norm` does.

    Args:
      most: The norm.
      norm: The norm of a gradient of which a device may have only a part.
    """

    def update(gradient: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        scale = most / jnp.maximum(norm(gradient), most)
        return jax.tree.map(lambda g: g * scale.astype(g.dtype), gradient), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def make_optimizer(
    config: Config,
    total_steps: int,
    norm: Callable[[Params], jax.Array] = tree_norm,
) -> Optimizer:
    """Adam with the configuration's schedule, clipped by global norm where asked for.

    Args:
      config: Its sections `train` and, for the word table, `model` are read.
      total_steps: Planned steps.
      norm: The norm of a gradient of which a device may have only a part.

    Returns:
      `LazyWords` where there is a word table to train, unless the configuration says otherwise.
    """
    settings = config.train
    rate = learning_rate(settings, total_steps)
    adam = optax.adam(rate)
    clip = optax.identity()
    if settings.clip_norm > 0:
        clip = clip_by_norm(settings.clip_norm, norm)
    if config.model.train_words and settings.lazy_words:
        return LazyWords(clip, adam, rate, settings.average_steps)
    return Dense(optax.chain(clip, adam), settings.average_steps)
