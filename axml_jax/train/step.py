"""One training step as a pure function: eq. (6), its gradient, and the update.

The step knows only the name of the axis over which a batch is split, so that one device
and many run the same code.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from axml_jax import losses
from axml_jax.data.batches import Batch
from axml_jax.models.attention_xml import AttentionXML
from axml_jax.predict import AXIS
from axml_jax.train.optimizer import Optimizer
from axml_jax.train.state import Params, TrainState

__all__ = ["AXIS", "make_train_step", "split_rows"]


def make_train_step(
    model: AttentionXML,
    optimizer: Optimizer,
    *,
    steps_per_epoch: int,
    axis_name: str = AXIS,
) -> Callable[[TrainState, Params, Batch, jax.Array], tuple[TrainState, jax.Array]]:
    """Builds step(state, constants, batch, dropout_key) -> (state, loss).

    Inside the step a batch is one device's share.  Gradient and loss are those of the
    whole batch: shares are weighted by their real documents and summed over the axis, so
    that filler rows in the last batch of an epoch count nowhere.  Dropout keys are folded
    from the epoch and the document's place in it, never from the device.

    Args:
      model: The module to train.
      optimizer: From `make_optimizer`.
      steps_per_epoch: Tells the epoch from the step.
      axis_name: The mapped axis.

    Returns:
      The step; loss is float32 [], eq. (6) over the whole batch.
    """

    def step(
        state: TrainState, constants: Params, batch: Batch, dropout_key: jax.Array
    ) -> tuple[TrainState, jax.Array]:
        epoch_key = jax.random.fold_in(dropout_key, state.step // steps_per_epoch)
        keys = jax.vmap(lambda place: jax.random.fold_in(epoch_key, place))(batch.positions)
        documents = jnp.sum(batch.weights)
        share = documents / jax.lax.psum(documents, axis_name)

        reading = optimizer.read(model, state.params, jnp.asarray(batch.token_ids), axis_name)

        def loss_of(params: Params) -> jax.Array:
            logits = reading.model.apply(
                {"params": params, **constants},
                reading.token_ids,
                batch.lengths,
                document_keys=keys,
            )
            label_ids, weights = jnp.asarray(batch.label_ids), jnp.asarray(batch.weights)
            return share * losses.binary_cross_entropy(jnp.asarray(logits), label_ids, weights)

        loss, gradient = jax.value_and_grad(loss_of)(reading.params)
        loss, gradient = jax.lax.psum((loss, gradient), axis_name)
        return optimizer.update(state, reading, gradient), loss

    return step


def split_rows(batch: Batch, devices: int) -> Batch:
    """Gives each device its rows: every array [B, ...] becomes [devices, B / devices, ...]."""
    return Batch(*(array.reshape(devices, -1, *array.shape[1:]) for array in batch))
