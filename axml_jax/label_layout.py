"""The layout by documents and labels: for more labels than one device has room for.

Knows nothing of optimizers or loops.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from axml_jax.data.batches import Batch
from axml_jax.layout import Step, norm_of_squares, squares
from axml_jax.models.text_model import PER_LABEL, TextModel
from axml_kernels.streaming import first_of

DATA, LABELS = "data", "labels"
"""The axes of a mesh of documents and labels."""
_ROWS = PartitionSpec((DATA, LABELS))


class ByDocumentsAndLabels:
    """Each device has some documents and the queries (or output weights) of some labels.

    Devices form a mesh (data, labels).  A batch is split over all of them as far as its encoded
    states; then each gets the states of its row of the mesh and scores them for its own labels.
    What has a row per label, and whatever an optimizer keeps of it, is split along `labels`, filled
    up with labels that do not count; all the rest is on every device.

    Args:
      num_labels: L.
      parts: How many parts the labels are split into; it divides the number of devices.
    """

    axes: str | tuple[str, ...] = (DATA, LABELS)

    def __init__(self, num_labels: int, parts: int) -> None:
        self._num_labels = num_labels
        self._parts = parts
        self._share = -(-num_labels // parts)

    def loss(self, model: TextModel, variables: Any, batch: Batch, keys: Array) -> Array:
        first = jax.lax.axis_index(LABELS) * self._share
        rows: Any = jax.tree.map(jnp.asarray, batch)

        def loss(module: TextModel) -> tuple[Array, Array]:
            encoded = module.encode(rows.token_ids, rows.lengths, document_keys=keys)
            whole = self._row((encoded, rows.lengths, rows.label_ids, rows.weights))
            part = module.loss(*whole, first_label=first, num_labels=self._num_labels)
            return part, whole[3].sum()

        found: Any = model.clone(num_labels=self._share).apply(variables, method=loss)
        part, documents = found
        return part * documents / jax.lax.psum(documents, DATA)

    def _top_k(
        self, model: TextModel, variables: Any, documents: tuple[Array, Array], k: int
    ) -> tuple[Array, Array]:
        """The k best labels of a device's documents, from the best of each part of the labels."""
        index = jax.lax.axis_index(LABELS)
        kept = min(k, self._share)

        def best(module: TextModel) -> tuple[Array, Array]:
            encoded, lengths = self._row((module.encode(*documents), documents[1]))
            return module.best(encoded, lengths, kept)

        part = model.clone(num_labels=self._share)
        found: Any = part.apply(variables, method=best)
        logits, ids = found
        ids = ids + index * self._share
        logits = jnp.where(ids < self._num_labels, logits, -jnp.inf)
        # [parts, B of the row, kept]: each device goes on with its own documents.
        logits, ids = jax.lax.all_gather((logits, ids), LABELS)
        own = jax.lax.dynamic_slice_in_dim
        rows = len(documents[1])
        logits, ids = (own(x, index * rows, rows, axis=1) for x in (logits, ids))
        logits, ids = (jnp.moveaxis(x, 0, 1).reshape(rows, -1) for x in (logits, ids))
        return first_of(logits, ids, k)

    def reduced(self, gradient: Any) -> Any:
        def one(path: Any, part: Array) -> Array:
            return jax.lax.psum(part, DATA if _is_per_label(path) else self.axes)

        return jax.tree_util.tree_map_with_path(one, gradient)

    def squares(self, gradient: Any) -> Any:
        def whole(path: Any, part: Array) -> Array:
            return jax.lax.psum(part, LABELS) if _is_per_label(path) else part

        return jax.tree_util.tree_map_with_path(whole, squares(gradient))

    def global_norm(self, gradient: Any) -> Array:
        return norm_of_squares(self.squares(gradient))

    def workspace(self) -> contextlib.AbstractContextManager[None]:
        """The host, if JAX may use it."""
        try:
            host = jax.local_devices(backend="cpu")[0]
        except RuntimeError:  # JAX_PLATFORMS names no "cpu"
            return contextlib.nullcontext()
        return jax.default_device(host)

    def mesh(self, devices: Sequence[Any]) -> Mesh:
        """The devices as rows of documents and columns of labels."""
        grid = np.asarray(devices, dtype=object).reshape(-1, self._parts)
        return Mesh(grid, (DATA, LABELS))

    def placed(self, tree: Any, devices: Sequence[Any]) -> Any:
        """What has a row per label split, and filled up; all the rest on each device.

        What lies there already stays, uncopied.
        """

        def one(path: Any, leaf: Any, shape: jax.ShapeDtypeStruct) -> Array:
            if _is_per_label(path) and not _lies_as(leaf, shape):
                # On the host: a device need not have room for all labels.
                filling = (shape.shape[0] - len(leaf), *leaf.shape[1:])
                leaf = np.concatenate([leaf, np.zeros(filling, leaf.dtype)])
            return jax.device_put(leaf, shape.sharding)

        shapes = self.placed_shapes(tree, devices)
        return jax.tree_util.tree_map_with_path(one, tree, shapes)

    def placed_shapes(self, tree: Any, devices: Sequence[Any]) -> Any:
        """Shapes, types and shardings of what `placed` gives: enough to compile for."""
        mesh = self.mesh(devices)

        def one(path: Any, leaf: Any) -> jax.ShapeDtypeStruct:
            rows = (self._share * self._parts,) if _is_per_label(path) else leaf.shape[:1]
            sharding = NamedSharding(mesh, _spec(path))
            return jax.ShapeDtypeStruct((*rows, *leaf.shape[1:]), leaf.dtype, sharding=sharding)

        return jax.tree_util.tree_map_with_path(one, tree)

    def gathered(self, tree: Any) -> Any:
        """On the host, without what filled the labels up."""

        def one(path: Any, leaf: Any) -> np.ndarray:
            whole = np.asarray(leaf)
            return whole[: self._num_labels] if _is_per_label(path) else whole

        return jax.tree_util.tree_map_with_path(one, tree)

    def dealt(self, rows: Any, devices: Sequence[Any]) -> Any:
        return jax.device_put(rows, NamedSharding(self.mesh(devices), _ROWS))

    def compiled(self, step: Step, devices: Sequence[Any]) -> Step:
        mesh, everywhere = self.mesh(devices), PartitionSpec()

        def dealt(state: Any, constants: Any, batch: Any, key: Array) -> tuple[Any, Array]:
            return jax.shard_map(
                step,
                mesh=mesh,
                in_specs=(_specs(state), everywhere, _ROWS, everywhere),
                out_specs=(_specs(state), everywhere),
                # The Pallas kernels and the BiLSTM say nothing of how their results vary.
                check_vma=False,
            )(state, constants, batch, key)

        return jax.jit(dealt, donate_argnums=(0,))

    def compiled_top_k(
        self, model: TextModel, k: int, devices: Sequence[Any]
    ) -> Callable[[Any, Any], tuple[Array, Array]]:
        mesh = self.mesh(devices)

        def dealt(variables: Any, documents: Any) -> tuple[Array, Array]:
            return jax.shard_map(
                lambda variables, documents: self._top_k(model, variables, documents, k),
                mesh=mesh,
                in_specs=(_specs(variables), _ROWS),
                out_specs=(_ROWS, _ROWS),
                check_vma=False,
            )(variables, documents)

        return jax.jit(dealt)

    def compiled_logits(
        self, model: TextModel, devices: Sequence[Any]
    ) -> Callable[[Any, Any], Array]:
        mesh, part = self.mesh(devices), model.clone(num_labels=self._share)

        def scores(module: TextModel, documents: tuple[Array, Array]) -> Array:
            return module.scores(*self._row((module.encode(*documents), documents[1])))

        def own(variables: Any, documents: Any) -> Any:
            return part.apply(variables, documents, method=scores)

        def dealt(variables: Any, documents: Any) -> Array:
            return jax.shard_map(
                own,
                mesh=mesh,
                in_specs=(_specs(variables), _ROWS),
                out_specs=PartitionSpec(DATA, LABELS),
                check_vma=False,
            )(variables, documents)

        return jax.jit(dealt)

    @staticmethod
    def _row(tree: Any) -> Any:
        """The documents of all devices of a row of the mesh."""
        return jax.lax.all_gather(tree, LABELS, tiled=True)


def _is_per_label(path: Any) -> bool:
    """Whether a leaf of a state has one row per label."""
    return any(getattr(step, "key", None) in PER_LABEL for step in path)


def _lies_as(leaf: Any, shape: jax.ShapeDtypeStruct) -> bool:
    """Whether an array has been placed: split over these devices, and filled up."""
    there = getattr(leaf, "sharding", None)
    return (
        there is not None
        and leaf.shape == shape.shape
        and there.is_equivalent_to(shape.sharding, leaf.ndim)
    )


def _spec(path: Any) -> PartitionSpec:
    return PartitionSpec(LABELS) if _is_per_label(path) else PartitionSpec()


def _specs(tree: Any) -> Any:
    return jax.tree_util.tree_map_with_path(lambda path, _: _spec(path), tree)
