"""One training step as a pure function: eq. (6), its gradient, and the update.

What of it a device does is the layout's matter, so that one device and many run the same code.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from axml_jax.data.batches import Batch
from axml_jax.layout import ByDocuments, Layout, Step
from axml_jax.models.text_model import TextModel
from axml_jax.train.optimizer import Optimizer
from axml_jax.train.state import Params, TrainState


def make_train_step(
    model: TextModel,
    optimizer: Optimizer,
    *,
    steps_per_epoch: int,
    layout: Layout | None = None,
) -> Step:
    """Builds step(state, constants, batch, dropout_key) -> (state, loss).

    Inside the step a batch is one device's share.  Gradient and loss are those of the
    whole batch: shares are weighted by their real documents and summed over the devices, so
    that filler rows in the last batch of an epoch count nowhere.  Dropout keys are folded
    from the epoch and the document's place in it, never from the device.

    Args:
      model: The module to train.
      optimizer: From `make_optimizer`.
      steps_per_epoch: Tells the epoch from the step.
      layout: How the step is dealt to devices; `ByDocuments` by default.

    Returns:
      The step, for `layout.compiled`; loss is float32 [], eq. (6) over the whole batch.
    """
    dealt = layout or ByDocuments()

    def step(
        state: TrainState, constants: Params, batch: Batch, dropout_key: jax.Array
    ) -> tuple[TrainState, jax.Array]:
        epoch_key = jax.random.fold_in(dropout_key, state.step // steps_per_epoch)
        keys = jax.vmap(lambda place: jax.random.fold_in(epoch_key, place))(batch.positions)
        reading = optimizer.read(model, state.params, jnp.asarray(batch.token_ids), dealt.axes)
        read = batch._replace(token_ids=reading.token_ids)  # type: ignore[arg-type]

        def loss_of(params: Params) -> jax.Array:
            return dealt.loss(reading.model, {"params": params, **constants}, read, keys)

        loss, gradient = jax.value_and_grad(loss_of)(reading.params)
        loss, gradient = jax.lax.psum(loss, dealt.axes), dealt.reduced(gradient)
        return optimizer.update(state, reading, gradient), loss

    return step
