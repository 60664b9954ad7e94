"""One training step as a pure function: eq. (6), its gradient, and the update.

What of it a device does is the layout's matter, so that one device and many run the same code.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from axml_jax.data.batches import Batch
from axml_jax.layout import ByDocuments, Layout, Step, norm_of_squares
from axml_jax.models.text_model import TextModel
from axml_jax.train.optimizer import Optimizer
from axml_jax.train.state import Params, TrainState


class Measures(NamedTuple):
    """What a step tells of itself; the update was made if all of it is finite.

    Attributes:
      loss: float32 [], eq. (6) over the whole batch.
      norms: float32 [] each, the Euclidean norm of the whole batch's gradient before clipping, of
        all parameters under "all" and of each group of them under its name.
    """

    loss: jax.Array
    norms: dict[str, jax.Array]


def make_train_step(
    model: TextModel,
    optimizer: Optimizer,
    *,
    steps_per_epoch: int,
    layout: Layout | None = None,
) -> Step:
    """Builds step(state, constants, batch, dropout_key) -> (state, measures).

    Inside the step a batch is one device's share.  Gradient and loss are those of the
    whole batch: shares are weighted by their real documents and summed over the devices, so
    that filler rows in the last batch of an epoch count nowhere.  Dropout keys are folded
    from the epoch and the document's place in it, never from the device.  A loss or gradient that
    is not finite moves nothing but the count of steps.

    Args:
      model: The module to train.
      optimizer: From `make_optimizer`.
      steps_per_epoch: Tells the epoch from the step.
      layout: How the step is dealt to devices; `ByDocuments` by default.

    Returns:
      The step, for `layout.compiled`; measures are `Measures`.
    """
    dealt = layout or ByDocuments()

    def step(
        state: TrainState, constants: Params, batch: Batch, dropout_key: jax.Array
    ) -> tuple[TrainState, Measures]:
        epoch_key = jax.random.fold_in(dropout_key, state.step // steps_per_epoch)
        keys = jax.vmap(lambda place: jax.random.fold_in(epoch_key, place))(batch.positions)
        reading = optimizer.read(model, state.params, jnp.asarray(batch.token_ids), dealt.axes)
        read = batch._replace(token_ids=reading.token_ids)  # type: ignore[arg-type]

        def loss_of(params: Params) -> jax.Array:
            return dealt.loss(reading.model, {"params": params, **constants}, read, keys)

        loss, gradient = jax.value_and_grad(loss_of)(reading.params)
        loss, gradient = jax.lax.psum(loss, dealt.axes), dealt.reduced(gradient)
        squares = dealt.squares(gradient)
        norms = {name: norm_of_squares(group) for name, group in squares.items()}
        # Of squares: one beyond float32 would leave Adam's second moment infinite for good.
        norms["all"] = norm_of_squares(squares)
        finite = jnp.isfinite(loss) & jnp.isfinite(norms["all"])
        return optimizer.update(state, reading, gradient, finite), Measures(loss, norms)

    return step
