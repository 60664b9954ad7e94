"""Whether a contender of the training step benchmark computes the right thing.

The truth is eqs. (1) to (6) with every array kept, in float32, differentiated by JAX and updated by
optax: no part of `axml_jax.train` and none of the fast implementations.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
import optax

from axml_jax.data.batches import Batch
from benchmarks import timing
from benchmarks.contenders import relative_error
from benchmarks.train_step_data import Shape, draw_documents, one_epoch, plain
from benchmarks.train_step_ours import exactness, make_model

DOCUMENTS, STEPS = 4, 3
# Largest relative error, Euclidean norms of whole arrays: of the scores, of the losses of the first
# steps, of the first step's update, and of that of the word table's rows.  Adam's first update is
# the sign of the gradient, so wherever a gradient is smaller than its rounding the update is off by
# up to twice its size: the error is about twice the root of the share of such numbers.  The table's
# bound says no more than that its rows move the right way: SparseAdam's eps counts 32 times as much
# in the first step.  What is computed wrongly errs by one and more.
TOLERANCES = {
    "float32": {"scores": 1e-4, "loss": 2e-3, "update": 0.1, "words": 0.99},
    "tf32": {"scores": 1e-2, "loss": 5e-3, "update": 0.4, "words": 0.99},
    "bfloat16": {"scores": 1e-1, "loss": 2e-2, "update": 0.8, "words": 0.99},
}


class Contender(timing.Contender, Protocol):
    """Who takes part."""

    def scores(self, batch: Batch) -> np.ndarray:
        """Logits [B, L] without dropout."""

    def best(self, batch: Batch) -> np.ndarray:
        """Label ids [B, K] of a prediction."""

    def params(self) -> Any:
        """The weights of the moment in axml_jax's layout."""

    def held_bytes(self, name: str) -> int:
        """What a pass starts from: weights, for training what the optimizer keeps as well."""


class Expected(NamedTuple):
    """A small batch of a shape and what is right for it."""

    batch: Batch
    scores: np.ndarray  # [B, L] with the initial weights
    losses: list[float]  # of each step, always on this batch, without dropout
    update: dict[str, np.ndarray]  # of the first step, by name; of the word table the batch's rows


def expect(shape: Shape, params: Any, ragged: bool) -> Expected:
    """Computes what is right; all but the number of documents as in the shape.

    Args:
      shape: The shape.
      params: Initial weights, NumPy arrays.
      ragged: Whether documents have different lengths.

    Returns:
      A batch of DOCUMENTS documents, and the answers.
    """
    small = shape._replace(batch=min(DOCUMENTS, shape.batch))
    (batch,) = one_epoch(plain(draw_documents(small, small.batch, ragged, seed=1), small))
    targets = np.zeros((small.batch, shape.num_labels + 1), np.float32)
    np.put_along_axis(targets, batch.label_ids, 1.0, axis=1)
    model = make_model(shape, "float32", 0.0).clone(attention="reference")
    optimizer = optax.adam(1e-3)

    @jax.jit
    def step(weights: Any, state: Any) -> Any:
        def loss_of(weights: Any) -> Any:
            scores = model.apply({"params": weights}, batch.token_ids, batch.lengths)
            entropy = optax.sigmoid_binary_cross_entropy(scores, targets[:, :-1])
            return entropy.mean(), scores

        (loss, scores), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights)
        updates, state = optimizer.update(gradients, state, weights)
        return optax.apply_updates(weights, updates), state, loss, scores

    weights, state, losses, first, update = params, optimizer.init(params), [], None, {}
    with exactness("float32"):
        for number in range(STEPS):
            weights, state, loss, scores = step(weights, state)
            losses.append(float(loss))
            if number == 0:
                first, update = np.asarray(scores), _difference(params, weights, batch)
    assert first is not None
    return Expected(batch, first, losses, update)


def _difference(before: Any, after: Any, batch: Batch) -> dict[str, np.ndarray]:
    rows = np.unique(batch.token_ids)
    found = {}
    for path, old in jax.tree_util.tree_leaves_with_path(before):
        new = after
        for key in path:
            new = new[key.key]
        name = ".".join(key.key for key in path)
        old, new = (np.asarray(one) for one in (old, new))
        if name == "words.vectors":
            old, new = old[rows], new[rows]
        found[name] = new - old
    return found


def errors_of(contender: Contender, initial: Any, expected: Expected) -> dict[str, float]:
    """How far a contender without dropout is from what is right; it is trained by this.

    Args:
      contender: With the initial weights.
      initial: These.
      expected: From `expect`.

    Returns:
      Relative errors: "scores", "best" (the scores of the labels it predicts beside the best ones),
      "loss" (the largest) and "update NAME" for each array of weights; infinite where not finite.
    """
    batch, right = expected.batch, expected.scores
    errors = {"scores": relative_error(contender.scores(batch), right)}
    best = np.take_along_axis(right, contender.best(batch), axis=1)
    errors["best"] = relative_error(best, -np.sort(-right, axis=1)[:, : best.shape[1]])
    losses = []
    for number in range(STEPS):
        losses.append(float(contender.run("training", [batch])))
        if number == 0:
            update = _difference(initial, contender.params(), batch)
    errors["loss"] = max(
        abs(loss - one) / one if math.isfinite(loss) else math.inf
        for loss, one in zip(losses, expected.losses, strict=True)
    )
    errors |= {
        f"update {name}": relative_error(update[name], one) for name, one in expected.update.items()
    }
    return errors


def too_wrong(errors: dict[str, float], precision: str) -> list[str]:
    """Names of the errors above the tolerance."""
    limits = TOLERANCES[precision]
    kinds = {"best": "scores", "update words.vectors": "words"}
    return [
        name
        for name, error in errors.items()
        if not error <= limits[kinds.get(name, name.split()[0])]
    ]
