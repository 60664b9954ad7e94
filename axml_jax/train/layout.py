"""How a training step is dealt to devices: by documents, or by documents and labels.

A layout knows what of the loss a device computes and how devices add up their gradients; the
step is the same for all.  Knows nothing of optimizers or loops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from axml_jax import losses
from axml_jax.data.batches import Batch
from axml_jax.models.attention_xml import AttentionXML
from axml_jax.predict import AXIS, replicate
from axml_jax.train.optimizer import tree_norm

DATA, LABELS = "data", "labels"
Step = Callable[[Any, Any, Any, Array], tuple[Any, Array]]


class Layout(Protocol):
    """The interface of a layout.

    Attributes:
      axes: The mapped axes over which the documents of a batch are split.
    """

    axes: str | tuple[str, ...]

    def loss(self, model: AttentionXML, variables: Any, batch: Batch, keys: Array) -> Array:
        """A device's part of eq. (6) over the whole batch; the parts of all add up to it.

        Args:
          model: The module.
          variables: Its variables, as the device has them.
          batch: The device's rows.
          keys: A random key per row, for dropout.
        """

    def reduced(self, gradient: Any) -> Any:
        """The whole batch's gradient, as much of it as a device needs, from each one's part."""

    def global_norm(self, gradient: Any) -> Array:
        """The Euclidean norm of the whole gradient, from what a device has of it."""


class ByDocuments:
    """Every device has all weights and some documents: `jax.pmap` over them."""

    axes: str | tuple[str, ...] = AXIS

    def loss(self, model: AttentionXML, variables: Any, batch: Batch, keys: Array) -> Array:
        logits = jnp.asarray(
            model.apply(variables, batch.token_ids, batch.lengths, document_keys=keys)
        )
        weights = jnp.asarray(batch.weights)
        part = losses.binary_cross_entropy(logits, jnp.asarray(batch.label_ids), weights)
        documents = weights.sum()
        return part * documents / jax.lax.psum(documents, self.axes)

    def reduced(self, gradient: Any) -> Any:
        return jax.lax.psum(gradient, self.axes)

    def global_norm(self, gradient: Any) -> Array:
        return tree_norm(gradient)

    def placed(self, tree: Any, devices: Sequence[Any]) -> Any:
        """Puts a state or frozen tables where `compiled` wants them."""
        return replicate(tree, devices)

    def compiled(self, step: Step, devices: Sequence[Any]) -> Step:
        """The step over all devices, which keeps the state that it is given."""
        # in_axes and out_axes None: the state is one replicated value, not a stack of copies.
        return jax.pmap(
            step,
            axis_name=AXIS,
            in_axes=(None, None, 0, None),
            out_axes=(None, None),
            devices=list(devices),
            donate_argnums=(0,),
        )


class ByDocumentsAndLabels:
    """Each device has some documents and the queries of some labels.

    Devices form a mesh (data, labels).  A batch is split over all of them as far as its hidden
    states; then each gets the states of its row of the mesh and scores them for its own labels.
    The queries, and whatever an optimizer keeps of them, are split along `labels`, filled up with
    labels that do not count; all the rest is on every device.

    Args:
      num_labels: L.
      parts: How many parts the labels are split into; it divides the number of devices.
    """

    axes: str | tuple[str, ...] = (DATA, LABELS)

    def __init__(self, num_labels: int, parts: int) -> None:
        self._num_labels = num_labels
        self._parts = parts
        self._share = -(-num_labels // parts)

    def loss(self, model: AttentionXML, variables: Any, batch: Batch, keys: Array) -> Array:
        first = jax.lax.axis_index(LABELS) * self._share

        def logits(module: AttentionXML) -> tuple[Array, Array, Array]:
            token_ids, lengths = jnp.asarray(batch.token_ids), jnp.asarray(batch.lengths)
            hidden = module.encode(token_ids, lengths, document_keys=keys)
            whole = self._row((hidden, lengths, batch.label_ids, batch.weights))
            hidden, lengths, label_ids, weights = whole
            return module.labels(hidden, lengths), label_ids, weights

        part = model.clone(num_labels=self._share)
        found: Any = part.apply(variables, method=logits)
        scores, label_ids, weights = found
        part_loss = losses.binary_cross_entropy(
            scores, label_ids, weights, first_label=first, num_labels=self._num_labels
        )
        documents = weights.sum()
        return part_loss * documents / jax.lax.psum(documents, DATA)

    def top_k(
        self, model: AttentionXML, variables: Any, token_ids: Array, lengths: Array, k: int
    ) -> tuple[Array, Array]:
        """The k best labels of a device's documents, from the best of each part of the labels.

        Returns:
          Logits [B, k] float32 and label ids [B, k] int32; equal logits by the lower label id.
        """
        index = jax.lax.axis_index(LABELS)
        kept = min(k, self._share)

        def best(module: AttentionXML) -> tuple[Array, Array]:
            hidden, lengths_ = self._row((module.encode(token_ids, lengths), lengths))
            return module.labels.top_k(hidden, lengths_, kept)

        part = model.clone(num_labels=self._share)
        found: Any = part.apply(variables, method=best)
        logits, ids = found
        ids = ids + index * self._share
        logits = jnp.where(ids < self._num_labels, logits, -jnp.inf)
        # [parts, B of the row, kept]: each device goes on with its own documents.
        logits, ids = jax.lax.all_gather((logits, ids), LABELS)
        own = jax.lax.dynamic_slice_in_dim
        rows = token_ids.shape[0]
        logits, ids = (own(x, index * rows, rows, axis=1) for x in (logits, ids))
        # Ids ascend from part to part, and a part's equal logits have them ascending already.
        logits, ids = (jnp.moveaxis(x, 0, 1).reshape(rows, -1) for x in (logits, ids))
        keys = jnp.where(jnp.isnan(logits), -jnp.inf, jnp.where(logits == 0, 0.0, -logits))
        _, ids, logits = jax.lax.sort((keys, ids, logits), num_keys=2)
        return logits[:, :k], ids[:, :k]

    def reduced(self, gradient: Any) -> Any:
        def one(path: Any, part: Array) -> Array:
            return jax.lax.psum(part, DATA if _is_queries(path) else self.axes)

        return jax.tree_util.tree_map_with_path(one, gradient)

    def global_norm(self, gradient: Any) -> Array:
        def square(path: Any, part: Array) -> Array:
            whole = jnp.sum(jnp.square(part))
            return jax.lax.psum(whole, LABELS) if _is_queries(path) else whole

        squares = jax.tree_util.tree_map_with_path(square, gradient)
        return jnp.sqrt(jnp.stack(jax.tree.leaves(squares)).sum())

    def mesh(self, devices: Sequence[Any]) -> Mesh:
        """The devices as rows of documents and columns of labels."""
        grid = np.asarray(devices, dtype=object).reshape(-1, self._parts)
        return Mesh(grid, (DATA, LABELS))

    def placed(self, tree: Any, devices: Sequence[Any]) -> Any:
        """Puts a state or frozen tables where `compiled` wants them, labels filled up."""
        mesh = self.mesh(devices)

        def one(path: Any, leaf: Any) -> Array:
            if _is_queries(path):
                # On the host: a device need not have room for all labels.
                filled = self._share * self._parts - leaf.shape[0]
                leaf = np.pad(np.asarray(leaf), ((0, filled), (0, 0)))
            return jax.device_put(leaf, NamedSharding(mesh, _spec(path)))

        return jax.tree_util.tree_map_with_path(one, tree)

    def gathered(self, tree: Any) -> Any:
        """The inverse of `placed`, on the host: arrays that any number of devices can read."""

        def one(path: Any, leaf: Any) -> np.ndarray:
            whole = np.asarray(leaf)
            return whole[: self._num_labels] if _is_queries(path) else whole

        return jax.tree_util.tree_map_with_path(one, tree)

    def compiled(self, step: Step, devices: Sequence[Any]) -> Step:
        """The step over all devices, which keeps the state that it is given."""
        mesh = self.mesh(devices)
        everywhere, rows = PartitionSpec(), PartitionSpec((DATA, LABELS))

        def dealt(state: Any, constants: Any, batch: Any, key: Array) -> tuple[Any, Array]:
            specs = jax.tree_util.tree_map_with_path(lambda path, _: _spec(path), state)
            return jax.shard_map(
                step,
                mesh=mesh,
                in_specs=(specs, everywhere, rows, everywhere),
                out_specs=(specs, everywhere),
                # The Pallas kernels and the BiLSTM say nothing of how their results vary.
                check_vma=False,
            )(state, constants, batch, key)

        return jax.jit(dealt, donate_argnums=(0,))

    @staticmethod
    def _row(tree: Any) -> Any:
        """The documents of all devices of a row of the mesh."""
        return jax.lax.all_gather(tree, LABELS, tiled=True)


def _is_queries(path: Any) -> bool:
    """Whether a leaf of a state has one row per label."""
    return any(getattr(step, "key", None) == "queries" for step in path)


def _spec(path: Any) -> PartitionSpec:
    return PartitionSpec(LABELS) if _is_queries(path) else PartitionSpec()
