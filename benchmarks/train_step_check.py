"""Whether a contender of the training step benchmark computes the right thing.

The truth is eqs. (1) to (6) with every array kept, in float32, differentiated by JAX and updated by
optax: no part of `axml_jax.train` and none of the fast implementations.  The word table is updated
by the rule that the contender follows: Adam on all rows, or SparseAdam, here in NumPy, on the
batch's.
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
# steps, of the first step's update, and of that of the word table's rows by SparseAdam; and the
# share of the other rows that may move.  Adam's first update is the sign of the gradient, so
# wherever a gradient is smaller than its rounding the update is off by up to twice its size: the
# error is about twice the root of the share of such numbers.  SparseAdam's eps counts 32 times as
# much in the first step, which lets small gradients move little.  What is computed wrongly errs by
# one and more, and where every other row is left out by 0.7.
TOLERANCES = {
    "float32": {"scores": 1e-4, "loss": 2e-3, "update": 0.1, "sparse": 1e-2, "others": 0.0},
    "tf32": {"scores": 1e-2, "loss": 5e-3, "update": 0.4, "sparse": 0.1, "others": 0.0},
    "bfloat16": {"scores": 1e-1, "loss": 2e-2, "update": 0.8, "sparse": 0.3, "others": 0.0},
}
WORDS = "words.vectors"
RATE = 1e-3


class Contender(timing.Contender, Protocol):
    """Who takes part.

    Attributes:
      sparse: Whether the word table is updated as by SparseAdam, else as by Adam.
    """

    sparse: bool

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
    sparse: np.ndarray  # of the word table's rows by SparseAdam


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
    optimizer = optax.adam(RATE)

    @jax.jit
    def step(weights: Any, state: Any) -> Any:
        def loss_of(weights: Any) -> Any:
            scores = model.apply({"params": weights}, batch.token_ids, batch.lengths)
            entropy = optax.sigmoid_binary_cross_entropy(scores, targets[:, :-1])
            return entropy.mean(), scores

        (loss, scores), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights)
        updates, state = optimizer.update(gradients, state, weights)
        table = gradients["words"]["vectors"]
        return optax.apply_updates(weights, updates), state, loss, scores, table

    weights, state, losses, first, update = params, optimizer.init(params), [], None, {}
    with exactness("float32"):
        for number in range(STEPS):
            weights, state, loss, scores, gradient = step(weights, state)
            losses.append(float(loss))
            if number == 0:
                first, update = np.asarray(scores), _difference(params, weights, batch)
                sparse = first_sparse_update(np.asarray(gradient)[np.unique(batch.token_ids)])
    assert first is not None
    return Expected(batch, first, losses, update, sparse)


def first_sparse_update(gradient: np.ndarray) -> np.ndarray:
    """What PyTorch's SparseAdam adds to rows in the first step, from their gradient, float32."""
    gradient = gradient.astype(np.float64)
    first, second = 0.1 * gradient, 0.001 * gradient**2
    size = RATE * math.sqrt(1 - 0.999) / (1 - 0.9)
    return (-size * first / (np.sqrt(second) + 1e-8)).astype(np.float32)


def _moved_others(before: Any, after: Any, batch: Batch) -> float:
    """The share of the words that are not in the batch whose rows are others than before."""
    old, new = (np.asarray(one["words"]["vectors"]) for one in (before, after))
    others = np.delete((old != new).any(axis=1), np.unique(batch.token_ids))
    return float(others.mean()) if len(others) else 0.0


def _difference(before: Any, after: Any, batch: Batch) -> dict[str, np.ndarray]:
    rows = np.unique(batch.token_ids)
    found = {}
    for path, old in jax.tree_util.tree_leaves_with_path(before):
        new = after
        for key in path:
            new = new[key.key]
        name = ".".join(key.key for key in path)
        old, new = (np.asarray(one) for one in (old, new))
        if name == WORDS:
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
      "others" is the share of the words outside the batch whose rows the first step moved.
    """
    batch, scores = expected.batch, expected.scores
    errors = {"scores": relative_error(contender.scores(batch), scores)}
    best = np.take_along_axis(scores, contender.best(batch), axis=1)
    errors["best"] = relative_error(best, -np.sort(-scores, axis=1)[:, : best.shape[1]])
    losses = []
    for number in range(STEPS):
        losses.append(float(contender.run("training", [batch])))
        if number == 0:
            params = contender.params()
            update = _difference(initial, params, batch)
            errors["others"] = _moved_others(initial, params, batch)
    errors["loss"] = max(
        abs(loss - one) / one if math.isfinite(loss) else math.inf
        for loss, one in zip(losses, expected.losses, strict=True)
    )
    right_update = expected.update | ({WORDS: expected.sparse} if contender.sparse else {})
    errors |= {
        f"update {name}": relative_error(update[name], right_update[name]) for name in update
    }
    return errors


def too_wrong(errors: dict[str, float], precision: str, sparse: bool) -> list[str]:
    """Names of the errors above the tolerance; `sparse` as in `Contender`."""
    limits = TOLERANCES[precision]
    kinds = {"best": "scores"} | ({f"update {WORDS}": "sparse"} if sparse else {})
    return [
        name
        for name, error in errors.items()
        if not error <= limits[kinds.get(name, name.split()[0])]
    ]
