"""How work is dealt to devices: what every layout does, and the layout by documents.

A layout knows where weights and documents lie, what of the loss a device computes and how devices
add up their gradients; steps are the same for all.  `label_layout` has the one by documents and
labels, `layout_choice` says which.  Knows nothing of optimizers or loops.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from axml_jax.data.batches import Batch
from axml_jax.models.text_model import TextModel

AXIS = "devices"
"""The axis over which the rows of a batch are dealt to devices."""
Step = Callable[[Any, Any, Any, Array], tuple[Any, Any]]


def squares(tree: Any) -> Any:
    """The sum of the squares of each array."""
    return jax.tree.map(lambda leaf: jnp.sum(jnp.square(leaf)), tree)


def norm_of_squares(tree: Any) -> Array:
    """The Euclidean norm of all arrays together, from the `squares` of each."""
    return jnp.sqrt(jnp.stack(jax.tree.leaves(tree)).sum())


def tree_norm(tree: Any) -> Array:
    """The Euclidean norm of all arrays together."""
    return norm_of_squares(squares(tree))


class Layout(Protocol):
    """The interface of a layout.

    Attributes:
      axes: The mapped axes over which the documents of a batch are split.
    """

    axes: str | tuple[str, ...]

    def loss(self, model: TextModel, variables: Any, batch: Batch, keys: Array) -> Array:
        """A device's part of eq. (6) over the whole batch; the parts of all add up to it.

        Args:
          model: The module.
          variables: Its variables, as the device has them.
          batch: The device's rows.
          keys: A random key per row, for dropout.
        """

    def reduced(self, gradient: Any) -> Any:
        """The whole batch's gradient, as much of it as a device needs, from each one's part."""

    def squares(self, gradient: Any) -> Any:
        """The sum of the squares of each array of the whole gradient, from what a device has."""

    def global_norm(self, gradient: Any) -> Array:
        """The Euclidean norm of the whole gradient, from what a device has of it."""

    def workspace(self) -> contextlib.AbstractContextManager[None]:
        """Where new arrays lie that no single device of the layout need have room for."""

    def placed(self, tree: Any, devices: Sequence[Any]) -> Any:
        """Puts weights, a whole state or frozen tables where the compiled functions want them.

        What it has placed before it returns as it is: no second copy.
        """

    def gathered(self, tree: Any) -> Any:
        """The inverse of `placed`: arrays that any number of devices can read."""

    def dealt(self, rows: Any, devices: Sequence[Any]) -> Any:
        """Puts arrays [B, ...] where the compiled functions want their documents."""

    def compiled(self, step: Step, devices: Sequence[Any]) -> Step:
        """A training step over all devices; it keeps the state that it is given."""

    def compiled_top_k(
        self, model: TextModel, k: int, devices: Sequence[Any]
    ) -> Callable[[Any, Any], tuple[Array, Array]]:
        """A function of placed variables and of dealt (token_ids, lengths), over all devices.

        It returns the k best labels of each document, as `TextModel.top_k`, in any shape that
        has the documents in order and k last.
        """

    def compiled_logits(
        self, model: TextModel, devices: Sequence[Any]
    ) -> Callable[[Any, Any], Array]:
        """Like `compiled_top_k` for the logits of all labels, and perhaps others after them."""


class ByDocuments:
    """Every device has all weights and some documents: `jax.pmap` over them."""

    axes: str | tuple[str, ...] = AXIS

    def loss(self, model: TextModel, variables: Any, batch: Batch, keys: Array) -> Array:
        rows: Any = jax.tree.map(jnp.asarray, batch)

        def loss(module: TextModel) -> Array:
            encoded = module.encode(rows.token_ids, rows.lengths, document_keys=keys)
            return module.loss(encoded, rows.lengths, rows.label_ids, rows.weights)

        part: Any = model.apply(variables, method=loss)
        documents = rows.weights.sum()
        return part * documents / jax.lax.psum(documents, self.axes)

    def reduced(self, gradient: Any) -> Any:
        return jax.lax.psum(gradient, self.axes)

    def squares(self, gradient: Any) -> Any:
        return squares(gradient)

    def global_norm(self, gradient: Any) -> Array:
        return tree_norm(gradient)

    def workspace(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def placed(self, tree: Any, devices: Sequence[Any]) -> Any:
        """A copy on each device, as `jax.pmap` over AXIS leaves its results.

        What pmap is given in another form it copies anew at each call, and compiles for again.
        """
        return jax.device_put(tree, NamedSharding(self._mesh(devices), PartitionSpec()))

    def gathered(self, tree: Any) -> Any:
        return tree

    def dealt(self, rows: Any, devices: Sequence[Any]) -> Any:
        """[devices, B / devices, ...], as `jax.pmap` takes it uncopied."""
        split = jax.tree.map(lambda x: x.reshape(len(devices), -1, *x.shape[1:]), rows)
        return jax.device_put(split, NamedSharding(self._mesh(devices), PartitionSpec(AXIS)))

    def compiled(self, step: Step, devices: Sequence[Any]) -> Step:
        # in_axes and out_axes None: the state is one replicated value, not a stack of copies.
        return jax.pmap(
            step,
            axis_name=AXIS,
            in_axes=(None, None, 0, None),
            out_axes=(None, None),
            devices=list(devices),
            donate_argnums=(0,),
        )

    def compiled_top_k(
        self, model: TextModel, k: int, devices: Sequence[Any]
    ) -> Callable[[Any, Any], tuple[Array, Array]]:
        def top_k(variables: Any, documents: Any) -> Any:
            return model.apply(variables, *documents, k, method="top_k")

        return jax.pmap(top_k, axis_name=AXIS, in_axes=(None, 0), devices=list(devices))

    def compiled_logits(
        self, model: TextModel, devices: Sequence[Any]
    ) -> Callable[[Any, Any], Array]:
        def logits(variables: Any, documents: Any) -> Any:
            return model.apply(variables, *documents)

        return jax.pmap(logits, axis_name=AXIS, in_axes=(None, 0), devices=list(devices))

    @staticmethod
    def _mesh(devices: Sequence[Any]) -> Mesh:
        return Mesh(np.asarray(devices, dtype=object), (AXIS,))
